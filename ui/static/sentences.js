// The list of sentences, a page at a time: play one, make one again.

const PAGE = 20; // sentences shown at a time
let sentences = []; // those of the page, with start and end in seconds
let page = 0;

const pages = () => Math.max(1, Math.ceil((shown.sentences || 0) / PAGE));

function pageGrew(before) {
  const first = page * PAGE;
  const had = Math.min(before.sentences || 0, first + PAGE);
  const has = Math.min(shown.sentences || 0, first + PAGE);
  return had !== has;
}

async function refreshList() {
  const { take, version } = shown;
  const first = page * PAGE;
  const answer = await server.sentences({ take, first, count: PAGE });
  if (!answer.sentences || take !== shown.take || version !== shown.version) return;
  if (first !== page * PAGE) return;
  sentences = answer.sentences;
  const list = find(".vv-list");
  list.start = first + 1;
  while (list.children.length > sentences.length) list.lastChild.remove();
  sentences.forEach((sentence, i) => fillRow(list.children[i] || addRow(list), sentence));
  find(".vv-sentences").hidden = !sentences.length;
  showPager();
  draw();
}

function showPager() {
  const first = page * PAGE;
  const last = first + sentences.length; // may be ahead of what was last shown
  const whole = Math.max(shown.sentences || 0, last);
  find(".vv-pages span").textContent = `${first + 1}–${last} of ${whole.toLocaleString()}`;
  find(".vv-pages").hidden = pages() < 2;
  find("[data-page='-1']").disabled = page === 0;
  find("[data-page='1']").disabled = page >= pages() - 1;
}

function addRow(list) {
  const row = document.createElement("li");
  row.innerHTML = `
    <button type="button" class="vv-icon" data-act="play">${ICONS.play}</button>
    <span class="vv-text" dir="auto"></span>
    <span class="vv-length"></span>
    <button type="button" class="vv-icon" data-act="again">${ICONS.again}</button>`;
  list.append(row);
  return row;
}

function fillRow(row, sentence) {
  const name = `sentence ${sentence.number + 1}`;
  row.dataset.number = sentence.number;
  setText(row.querySelector(".vv-text"), sentence.text);
  row.querySelector(".vv-length").textContent = `${(sentence.end - sentence.start).toFixed(1)} s`;
  row.querySelector(".vv-length").title = `Seed ${sentence.seed}`;
  const [play, again] = row.querySelectorAll("button");
  play.setAttribute("aria-label", `Play ${name}`);
  again.setAttribute("aria-label", `Make ${name} again`);
  again.title = "Make again: with a new seed and the settings as they are now";
  again.disabled = busy();
  row.classList.toggle("vv-working", shown.busy === sentence.number);
}

function markSounding(position) {
  for (const row of find(".vv-list").children) {
    const sentence = sentences[row.dataset.number - page * PAGE];
    const here = sentence && position >= sentence.start && position < sentence.end;
    row.classList.toggle("vv-sounding", Boolean(here && player.playing));
  }
  const last = sentences[sentences.length - 1];
  const following = player.playing && !find(".vv-list").matches(":focus-within");
  if (following && last && position > last.end && position < last.end + 1 && page < pages() - 1) {
    turn(1);
  }
}

function turn(by) {
  page = Math.max(0, Math.min(page + by, pages() - 1));
  sentences = [];
  refreshList();
}

async function playSentence(number) {
  const answer = await server.sentences({ take: shown.take, first: number, count: 1 });
  const [sentence] = answer.sentences || [];
  if (!sentence) return;
  player.play(Math.round(sentence.start * shown.rate), Math.round(sentence.end * shown.rate));
}
