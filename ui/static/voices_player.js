// One player for clips and trials of voices. Python sends the sound as base64 (ui/voices_handlers.py).

const find = (selector) => element.querySelector(selector);
const audio = find("audio");
let url = "";
let heard = null; // key of the sound that plays

watch("value", () => show(props.value || {}));

function show({ key, title = "", said = "", alert = [], mime = "", data = "" }) {
  if (!key || key === heard) return;
  heard = key;
  forget();
  find(".vv-sound").hidden = !title && !alert.length;
  find("b").textContent = title;
  find("span").textContent = said;
  const box = find(".vv-alert");
  box.hidden = !alert.length;
  box.replaceChildren(
    ...alert.map((part) => Object.assign(document.createElement("p"), { textContent: part })),
  );
  audio.hidden = !data;
  if (!data) return;
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  url = URL.createObjectURL(new Blob([bytes], { type: mime }));
  audio.src = url;
  audio.play().catch(() => {}); // where a browser wants another click, its own button is there
}

function forget() {
  audio.pause();
  audio.removeAttribute("src");
  if (url) URL.revokeObjectURL(url);
  url = "";
}

find("button").addEventListener("click", () => {
  forget();
  find(".vv-sound").hidden = true;
  trigger("hush");
});
