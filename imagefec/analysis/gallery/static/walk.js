// The query and its neighbours, and the way that led to it.
class Walk {
  constructor(elements, space, tiles, onOmit) {
    Object.assign(this, { ...elements, space, tiles, onOmit });
    this.roving = new Roving(this.near);
  }

  show(query, near, distances, limit) {
    const { space, tiles } = this;
    const id = space.ids[query];
    this.name.textContent = id;
    this.picture.replaceChildren(tiles.picture(query, `Face ${id}`));
    this.facts.replaceChildren(...this.factsOf(query));
    const count = near.length === 1 ? "1 nearest face" : `${near.length} nearest faces`;
    const within = limit < Infinity ? ` within ${shownLimit(limit)}` : "";
    const where = space.n < space.total ? " in this page" : "";
    this.title.textContent = near.length ? `${count} of other photos${where}${within}` : `No face of another photo${where}${within}`;
    this.near.replaceChildren(...near.map((face, place) => {
      const item = make("li");
      const below = shownDistance(distances[face]);
      const link = tiles.link(face, { label: `Neighbour ${place + 1}: ${space.ids[face]} ${below} ${tiles.labelOf(face)}`.trim(), below, picture: tiles.picture(face) });
      link.append(...this.tiles.labels(face));
      link.tabIndex = -1;
      const omit = make("button", "omit", "×");
      omit.type = "button";
      omit.tabIndex = -1; // the key O does it
      omit.title = "Omit this face";
      omit.ariaLabel = `Omit ${space.ids[face]}`;
      omit.addEventListener("click", () => this.onOmit(face));
      item.append(link, omit);
      return item;
    }));
    this.roving.refresh();
  }

  // Pairs of term and description.
  factsOf(face) {
    const { space } = this;
    const pairs = space.columns.map((column) => [column.name, space.valuesOf(column, face).join(", ") || "not known"]);
    const address = space.webAddress(face);
    const photo = make(address ? "a" : "span", "", space.urls[space.photos[face]]);
    if (address) {
      photo.href = address;
      photo.rel = "noreferrer noopener";
    }
    return [...pairs, ["photo", photo]].flatMap(([term, description]) => {
      const dd = make("dd");
      dd.append(description);
      return [make("dt", "", term), dd];
    });
  }
}

// Where the visitor has been. The browser's history has the same entries, each with its place in the trail.
class Trail {
  constructor(list, back, forward, tiles, omitted) {
    Object.assign(this, { list, back, forward, tiles, omitted, entries: [], at: -1 });
    back.addEventListener("click", () => history.back());
    forward.addEventListener("click", () => history.forward());
  }

  // face: now the query; -1 for none.
  arrive(face) {
    const { at } = history.state ?? {};
    if (this.entries[at] === face && at !== undefined) {
      this.at = at;
    } else {
      this.entries = [...this.entries.slice(0, this.at + 1), face];
      this.at = this.entries.length - 1;
      history.replaceState({ at: this.at }, "");
    }
    this.draw();
  }

  // Another entry takes the place of the present one.
  leave() {
    history.replaceState(null, "", "#");
    this.at -= 1;
  }

  draw() {
    this.back.disabled = this.at <= 0;
    this.forward.disabled = this.at >= this.entries.length - 1;
    const crumbs = this.entries.map((face, place) => ({ face, place })).filter(({ face }) => face >= 0 && !this.omitted.has(face));
    const here = crumbs.findIndex(({ place }) => place === this.at);
    const from = Math.max(0, Math.min(here - SHOWN_CRUMBS + 2, crumbs.length - SHOWN_CRUMBS));
    this.list.replaceChildren(...crumbs.slice(from, from + SHOWN_CRUMBS).map(({ face, place }) => {
      const item = make("li");
      const link = this.tiles.link(face);
      if (place === this.at) link.setAttribute("aria-current", "page");
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        if (place !== this.at) history.go(place - this.at);
      });
      item.append(link);
      return item;
    }));
  }
}

const SHOWN_CRUMBS = 7;
