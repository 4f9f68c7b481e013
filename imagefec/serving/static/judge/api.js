// The server: a request is repeated until it is answered, so that no answer is lost.

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 3000;

// The server says no, for good; `message` is its reason.
export class Refused extends Error {}

export class Server {
  // handlers: onLost(path, reason) while a request waits, onBack() when it was answered after all.
  constructor(handlers) {
    this.handlers = handlers;
  }

  // Posts a JSON object; resolves to {state, conflict}. A conflict is the reason why an answer did
  // not count: it came twice, or another tab was faster. The state then says where the rater is.
  async post(path, message) {
    let waits = 0;
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 1.6, LONGEST_WAIT_MS)) {
      const { status, body } = await once(path, message);
      if (status === 200 || status === 409) {
        if (waits > 0) this.handlers.onBack();
        if (status === 200) return { state: body, conflict: null };
        // After a lost connection it is this page's own answer that came before.
        return { state: body.state, conflict: waits > 0 ? null : body.error };
      }
      if (status >= 400 && status < 500 && status !== 408) throw new Refused(body?.error ?? `the server answered ${status}`);
      waits += 1;
      this.handlers.onLost(path, body?.error ?? null);
      await new Promise((done) => setTimeout(done, wait));
    }
  }
}

async function once(path, message) {
  try {
    const response = await fetch(path, {
      method: "POST", body: JSON.stringify(message), headers: { "Content-Type": "application/json" },
    });
    const text = await response.text();
    try {
      return { status: response.status, body: JSON.parse(text) };
    } catch {
      return { status: response.status, body: { error: text.trim() } };
    }
  } catch {
    return { status: 0, body: null }; // no answer
  }
}
