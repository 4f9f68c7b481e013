// The page: which view is shown, keys, and the time from showing three faces to the choice.

import { Refused, Server } from "/static/api.js";
import { Pictures } from "/static/pictures.js";

const KEY = "imagefec.judge.rater";
const TOO_FAST_MS = 150; // after showing, a key was meant for the faces before
const CHOSEN_MS = 140; // the choice stays visible
const NOTE_MS = 4000;

const $ = (id) => document.getElementById(id);
const faces = [...document.querySelectorAll(".face")];

let state = null; // of the server: {rater, answered, session, trials}
let shown = null; // {trial, at, away}: what the rater sees now
let busy = false; // a request is on its way
let restedAt = -1; // number of answers at which the pause was already shown

const server = new Server({
  onLost: (path, reason) => trouble([
    reason ? `The server cannot do it yet: ${reason}.` : "The server does not answer.",
    path === "/answer" ? "Your answer waits here; trying again …" : "Trying again …",
  ].join(" ")),
  onBack: () => trouble(null),
});
const pictures = new Pictures((failed) => trouble(failed ? "A picture does not load. Trying again …" : null));

async function join(name) {
  setStatus("wait", "Connecting");
  try {
    ({ state } = await server.post("/state", { rater: name }));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    welcome();
    $("join-note").textContent = `Please change it: ${error.message}.`;
    $("name").setAttribute("aria-invalid", "true");
    $("name").focus();
    return;
  }
  remember(state.rater);
  restedAt = state.answered; // whoever comes back wants to go on
  await show();
}

// Shows what the state asks for.
async function show() {
  shown = null;
  $("live").textContent = ""; // so that the same number is announced again
  const { answered, session, trials } = state;
  const inSession = answered % session;
  $("progress").max = session;
  $("progress").value = inSession;
  $("undo").disabled = answered === 0;
  setStatus("ok", state.rater);
  if (trials.length === 0) return rest("All is judged");
  if (answered > 0 && inSession === 0 && restedAt !== answered) return rest("Thank you");
  setStatus("ok", `${state.rater} · ${inSession + 1} of ${session}`);
  pictures.keep(trials);
  view("trial");
  const [trial] = trials;
  $("faces").dataset.busy = "";
  const images = await pictures.of(trial);
  if (state?.trials[0]?.id !== trial.id || document.body.dataset.view !== "trial") return;
  faces.forEach((button, place) => {
    button.classList.remove("chosen");
    button.querySelector("img")?.remove();
    images[place].alt = ""; // the button has a name
    button.prepend(images[place]);
  });
  delete $("faces").dataset.busy;
  await new Promise((painted) => requestAnimationFrame(painted));
  shown = { trial, at: performance.now(), away: document.hidden };
  $("live").textContent = `Triplet ${inSession + 1} of ${session}`;
}

// at: when the rater pressed, in the clock of performance.now().
async function answer(choice, at) {
  if (!shown || busy || at - shown.at < TOO_FAST_MS) return;
  const { trial, at: since, away } = shown;
  shown = null;
  faces[choice].classList.add("chosen");
  await change("/answer", {
    rater: state.rater, number: trial.number, id: trial.id, choice, ms: Math.round(at - since), away,
  }, CHOSEN_MS);
}

async function undo() {
  if (busy || !state || state.answered === 0) return;
  shown = null;
  restedAt = state.answered - 1;
  const before = state.answered;
  await change("/undo", { rater: state.rater, number: before }, 0);
  if (state?.answered === before - 1) note("Taken back.");
}

async function change(path, message, least) {
  busy = true;
  try {
    const [{ state: next, conflict }] = await Promise.all([
      server.post(path, message), new Promise((done) => setTimeout(done, least)),
    ]);
    state = next;
    if (conflict) note("Answered in another window.");
    else note("");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    trouble(`The server refused: ${error.message}. Reload the page.`);
  } finally {
    busy = false;
  }
  await show();
}

function rest(title) {
  const { rater, answered, trials } = state;
  setStatus("ok", rater);
  $("rest-title").textContent = title === "Thank you" ? `Thank you, ${rater}` : title;
  $("rest-text").textContent = `You have judged ${answered} triplet${answered === 1 ? "" : "s"}. Every answer is saved. `
    + (trials.length ? "Rest your eyes. You may close this page and go on later with the same nickname."
      : "There are no further triplets of these photos. You may close this page.");
  $("go-on").hidden = trials.length === 0;
  $("back").hidden = answered === 0;
  view("rest");
  ($("go-on").hidden ? $("rest-title") : $("go-on")).focus();
}

function pause() {
  if (busy || document.body.dataset.view !== "trial") return;
  shown = null;
  rest("Thank you");
}

async function goOn() {
  restedAt = state.answered;
  await refresh(true);
}

// Asks where the rater is: another window may have answered, or the time of a pause has passed.
async function refresh(always) {
  if (busy || !state) return;
  const before = state.trials[0]?.id;
  busy = true;
  try {
    ({ state } = await server.post("/state", { rater: state.rater }));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    trouble(`The server refused: ${error.message}. Reload the page.`);
  } finally {
    busy = false;
  }
  if (always || state.trials[0]?.id !== before) await show();
}

function welcome() {
  state = shown = null;
  forget();
  setStatus("ok", "Ready");
  view("welcome");
  $("name").focus();
}

function view(name) {
  document.body.dataset.view = name;
}

function setStatus(kind, text) {
  $("status").dataset.kind = kind;
  $("status").textContent = text;
}

function trouble(text) {
  $("trouble").hidden = !text;
  $("trouble").textContent = text ?? "";
  if (state && text) $("status").dataset.kind = "lost";
  else if (state) $("status").dataset.kind = "ok";
}

let noteTimer = 0;
function note(text) {
  clearTimeout(noteTimer);
  $("note").textContent = text;
  if (text) noteTimer = setTimeout(() => ($("note").textContent = ""), NOTE_MS);
}

// The nickname is kept for a reload of this tab only; the next person types another.
function remember(name) {
  try { sessionStorage.setItem(KEY, name); } catch { /* forbidden: a reload asks again */ }
}
function forget() {
  try { sessionStorage.removeItem(KEY); } catch { /* as above */ }
}
function remembered() {
  try { return sessionStorage.getItem(KEY); } catch { return null; }
}

$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  $("name").removeAttribute("aria-invalid");
  join($("name").value);
});
faces.forEach((button, place) => button.addEventListener("click", (event) => answer(place, event.timeStamp)));
$("undo").addEventListener("click", undo);
$("back").addEventListener("click", undo);
$("pause").addEventListener("click", pause);
$("go-on").addEventListener("click", goOn);
$("other").addEventListener("click", () => { $("name").value = ""; welcome(); });

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target instanceof HTMLInputElement || !state) return;
  const key = event.key.toLowerCase();
  if ("123".includes(key) && key.length === 1) {
    answer(Number(key) - 1, event.timeStamp);
  } else if (key === "u" || key === "backspace") {
    event.preventDefault();
    undo();
  } else if (key === "p") {
    pause();
  }
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden && shown) shown.away = true;
  if (!document.hidden) refresh(false);
});

const known = remembered();
if (known) join(known);
else welcome();
