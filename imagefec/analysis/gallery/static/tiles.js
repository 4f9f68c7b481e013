// Pictures of faces, cut out of one sprite, and lists of them that arrow keys walk through.
class Tiles {
  constructor(space, sprite) {
    this.space = space;
    this.columns = sprite.columns;
    this.rows = Math.ceil(space.n / sprite.columns);
    this.large = new Map(); // face -> address of its larger picture
    const style = document.createElement("style");
    style.textContent = `.face { background-image: url(${sprite.url}); background-size: ${100 * this.columns}% auto; }`;
    document.head.append(style);
  }

  // A face as an element; without alt it is for those who read the text beside it.
  picture(face, alt = "") {
    if (!this.large.has(face)) return this.fromSprite(face, alt);
    const span = make("span", "face large");
    const image = new Image();
    image.src = this.large.get(face);
    image.alt = alt;
    span.append(image);
    return span;
  }

  fromSprite(face, alt = "") {
    const span = make("span", "face");
    span.style.backgroundPosition = this.position(face);
    if (alt) {
      span.role = "img";
      span.ariaLabel = alt;
    }
    return span;
  }

  position(face) {
    return `${share(face % this.columns, this.columns)} ${share(Math.floor(face / this.columns), this.rows)}`;
  }

  // A link that makes a face the query, with a line of text below it.
  link(face, { label = this.space.ids[face], below = "", picture = this.fromSprite(face) } = {}) {
    const link = make("a", "tile");
    link.append(picture, make("span", "below", below));
    this.point(link, face);
    link.ariaLabel = label;
    return link;
  }

  // Makes a link that of another face; its picture and its label are left as they are.
  point(link, face) {
    link.href = this.space.linkTo(face);
    link.dataset.face = face;
    link.title = this.title(face);
  }

  // The label of a face; empty if it is not known.
  labelOf(face) {
    const column = this.space.columns.find(({ name }) => name === "label");
    return column ? this.space.valuesOf(column, face).join(", ") : "";
  }

  // The same as elements: one or none.
  labels(face) {
    return [this.labelOf(face)].filter(Boolean).map((text) => make("span", "label", text));
  }

  title(face) {
    const { space } = this;
    return [space.ids[face], ...space.columns.flatMap((column) => space.valuesOf(column, face).join(", ") || [])].join(" · ");
  }
}

function share(place, count) {
  return count > 1 ? `${(100 * place) / (count - 1)}%` : "0%";
}

function make(name, className = "", text = "") {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text; // never markup: ids are what anyone may have written
  return element;
}

// One stop of the tab key for a list of links; the arrow keys move within it.
class Roving {
  constructor(list) {
    this.list = list;
    list.addEventListener("keydown", (event) => this.onKey(event));
    list.addEventListener("focusin", (event) => this.stopAt(event.target.closest("a.tile")));
  }

  links() {
    return [...this.list.querySelectorAll("a.tile")];
  }

  // To be called after the list has changed.
  refresh() {
    if (!this.stop?.isConnected) this.stopAt(this.list.querySelector("a.tile"));
  }

  stopAt(link) {
    if (!link) return;
    if (this.stop && this.stop !== link) this.stop.tabIndex = -1;
    link.tabIndex = 0;
    this.stop = link;
  }

  focus(place) {
    const links = this.links();
    links[Math.max(0, Math.min(place, links.length - 1))]?.focus({ preventScroll: true });
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const links = this.links();
    const here = links.indexOf(event.target);
    const perLine = getComputedStyle(this.list).gridTemplateColumns.split(" ").length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perLine, ArrowDown: perLine, Home: -here, End: links.length - 1 - here }[event.key];
    if (here < 0 || step === undefined) return;
    event.preventDefault();
    links[here + step]?.focus();
  }
}
