// Listening to two takes in turn: which two, which of them is heard, and not knowing which is which.

const pair = find(".vv-turn");
const sides = [...pair.querySelectorAll("[data-side]")];
const seeker = pair.querySelector("input[type='range']");
let picked = ["", ""]; // ids of A and B
let about = [null, null]; // what is known of them, by side as it is shown
let blind = false;
let revealed = false;
let swapped = false; // the first side is B

const turn = makeTurn(readSound, drawPair);

async function pick(slot, id) {
  if (picked[slot] === id) return unpick(slot);
  if (picked[1 - slot] === id) unpick(1 - slot);
  picked[slot] = id;
  player.pause();
  if (blind) setBlind(false);
  drawPair();
  markPicks();
  const answer = await server.take_facts({ take: id });
  if (picked[slot] !== id) return;
  if (answer.alert) {
    unpick(slot);
    return showAlert(answer.alert);
  }
  about[slot] = answer;
  drawPair();
  const loaded = await turn.load(answer);
  if (picked[slot] === id) turn.put(slot, loaded);
}

function unpick(slot) {
  if (blind) setBlind(false);
  picked[slot] = "";
  about[slot] = null;
  turn.drop(slot);
  drawPair();
  markPicks();
}

async function compare([one, other]) {
  for (const slot of [0, 1]) unpick(slot);
  await Promise.all([pick(0, one), pick(1, other)]);
  pair.scrollIntoView({ block: "nearest" });
}

function markPicks() {
  for (const button of list.querySelectorAll("[data-act='pick']")) {
    const id = button.closest("li").dataset.take;
    button.setAttribute("aria-pressed", picked[button.dataset.slot] === id);
  }
}

// Blind: the two may change places, and nothing says which is which until it is revealed.
function setBlind(next) {
  blind = next;
  revealed = false;
  const swap = next ? Math.random() < 0.5 : false;
  if (swap !== swapped) {
    swapped = swap;
    turn.swap();
    about.reverse();
  }
  turn.pause(); // or what changes in the sound, or does not, would tell
  turn.seek(0);
  turn.hear(0);
  pair.querySelector("input[type='checkbox']").checked = blind;
  drawPair();
}

function drawPair() {
  pair.hidden = !picked[0] && !picked[1];
  const hidden = blind && !revealed;
  sides.forEach((button, side) => {
    const known = about[side];
    const letter = "AB"[swapped ? 1 - side : side];
    const name = blind ? String(side + 1) : letter;
    const missing = picked[side] ? "Loading …" : "Choose it in the list.";
    setText(button.querySelector("b"), blind && revealed ? `${name} is ${letter}` : name);
    setText(button.querySelector(".vv-turn-text"), hidden ? "" : known?.text || missing);
    const facts = known && [known.about, known.loudness].join(" · ");
    setText(button.querySelector(".vv-muted"), hidden ? "" : facts || "");
    button.setAttribute("aria-pressed", turn.ready && turn.heard === side);
    button.disabled = !turn.ready;
  });
  pair.querySelector("input[type='checkbox']").disabled = !turn.ready;
  const play = pair.querySelector("[data-turn='play']");
  play.disabled = seeker.disabled = !turn.ready;
  const text = turn.playing ? "Pause both" : "Play both";
  if (play.getAttribute("aria-label") !== text || !play.innerHTML) {
    play.setAttribute("aria-label", text);
    play.innerHTML = turn.playing ? ICONS.pause : ICONS.play;
  }
  seeker.max = turn.duration || 1;
  seeker.value = turn.position;
  seeker.setAttribute("aria-valuetext", `${clock(turn.position)} of ${clock(turn.duration)}`);
  setText(pair.querySelector(".vv-past-time"), `${clock(turn.position)} / ${clock(Math.round(turn.duration))}`);
  pair.querySelector("[data-turn='reveal']").hidden = !blind || revealed;
  const shortened = about.some((one) => one && one.frames > LONGEST * one.rate);
  setText(
    pair.querySelector(".vv-turn-hint"),
    turn.ready
      ? `Press one of the two, or the keys 1 and 2, to switch at once.${shortened ? " The first 10 minutes are heard." : ""}`
      : "Choose A and B with the letters beside the takes.",
  );
}

function listen(side) {
  turn.hear(side);
  if (!turn.playing) playPair();
}

function playPair() {
  player.pause();
  window.vivavoce?.player.pause(); // of the Speak tab
  turn.play();
}

pair.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.side) listen(Number(button.dataset.side));
  if (button.dataset.turn === "play") {
    if (turn.playing) turn.pause();
    else playPair();
  }
  if (button.dataset.turn === "reveal") {
    revealed = true;
    drawPair();
    sides[0].focus();
  }
  if (button.dataset.turn === "close") {
    for (const slot of [0, 1]) unpick(slot);
    find(".vv-past-search input").focus();
  }
});
pair.addEventListener("keydown", (event) => {
  if (["1", "2"].includes(event.key) && turn.ready) listen(Number(event.key) - 1);
});
pair.querySelector("input[type='checkbox']").addEventListener("change", (event) => {
  setBlind(event.target.checked);
});
seeker.addEventListener("input", () => turn.seek(Number(seeker.value)));

find("[data-act='refresh']").innerHTML = ICONS.refresh;
lifetime.signal.addEventListener("abort", () => {
  player.pause();
  turn.pause();
});
window.vivavoceHistory = { player, turn, lifetime };
show(props.value || {});
