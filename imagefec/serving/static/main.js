// Wires the page: camera -> connection -> sound and view. The parts are in the other modules.

import { Camera, CameraError, onCameraChange } from "/static/camera.js";
import { Connection } from "/static/connection.js";
import { freeName, Store } from "/static/goals.js";
import { Sound } from "/static/sound.js";
import { Trace } from "/static/trace.js";
import { detail, level, valueText, WORDS } from "/static/words.js";

const FRAME_MS = 1000 / 30;
const STALE_MS = 1000; // without an answer for so long the tone fades
const SPOKEN_MS = 3000; // between announcements to a screen reader
const $ = (id) => document.getElementById(id);

const store = new Store();
const trace = new Trace($("trace"));
const camera = new Camera($("video"), cameraTrouble);
let sound = null;
let health = null; // of the server; null while it is away
let isRunning = false;
let capturing = null; // {kind, button} while one goes on
let isRepeated = false; // the camera is missing, and opened again when one comes
let lastAnswerAt = 0;
let answersAt = [];

const connection = new Connection({
  onOpen: restore,
  onLost: () => {
    health = null;
    endCapture();
    status("lost", isRunning ? "The server is gone. Trying again …" : "No server. Trying again …");
    render();
  },
  onRefused: (reason) => trouble(`The server refused: ${reason}`),
});

// ---- the server

async function restore(found) {
  const isOther = lastDigest !== null && lastDigest !== found.digest;
  lastDigest = found.digest;
  health = found;
  status("ok", `Connected · ${found.model}`);
  const kept = store.of(health.digest);
  await connection.request({ op: "preset", name: $("preset").value });
  if (kept.neutral) await connection.request({ op: "neutral", ...kept.neutral });
  if (kept.active) await sendGoal(kept.active);
  if (isOther) say("The server has another model; its goals are its own.");
  render();
}
let lastDigest = null;

async function loop() {
  if (isRunning) return;
  isRunning = true;
  while (camera.isOpen) {
    const began = performance.now();
    const frame = connection.isOpen ? await camera.frame() : null;
    const answer = frame && (await connection.frame(frame.blob));
    if (answer && "tone" in answer) show(answer, frame);
    const pause = answer ? FRAME_MS - (performance.now() - began) : 100;
    await new Promise((done) => setTimeout(done, Math.max(0, pause)));
  }
  isRunning = false;
  sound?.rest();
}

function show(answer, frame) {
  lastAnswerAt = performance.now();
  sound?.play(answer.tone);
  if (answer.capture) captured(answer.capture);
  trace.add(lastAnswerAt, answer, active());
  pace(answer);
  drawBox(answer.box, frame);
  const now = level(answer);
  document.body.dataset.level = now;
  $("word").textContent = capturing ? "Hold still" : WORDS[now];
  $("detail").textContent = detail(answer, active());
  if (answer.relative_error !== null) {
    document.documentElement.style.setProperty("--near", (1 - answer.relative_error).toFixed(3));
    $("meter").setAttribute("aria-valuenow", Math.round(100 * answer.relative_error));
  }
  $("meter").setAttribute("aria-valuetext", valueText(answer));
  if (now !== spokenLevel && lastAnswerAt - spokenAt > SPOKEN_MS && !capturing) say(WORDS[now], now);
}
let spokenLevel = null;
let spokenAt = 0;

function drawBox(box, { width, height }) {
  $("box").hidden = !box;
  if (!box) return;
  const [left, top, right, bottom] = box;
  const { style } = $("box");
  style.left = `${(100 * left) / width}%`;
  style.top = `${(100 * top) / height}%`;
  style.width = `${(100 * (right - left)) / width}%`;
  style.height = `${(100 * (bottom - top)) / height}%`;
}

function pace(answer) {
  answersAt.push(lastAnswerAt);
  answersAt = answersAt.filter((at) => lastAnswerAt - at < 2000);
  const perSecond = Math.round(answersAt.length / 2);
  $("pace").textContent = `${perSecond} ${perSecond === 1 ? "picture" : "pictures"}/s, ${Math.round(answer.ms)} ms each`;
}

// ---- goals

async function capture(kind, button, name) {
  if (!health || !camera.isOpen || capturing) return;
  capturing = { kind, button, typed: $("name").value };
  button.setAttribute("aria-busy", "true");
  const answer = await connection.request(kind === "goal" ? { op: kind, name } : { op: kind });
  if (!answer?.ok) {
    endCapture();
    return void trouble(answer?.error ?? "The server is gone; try again when it is back.");
  }
  say("Hold the expression");
}

function captured({ kind, name, share, done, error, embedding, dead_band }) {
  capturing?.button.style.setProperty("--share", share);
  const typed = capturing?.typed;
  if (error) {
    endCapture();
    trouble(`Nothing was captured: ${error}`);
  } else if (done) {
    endCapture();
    if (kind === "goal") store.add(health.digest, { name, embedding, dead_band });
    else store.setNeutral(health.digest, { embedding, dead_band });
    if ($("name").value === typed) $("name").value = ""; // another name may have been typed since
    say(kind === "goal" ? `Goal ${name} captured` : "Neutral captured");
    trouble(store.isKept !== false ? "" : "This browser keeps no data for this page: goals are lost when it is closed.");
    render();
  }
}

function endCapture() {
  capturing?.button.style.removeProperty("--share");
  capturing?.button.removeAttribute("aria-busy");
  capturing = null;
}

function active() {
  return health ? store.of(health.digest).active : null;
}

async function use(name) {
  store.use(health.digest, name);
  await sendGoal(name);
}

// The server knows a session's goals only, and a session ends with its connection.
async function sendGoal(name) {
  const goal = store.of(health.digest).goals.find((each) => each.name === name);
  const answer = goal && (await connection.request({ op: "goal", ...goal }));
  if (answer?.ok === false) trouble(answer.error);
}

