// The waveform: bars of the loudest sample, those that have sounded in the accent colour.

function makeWave(canvas) {
  const BAR = 3; // pixels, with the gap after it
  const pen = canvas.getContext("2d");
  let peaks = [];
  let last = null; // what was drawn last, so that nothing is drawn twice

  function resize() {
    last = null;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
  }

  const bars = () => Math.max(20, Math.floor((canvas.clientWidth || 300) / BAR));

  function draw(played) {
    const { width, height } = canvas;
    const style = getComputedStyle(canvas);
    const next = `${Math.round(played * width)} ${style.color}`;
    if (next === last) return;
    last = next;
    const count = peaks.length || bars();
    const step = width / count;
    const loudest = Math.max(0.05, ...peaks);
    pen.clearRect(0, 0, width, height);
    for (let i = 0; i < count; i++) {
      const tall = Math.max(0.04, (peaks[i] || 0) / loudest) * height;
      pen.fillStyle = (i + 0.5) / count < played ? style.color : style.borderColor;
      pen.fillRect(i * step, (height - tall) / 2, Math.max(1, step * 0.65), tall);
    }
    if (played > 0) {
      pen.fillStyle = style.color;
      pen.fillRect(Math.min(played * width, width - 2), 0, 2, height);
    }
  }

  return {
    bars,
    draw,
    resize,
    setPeaks(next) {
      peaks = next;
      last = null;
    },
  };
}
