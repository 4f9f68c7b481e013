// The page: settings, keys, and what is shown after each change.
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const title = document.title;

const space = new Space(data);
const tiles = new Tiles(space, data.sprite);
const omitted = new Omitted(space, data.digest);
const strips = new Strips($("queries"), space, tiles);
const walk = new Walk(
  { name: $("query-name"), picture: $("query-picture"), facts: $("facts"), title: $("near-title"), near: $("near") },
  space, tiles, omit,
);
const trail = new Trail($("trail"), $("back"), $("forward"), tiles, omitted);
const grid = new Grid(
  { list: $("grid"), search: $("search"), sort: $("sort"), within: $("within"), count: $("count") },
  space, tiles, omitted, showGrid,
);

const settings = { k: data.k, limit: data.limit ?? Infinity, omitted };
let query = -1;
let distances = null; // to the query

function showAll() {
  distances = query < 0 ? null : space.distances(query);
  $("walk").hidden = query < 0;
  $("queries").hidden = query >= 0;
  document.body.classList.toggle("walking", query >= 0);
  document.title = query < 0 ? title : `${space.ids[query]} · ${title}`;
  showNeighbours();
  showGrid();
  showOmitted();
  trail.draw();
}

function showNeighbours() {
  $("k-value").textContent = settings.k;
  $("limit-value").textContent = settings.limit < Infinity ? shownLimit(settings.limit) : "any";
  $("limit").ariaValueText = settings.limit < Infinity ? shownLimit(settings.limit) : "any distance";
  if (query < 0) {
    $("queries").style.setProperty("--k", settings.k);
    strips.show(settings);
    return;
  }
  const near = space.nearest(query, { ...settings, distances });
  walk.show(query, near, distances, settings.limit);
  const nearest = near.length ? `, the nearest at ${shownDistance(distances[near[0]])}` : "";
  say(`${near.length} ${near.length === 1 ? "neighbour" : "neighbours"} of ${space.ids[query]}${nearest}`);
}

function showGrid() {
  grid.show(query, distances, settings.limit);
}

function showOmitted() {
  const faces = [...omitted.faces];
  $("omitted").hidden = faces.length === 0;
  $("omitted-count").textContent = faces.length;
  $("omitted-list").replaceChildren(...faces.map((face) => {
    const item = make("li");
    const restore = make("button", "", "Restore");
    restore.type = "button";
    restore.ariaLabel = `Restore ${space.ids[face]}`;
    restore.addEventListener("click", () => restoreFace(face));
    item.append(tiles.fromSprite(face), make("code", "", space.ids[face]), restore);
    return item;
  }));
}

// Follows the address: its face becomes the query.
function arrive() {
  const asked = space.faceOf(location.hash);
  const isOmitted = asked !== null && omitted.has(asked);
  const focus = focusBefore();
  query = asked === null || isOmitted ? -1 : asked;
  trail.arrive(query);
  note("");
  showAll();
  if (asked === null) note("The address names a face that is not in this page.");
  if (isOmitted) note(`Omitted: ${space.ids[asked]}.`, "Restore", () => restoreFace(asked, true));
  focus();
  if (query >= 0 && $("main").getBoundingClientRect().top < 0) $("main").scrollIntoView();
}

// Where the keyboard is, as a function that puts it there again: the same place among the
// neighbours, the same face among all; the query's name if that is gone.
function focusBefore() {
  const active = document.activeElement;
  const place = walk.roving.links().indexOf(active);
  if (place >= 0) return () => walk.roving.focus(place);
  if ($("grid").contains(active)) return () => grid.focus(Number(active.dataset.face));
  if (active === document.body || active.isConnected && !$("queries").contains(active) && !$("trail").contains(active)) return () => {};
  return () => query >= 0 && $("query-name").focus({ preventScroll: true });
}

function omit(face) {
  const focus = focusBefore();
  omitted.add(face);
  if (face === query) return leave(face);
  showAll();
  focus();
  note(`Omitted: ${space.ids[face]}.`, "Undo", () => restoreFace(face));
}

// The query was omitted: its page is gone.
function leave(face) {
  trail.leave();
  arrive();
  note(`Omitted: ${space.ids[face]}.`, "Undo", () => restoreFace(face, true));
}

function restoreFace(face, andGo = false) {
  omitted.restore(face);
  note("");
  say(`${space.ids[face]} is shown again`);
  if (andGo) go(face);
  showAll();
}

function go(face) {
  if (face === undefined || face < 0) return;
  const link = space.linkTo(face);
  if (location.hash === link) arrive();
  else location.hash = link;
}

// To the face some places after the query, or after the one that a key just before asked for.
function goAlong(places) {
  go(grid.after(space.faceOf(location.hash) ?? query, places));
}

function say(text) {
  $("live").textContent = text;
}

// A line that all see, with a button that takes back what it reports.
function note(text, action = "", onAction = null) {
  $("note").hidden = !text;
  $("note").replaceChildren(make("span", "", text));
  if (text) say(text);
  if (!onAction) return;
  const button = make("button", "", action);
  button.type = "button";
  button.addEventListener("click", onAction);
  $("note").append(" ", button);
}

function blur() {
  const isBlurred = document.body.classList.toggle("blurred");
  $("blur").ariaPressed = String(isBlurred);
  say(isBlurred ? "Pictures are blurred" : "Pictures are sharp");
}

function download() {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([omitted.asText(title)], { type: "text/plain" }));
  link.download = "omitted.txt";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const KEYS = {
  "/": () => { $("search").focus(); $("search").select(); },
  b: blur,
  n: () => goAlong(1),
  p: () => goAlong(-1),
  o: () => {
    const face = Number(document.activeElement.dataset?.face ?? query);
    if (face >= 0) omit(face);
  },
  "?": () => $("help").showModal(),
  Escape: () => { if (query >= 0) location.hash = ""; },
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  if (event.target.matches("select, input[type=search]")) {
    if (event.key === "Enter" && event.target === $("search")) go(grid.shown[0]);
    return;
  }
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function start() {
  for (const id of ["tools", "all"]) $(id).hidden = false;
  Object.assign($("k"), { max: data.largestK, value: data.k });
  $("limit").value = data.limit === null ? LIMIT_STEPS : (LIMIT_STEPS * data.limit) / data.largestDistance;
  $("k").addEventListener("input", () => { settings.k = Number($("k").value); showNeighbours(); });
  $("limit").addEventListener("input", () => {
    const steps = Number($("limit").value);
    settings.limit = steps >= LIMIT_STEPS ? Infinity : Number(((steps * data.largestDistance) / LIMIT_STEPS).toPrecision(3));
    showNeighbours();
    if ($("within").checked) showGrid();
  });
  $("blur").addEventListener("click", blur);
  $("omit").addEventListener("click", () => omit(query));
  $("restore-all").addEventListener("click", () => { omitted.restoreAll(); note(""); showAll(); });
  $("download").addEventListener("click", download);
  $("help-open").addEventListener("click", () => $("help").showModal());
  $("home").addEventListener("click", (event) => { event.preventDefault(); location.hash = ""; });
  addEventListener("keydown", onKey);
  addEventListener("hashchange", arrive);
  arrive();
}

const LIMIT_STEPS = 200; // of the slider, whose end means any distance

start();
