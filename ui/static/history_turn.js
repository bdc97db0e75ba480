// Two takes that sound at the same time, of which one is heard: switching is a short cross-fade on
// the clock of one Web Audio context, so the other goes on at the very same position.

const SWITCH = 0.012; // seconds of the cross-fade
const LONGEST = 600; // seconds of a take that are loaded
const LOADED_AT_ONCE = 60; // seconds

function makeTurn(readSound, changed) {
  let context = null;
  let sides = [null, null]; // { id, buffer, gain, source }
  let heard = 0;
  let playing = false;
  let offset = 0; // seconds, where a stopped pair stands
  let startedAt = 0; // the context's time at which that position sounds
  let timer = null;

  async function load({ id, rate, frames }) {
    const whole = Math.min(frames, LONGEST * rate);
    const buffer = new AudioBuffer({ length: whole, sampleRate: rate });
    for (let at = 0; at < whole; at += LOADED_AT_ONCE * rate) {
      const samples = await readSound({ id }, at, Math.min(LOADED_AT_ONCE * rate, whole - at));
      buffer.copyToChannel(samples, 0, at);
    }
    return { id, buffer, gain: null, source: null };
  }

  function put(side, loaded) {
    drop(side);
    sides[side] = loaded;
    changed();
  }

  const ready = () => Boolean(sides[0] && sides[1]);
  const duration = () => Math.max(0, ...sides.filter(Boolean).map((side) => side.buffer.duration));

  function position() {
    if (!playing) return offset;
    return Math.min(Math.max(offset + context.currentTime - startedAt, 0), duration());
  }

  function play(from = offset) {
    if (!ready()) return;
    pause();
    if (!context) context = new AudioContext();
    context.resume();
    offset = from >= duration() ? 0 : from;
    startedAt = context.currentTime + 0.03;
    sides.forEach((side, number) => {
      side.gain = context.createGain();
      side.gain.gain.value = number === heard ? 1 : 0;
      side.gain.connect(context.destination);
      if (offset >= side.buffer.duration) return;
      const source = context.createBufferSource();
      source.buffer = side.buffer;
      source.connect(side.gain);
      source.start(startedAt, offset);
      side.source = source;
    });
    playing = true;
    timer = setInterval(tick, 100);
    changed();
  }

  function tick() {
    if (position() >= duration()) {
      pause();
      offset = 0;
    }
    changed();
  }

  function pause() {
    if (!playing) return;
    offset = position();
    playing = false;
    clearInterval(timer);
    for (const side of sides) {
      if (!side) continue;
      side.gain.gain.setTargetAtTime(0, context.currentTime, SWITCH / 3);
      side.source?.stop(context.currentTime + SWITCH);
      side.source = null;
    }
    changed();
  }

  function hear(side) {
    heard = side;
    if (playing) {
      const now = context.currentTime;
      sides.forEach(({ gain: { gain } }, number) => {
        gain.cancelScheduledValues(now);
        gain.setValueAtTime(gain.value, now);
        gain.linearRampToValueAtTime(number === heard ? 1 : 0, now + SWITCH);
      });
    }
    changed();
  }

  function seek(to) {
    if (playing) play(to);
    else offset = to;
    changed();
  }

  function drop(side) {
    pause();
    sides[side] = null;
    offset = heard = 0;
  }

  return {
    load,
    put,
    play,
    pause,
    hear,
    seek,
    drop,
    swap() {
      sides.reverse();
    },
    get ready() {
      return ready();
    },
    get heard() {
      return heard;
    },
    get playing() {
      return playing;
    },
    get position() {
      return position();
    },
    get duration() {
      return duration();
    },
    get sides() {
      return sides;
    },
    get context() {
      return context;
    },
  };
}