async function forget(name) {
  store.forget(health.digest, name);
  await connection.request({ op: "forget", name });
  say(`Goal ${name} forgotten`);
  render();
  ($("goal-list").querySelector("input") ?? $("name")).focus();
}

// ---- the camera

async function start() {
  trouble("");
  sound ??= makeSound();
  sound?.context.resume();
  try {
    await camera.open();
  } catch (error) {
    cameraTrouble(error);
    return;
  }
  isRepeated = false;
  const { videoWidth, videoHeight } = $("video");
  document.documentElement.style.setProperty("--ratio", `${videoWidth} / ${videoHeight}`);
  document.body.dataset.state = "live";
  render();
  $("neutral").focus({ preventScroll: true });
  loop();
}

function stop() {
  camera.close();
  document.body.dataset.state = "idle";
  $("box").hidden = true;
  $("word").textContent = "Paused";
  $("detail").textContent = "\u00a0";
  endCapture();
  sound?.rest();
  render();
  $("start").focus();
}

function cameraTrouble(error) {
  if (!(error instanceof CameraError)) throw error;
  if (error.kind === "lost") stop();
  isRepeated = error.kind === "none" || error.kind === "denied";
  trouble(error.message);
}

function makeSound() {
  try {
    const made = new Sound(new AudioContext({ latencyHint: "interactive" }));
    made.volume = $("volume").value / 100;
    made.muted = $("mute").getAttribute("aria-pressed") === "true";
    return made;
  } catch (error) {
    trouble(`This browser plays no sound (${error.message}); the meter works.`);
    return null;
  }
}

// ---- the view

function render() {
  const isLive = camera.isOpen;
  const kept = health && store.of(health.digest);
  for (const id of ["neutral", "goal"]) $(id).disabled = !(isLive && health);
  $("stop").disabled = !isLive;
  $("save").disabled = trace.rows.length === 0 && !isLive;
  if (!isLive || !health) document.body.dataset.level = "none";
  if (!kept) return;
  $("neutral-state").textContent = `Face at rest: ${kept.neutral ? "set" : "not set"}`;
  $("far-end").textContent = kept.neutral ? "neutral" : "far";
  $("no-goals").hidden = kept.goals.length > 0;
  $("goal-list").replaceChildren(...kept.goals.map(({ name }) => goalItem(name, name === kept.active)));
}

function goalItem(name, isActive) {
  const item = document.createElement("li");
  const label = document.createElement("label");
  const radio = Object.assign(document.createElement("input"), { type: "radio", name: "active", checked: isActive });
  radio.addEventListener("change", () => use(name));
  const text = Object.assign(document.createElement("span"), { textContent: name });
  label.append(radio, text);
  const button = Object.assign(document.createElement("button"), { type: "button", className: "plain", textContent: "Forget" });
  button.setAttribute("aria-label", `Forget ${name}`);
  button.addEventListener("click", () => forget(name));
  item.append(label, button);
  return item;
}

function status(kind, text) {
  $("status").dataset.kind = kind;
  $("status").textContent = text;
}

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

function say(text, atLevel = null) {
  $("live").textContent = text;
  spokenAt = performance.now();
  spokenLevel = atLevel;
}

function toggleMute() {
  const isMuted = $("mute").getAttribute("aria-pressed") !== "true";
  setMute(isMuted);
  store.set({ muted: isMuted });
}

function setMute(isMuted) {
  $("mute").setAttribute("aria-pressed", isMuted);
  sound?.setMuted(isMuted);
}

function save() {
  const url = URL.createObjectURL(new Blob([trace.csv()], { type: "text/csv" }));
  const stamp = new Date().toISOString().slice(0, 16).replace(/[T:]/g, "-");
  Object.assign(document.createElement("a"), { href: url, download: `expression-session-${stamp}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// ---- events

$("start").addEventListener("click", start);
$("stop").addEventListener("click", stop);
$("save").addEventListener("click", save);
$("mute").addEventListener("click", toggleMute);
$("neutral").addEventListener("click", () => capture("neutral", $("neutral")));
$("goal-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim().replace(/\p{C}/gu, "") || freeName(health ? store.of(health.digest).goals : []);
  capture("goal", $("goal"), name);
});
$("volume").addEventListener("input", () => {
  sound?.setVolume($("volume").value / 100);
  store.set({ volume: Number($("volume").value) });
});
$("preset").addEventListener("change", () => {
  store.set({ preset: $("preset").value });
  connection.request({ op: "preset", name: $("preset").value });
});
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input:not([type=radio], [type=range]), select, textarea");
  if (isTyping || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key === "m") toggleMute();
  else if (key === "n" && !$("neutral").disabled) $("neutral").click();
  else if (key === "g" && !$("goal").disabled) $("goal-form").requestSubmit();
});
onCameraChange(() => isRepeated && start());
setInterval(() => {
  if (performance.now() - lastAnswerAt > STALE_MS) {
    sound?.rest();
    if (camera.isOpen) $("box").hidden = true;
  }
}, 250);
(function draw() {
  if (camera.isOpen) trace.draw(performance.now());
  requestAnimationFrame(draw);
})();

const { volume, muted, preset } = store.settings;
if (typeof volume === "number") $("volume").value = volume;
if (typeof muted === "boolean") setMute(muted);
if ($("preset").querySelector(`option[value="${CSS.escape(String(preset))}"]`)) $("preset").value = preset;
// For the tests of the page, which hear nothing: the tone that is played.
globalThis.imagefec = { played: () => sound && { ...sound.tone, gain: sound.loudness, context: sound.context.state } };
render();
