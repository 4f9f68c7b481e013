// Draws the map: dots, pictures, and lines to the nearest faces.

const canvas = document.getElementById("map");
const pen = canvas.getContext("2d");
const BLURRED_PX = 5; // side of a face when it is blurred
const state = { chosen: -1, near: [], focus: -1, blur: false, dots: false, column: -1, only: -1 };
let sprite, blurredSprite, themes;

async function loadSprite() {
  const image = new Image();
  image.src = given.sprite.url;
  await image.decode();
  sprite = await createImageBitmap(image);
  const rows = sprite.height / given.sprite.tile;
  const small = new OffscreenCanvas(given.sprite.columns * BLURRED_PX, rows * BLURRED_PX);
  const pen = small.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(sprite, 0, 0, small.width, small.height);
  blurredSprite = small;
}

// A face as a square picture; nothing if the sprite is not there yet.
function drawFace(pen, face, x, y, side) {
  const source = state.blur ? blurredSprite : sprite;
  if (!source) return;
  const tile = state.blur ? BLURRED_PX : given.sprite.tile;
  const left = (face % given.sprite.columns) * tile;
  const top = Math.floor(face / given.sprite.columns) * tile;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(source, left, top, tile, tile, x, y, side, side);
}

function drawAlone(canvas, face) {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  drawFace(pen, face, 0, 0, canvas.width);
}

function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(name).trim();
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  themes = { accent: value("--accent"), dot: value("--dot"), ground: value("--well"), isDark };
}

const MOST_COLOURS = 32;

// The colour of a value; those after the most frequent ones are grey.
function colourOf(code) {
  const column = given.known[state.column];
  if (!column || code < 0 || code >= MOST_COLOURS) return themes.dot;
  const count = Math.min(column.values.length, MOST_COLOURS);
  const lightness = (themes.isDark ? 62 : 50) + (code % 3) * 9;
  return `oklch(${lightness}% .15 ${(code * 360) / count + 25})`;
}

function faceColour(face) {
  const column = given.known[state.column];
  return column ? colourOf(column.codes[face]) : themes.dot;
}

function isFaded(face) {
  return state.only >= 0 && codeShown(given.known[state.column].codes[face]) !== state.only;
}

// The entry of the legend that a code belongs to: its own, or that of all others.
function codeShown(code) {
  return code < 0 || code >= MOST_COLOURS ? MOST_COLOURS : code;
}

function isVisible(at, side) {
  return (
    at.x > -side && at.y > -side && at.x < camera.width + side && at.y < camera.height + side
  );
}

let scheduled = false;

function redraw() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    draw();
  });
}

function draw() {
  const ratio = devicePixelRatio || 1;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, camera.width, camera.height);
  const side = pictureSide();
  const radius = Math.min(7, 2.6 * Math.max(1, camera.scale / fitScale()) ** 0.3);
  for (let face = 0; face < n; face++) drawDot(face, radius);
  const pictures = shownPictures(side);
  for (let i = pictures.length - 1; i >= 0; i--) drawPicture(pictures[i], side);
  pen.globalAlpha = 1;
  if (state.chosen >= 0) drawLines(side, pictures);
  for (const face of new Set([state.chosen, state.focus])) if (face >= 0) drawOnTop(face, side);
  placeTip();
}

function drawDot(face, radius) {
  const at = onScreen(face);
  if (!isVisible(at, radius)) return;
  pen.globalAlpha = isFaded(face) ? 0.12 : 0.9;
  pen.fillStyle = faceColour(face);
  pen.beginPath();
  pen.arc(at.x, at.y, radius, 0, 2 * Math.PI);
  pen.fill();
}

function shownPictures(side) {
  if (state.dots || !sprite) return [];
  const first = [state.chosen, ...state.near.map((each) => each.face)].filter((face) => face >= 0);
  return withPictures(first, side).filter((face) => isVisible(onScreen(face), side));
}

function drawPicture(face, side) {
  const at = onScreen(face);
  pen.globalAlpha = isFaded(face) ? 0.12 : 1;
  drawFace(pen, face, at.x - side / 2, at.y - side / 2, side);
  if (state.column < 0) return;
  pen.strokeStyle = faceColour(face);
  pen.lineWidth = 2.5;
  pen.strokeRect(at.x - side / 2 + 1, at.y - side / 2 + 1, side - 2, side - 2);
}

// Lines from the chosen face to the nearest ones, which get rings.
function drawLines(side, pictures) {
  const from = onScreen(state.chosen);
  const shown = new Set(pictures);
  pen.strokeStyle = themes.accent;
  for (const { face } of state.near) {
    const to = onScreen(face);
    pen.lineWidth = 1.5;
    pen.globalAlpha = 0.8;
    pen.beginPath();
    pen.moveTo(from.x, from.y);
    pen.lineTo(to.x, to.y);
    pen.stroke();
    pen.globalAlpha = 1;
    if (shown.has(face)) {
      drawPicture(face, side);
      pen.strokeStyle = themes.accent;
      ring(to, side + 4, 2);
    } else {
      pen.beginPath();
      pen.arc(to.x, to.y, 6, 0, 2 * Math.PI);
      pen.fillStyle = themes.ground;
      pen.fill();
      pen.lineWidth = 3;
      pen.stroke();
    }
  }
}

function drawOnTop(face, side) {
  const at = onScreen(face);
  pen.globalAlpha = 1;
  if (sprite) drawFace(pen, face, at.x - side / 2, at.y - side / 2, side);
  pen.strokeStyle = themes.ground;
  ring(at, side + 3, 3);
  pen.strokeStyle = themes.accent;
  ring(at, side + 8, face === state.chosen ? 4 : 2);
}

function ring(at, side, width) {
  pen.lineWidth = width;
  pen.strokeRect(at.x - side / 2, at.y - side / 2, side, side);
}

// The face at a place of the screen; -1 if there is none.
function faceAt(x, y) {
  const side = pictureSide();
  const pictures = shownPictures(side);
  const front = [state.focus, state.chosen].filter((face) => face >= 0);
  for (const face of [...front, ...pictures]) {
    const at = onScreen(face);
    if (Math.abs(at.x - x) <= side / 2 && Math.abs(at.y - y) <= side / 2) return face;
  }
  let [best, least] = [-1, 14 ** 2];
  for (let face = 0; face < n; face++) {
    const at = onScreen(face);
    const apart = (at.x - x) ** 2 + (at.y - y) ** 2;
    if (apart < least) [best, least] = [face, apart];
  }
  return best;
}
