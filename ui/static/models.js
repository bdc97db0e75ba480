// The Models tab. Python sends the whole page as `panel` and what changes by the second as `pulse`
// (ui/models_view.py). The page is drawn anew only when it differs, and keeps the place of whoever
// works with the keyboard.

const list = element.querySelector(".vv-models");
const COPIED = 1500; // milliseconds
const ACTIONS = ["stop", "remove", "offload", "drop", "warm", "unwarm"]; // Python's, as they are
let drawn = null;

watch("value", () => show(props.value || {}));
show(props.value || {});

function show({ panel = "", pulse = {} }) {
  if (panel !== drawn) draw(panel);
  for (const [folder, { percent, text }] of Object.entries(pulse.downloads || {})) {
    const load = list.querySelector(`[data-model="${CSS.escape(folder)}"] .vv-load`);
    if (!load) continue;
    const bar = load.querySelector(".vv-progress");
    bar.setAttribute("aria-valuenow", percent);
    bar.setAttribute("aria-valuetext", text);
    bar.firstElementChild.style.width = `${percent}%`;
    load.querySelector("p").textContent = text;
  }
  const room = list.querySelector("[data-room]");
  if (room && pulse.room) room.textContent = pulse.room;
}

function draw(panel) {
  const keyOf = (one) => one && `${one.dataset.do || ""} ${one.dataset.key || ""}`;
  const active = list.contains(document.activeElement) ? document.activeElement : null;
  const [focus, row] = [keyOf(active), active?.closest("[data-model]")?.dataset.model];
  const open = new Set([...list.querySelectorAll("details[open]")].map((one) => one.dataset.key));
  list.innerHTML = panel;
  drawn = panel;
  for (const one of list.querySelectorAll("details")) one.open = open.has(one.dataset.key);
  if (!active) return;
  const same = [...list.querySelectorAll("button")].find((one) => keyOf(one) === focus);
  const near = row && list.querySelector(`[data-model="${CSS.escape(row)}"] button`);
  (same || near)?.focus();
}

const asked = (key) => list.querySelector(`[data-asked="${CSS.escape(key)}"]`);
const opener = (key) => list.querySelector(`[data-do="ask"][data-key="${CSS.escape(key)}"]`);

function ask(key, open) {
  const question = asked(key);
  if (!question) return;
  question.hidden = !open;
  opener(key)?.setAttribute("aria-expanded", open);
  if (open) question.querySelector("input, button:not(:disabled)").focus();
  else opener(key)?.focus();
}

async function copy(button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(button.dataset.key);
    button.textContent = "Copied";
  } catch {
    // no clipboard without HTTPS: mark the path, so that the keys for copying work
    getSelection().selectAllChildren(button.parentElement.querySelector("code"));
    button.textContent = "Marked";
  }
  setTimeout(() => (button.textContent = label), COPIED);
}

element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (!button) return;
  const { do: action, key } = button.dataset;
  if (action === "copy") copy(button);
  else if (action === "ask") ask(key, asked(key)?.hidden);
  else if (action === "close") ask(button.closest("[data-asked]").dataset.asked, false);
  else if (action === "download") {
    const box = button.closest("[data-asked]")?.querySelector("[data-accept]");
    trigger("fetch", { model: key, accept: Boolean(box?.checked) });
  } else if (ACTIONS.includes(action)) trigger(action, { key });
});

element.addEventListener("change", (event) => {
  const box = event.target.closest("[data-accept]");
  if (box) box.closest(".vv-ask").querySelector("[data-do='download']").disabled = !box.checked;
});

element.addEventListener("keydown", (event) => {
  const question = event.target.closest("[data-asked]");
  if (event.key === "Escape" && question) ask(question.dataset.asked, false);
});
