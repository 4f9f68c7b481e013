// The readings of this session: the last minute as a line, all of them as CSV.

const SPAN_MS = 60_000;
const MOST_ROWS = 200_000; // about two hours; the oldest are dropped

export class Trace {
  constructor(canvas) {
    this.canvas = canvas;
    this.rows = [];
  }

  // now: milliseconds; answer: of the server; goal: name or null.
  add(now, answer, goal) {
    this.rows.push([now, goal, answer.distance, answer.smoothed, answer.relative_error, answer.tone.hz, answer.tone.gain]);
    if (this.rows.length > MOST_ROWS) this.rows.splice(0, MOST_ROWS / 10);
  }

  csv() {
    const began = this.rows[0]?.[0] ?? 0;
    const lines = this.rows.map(([now, goal, ...numbers]) =>
      [((now - began) / 1000).toFixed(3), quoted(goal ?? ""), ...numbers.map((x) => x ?? "")].join(","));
    return ["seconds,goal,distance,smoothed,relative_error,tone_hz,tone_gain", ...lines, ""].join("\n");
  }

  draw(now) {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(document.documentElement);
    const [goal, far, line] = ["--goal", "--far", "--line"].map((name) => style.getPropertyValue(name));
    const pad = 6 * ratio;
    const y = (error) => height - pad - error * (height - 2 * pad);
    pen.strokeStyle = line;
    pen.lineWidth = ratio;
    pen.beginPath();
    pen.moveTo(0, y(0));
    pen.lineTo(width, y(0));
    pen.stroke();

    const shade = pen.createLinearGradient(0, y(0), 0, y(1));
    shade.addColorStop(0, goal);
    shade.addColorStop(1, far);
    pen.strokeStyle = shade;
    pen.lineWidth = 2.25 * ratio;
    pen.lineJoin = pen.lineCap = "round";
    pen.beginPath();
    let isDown = false;
    for (let i = this.#first(now); i < this.rows.length; i += 1) {
      const [at, , distance, , error] = this.rows[i];
      if (distance === null) {
        isDown = false; // no face: a gap
        continue;
      }
      const x = width * (1 - (now - at) / SPAN_MS);
      if (isDown) pen.lineTo(x, y(error));
      else pen.moveTo(x, y(error));
      isDown = true;
    }
    pen.stroke();
  }

  // Index of the first row of the last minute.
  #first(now) {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle][0] < now - SPAN_MS) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

// Spreadsheets run a cell that begins with one of = + - @ as a formula.
function quoted(text) {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return `"${safe.replaceAll('"', '""')}"`;
}
