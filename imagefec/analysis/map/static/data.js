// What the page knows of its faces: places, vectors, names; and the nearest faces of one.

const given = JSON.parse(document.getElementById("data").textContent);

function floats(text, type) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  return type === "float64" ? new Float64Array(bytes.buffer) : new Float32Array(bytes.buffer);
}

const n = given.ids.length;
const places = floats(given.points, "float32"); // x, y of each face; y grows upwards
const vectors = floats(given.vectors, given.vector_type);
const width = vectors.length / n;

function distance(first, second) {
  let sum = 0;
  for (let i = 0; i < width; i++) {
    const difference = vectors[first * width + i] - vectors[second * width + i];
    sum += difference * difference;
  }
  return Math.sqrt(sum);
}

// The k nearest faces of other photos, nearest first; equal distances in the order of the faces.
function nearest(face, k) {
  const found = [];
  for (let other = 0; other < n; other++)
    if (given.photos[other] !== given.photos[face])
      found.push({ face: other, distance: distance(face, other) });
  return found.sort((a, b) => a.distance - b.distance || a.face - b.face).slice(0, k);
}

// What is known of a face beside its id: [["person", "Anna"], ...].
function known(face) {
  return given.known
    .filter((column) => column.codes[face] >= 0)
    .map((column) => [column.name, column.values[column.codes[face]]]);
}

function describe(face) {
  return [given.ids[face], ...known(face).map(([name, value]) => `${name} ${value}`)].join(", ");
}

function shownDistance(value) {
  return value >= 1e4 || (value > 0 && value < 1e-3) ? value.toExponential(2) : value.toFixed(3);
}

// The first face, after a given one, of whose names one contains the text.
function find(text, after) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return -1;
  for (let step = 1; step <= n; step++) {
    const face = (after + step + n) % n;
    const names = [given.ids[face], given.urls[face], ...known(face).map((pair) => pair[1])];
    if (names.some((name) => name.toLowerCase().includes(wanted))) return face;
  }
  return -1;
}
