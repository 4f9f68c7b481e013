// Which part of the map is shown: a centre, and pixels per unit of the map.

const camera = { x: 0, y: 0, scale: 1, width: 1, height: 1 };
const still = matchMedia("(prefers-reduced-motion: reduce)");
const MARGIN_PX = 44;

function fitScale() {
  return Math.max(20, (Math.min(camera.width, camera.height) - 2 * MARGIN_PX) / 2);
}

function onScreen(face) {
  return {
    x: (places[2 * face] - camera.x) * camera.scale + camera.width / 2,
    y: (camera.y - places[2 * face + 1]) * camera.scale + camera.height / 2,
  };
}

function clampCamera() {
  const fit = fitScale();
  camera.scale = Math.min(Math.max(camera.scale, fit * 0.7), fit * 400);
  camera.x = Math.min(Math.max(camera.x, -1.05), 1.05);
  camera.y = Math.min(Math.max(camera.y, -1.05), 1.05);
}

// Zooms by a factor; the point of the map at (x, y) pixels stays where it is.
function zoom(factor, x = camera.width / 2, y = camera.height / 2) {
  const before = camera.scale;
  const [right, down] = [x - camera.width / 2, y - camera.height / 2];
  const at = { x: camera.x + right / before, y: camera.y - down / before };
  camera.scale *= factor;
  clampCamera();
  camera.x = at.x - right / camera.scale;
  camera.y = at.y + down / camera.scale;
  clampCamera();
}

function pan(right, down) {
  camera.x -= right / camera.scale;
  camera.y += down / camera.scale;
  clampCamera();
}

let flight = 0;

// Moves the camera to a view {x, y, scale}, at once for those who want no motion.
function fly(to, redraw) {
  const from = { ...camera };
  const start = performance.now();
  const duration = still.matches ? 0 : 260;
  const mine = ++flight;
  const step = (now) => {
    if (mine !== flight) return;
    const part = duration ? Math.min(1, Math.max(0, (now - start) / duration)) : 1;
    const eased = 1 - (1 - part) ** 3;
    camera.scale = from.scale * (to.scale / from.scale) ** eased;
    camera.x = from.x + (to.x - from.x) * eased;
    camera.y = from.y + (to.y - from.y) * eased;
    clampCamera();
    redraw();
    if (part < 1) requestAnimationFrame(step);
  };
  step(start);
}
