// The History tab: the list, its pages, one take that plays, and what is done with a take. Its state
// comes from Python as `props.value` (ui/history_view.py); sound is asked for when it is needed.

window.vivavoceHistory?.lifetime.abort(); // a panel that is drawn anew takes the old one's place
const lifetime = new AbortController();
const ICONS = {
  play: '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M8 5.5v13l10.5-6.5z"/></svg>',
  pause: '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M7 5h3.5v14H7zM13.5 5H17v14h-3.5z"/></svg>',
  pin: '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M15 3l6 6-2 1-3 3v4l-2 2-4-4-5 5-1-1 5-5-4-4 2-2h4l3-3z"/></svg>',
  more: '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M6.4 8.6L12 14.2l5.6-5.6L19 10l-7 7-7-7z"/></svg>',
  refresh: '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 5a7 7 0 1 0 6.7 9h-2.2A5 5 0 1 1 12 7c1.4 0 2.6.6 3.5 1.5L13 11h6V5l-2 2A7 7 0 0 0 12 5z"/></svg>',
};
const UNFINISHED = "being made";
const LOOK_EVERY = 2000; // milliseconds between two looks at takes that are being made

const find = (selector) => element.querySelector(selector);
const root = find(".vv-past");
const list = find(".vv-past-list");
let shown = {}; // what is drawn
let newer = []; // where the pages before this one begin
let current = null; // the take that plays or may be played on
let opened = ""; // id of the take whose details are shown
let doomed = ""; // id of the take that a question is open about

async function readSound(take, start, count) {
  const answer = await server.read_take({ take: take.id, start, count });
  if (answer.alert) {
    showAlert(answer.alert);
    throw new Error(answer.alert.join(" "));
  }
  return samplesFromBase64(answer.pcm);
}

const player = makePlayer(readSound, drawStrip);
const place = () => ({ query: shown.query || "", before: shown.before ?? null });
const rowOf = (id) => [...list.children].find((row) => row.dataset.take === id);
const takeOf = (id) => (shown.takes || []).find((take) => take.id === id);

watch("value", () => show(props.value || {}));

function show(next) {
  shown = next;
  const known = Boolean(next.takes);
  const input = find(".vv-past-search input");
  if (known && document.activeElement !== input) input.value = next.query;
  if (known && next.before === null) newer = [];
  showAlert(next.alert || []);
  setText(find(".vv-past-said"), next.said);
  setText(find(".vv-past-kept"), next.kept);
  drawRows(next.takes || []);
  showEmpty(known && !next.takes.length && !(next.alert || []).length);
  find(".vv-past-search").hidden = known && !next.count && !next.query;
  find(".vv-past-pages").hidden = !next.older && !newer.length;
  find("[data-act='newer']").disabled = !newer.length;
  find("[data-act='older']").disabled = !next.older;
  setText(find(".vv-past-pages span"), known ? `${next.count.toLocaleString()} takes in all` : "");
  if ((next.compare || []).length) compare(next.compare);
}

function showEmpty(empty) {
  const box = find(".vv-past-empty");
  box.hidden = !empty;
  const [title, text] = shown.query
    ? [`Nothing holds “${shown.query}”.`, "Every word has to be in the text, or in the name of the voice or engine."]
    : ["Nothing here yet.", "What you speak is kept here with everything about it: to hear again, to compare, to make again exactly as it was, to take along."];
  setText(box.querySelector("b"), title);
  setText(box.querySelector(".vv-muted"), text);
}

function showAlert(parts) {
  const box = find(".vv-past-alert");
  box.hidden = !parts.length;
  box.replaceChildren(...parts.map((part) => made("p", "", part)));
}

function setText(node, text) {
  if (node.textContent !== (text || "")) node.textContent = text || "";
}

function made(kind, names = "", text = "") {
  const node = document.createElement(kind);
  node.className = names;
  node.textContent = text;
  return node;
}

function when(seconds) {
  const date = new Date(seconds * 1000);
  const now = new Date();
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (date.toDateString() === now.toDateString()) return time;
  const year = date.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return `${date.toLocaleDateString([], { day: "numeric", month: "short", year })}, ${time}`;
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60) % 60;
  const tail = String(whole % 60).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

// the take that plays: its waveform stands under its row

const strip = made("div", "vv-past-player");
strip.innerHTML = `
  <div class="vv-past-wave" role="slider" tabindex="0" aria-label="Position in the take" aria-valuemin="0"><canvas aria-hidden="true"></canvas></div>
  <span class="vv-past-time" aria-hidden="true"></span>`;
const wave = makeWave(strip.querySelector("canvas"));
const slider = strip.querySelector(".vv-past-wave");

