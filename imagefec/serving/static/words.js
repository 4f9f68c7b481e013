// What a reading is called, for eyes and for screen readers.

// A level of a frame's answer: "none" (no face), "free" (no goal), "at", "near", "way" or "far".
export function level(answer) {
  if (!answer.box) return "none";
  if (answer.relative_error === null) return "free";
  if (answer.relative_error === 0) return "at";
  if (answer.relative_error < 1 / 3) return "near";
  return answer.relative_error < 0.8 ? "way" : "far";
}

export const WORDS = {
  none: "No face seen",
  free: "Choose a goal",
  at: "At the goal",
  near: "Near the goal",
  way: "On the way",
  far: "Far from the goal",
};

export function detail(answer, goal) {
  if (!answer.box) return "Face the camera, in even light.";
  if (answer.distance === null) return "Capture a goal, or choose one of yours.";
  return `“${goal}”, distance ${answer.smoothed.toFixed(2)}, ${answer.tone.gain > 0 ? `${Math.round(answer.tone.hz)} Hz` : "silence"}`;
}

export function valueText(answer) {
  const word = WORDS[level(answer)].toLowerCase();
  return answer.relative_error === null || !answer.box ? word : `${word}, ${Math.round(100 * answer.relative_error)} percent away`;
}
