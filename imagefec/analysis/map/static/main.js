// Pointers, wheel, keys and buttons.

const pointers = new Map();
let moved = 0;
let pinch = 0;

function place(event) {
  const box = canvas.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, place(event));
  moved = pointers.size > 1 ? Infinity : 0;
  pinch = 0;
  flight++;
});

canvas.addEventListener("pointermove", (event) => {
  const at = place(event);
  const before = pointers.get(event.pointerId);
  if (!before) return hover(at);
  const share = 1 / pointers.size; // two fingers move the map by their mean
  moved += Math.hypot(at.x - before.x, at.y - before.y);
  pointers.set(event.pointerId, at);
  if (moved < 4) return;
  canvas.classList.add("moving");
  hideTip();
  pan((at.x - before.x) * share, (at.y - before.y) * share);
  if (pointers.size === 2) zoomByPinch();
  redraw();
});

function zoomByPinch() {
  const [first, second] = pointers.values();
  const apart = Math.hypot(first.x - second.x, first.y - second.y);
  if (pinch) zoom(apart / pinch, (first.x + second.x) / 2, (first.y + second.y) / 2);
  pinch = apart;
}

function released(event) {
  const wasClick = pointers.size === 1 && moved < 4 && event.type === "pointerup";
  pointers.delete(event.pointerId);
  pinch = 0;
  canvas.classList.remove("moving");
  if (wasClick) choose(faceAt(place(event).x, place(event).y));
}
canvas.addEventListener("pointerup", released);
canvas.addEventListener("pointercancel", released);
canvas.addEventListener("pointerleave", () => pointers.size || focusOn(-1));

function hover(at) {
  const face = faceAt(at.x, at.y);
  canvas.classList.toggle("over", face >= 0);
  focusOn(face);
}

function focusOn(face) {
  if (face === state.focus) return;
  state.focus = face;
  if (face < 0) hideTip();
  else showTip(face);
  redraw();
}

canvas.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    const at = place(event);
    flight++;
    zoom(Math.exp(-Math.max(-240, Math.min(240, event.deltaY * lines)) / 300), at.x, at.y);
    hideTip();
    redraw();
  },
  { passive: false },
);

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEYS = {
  "+": () => zoomBy(1.5),
  "=": () => zoomBy(1.5),
  "-": () => zoomBy(1 / 1.5),
  0: showAll,
  b: () => byId("blur").click(),
  d: () => byId("dots").click(),
  Enter: () => state.focus >= 0 && choose(state.focus),
  Escape: () => choose(-1),
};

canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key];
  const action = arrow
    ? () => (event.shiftKey ? step(...arrow) : move(...arrow))
    : Object.hasOwn(KEYS, event.key) && KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

function move(right, down) {
  flight++;
  pan(-right * 70, -down * 70);
  hideTip();
  redraw();
}

// Focuses the nearest face in a direction: far to the side counts double.
function step(right, down) {
  const from = state.focus >= 0 ? state.focus : state.chosen;
  const start = from >= 0 ? onScreen(from) : { x: camera.width / 2, y: camera.height / 2 };
  let [best, least] = [-1, Infinity];
  for (let face = 0; face < n; face++) {
    const at = onScreen(face);
    const along = (at.x - start.x) * right + (at.y - start.y) * down;
    const aside = Math.abs((at.x - start.x) * down) + Math.abs((at.y - start.y) * right);
    if (face === from || along <= 0 || aside > 2 * along) continue;
    if (along + 2 * aside < least) [best, least] = [face, along + 2 * aside];
  }
  if (best < 0 && from < 0) best = faceNearCentre();
  if (best < 0) return say("No face further in this direction");
  state.focus = best;
  show(best);
  showTip(best);
  redraw();
  say(describe(best));
}

function faceNearCentre() {
  const apart = (face) => Math.hypot(places[2 * face] - camera.x, places[2 * face + 1] - camera.y);
  return scattered.reduce((best, face) => (apart(face) < apart(best) ? face : best));
}

function zoomBy(factor) {
  const scale = Math.min(Math.max(camera.scale * factor, fitScale() * 0.7), fitScale() * 400);
  hideTip();
  fly({ x: camera.x, y: camera.y, scale }, redraw);
}

function showAll() {
  hideTip();
  fly({ x: 0, y: 0, scale: fitScale() }, redraw);
}

byId("in").addEventListener("click", () => zoomBy(1.5));
byId("out").addEventListener("click", () => zoomBy(1 / 1.5));
byId("fit").addEventListener("click", showAll);
byId("clear").addEventListener("click", () => {
  choose(-1);
  canvas.focus({ preventScroll: true });
});
byId("k").addEventListener("input", () => {
  showChosen();
  redraw();
});

for (const name of ["dots", "blur"])
  byId(name).addEventListener("click", () => {
    state[name] = !state[name];
    byId(name).setAttribute("aria-pressed", String(state[name]));
    hideTip();
    showChosen();
    redraw();
  });

byId("find").addEventListener("keydown", (event) => event.key === "Enter" && search());

function search() {
  const text = byId("find").value;
  if (!text.trim()) return;
  const face = find(text, state.chosen);
  if (face < 0) return say(`No face with ${text}`);
  choose(face);
  fly({ x: places[2 * face], y: places[2 * face + 1], scale: Math.max(camera.scale, fitScale() * 4) }, redraw);
}

byId("colour").addEventListener("change", () => {
  state.column = Number(byId("colour").value);
  state.only = -1;
  showLegend();
  redraw();
});

function fillColours() {
  byId("colour-label").hidden = given.known.length === 0;
  const names = [["-1", "none"], ...given.known.map((column, i) => [String(i), column.name])];
  for (const [value, name] of names) {
    const option = element("option", name);
    option.value = value;
    byId("colour").append(option);
  }
  state.column = given.known.length ? 0 : -1;
  byId("colour").value = String(state.column);
  showLegend();
}

let wasSized = false;
new ResizeObserver(() => {
  const ratio = devicePixelRatio || 1;
  const was = fitScale();
  camera.width = canvas.clientWidth;
  camera.height = canvas.clientHeight;
  canvas.width = Math.round(camera.width * ratio);
  canvas.height = Math.round(camera.height * ratio);
  camera.scale *= fitScale() / was;
  if (!wasSized) camera.scale = fitScale();
  wasSized = true;
  draw();
}).observe(canvas);

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readTheme();
  showLegend();
  redraw();
});

readTheme();
fillColours();
byId("k").max = String(Math.max(1, Math.min(24, n - 1)));
byId("k").value = String(Math.min(8, Math.max(1, n - 1)));
// For tests and the console.
globalThis.imagefec = { state, camera, draw, nearest, onScreen, faceAt, shownPictures, pictureSide };
await loadSprite();
showChosen();
redraw();
document.documentElement.dataset.ready = "yes";
