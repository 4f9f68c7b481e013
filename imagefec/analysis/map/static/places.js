// Which faces are shown as pictures: as many as fit without overlap, in a fixed order.

// A scattered order that is always the same, so that pictures stay while the map is moved.
const scattered = Array.from({ length: n }, (_, face) => face).sort(
  (a, b) => (Math.imul(a + 1, 2654435761) >>> 0) - (Math.imul(b + 1, 2654435761) >>> 0),
);

function pictureSide() {
  const closer = camera.scale / fitScale();
  return Math.round(Math.min(96, 34 * Math.max(1, closer) ** 0.33));
}

let fitted = { key: "", faces: [] };

// The faces that have a picture at this scale; `first` are placed before all others.
function withPictures(first, side) {
  const key = `${camera.scale} ${side} ${first.join()}`;
  if (fitted.key === key) return fitted.faces;
  const cells = new Map();
  const faces = [];
  const gap = side + 3;
  const taken = new Set();
  for (const list of [first, scattered])
    for (const face of list) {
      if (taken.has(face)) continue;
      const x = (places[2 * face] * camera.scale) / gap;
      const y = (places[2 * face + 1] * camera.scale) / gap;
      if (!isFree(cells, x, y)) continue;
      cells.set(cellOf(Math.floor(x), Math.floor(y)), [x, y]);
      taken.add(face);
      faces.push(face);
    }
  fitted = { key, faces };
  return faces;
}

function cellOf(column, row) {
  return column * 1e6 + row;
}

// Two pictures are less than a side apart only if their cells are neighbours.
function isFree(cells, x, y) {
  for (let column = Math.floor(x) - 1; column <= Math.floor(x) + 1; column++)
    for (let row = Math.floor(y) - 1; row <= Math.floor(y) + 1; row++) {
      const other = cells.get(cellOf(column, row));
      if (other && Math.abs(other[0] - x) < 1 && Math.abs(other[1] - y) < 1) return false;
    }
  return true;
}
