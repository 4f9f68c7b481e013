// The faces of the page and their vectors: distances and nearest faces. It touches no document.
class Space {
  constructor(data) {
    this.ids = data.ids;
    this.photos = data.photos; // number of each face's URL
    this.sources = data.sources; // number of each URL's photo, which may have several URLs
    this.urls = data.urls; // of the photos
    this.columns = data.columns; // [{name, values, of}]: indices into values for each face
    this.n = this.ids.length;
    this.total = data.total; // faces of the gallery, of which the page may have a part
    const bytes = bytesOf(data.vectors);
    this.vectors = data.dtype === "float32" ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer);
    this.d = this.vectors.length / this.n;
    this.first = new Map(); // id -> number of the first face that has it
    this.ids.forEach((id, face) => this.first.has(id) || this.first.set(id, face));
  }

  // Euclidean distances of all faces to one, summed as in Python.
  distances(query) {
    const { vectors, d, n } = this;
    const found = new Float64Array(n);
    for (let face = 0; face < n; face += 1) {
      let sum = 0;
      for (let a = query * d, b = face * d, end = b + d; b < end; a += 1, b += 1) {
        const difference = vectors[a] - vectors[b];
        sum += difference * difference;
      }
      found[face] = Math.sqrt(sum);
    }
    return found;
  }

  // The k nearest of other photos, nearest first; equal distances in the order of the faces.
  nearest(query, { k, limit, omitted, distances = this.distances(query) }) {
    const near = [];
    const source = this.sources[this.photos[query]];
    for (let face = 0; face < this.n; face += 1) {
      if (this.sources[this.photos[face]] !== source && distances[face] <= limit && !omitted.has(face)) near.push(face);
    }
    return near.sort((a, b) => distances[a] - distances[b] || a - b).slice(0, k);
  }

  // What a link of the page says of a face, and which face a link means: -1 for none, null if unknown.
  linkTo(face) {
    const id = this.ids[face];
    try {
      if (this.first.get(id) === face) return `#face=${encodeURIComponent(id)}`;
    } catch { /* half a surrogate pair, which no address can have */ }
    return `#number=${face}`;
  }

  faceOf(hash) {
    const [, kind, text] = /^#(face|number)=(.*)$/s.exec(hash) ?? [];
    if (!kind) return -1;
    if (kind === "number") return /^\d+$/.test(text) && Number(text) < this.n ? Number(text) : null;
    try {
      return this.first.get(decodeURIComponent(text)) ?? null;
    } catch {
      return null;
    }
  }

  // The address of a face's photo, if a browser may open it from here.
  webAddress(face) {
    const url = this.urls[this.photos[face]];
    return /^https?:\/\//i.test(url) ? url : null;
  }

  valuesOf(column, face) {
    return column.of[face].map((value) => column.values[value]);
  }
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function shownDistance(distance, digits = 3) {
  return distance < 1e5 ? distance.toFixed(digits) : distance.toExponential(2);
}

function shownLimit(limit) {
  return String(Number(limit.toPrecision(6)));
}
