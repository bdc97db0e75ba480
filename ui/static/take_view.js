// The take panel: player, waveform, downloads and sentences. Its state comes from Python as
// `props.value` (ui/view.py); sound, peaks and sentences are asked for when they are needed.

window.vivavoce?.lifetime.abort(); // a panel that is drawn anew takes the place of the old one
const lifetime = new AbortController();
const PAGE = 20; // sentences shown at a time
const DRAW_EVERY = 80; // milliseconds; smooth enough for a line that crosses slowly
const ICONS = {
  play: '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M8 5.5v13l10.5-6.5z"/></svg>',
  pause: '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M7 5h3.5v14H7zM13.5 5H17v14h-3.5z"/></svg>',
  again: '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 5a7 7 0 1 0 6.7 9h-2.2A5 5 0 1 1 12 7c1.4 0 2.6.6 3.5 1.5L13 11h6V5l-2 2A7 7 0 0 0 12 5z"/></svg>',
};

const find = (selector) => element.querySelector(selector);
const panel = find(".vv-take");
const wave = makeWave(find(".vv-wave canvas"));
let shown = {}; // the state that is drawn
let sentences = []; // those of the page, with start and end in seconds
let page = 0;
let autoplayed = ""; // id of the take that began to play by itself
let playAfter = -1; // sentence to play once it was made again

const player = makePlayer(readSound, draw);
find(".vv-play").innerHTML = ICONS.play;

async function readSound(take, start, count) {
  const answer = await server.read_sound({ take: take.id, start, count });
  if (answer.alert) {
    showAlert(answer.alert);
    throw new Error(answer.alert.join(" "));
  }
  return samplesFromBase64(answer.pcm);
}

const busy = () => ["waiting", "speaking", "again"].includes(shown.state);
const complete = () => !["waiting", "speaking"].includes(shown.state);

watch("value", () => show(props.value || {}));

function show(next) {
  const before = shown;
  shown = next;
  const newTake = next.take !== before.take;
  const changed = newTake || next.version !== before.version;
  if (newTake) page = 0;
  player.open({
    id: next.take,
    rate: next.rate,
    frames: next.frames,
    version: next.version,
    complete: complete(),
  });
  document.body.classList.toggle("vv-busy", busy());
  panel.dataset.state = next.state;
  panel.dataset.take = next.take;
  find(".vv-welcome").hidden = Boolean(next.take);
  find(".vv-now").hidden = !next.take || (!next.frames && !busy());
  find(".vv-bar i").style.width = `${Math.round(100 * next.progress)}%`;
  setText(find(".vv-status"), next.status);
  setText(find(".vv-fixed"), next.fixed);
  showNotes(next.notes || []);
  showAlert(next.alert || []);
  if (changed || next.frames !== before.frames) refreshWave(changed || complete());
  if (changed || pageGrew(before) || next.busy !== before.busy) refreshList();
  startByItself();
  draw();
}

// A new take plays once there is something to hear; a sentence made again is played on its own.
function startByItself() {
  if (shown.frames && autoplayed !== shown.take && ["speaking", "done"].includes(shown.state)) {
    autoplayed = shown.take;
    player.play(0);
  }
  if (playAfter >= 0 && shown.state !== "again") {
    if (shown.state === "done" && !(shown.alert || []).length) playSentence(playAfter);
    playAfter = -1;
  }
}

function setText(node, text) {
  if (node.textContent !== (text || "")) node.textContent = text || "";
  node.hidden = !text;
}

function showNotes(notes) {
  const list = find(".vv-notes");
  list.replaceChildren(
    ...notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })),
  );
}

function showAlert(parts) {
  const box = find(".vv-alert");
  if (box.dataset.parts === JSON.stringify(parts)) return;
  box.dataset.parts = JSON.stringify(parts);
  box.hidden = !parts.length;
  box.replaceChildren(
    ...parts.map((part) => Object.assign(document.createElement("p"), { textContent: part })),
  );
}

// waveform and time

let peaksAsked = 0;
async function refreshWave(atOnce) {
  const time = performance.now();
  if (!shown.frames || (!atOnce && time - peaksAsked < 1000)) return;
  peaksAsked = time;
  const { take, version } = shown;
  const answer = await server.peaks({ take, bars: wave.bars() });
  if (answer.peaks && take === shown.take && version === shown.version) wave.setPeaks(answer.peaks);
}

