// Plays a take while it grows. Sound is fetched in pieces of 16-bit samples and laid end to end on
// the clock of a Web Audio context that runs at the take's own rate: no gaps, no codec, any position
// at once, and only a few seconds in memory however long the take is.

const AHEAD = 8; // seconds laid out beyond the position that sounds
const FIRST_PIECE = 0.4; // seconds; small, so that sound begins at once
const PIECE = 3; // seconds fetched at a time after that
const FADE = 0.01; // seconds; an abrupt stop clicks

function makePlayer(readSound, changed) {
  let context = null;
  let output = null;
  let take = { id: "", rate: 22050, frames: 0, complete: true, version: 0 };
  let position = 0; // frame at which a stopped player stands
  let until = null; // frame at which to stop by itself
  let playing = false;
  let starved = false; // everything laid out has sounded, and more is awaited
  let run = 0; // grows with every start and stop: what was fetched for an older one is dropped
  let fetching = false;
  let laidTo = 0; // frame up to which sound is laid out
  let anchor = { frame: 0, time: 0 }; // that frame sounds at that time of the context
  let sources = [];
  let timer = null;

  // Must run inside a click or key press: browsers let a page make sound only from there on.
  function unlock(rate) {
    if (navigator.audioSession) navigator.audioSession.type = "playback"; // iPhone's mute switch
    if (!context || context.sampleRate !== rate) {
      if (context) context.close();
      try {
        context = new AudioContext({ sampleRate: rate });
      } catch {
        context = new AudioContext(); // a browser that knows only its own rate converts
      }
      output = context.createGain();
      output.connect(context.destination);
      context.onstatechange = changed;
    }
    if (context.state !== "running") context.resume();
  }

  function open(next) {
    const same = next.id === take.id && next.version === take.version;
    if (!same) {
      stop();
      if (next.id !== take.id) position = 0;
    }
    take = next;
    if (playing) pump();
  }

  function now() {
    if (!playing) return position;
    if (starved) return laidTo;
    const frame = anchor.frame + Math.floor((context.currentTime - anchor.time) * take.rate);
    return Math.min(Math.max(frame, anchor.frame), laidTo);
  }

  function end() {
    return until === null ? take.frames : Math.min(until, take.frames);
  }

  function play(from = position, to = null) {
    stop();
    unlock(take.rate);
    position = Math.max(0, Math.min(from, take.frames));
    until = to;
    playing = true;
    starved = true;
    laidTo = position;
    run += 1;
    timer = setInterval(pump, 100);
    pump();
    changed();
  }

  function stop() {
    if (!playing) return;
    position = now();
    playing = false;
    run += 1;
    clearInterval(timer);
    const quiet = context.currentTime + FADE;
    output.gain.setTargetAtTime(0, context.currentTime, FADE / 3);
    for (const source of sources) source.stop(quiet);
    sources = [];
    output = context.createGain(); // the next start must not inherit the fade
    output.connect(context.destination);
    changed();
  }

  function seek(frame) {
    if (playing) play(frame);
    else {
      position = Math.max(0, Math.min(frame, take.frames));
      changed();
    }
  }

  async function pump() {
    if (!playing) return;
    if (!starved && now() >= laidTo) starved = true;
    if (laidTo >= end()) {
      const done = until !== null ? until <= take.frames : take.complete;
      if (done && starved) {
        position = end();
        stopAt(position);
      }
      return;
    }
    if (fetching || laidTo - now() > AHEAD * take.rate) return;
    fetching = true;
    const mine = run;
    const seconds = starved ? FIRST_PIECE : PIECE;
    const count = Math.min(Math.ceil(seconds * take.rate), end() - laidTo);
    let samples = null;
    try {
      samples = await readSound(take, laidTo, count);
    } catch (error) {
      if (mine === run) stop();
      throw error;
    } finally {
      fetching = false;
    }
    if (mine === run && samples.length) layOut(samples);
    pump();
  }

  function stopAt(frame) {
    stop();
    position = frame;
    changed();
  }

  function layOut(samples) {
    const buffer = context.createBuffer(1, samples.length, take.rate);
    buffer.copyToChannel(samples, 0);
    if (starved) {
      anchor = { frame: laidTo, time: context.currentTime + 0.03 };
      starved = false;
    }
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(output);
    source.start(anchor.time + (laidTo - anchor.frame) / take.rate);
    source.onended = () => {
      sources = sources.filter((other) => other !== source);
      pump();
    };
    sources.push(source);
    laidTo += samples.length;
  }

  return {
    open,
    play,
    seek,
    unlock,
    pause: stop,
    get position() {
      return now();
    },
    get playing() {
      return playing;
    },
    get waiting() {
      return playing && starved;
    },
    // The browser holds the sound back until the person clicks.
    get blocked() {
      return playing && context.state !== "running";
    },
    get output() {
      return output;
    },
    get context() {
      return context;
    },
  };
}

function samplesFromBase64(text) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const words = new DataView(bytes.buffer);
  const samples = new Float32Array(bytes.length / 2);
  for (let i = 0; i < samples.length; i++) samples[i] = words.getInt16(2 * i, true) / 32767;
  return samples;
}
