// The rows of the History tab and what unfolds in them. Part of history.js.

// rows: one that stays on the page keeps its element, and with it focus and whatever is open in it

function drawRows(takes) {
  const rows = takes.map((take) => rowOf(take.id) || newRow(take.id));
  for (const row of [...list.children]) if (!rows.includes(row)) row.remove();
  rows.forEach((row, i) => {
    if (list.children[i] !== row) list.insertBefore(row, list.children[i] || null);
  });
  takes.forEach((take, i) => fillRow(rows[i], take));
  if (current && !takeOf(current.id)) {
    player.pause();
    current = null;
  }
}

function newRow(id) {
  const row = made("li", "vv-past-take");
  row.dataset.take = id;
  row.innerHTML = `
    <div class="vv-past-line">
      <button type="button" class="vv-past-play" data-act="play">${ICONS.play}</button>
      <div class="vv-past-what" data-act="more">
        <p class="vv-past-text" dir="auto"></p>
        <p class="vv-muted"><time></time> <span class="vv-past-about"></span> <span class="vv-tag"></span></p>
      </div>
      <span class="vv-past-picks" role="group">
        <button type="button" data-act="pick" data-slot="0" aria-pressed="false">A</button><button type="button" data-act="pick" data-slot="1" aria-pressed="false">B</button>
      </span>
      <button type="button" class="vv-icon" data-act="pin">${ICONS.pin}</button>
      <button type="button" class="vv-icon vv-past-unfold" data-act="more" aria-expanded="false">${ICONS.more}</button>
    </div>
    <div class="vv-past-strip" hidden></div>
    <div class="vv-past-more" hidden></div>`;
  return row;
}

function fillRow(row, take) {
  const part = (selector) => row.querySelector(selector);
  const name = take.text.slice(0, 40);
  setText(part(".vv-past-text"), take.text + (take.more ? " …" : ""));
  setText(part("time"), when(take.made));
  part("time").dateTime = new Date(take.made * 1000).toISOString();
  setText(part(".vv-past-about"), `· ${take.about}`);
  setText(part(".vv-tag"), take.id === shown.busy ? "making it again" : take.state);
  part(".vv-tag").hidden = !part(".vv-tag").textContent;
  const silent = !take.frames;
  for (const button of row.querySelectorAll("[data-act='play'], [data-act='pick']")) button.disabled = silent;
  label(part("[data-act='pin']"), take.pinned ? `Unpin ${name}` : `Pin ${name}`, take.pinned);
  part("[data-act='pin']").title = take.pinned ? "Pinned: it stays whatever room is needed" : "Pin: keep it whatever room is needed";
  label(part("button[data-act='more']"), `Details of ${name}`);
  for (const [slot, letter] of ["A", "B"].entries()) {
    const pick = part(`[data-slot='${slot}']`);
    label(pick, `Listen to it as ${letter}: ${name}`, picked[slot] === take.id);
    pick.title = `Listen to two takes in turn: this one is ${letter}`;
  }
  if (opened === take.id) fillMore(row, take);
  drawPlay(row, take);
}

function label(button, text, pressed) {
  button.setAttribute("aria-label", text);
  if (pressed !== undefined) button.setAttribute("aria-pressed", pressed);
}

function drawPlay(row, take) {
  const sounding = current?.id === take.id && player.playing && !player.blocked;
  const button = row.querySelector("[data-act='play']");
  const text = `${sounding ? "Pause" : "Play"} take: ${take.text.slice(0, 40)}`;
  if (button.getAttribute("aria-label") === text) return;
  button.setAttribute("aria-label", text);
  button.innerHTML = sounding ? ICONS.pause : ICONS.play;
}

// details

function unfold(id) {
  const before = opened;
  opened = id === opened ? "" : id;
  for (const one of [before, opened]) {
    const row = one && rowOf(one);
    if (!row) continue;
    row.querySelector("button[data-act='more']").setAttribute("aria-expanded", one === opened);
    row.querySelector(".vv-past-more").hidden = one !== opened;
    if (one === opened) fillMore(row, takeOf(one));
  }
}

function fillMore(row, take) {
  const box = row.querySelector(".vv-past-more");
  const state = JSON.stringify([take, shown.busy, shown.speaks]);
  if (box.dataset.state === state) return;
  box.dataset.state = state;
  const parts = [];
  if (take.trouble) parts.push(made("p", "vv-past-trouble", take.trouble));
  if (take.more) {
    const whole = made("button", "vv-button vv-quiet", "Show the whole text");
    whole.dataset.act = "text";
    parts.push(whole);
  }
  const facts = made("dl", "vv-past-facts");
  for (const [name, value] of take.facts) {
    const one = made("div", value.length > 30 ? "vv-wide" : "");
    one.append(made("dt", "", name), made("dd", "", value));
    facts.append(one);
  }
  parts.push(facts, actions(take));
  box.replaceChildren(...parts);
}

function actions(take) {
  const box = made("div", "vv-past-actions");
  const button = (act, text, names = "vv-button", data = {}) => {
    const one = made("button", names, text);
    one.type = "button";
    Object.assign(one.dataset, { act, ...data });
    box.append(one);
    return one;
  };
  button("again", "Make it again").disabled = Boolean(shown.busy);
  button("speak", "Open in Speak");
  if (take.frames) {
    const formats = made("select");
    formats.setAttribute("aria-label", "Format of the file");
    for (const format of props.formats) formats.append(new Option(format.label, format.name));
    const choice = made("span", "vv-past-download");
    box.append(choice);
    choice.append(formats, button("download", "Download", "vv-button", { what: "sound" }));
  }
  if (take.frames && take.sentences) {
    button("download", "SRT", "vv-button vv-quiet", { what: "srt" }).setAttribute("aria-label", "Captions as SRT");
    button("download", "VTT", "vv-button vv-quiet", { what: "vtt" }).setAttribute("aria-label", "Captions as VTT");
  }
  button("delete", "Delete …", "vv-button vv-past-danger");
  return box;
}

async function showWhole(button, take) {
  button.disabled = true;
  const answer = await server.take_text({ take: take.id });
  if (answer.alert) return showAlert(answer.alert);
  const text = made("p", "vv-past-whole", answer.text);
  text.dir = "auto";
  text.tabIndex = 0;
  button.replaceWith(text);
}
