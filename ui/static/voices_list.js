// The list of one's voices. Python draws it (ui/voices_view.py); what is looked for, how many and
// which one is open is known here and goes along with everything that is asked.

const find = (selector) => element.querySelector(selector);
const list = find(".vv-voices-list");
const search = find(".vv-search");
const STEP = 50; // voices, as in ui/voices_handlers.py
const SETTLED = 150; // milliseconds until Gradio has drawn what came along
const AFTER = 200; // milliseconds without a key before it is searched
let view = { query: "", limit: STEP, open: "", like: false };
let pending = 0;

watch("value", () => show(props.value || {}));
show(props.value || {});

function show({ panel = "", view: asked }) {
  if (asked && asked.query !== search.value && document.activeElement === search) return;
  if (asked) {
    if (asked.open && asked.open !== view.open) setTimeout(reveal, SETTLED, asked.open);
    view = { ...asked };
    search.value = asked.query;
  }
  const active = list.contains(document.activeElement) ? document.activeElement : null;
  const key = active?.dataset.key;
  const row = active?.closest("[data-voice]")?.dataset.voice;
  const typed = new Map(
    [...list.querySelectorAll("textarea")].map((one) => [one.dataset.key, one.value]),
  );
  list.innerHTML = panel;
  for (const one of list.querySelectorAll("textarea"))
    if (typed.has(one.dataset.key)) one.value = typed.get(one.dataset.key);
  if (!active) return;
  const same = key && list.querySelector(`[data-key="${CSS.escape(key)}"]`);
  const near = row && list.querySelector(`[data-key="open-${CSS.escape(row)}"]`);
  (same || near || search).focus();
}

// A voice that was just saved is brought into view, and the keyboard to it: the form has gone.
function reveal(voice) {
  const row = list.querySelector(`li[data-voice="${CSS.escape(voice)}"]`);
  row?.scrollIntoView({ block: "nearest" });
  const lost = document.activeElement === document.body;
  if (lost || document.activeElement.closest("#vv-voice-form"))
    row?.querySelector("[data-do='open']").focus({ preventScroll: true });
}

function ask(change, name = "look") {
  view = { ...view, ...change };
  trigger(name, { ...view, ...change });
}

function question(button, open) {
  const more = button.closest(".vv-voice-more");
  const box = more.querySelector(".vv-sure");
  const opener = more.querySelector("[data-do='ask']");
  box.hidden = !open;
  opener.setAttribute("aria-expanded", open);
  (open ? box.querySelector("[data-do='unask']") : opener).focus();
}

const actions = {
  import: () => {
    const input = document.querySelector("#vv-voice-list input[type='file']");
    input.accept = ".zip,application/zip";
    input.click();
  },
  open: ({ voice }) => ask({ open: view.open === voice ? "" : voice }),
  more: () => ask({ limit: view.limit + STEP }),
  all: () => ask({ like: false }),
  play: ({ voice, clip = "" }) => trigger("play", { voice, clip }),
  export: ({ voice }) => trigger("export", { voice }),
  delete: ({ voice }) => ask({ voice }, "remove"),
  forget: ({ voice }) => ask({ voice }, "forget"),
  speak: ({ voice, engine }) => {
    const text = list.querySelector(`[data-key="trial-${voice}"]`).value;
    trigger("speak", { voice, engine, text });
  },
};

element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (!button) return;
  const { do: action } = button.dataset;
  if (action === "ask") question(button, button.getAttribute("aria-expanded") !== "true");
  else if (action === "unask") question(button, false);
  else actions[action]?.(button.dataset);
});

element.addEventListener("keydown", (event) => {
  const box = event.target.closest(".vv-sure");
  if (event.key === "Escape" && box) question(box, false);
});

element.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  if (form.dataset.do === "rename")
    ask({ voice: form.dataset.voice, name: form.elements.name.value }, "rename");
});

search.addEventListener("input", () => {
  clearTimeout(pending);
  pending = setTimeout(() => ask({ query: search.value, limit: STEP, like: false }), AFTER);
});
