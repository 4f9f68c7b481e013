// One sine tone that glides from value to value. It works in any AudioContext, offline ones too.

const GLIDE_S = 0.04; // after it, 95 % of a change has been made: no clicks, no audible delay
const TIME_CONSTANT_S = GLIDE_S / 3;
const SILENT = { hz: 220, gain: 0 };

export class Sound {
  // context: AudioContext or OfflineAudioContext.
  constructor(context) {
    this.context = context;
    this.volume = 1;
    this.muted = false;
    this.tone = SILENT;
    this.oscillator = context.createOscillator();
    this.oscillator.frequency.value = SILENT.hz;
    this.amplifier = context.createGain();
    this.amplifier.gain.value = 0;
    this.oscillator.connect(this.amplifier).connect(context.destination);
    this.oscillator.start();
  }

  // tone: {hz, gain} of the server; gain is an amplitude in [0, 1].
  play(tone, at = this.context.currentTime) {
    this.tone = tone;
    this.oscillator.frequency.setTargetAtTime(tone.hz, at, TIME_CONSTANT_S);
    this.amplifier.gain.setTargetAtTime(this.loudness, at, TIME_CONSTANT_S);
  }

  // Silence at the pitch of before.
  rest() {
    this.play({ hz: this.tone.hz, gain: 0 });
  }

  setVolume(volume) {
    this.volume = volume;
    this.play(this.tone);
  }

  setMuted(muted) {
    this.muted = muted;
    this.play(this.tone);
  }

  // The amplitude that is played, after mute and volume.
  get loudness() {
    return this.muted ? 0 : this.tone.gain * this.volume;
  }
}