function playOrPause(take) {
  turn.pause();
  window.vivavoce?.player.pause(); // of the Speak tab
  if (current?.id === take.id) {
    if (player.playing && !player.blocked) return player.pause();
    return player.play(player.position >= take.frames ? 0 : player.position);
  }
  player.pause();
  for (const box of list.querySelectorAll(".vv-past-strip")) box.hidden = true;
  current = take;
  const box = rowOf(take.id).querySelector(".vv-past-strip");
  box.hidden = false;
  box.append(strip);
  wave.resize();
  wave.setPeaks([]);
  player.open({ id: take.id, rate: take.rate, frames: take.frames, version: 0, complete: true });
  player.play(0);
  server.take_peaks({ take: take.id, bars: wave.bars() }).then((answer) => {
    if (answer.peaks && current?.id === take.id) wave.setPeaks(answer.peaks);
    drawStrip();
  });
}

function drawStrip() {
  if (!current) return;
  const { rate, frames } = current;
  const [position, whole] = [player.position / rate, frames / rate];
  wave.draw(player.position / frames);
  setText(strip.querySelector(".vv-past-time"), `${clock(position)} / ${clock(Math.round(whole))}`);
  slider.setAttribute("aria-valuemax", Math.round(whole));
  slider.setAttribute("aria-valuenow", Math.round(position));
  slider.setAttribute("aria-valuetext", `${clock(position)} of ${clock(whole)}`);
  for (const take of shown.takes || []) drawPlay(rowOf(take.id), take);
}

function seekTo(event) {
  const box = slider.getBoundingClientRect();
  const share = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  player.seek(Math.round(share * current.frames));
}
slider.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  slider.setPointerCapture(event.pointerId);
  seekTo(event);
});
slider.addEventListener("pointermove", (event) => {
  if (slider.hasPointerCapture(event.pointerId)) seekTo(event);
});
slider.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageUp: 30, PageDown: -30 };
  if (event.key === " " || event.key === "Enter") playOrPause(current);
  else if (event.key === "Home") player.seek(0);
  else if (event.key === "End") player.seek(current.frames);
  else if (event.key in step) player.seek(player.position + step[event.key] * current.rate);
  else return;
  event.preventDefault();
});
new ResizeObserver(() => {
  wave.resize();
  drawStrip();
}).observe(slider);

// what a person does

function turnPage(by) {
  const { query, before } = place();
  if (by > 0) newer.push(before);
  trigger("look", { query, before: by > 0 ? shown.older : newer.pop() });
}

const acts = {
  refresh: () => trigger("look", place()),
  newer: () => turnPage(-1),
  older: () => turnPage(1),
  play: (take) => playOrPause(take),
  more: (take) => unfold(take.id),
  pin: (take) => trigger("pin", { ...place(), take: take.id, pinned: !take.pinned }),
  pick: (take, button) => pick(Number(button.dataset.slot), take.id),
  text: (take, button) => showWhole(button, take),
  again: (take) => {
    player.pause();
    trigger("again", { ...place(), take: take.id });
  },
  speak: (take) => trigger("open_in_speak", { ...place(), take: take.id }),
  download: (take, button) => {
    const format = button.closest(".vv-past-actions").querySelector("select").value;
    trigger("download", { ...place(), take: take.id, what: button.dataset.what, format });
  },
  delete: (take) => {
    doomed = take.id;
    setText(find(".vv-past-sure-text"), take.text);
    find("dialog").showModal();
  },
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (!button || button.disabled) return;
  const row = button.closest("li[data-take]");
  const take = row && takeOf(row.dataset.take);
  if (!row || take) acts[button.dataset.act](take, button);
});

find("dialog").addEventListener("click", (event) => {
  const { sure } = event.target.dataset;
  if (!sure) return;
  find("dialog").close();
  if (sure === "yes") remove(doomed);
});

function remove(id) {
  const row = rowOf(id);
  const next = row?.nextElementSibling || row?.previousElementSibling;
  (next?.querySelector("button[data-act='more']") || find(".vv-past-search input")).focus();
  picked.forEach((one, slot) => one === id && unpick(slot));
  trigger("remove", { ...place(), take: id });
}

find(".vv-past-search").addEventListener("submit", (event) => {
  event.preventDefault();
  newer = [];
  trigger("look", { query: find(".vv-past-search input").value.trim(), before: null });
});
find(".vv-past-search input").addEventListener("search", (event) => {
  if (!event.target.value && shown.query) trigger("look", { query: "", before: null }); // its own ×
});

const looking = setInterval(() => {
  const atWork = (shown.takes || []).some((take) => take.state === UNFINISHED);
  if (atWork && !shown.busy && root.offsetParent) trigger("look", place());
}, LOOK_EVERY);
lifetime.signal.addEventListener("abort", () => clearInterval(looking));

let drawn = 0;
function tick(time) {
  if (!root.offsetParent && (player.playing || turn.playing)) {
    player.pause(); // another tab was chosen
    turn.pause();
  }
  if (player.playing && time - drawn >= 80) {
    drawn = time;
    drawStrip();
  }
  if (!lifetime.signal.aborted) requestAnimationFrame(tick);
}
requestAnimationFrame(tick);