function draw() {
  const rate = shown.rate || 1;
  const position = player.position / rate;
  const whole = (shown.frames || 0) / rate;
  wave.draw(shown.frames ? player.position / shown.frames : 0);
  setText(find(".vv-time"), `${clock(position)} / ${clock(Math.round(whole))}`);
  const slider = find(".vv-wave");
  setAttribute(slider, "aria-valuemax", Math.round(whole));
  setAttribute(slider, "aria-valuenow", Math.round(position));
  setAttribute(slider, "aria-valuetext", `${clock(position)} of ${clock(whole)}`);
  const button = find(".vv-play");
  const sounding = player.playing && !player.blocked;
  if (setAttribute(button, "aria-label", sounding ? "Pause" : "Play")) {
    button.innerHTML = sounding ? ICONS.pause : ICONS.play;
  }
  panel.classList.toggle("vv-blocked", player.blocked);
  markSounding(position);
}

// Returns whether it was another value: what is the same is not drawn again.
function setAttribute(node, name, value) {
  if (node.getAttribute(name) === String(value)) return false;
  node.setAttribute(name, value);
  return true;
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60) % 60;
  const tail = String(whole % 60).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

let drawn = 0;
function tick(time) {
  if (player.playing && time - drawn >= DRAW_EVERY) {
    drawn = time;
    draw();
  }
  if (!lifetime.signal.aborted) requestAnimationFrame(tick);
}
requestAnimationFrame(tick);

// sentences

const pages = () => Math.max(1, Math.ceil((shown.sentences || 0) / PAGE));

function pageGrew(before) {
  const first = page * PAGE;
  const had = Math.min(before.sentences || 0, first + PAGE);
  const has = Math.min(shown.sentences || 0, first + PAGE);
  return had !== has || pages() !== Math.ceil((before.sentences || 0) / PAGE);
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
  const last = first + sentences.length; // may be ahead of what was last shown
  const whole = Math.max(shown.sentences, last);
  find(".vv-pages span").textContent = `${first + 1}–${last} of ${whole.toLocaleString()}`;
  find(".vv-pages").hidden = pages() < 2;
  find("[data-page='-1']").disabled = page === 0;
  find("[data-page='1']").disabled = page >= pages() - 1;
  find(".vv-sentences").hidden = !sentences.length;
  draw();
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

// what a person does

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.classList.contains("vv-play")) playOrPause();
  if (button.dataset.download) {
    trigger("download", { what: button.dataset.download, format: find("select").value });
  }
  if (button.dataset.page) turn(Number(button.dataset.page));
  if (button.dataset.example) trigger("example", { number: Number(button.dataset.example) });
  const row = button.closest("li[data-number]");
  if (row && button.dataset.act === "play") playSentence(Number(row.dataset.number));
  if (row && button.dataset.act === "again") {
    player.pause();
    player.unlock(shown.rate);
    playAfter = Number(row.dataset.number);
    trigger("again", { number: playAfter });
  }
});

// The press itself may let a silent player sound before its click arrives: then the click, which
// was made to hear something, must not stop it.
let pressedInSilence = false;
for (const kind of ["pointerdown", "keydown"]) {
  element.addEventListener(kind, () => (pressedInSilence = player.blocked), true);
}

function playOrPause() {
  if (pressedInSilence || player.blocked) {
    pressedInSilence = false;
    return player.unlock(shown.rate);
  }
  if (player.playing) return player.pause();
  const atEnd = player.position >= shown.frames && complete();
  player.play(atEnd ? 0 : player.position);
}

const slider = find(".vv-wave");
slider.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  slider.setPointerCapture(event.pointerId);
  seekTo(event);
});
slider.addEventListener("pointermove", (event) => {
  if (slider.hasPointerCapture(event.pointerId)) seekTo(event);
});
function seekTo(event) {
  const box = slider.getBoundingClientRect();
  const share = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  player.seek(Math.round(share * shown.frames));
}
slider.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageUp: 30, PageDown: -30 };
  let to = null;
  if (event.key in step) to = player.position + step[event.key] * shown.rate;
  if (event.key === "Home") to = 0;
  if (event.key === "End") to = shown.frames;
  if (event.key === " " || event.key === "Enter") playOrPause();
  else if (to === null) return;
  else player.seek(to);
  event.preventDefault();
});
new ResizeObserver(() => {
  wave.resize();
  draw();
}).observe(slider);

for (const format of props.formats) {
  find("select").append(new Option(format.label, format.name));
}
props.examples.forEach((example, number) => {
  const chip = document.createElement("button");
  chip.type = "button";
  chip.className = "vv-chip";
  chip.dataset.example = number;
  chip.lang = example.language;
  chip.textContent = example.name;
  find(".vv-examples").append(chip);
});
window.vivavoce = { player, lifetime };
show(props.value || {});
