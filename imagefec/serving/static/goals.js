// Goals, the neutral face and settings, kept in this browser. A goal belongs to one model.

const KEY = "imagefec.live.1";
const MOST_MODELS = 6;

export class Store {
  constructor(storage = window.localStorage) {
    this.storage = storage;
    this.data = { settings: {}, models: {} };
    try {
      const found = JSON.parse(storage.getItem(KEY) ?? "null");
      if (isObject(found?.models) && isObject(found.settings)) this.data = found;
    } catch {
      // Damaged or forbidden: the page begins anew.
    }
  }

  get settings() {
    return this.data.settings;
  }

  set(settings) {
    Object.assign(this.data.settings, settings);
    this.#save();
  }

  // Goals of a model: {goals: [{name, embedding, dead_band}], active, neutral}.
  of(digest) {
    const found = this.data.models[digest];
    if (isObject(found) && Array.isArray(found.goals)) return found;
    const made = { goals: [], active: null, neutral: null };
    this.data.models[digest] = made;
    const names = Object.keys(this.data.models);
    for (const name of names.slice(0, Math.max(0, names.length - MOST_MODELS))) delete this.data.models[name];
    return made;
  }

  add(digest, goal) {
    const kept = this.of(digest);
    kept.goals = [...kept.goals.filter((each) => each.name !== goal.name), goal];
    kept.active = goal.name;
    this.#save();
  }

  use(digest, name) {
    this.of(digest).active = name;
    this.#save();
  }

  forget(digest, name) {
    const kept = this.of(digest);
    kept.goals = kept.goals.filter((each) => each.name !== name);
    if (kept.active === name) kept.active = null;
    this.#save();
  }

  setNeutral(digest, neutral) {
    this.of(digest).neutral = neutral;
    this.#save();
  }

  #save() {
    try {
      this.storage.setItem(KEY, JSON.stringify(this.data));
      this.isKept = true;
    } catch {
      this.isKept = false;
    }
  }
}

// A name that is not taken yet: "goal", "goal 2", …
export function freeName(goals) {
  const taken = new Set(goals.map((goal) => goal.name));
  for (let i = 1; ; i += 1) {
    const name = i === 1 ? "goal" : `goal ${i}`;
    if (!taken.has(name)) return name;
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
