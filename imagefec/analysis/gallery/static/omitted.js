// The faces that the visitor does not want to see: remembered by this browser, and as a text file.
class Omitted {
  constructor(space, digest) {
    this.space = space;
    this.key = `imagefec.gallery.${digest}.omitted`;
    this.faces = new Set(this.read());
  }

  has(face) {
    return this.faces.has(face);
  }

  add(face) {
    this.faces.add(face);
    this.write();
  }

  restore(face) {
    this.faces.delete(face);
    this.write();
  }

  restoreAll() {
    this.faces.clear();
    this.write();
  }

  // A browser may forbid storage, above all to files: the list then lasts as long as the page.
  read() {
    try {
      const numbers = JSON.parse(localStorage.getItem(this.key) ?? "[]");
      return numbers.filter((face) => Number.isInteger(face) && face >= 0 && face < this.space.n);
    } catch {
      return [];
    }
  }

  write() {
    try {
      localStorage.setItem(this.key, JSON.stringify([...this.faces]));
    } catch { /* see read */ }
  }

  // For `imagefec gallery --exclude=FILE`: an id per line.
  asText(title) {
    const ids = [...this.faces].map((face) => this.space.ids[face]);
    const listed = ids.filter(canBeListed);
    const lost = ids.length - listed.length;
    return [
      `# ${listed.length} faces omitted in: ${title.replace(/\s+/g, " ")}`,
      ...(lost ? [`# ${lost} more have ids that a line cannot hold`] : []),
      ...listed,
      "",
    ].join("\n");
  }
}

function canBeListed(id) {
  return id === id.trim() && id !== "" && !id.startsWith("#") && !/[\r\n\0]/.test(id) && !/\p{Surrogate}/u.test(id);
}
