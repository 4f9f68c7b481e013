// The server: a websocket that comes back by itself, or POSTs where a proxy passes no websockets.
// One frame is in flight at a time, so that delay cannot grow.

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 4000;
const ANSWER_TIMEOUT_MS = 8000;
const SOCKET_TRIES = 2; // that may fail before POSTs are tried

export class Connection {
  // handlers: onOpen(health), onLost(), onRefused(reason).
  constructor(handlers) {
    this.handlers = handlers;
    this.socket = null;
    this.session = null; // id of a session by POST
    this.failures = 0;
    this.waiting = []; // resolvers of answers to requests, in order
    this.frameWaiting = null;
    this.isOpen = false;
    this.#connect();
  }

  // Sends a request and resolves to its answer; null if the connection breaks.
  async request(message) {
    if (this.session) return this.#post(JSON.stringify(message), "application/json");
    if (!this.isOpen) return null;
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.socket.send(JSON.stringify(message));
    });
  }

  // Sends a frame and resolves to its answer; null if the connection breaks.
  async frame(blob) {
    if (this.session) return this.#post(blob, "image/jpeg");
    if (!this.isOpen) return null;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.socket?.close(), ANSWER_TIMEOUT_MS);
      this.frameWaiting = (answer) => {
        clearTimeout(timer);
        resolve(answer);
      };
      this.socket.send(blob);
    });
  }

  async #connect() {
    const health = await fetch("/healthz").then((r) => (r.ok ? r.json() : null)).catch(() => null);
    if (!health) return this.#again();
    if (this.failures >= SOCKET_TRIES) return this.#open(health, randomId());
    const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/ws`);
    socket.addEventListener("open", () => {
      this.socket = socket;
      this.#open(health, null);
    });
    socket.addEventListener("message", (event) => this.#answered(JSON.parse(event.data)));
    socket.addEventListener("close", (event) => {
      if (!this.isOpen) this.failures += 1; // it never opened, although the server answers
      if (event.code === 1008) this.handlers.onRefused(event.reason);
      this.#lost();
    });
  }

  #open(health, session) {
    this.session = session;
    this.isOpen = true;
    this.wait = FIRST_WAIT_MS;
    this.handlers.onOpen(health);
  }

  #answered(message) {
    if (!("seq" in message)) return this.waiting.shift()?.(message);
    const resolve = this.frameWaiting;
    this.frameWaiting = null;
    resolve?.(message);
  }

  async #post(body, type) {
    try {
      const response = await fetch(`/session/${this.session}`, {
        method: "POST", body, headers: { "Content-Type": type },
      });
      const answer = await response.json();
      if (response.status === 429 || response.status === 503) this.handlers.onRefused(answer.error);
      return answer;
    } catch {
      this.#lost();
      return null;
    }
  }

  #lost() {
    if (this.isOpen) this.failures = 0;
    this.isOpen = false;
    this.socket = this.session = null;
    for (const resolve of [...this.waiting.splice(0), this.frameWaiting]) resolve?.(null);
    this.frameWaiting = null;
    this.#again();
  }

  #again() {
    this.handlers.onLost();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#connect(), this.wait ?? FIRST_WAIT_MS);
    this.wait = Math.min((this.wait ?? FIRST_WAIT_MS) * 1.6, LONGEST_WAIT_MS);
  }
}

function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}
