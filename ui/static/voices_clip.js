// A new voice: the clip is recorded, dropped or chosen here, and judged by Python, which sends
// `props.value` (ui/voices_view.py). The file goes through Gradio's own upload button.

window.vivavoceClip?.abort(); // a panel that is drawn anew takes the place of the old one
const lifetime = new AbortController();
window.vivavoceClip = lifetime;
const { signal } = lifetime;
const LONGEST = 180; // seconds of a recording
const SOUND = "audio/*,video/*,.m4a,.aac,.mp3,.wav,.flac,.ogg,.opus,.webm,.wma,.amr,.aiff,.caf";

const find = (selector) => element.querySelector(selector);
const panel = find(".vv-clip");
let recorder = null; // while the microphone is on
let drawn = null;

watch("value", () => show(props.value || {}));
show(props.value || {});

function show({ state = "empty", said = "", alert = [], report = "" }) {
  panel.dataset.state = state;
  find(".vv-clip-begin").hidden = !["empty", "failed"].includes(state) || Boolean(recorder);
  say(said);
  complain(alert);
  const box = find(".vv-report");
  // the drawing stays while the noise is being reduced
  if (state !== "working" && report !== drawn) {
    const focus = box.contains(document.activeElement) && document.activeElement.dataset.key;
    box.innerHTML = report;
    drawn = report;
    if (focus) box.querySelector(`[data-key="${focus}"]`)?.focus();
  }
  box.hidden = !box.innerHTML;
  box.classList.toggle("vv-waiting", state === "working");
}

function say(text) {
  const line = find(".vv-clip-said");
  line.textContent = text;
  line.hidden = !text;
}

function complain(parts) {
  const box = find(".vv-alert");
  box.hidden = !parts.length;
  box.replaceChildren(
    ...parts.map((part) => Object.assign(document.createElement("p"), { textContent: part })),
  );
}

// files

const input = () => document.querySelector("#vv-voice-new input[type='file']");

function send(file) {
  const carried = new DataTransfer();
  carried.items.add(file);
  const target = input();
  target.files = carried.files;
  target.dispatchEvent(new Event("change", { bubbles: true }));
  show({ state: "working", said: "Sending the clip …" });
}

for (const kind of ["dragover", "dragleave", "drop"])
  panel.addEventListener(
    kind,
    (event) => {
      if (![...(event.dataTransfer?.types || [])].includes("Files")) return;
      event.preventDefault();
      panel.classList.toggle("vv-drop", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length && !recorder)
        send(event.dataTransfer.files[0]);
    },
    { signal },
  );

// the microphone

async function record() {
  complain([]);
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder)
    return complain([
      "The browser gives no microphone to this page.",
      "It does so only on this machine itself (localhost) or over HTTPS.",
      "Start Vivavoce with --https, or choose a file.",
    ]);
  let stream;
  try {
    // the voice as it is: what is meant for calls would change how it sounds
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
  } catch (error) {
    const refused = error.name === "NotAllowedError";
    return complain(
      refused
        ? ["The browser may not use the microphone.", "Allow it for this page, then try again."]
        : ["There is no microphone that can be used.", "Plug one in, or choose a file."],
    );
  }
  begin(stream);
}

function begin(stream) {
  const parts = [];
  const context = new AudioContext();
  const ear = new AnalyserNode(context, { fftSize: 1024 });
  context.createMediaStreamSource(stream).connect(ear);
  const media = new MediaRecorder(stream);
  const started = performance.now();
  const timer = setInterval(() => {
    const seconds = (performance.now() - started) / 1000;
    const whole = Math.floor(seconds);
    find(".vv-clock").textContent = `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
    find(".vv-level i").style.width = `${100 * loudness(ear)}%`;
    if (seconds >= LONGEST) end(true);
  }, 100);
  recorder = {
    close(kept) {
      clearInterval(timer);
      context.close();
      media.onstop = () => {
        for (const track of stream.getTracks()) track.stop();
        if (kept) send(new File(parts, "recording", { type: media.mimeType }));
      };
      media.stop();
    },
  };
  media.ondataavailable = (event) => parts.push(event.data);
  media.start();
  say("");
  listen(true);
  find("[data-do='stop']").focus();
}

function loudness(ear) {
  const wave = new Float32Array(ear.fftSize);
  ear.getFloatTimeDomainData(wave);
  const power = wave.reduce((sum, sample) => sum + sample * sample, 0) / wave.length;
  return Math.min(1, Math.max(0, 1 + Math.log10(power + 1e-9) / 6)); // 0 at -60 dB
}

function listen(on) {
  find(".vv-recording").hidden = !on;
  find(".vv-clip-begin").hidden = on;
}

function end(kept) {
  const ended = recorder;
  recorder = null;
  listen(false);
  ended?.close(kept);
  if (!kept) find("[data-do='record']").focus();
}
signal.addEventListener("abort", () => recorder?.close(false));

const actions = {
  record,
  stop: () => end(true),
  forget: () => end(false),
  choose: () => {
    input().accept = SOUND;
    input().click();
  },
  discard: () => trigger("discard"),
  like: () => trigger("like"),
  listen: (button) => trigger("listen", { which: button.dataset.key }),
};
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (button) actions[button.dataset.do]?.(button);
});
element.addEventListener("change", (event) => {
  if (event.target.dataset.do === "denoise") trigger("denoise", { on: event.target.checked });
});
