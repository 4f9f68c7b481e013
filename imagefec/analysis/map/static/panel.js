// Beside the map: the chosen face, the faces nearest to it, the legend. Texts are only texts.

const byId = (id) => document.getElementById(id);

function element(tag, text = "", kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function say(text) {
  byId("live").textContent = text;
}

function choose(face, says = true) {
  state.chosen = face;
  state.focus = -1;
  showChosen();
  hideTip();
  redraw();
  if (!says) return;
  const count = state.near.length;
  const many = `${count} nearest face${count === 1 ? "" : "s"} listed`;
  say(face < 0 ? "No face chosen" : `Chosen: ${describe(face)}. ${many}.`);
}

function showChosen() {
  const face = state.chosen;
  const isChosen = face >= 0;
  state.near = isChosen ? nearest(face, Number(byId("k").value)) : [];
  byId("chosen-head").textContent = isChosen ? "Chosen face" : "No face chosen";
  byId("face").hidden = byId("near").hidden = !isChosen;
  byId("hint").hidden = isChosen;
  byId("details").replaceChildren(...(isChosen ? details(face) : []));
  byId("k-value").textContent = state.near.length;
  byId("none").hidden = state.near.length > 0;
  byId("nearest").replaceChildren(...state.near.map(listItem));
  if (!isChosen) return;
  byId("face").setAttribute("aria-label", `Face ${describe(face)}`);
  drawAlone(byId("face"), face);
}

function details(face) {
  const url = given.urls[face];
  const pairs = [["id", given.ids[face]], ...known(face)];
  const items = pairs.flatMap(([name, value]) => [element("dt", name), element("dd", value)]);
  if (url === given.ids[face]) return items;
  const place = element("dd");
  if (/^https?:\/\//i.test(url)) {
    const link = element("a", url);
    link.href = url;
    link.rel = "noreferrer noopener";
    place.append(link);
  } else place.textContent = url;
  return [...items, element("dt", "photo"), place];
}

function listItem({ face, distance }) {
  const item = element("li");
  const button = element("button");
  button.type = "button";
  const picture = element("canvas");
  picture.width = picture.height = 96;
  picture.setAttribute("aria-hidden", "true");
  drawAlone(picture, face);
  const name = known(face).map((pair) => pair[1]).join(" · ") || given.ids[face];
  button.append(picture, element("span", name, "name"));
  button.append(element("span", shownDistance(distance), "number"));
  button.setAttribute("aria-label", `${describe(face)}, distance ${shownDistance(distance)}`);
  button.addEventListener("click", () => {
    const index = state.near.findIndex((each) => each.face === face);
    choose(face);
    show(face);
    const buttons = byId("nearest").querySelectorAll("button");
    buttons[Math.min(Math.max(index, 0), buttons.length - 1)]?.focus({ preventScroll: true });
  });
  for (const event of ["pointerenter", "focus"])
    button.addEventListener(event, () => {
      state.focus = face;
      redraw();
    });
  for (const event of ["pointerleave", "blur"])
    button.addEventListener(event, () => {
      state.focus = -1;
      redraw();
    });
  item.append(button);
  return item;
}

// Moves the camera so that a face is in view, only if it is not.
function show(face) {
  const at = onScreen(face);
  const margin = 40;
  const isInside =
    at.x > margin && at.y > margin && at.x < camera.width - margin && at.y < camera.height - margin;
  if (!isInside)
    fly({ x: places[2 * face], y: places[2 * face + 1], scale: camera.scale }, redraw);
}

function showTip(face) {
  const tip = byId("tip");
  drawAlone(tip.querySelector("canvas"), face);
  const lines = [given.ids[face], ...known(face).map((pair) => pair.join(": "))];
  tip.querySelector("p").textContent = lines
    .map((line) => (line.length > 60 ? `${line.slice(0, 59)}…` : line))
    .join("\n");
  tip.hidden = false;
  placeTip();
}

// Beside the focused face, also while the map moves.
function placeTip() {
  const tip = byId("tip");
  if (tip.hidden || state.focus < 0) return;
  const at = onScreen(state.focus);
  const away = pictureSide() / 2 + 14;
  const right = at.x + away + tip.offsetWidth < camera.width ? at.x + away : at.x - away - tip.offsetWidth;
  const top = Math.min(Math.max(at.y - tip.offsetHeight / 2, 6), camera.height - tip.offsetHeight - 6);
  tip.style.transform = `translate(${Math.max(6, right)}px, ${top}px)`;
}

function hideTip() {
  byId("tip").hidden = true;
}

function showLegend() {
  const column = given.known[state.column];
  byId("legend").hidden = !column;
  if (!column) return;
  byId("legend-head").textContent = `Colours: ${column.name}`;
  const counts = new Map();
  for (const code of column.codes) counts.set(codeShown(code), (counts.get(codeShown(code)) ?? 0) + 1);
  const entries = [...counts.keys()].sort((a, b) => a - b);
  byId("legend").querySelector("ul").replaceChildren(
    ...entries.map((code) => {
      const others = column.values.length > MOST_COLOURS ? "others" : "not known";
      const name = code === MOST_COLOURS ? others : column.values[code];
      return legendItem(code, `${name} ${counts.get(code)}`);
    }),
  );
}

function legendItem(code, text) {
  const item = element("li");
  const button = element("button");
  button.type = "button";
  button.setAttribute("aria-pressed", String(state.only === code));
  const mark = element("i");
  mark.style.setProperty("--colour", colourOf(code));
  button.append(mark, element("span", text));
  button.addEventListener("click", () => {
    state.only = state.only === code ? -1 : code;
    for (const each of byId("legend").querySelectorAll("button"))
      each.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-pressed", String(state.only === code));
    redraw();
  });
  item.append(button);
  return item;
}
