// What belongs to the whole page: shortcuts, dropped files, the counter under the text. Listeners
// sit on the document, since the parts of the page appear in no fixed order.

const CHARACTERS_A_SECOND = 15; // of ordinary speech
const { signal } = lifetime;

document.addEventListener(
  "click",
  (event) => {
    if (!event.target.closest("#vv-speak")) return;
    player.pause();
    player.unlock(shown.rate || props.rate);
  },
  { signal, capture: true }, // before Gradio's listener, while the click still allows sound
);

document.addEventListener(
  "keydown",
  (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !busy()) {
      event.preventDefault();
      document.querySelector("#vv-speak").click();
    }
    const inList = event.target.closest("[role='listbox'], [aria-controls], dialog");
    if (event.key === "Escape" && busy() && !inList) document.querySelector("#vv-cancel").click();
  },
  { signal },
);

const dropZone = (event) => {
  const carriesFile = [...(event.dataTransfer?.types || [])].includes("Files");
  return carriesFile ? event.target.closest("#vv-write") : null;
};
document.addEventListener(
  "dragover",
  (event) => {
    const zone = dropZone(event);
    document.querySelector("#vv-write")?.classList.toggle("vv-drop", Boolean(zone));
    if (zone) event.preventDefault();
  },
  { signal },
);
document.addEventListener(
  "dragleave",
  (event) => {
    if (!event.relatedTarget) document.querySelector("#vv-write")?.classList.remove("vv-drop");
  },
  { signal },
);
document.addEventListener(
  "drop",
  (event) => {
    const zone = dropZone(event);
    if (!zone) return;
    event.preventDefault();
    zone.classList.remove("vv-drop");
    const input = zone.querySelector("input[type='file']");
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  },
  { signal },
);

// The text outlives a reload of the page, in this tab only; the counter follows it.

function draft(text) {
  try {
    if (text === undefined) return sessionStorage.getItem("vivavoce-text") || "";
    sessionStorage.setItem("vivavoce-text", text);
  } catch {
    return ""; // closed to pages inside another site's frame, or full
  }
}

let counted = null;
function follow() {
  const box = document.querySelector("#vv-text textarea");
  const counter = document.querySelector("#vv-count");
  if (!box || !counter || box.value === counted) return;
  if (counted === null && !box.value && draft()) {
    box.value = draft();
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }
  counted = box.value;
  draft(counted);
  const length = counted.trim().length;
  const seconds = length / CHARACTERS_A_SECOND;
  const about = seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
  counter.textContent = length ? `${length.toLocaleString()} characters · about ${about}` : "";
}
const following = setInterval(follow, 300);
signal.addEventListener("abort", () => clearInterval(following));
