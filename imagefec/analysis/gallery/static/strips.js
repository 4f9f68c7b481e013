// The first view: the strips of the page as it was written, as links, without the faces that are omitted.
class Strips {
  constructor(root, space, tiles) {
    this.space = space;
    this.tiles = tiles;
    this.strips = [...root.querySelectorAll("section")].map((section) => {
      const list = section.querySelector("ol");
      const figures = [...section.querySelectorAll("figure")];
      for (const figure of figures) this.link(figure);
      const known = new Map([...list.children].map((item) => [faceIn(item), item]));
      return { section, list, known, query: faceIn(section), none: this.noneOf(list) };
    });
  }

  // Makes the picture of a figure a link.
  link(figure) {
    const face = Number(figure.dataset.face);
    const image = figure.querySelector("img");
    this.tiles.large.set(face, image.src);
    const link = make("a", "shot");
    link.href = this.space.linkTo(face);
    link.dataset.face = face;
    link.append(...figure.firstElementChild.childNodes);
    figure.firstElementChild.append(link);
    figure.removeAttribute("tabindex");
  }

  noneOf(list) {
    const written = list.querySelector(".none");
    if (written) return written.closest("li");
    const item = make("li");
    item.append(make("p", "none", "none"));
    return item;
  }

  show(settings) {
    for (const { section, list, known, query, none } of this.strips) {
      section.hidden = settings.omitted.has(query);
      if (section.hidden) continue;
      const distances = this.space.distances(query);
      const near = this.space.nearest(query, { ...settings, distances });
      const items = near.map((face, place) => {
        if (!known.has(face)) known.set(face, this.item(face, distances[face]));
        const picture = known.get(face).querySelector("img, .face");
        const words = `Face, neighbour ${place + 1}, at distance ${shownDistance(distances[face], 2)}`;
        picture[picture.matches("img") ? "alt" : "ariaLabel"] = words;
        return known.get(face);
      });
      if (near.length < settings.k) {
        none.querySelector("p").textContent = settings.limit < Infinity ? `none within ${shownLimit(settings.limit)}` : "none";
        items.push(none);
      }
      list.replaceChildren(...items);
    }
  }

  // A neighbour that the page as written has not.
  item(face, distance) {
    const item = make("li");
    const figure = make("figure");
    const box = make("div");
    const link = make("a", "shot");
    link.href = this.space.linkTo(face);
    link.dataset.face = face;
    link.append(this.tiles.picture(face, "Face"), make("code", "", this.space.ids[face]));
    box.append(link);
    const caption = make("figcaption", "", shownDistance(distance));
    caption.append(...this.tiles.labels(face));
    figure.append(box, caption);
    item.append(figure);
    return item;
  }
}

function faceIn(element) {
  const figure = element.querySelector("figure");
  return figure ? Number(figure.dataset.face) : -1;
}
