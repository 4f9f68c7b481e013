// Pictures of trials: loaded and decoded before they are shown, those of the next trials meanwhile.

const RETRY_MS = 1500;

export class Pictures {
  // onTrouble: called with true while a picture does not load, with false when it did.
  constructor(onTrouble) {
    this.onTrouble = onTrouble;
    this.trials = new Map(); // id of a trial -> promise of its three images
  }

  // Resolves to three images, each decoded.
  of(trial) {
    if (!this.trials.has(trial.id)) this.trials.set(trial.id, Promise.all(trial.faces.map((face) => this.#load(face))));
    return this.trials.get(trial.id);
  }

  // Loads these trials' pictures and forgets all others.
  keep(trials) {
    const ids = new Set(trials.map((trial) => trial.id));
    for (const id of this.trials.keys()) if (!ids.has(id)) this.trials.delete(id);
    for (const trial of trials) this.of(trial);
  }

  async #load(face) {
    for (let failed = false; ; failed = true) {
      const image = new Image();
      image.draggable = false;
      image.src = `/picture/${face}`;
      try {
        await image.decode();
        if (failed) this.onTrouble(false);
        return image;
      } catch {
        this.onTrouble(true);
        await new Promise((done) => setTimeout(done, RETRY_MS));
      }
    }
  }
}
