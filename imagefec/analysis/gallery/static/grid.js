// All faces of the page, sorted and filtered.
class Grid {
  constructor(elements, space, tiles, omitted, changed) {
    Object.assign(this, { ...elements, space, tiles, omitted });
    // Tile n shows the n-th face of the order. Tiles stay in their places and only change their
    // faces: the browser then works on those in sight, while moved ones would all be laid out.
    this.tilesOfPlaces = [];
    this.shown = [];
    this.texts = space.ids.map((id, face) => `${id} ${space.urls[space.photos[face]]}`.toLowerCase());
    this.roving = new Roving(this.list);
    this.orders = new Map(); // kept, because sorting names is slow
    this.filters = space.columns.map((column) => this.addColumn(column));
    for (const element of [this.search, this.sort, this.within, ...this.filters]) element.addEventListener("input", changed);
  }

  // A way to sort and a filter of one column; returns the filter.
  addColumn(column) {
    this.sort.append(option(`column ${column.name}`, column.name));
    const label = make("label", "field");
    const select = make("select");
    const isUnknown = column.of.some((of) => of.length === 0);
    select.append(option("", "any"), ...column.values.map((value, place) => option(String(place), value)));
    if (isUnknown) select.append(option("unknown", "not known"));
    label.append(make("span", "", column.name), select);
    this.within.closest("label").before(label);
    return select;
  }

  // Shows the faces that pass the filters; distances: to the query, or null without one.
  show(query, distances, limit) {
    this.sort.options[0].textContent = distances ? "distance to query" : "order of the data";
    this.within.disabled = !distances;
    const order = this.order(distances).filter(this.test(distances, limit));
    const withDistances = distances && this.sort.value === "near";
    while (this.tilesOfPlaces.length < order.length) this.addTile();
    order.forEach((face, place) => this.fill(this.tilesOfPlaces[place], face, withDistances ? shownDistance(distances[face], 2) : "", face === query));
    const { list } = this;
    while (list.childElementCount > order.length) list.lastElementChild.remove();
    list.append(...this.tilesOfPlaces.slice(list.childElementCount, order.length).map(({ item }) => item));
    this.shown = order;
    this.roving.refresh();
    const { n, total } = this.space;
    const shown = order.length === 0 ? "No face matches" : `${number(order.length)} of ${number(n)} faces`;
    this.count.textContent = n < total ? `${shown}, a sample of ${number(total)}` : shown;
  }

  addTile() {
    const item = make("li");
    const link = make("a", "tile");
    const picture = make("span", "face");
    const below = make("span", "below");
    link.tabIndex = -1;
    link.append(picture, below);
    item.append(link);
    this.tilesOfPlaces.push({ item, link, picture, below, face: -1, text: "" });
  }

  fill(tile, face, text, isQuery) {
    const { link, picture, below } = tile;
    if (tile.face !== face) {
      this.tiles.point(link, face);
      picture.style.backgroundPosition = this.tiles.position(face);
    }
    if (tile.face !== face || tile.text !== text) {
      link.ariaLabel = `${this.space.ids[face]} ${text}`;
      below.textContent = text;
    }
    Object.assign(tile, { face, text });
    if (isQuery) link.ariaCurrent = "true";
    else if (link.ariaCurrent) link.ariaCurrent = null;
  }

  // Which faces pass the filters, as a function.
  test(distances, limit) {
    const { omitted, texts } = this;
    const text = this.search.value.trim().toLowerCase();
    const farthest = distances && this.within.checked ? limit : Infinity;
    const chosen = this.filters
      .map(({ value }, place) => ({ value, number: Number(value), of: this.space.columns[place].of }))
      .filter(({ value }) => value !== "");
    return (face) => !omitted.has(face)
      && (text === "" || texts[face].includes(text))
      && (farthest === Infinity || distances[face] <= farthest)
      && chosen.every(({ value, number, of }) => (value === "unknown" ? of[face].length === 0 : of[face].includes(number)));
  }

  order(distances) {
    const { value } = this.sort;
    const faces = this.space.ids.map((_, face) => face);
    if (value === "near") return distances ? faces.sort((a, b) => distances[a] - distances[b] || a - b) : faces;
    if (!this.orders.has(value)) {
      const column = this.space.columns.find(({ name }) => value === `column ${name}`);
      const compare = new Intl.Collator("en", { numeric: true }).compare;
      // Indices of values are in their order; faces without one come last.
      const place = (face) => column.of[face][0] ?? Infinity;
      const before = column
        ? (a, b) => (place(a) === place(b) ? a - b : place(a) - place(b))
        : (a, b) => compare(this.space.ids[a], this.space.ids[b]) || a - b;
      this.orders.set(value, faces.sort(before));
    }
    return this.orders.get(value);
  }

  // The face n places after another; the first for a face that is not shown. The order by distance
  // would lead back and forth between two faces, so that of the data is used instead.
  after(face, n) {
    const order = this.sort.value === "near" ? this.shown.toSorted((a, b) => a - b) : this.shown;
    const place = order.indexOf(face);
    return place < 0 ? order[0] : order[place + n];
  }

  focus(face) {
    const place = this.shown.indexOf(face);
    if (place >= 0) this.tilesOfPlaces[place].link.focus({ preventScroll: true });
  }
}

function option(value, text) {
  const element = make("option", "", text);
  element.value = value;
  return element;
}

function number(n) {
  return n.toLocaleString("en");
}
