// The take panel: player, waveform, downloads and sentences. Its state comes from Python as
// `props.value` (ui/view.py); sound, peaks and sentences are asked for when they are needed.

window.vivavoce?.lifetime.abort(); // a panel that is drawn anew takes the place of the old one
const lifetime = new AbortController();
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

const busy = (state = shown.state) => ["waiting", "speaking", "again"].includes(state);
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
  // a screen reader hears of a new state, not of every number on the way
  if (next.state !== before.state) find(".vv-said").textContent = next.status;
  setText(find(".vv-fixed"), next.fixed);
  showNotes(next.notes || []);
  showMade(before);
  showAlert(next.alert || []);
  if (changed || next.frames !== before.frames) refreshWave(changed || complete());
  if (changed || pageGrew(before) || busy() !== busy(before.state)) refreshList();
  showPager();
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

// A voice that was made up can be given a name; what is typed stays until it is another voice.
function showMade(before) {
  const form = find(".vv-made");
  form.hidden = !shown.made || busy();
  if (shown.made !== before.made) form.reset();
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

find(".vv-made").addEventListener("submit", (event) => {
  event.preventDefault();
  trigger("keep", { name: event.target.elements.name.value });
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
