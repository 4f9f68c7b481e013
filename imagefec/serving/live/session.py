"""What one listener has set and hears: goals, neutral, smoothing. No clock, network or pictures."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from imagefec.maths import tones
from imagefec.maths.tones import Goal, Tone

GOAL, NEUTRAL = "goal", "neutral"
CAPTURE_S = 1.0
MIN_FRAMES = 5  # that a capture averages
GIVE_UP_S = 6.0  # a capture that has not seen MIN_FRAMES faces by then has failed
FADE_S = 0.3  # time constant of the gain while there is no face
DEFAULT_SCALE = (
    0.5  # distance of the loudest tone without a neutral face; unlike faces lie .5 apart
)
MAX_GOALS = 32
MAX_NAME = 60  # characters
DEFAULT_NAME = "goal"


class SessionError(Exception):
    """A request that the session refuses; the text says why and what to do."""


@dataclass(frozen=True)
class Preset:
    """How a tone sounds and how fast it follows.

    Attributes:
      low_hz: pitch near the goal.
      high_hz: pitch far from it.
      max_gain: gain far from it.
      smoothing_s: time constant of the distance.
    """

    low_hz: float = tones.LOW_HZ
    high_hz: float = tones.HIGH_HZ
    max_gain: float = tones.MAX_GAIN
    smoothing_s: float = 0.3


DEFAULT_PRESET = "standard"
PRESETS: Mapping[str, Preset] = {
    DEFAULT_PRESET: Preset(),
    "deep": Preset(low_hz=110.0, high_hz=440.0, max_gain=0.3, smoothing_s=0.35),
    "quick": Preset(smoothing_s=0.25),
}


@dataclass(frozen=True)
class CaptureState:
    """A capture that goes on, or has just ended.

    Attributes:
      kind: GOAL or NEUTRAL.
      name: of the goal.
      share: how much of it is done, in [0, 1].
      result: the goal, once it is done; the neutral face is one too.
      failure: why it failed; "" if it did not.
    """

    kind: str
    name: str
    share: float
    result: Goal | None = None
    failure: str = ""


@dataclass(frozen=True)
class Reading:
    """What a listener gets for one frame.

    Attributes:
      distance: to the goal in use; None without a face or a goal.
      smoothed: exponential average of it; None before the first.
      relative_error: share of the way from goal to neutral, in [0, 1]; None likewise.
      tone: to be played.
      capture: the capture that went on in this frame; None for none.
    """

    distance: float | None
    smoothed: float | None
    relative_error: float | None
    tone: Tone
    capture: CaptureState | None = None


@dataclass
class _Capture:
    kind: str
    name: str
    asked_s: float
    first_s: float = math.nan
    embeddings: list[np.ndarray] = field(default_factory=list)


class Session:
    """The state of one listener.

    Attributes:
      goals: by name.
      active: name of the goal in use; None for none.
      neutral: the face at rest, which sets the scale; None if it was not captured.
      preset: name of the preset.
    """

    def __init__(self) -> None:
        self.preset = DEFAULT_PRESET
        self.reset()

    def reset(self) -> None:
        """Forgets everything but the preset."""
        self.goals: dict[str, Goal] = {}
        self.active: str | None = None
        self.neutral: Goal | None = None
        self._capture: _Capture | None = None
        self._smoothed: float | None = None
        self._seen_s: float | None = None  # the last frame with a face and a goal
        self._heard_s: float | None = None  # the last frame
        self._tone = Tone(PRESETS[self.preset].low_hz, 0.0)

    def capture(self, kind: str, now_s: float, name: str = DEFAULT_NAME) -> None:
        """Begins to average the coming second of embeddings; replaces a capture that goes on.

        Args:
          kind: GOAL or NEUTRAL.
          now_s: time.
          name: of the goal.

        Raises:
          SessionError: there are too many goals.
          ValueError: kind is neither.
        """
        if kind not in (GOAL, NEUTRAL):
            raise ValueError(f"kind must be {GOAL!r} or {NEUTRAL!r}, found {kind!r}")
        if kind == GOAL:
            self._check_room(name)
        self._capture = _Capture(kind, name, now_s)

    def set_goal(self, name: str, goal: Goal) -> None:
        """Sets a goal that was captured before, and uses it.

        Raises:
          SessionError: there are too many goals.
        """
        self._check_room(name)
        self.goals[name] = goal
        self.use(name)

    def use(self, name: str) -> None:
        """Uses one of the goals.

        Raises:
          SessionError: there is no such goal.
        """
        if name not in self.goals:
            known = ", ".join(map(repr, self.goals)) or "none yet; capture one first"
            raise SessionError(f"there is no goal {name!r}; the goals are {known}")
        self.active = name
        self._smoothed = self._seen_s = None  # the old goal's distances mean nothing here

    def forget(self, name: str) -> None:
        """Removes a goal, if there is one; without the goal in use there is silence."""
        self.goals.pop(name, None)
        if self.active == name:
            self.active, self._smoothed, self._seen_s = None, None, None

    def set_preset(self, name: str) -> None:
        """Sets the preset.

        Raises:
          SessionError: there is no such preset.
        """
        if name not in PRESETS:
            allowed = ", ".join(map(repr, PRESETS))
            raise SessionError(f"there is no preset {name!r}; the presets are {allowed}")
        self.preset = name

    def observe(self, embedding: np.ndarray | None, now_s: float) -> Reading:
        """Takes in one frame.

        Args:
          embedding: float32 [d] of unit length; None if the frame shows no face.
          now_s: time of the frame. Earlier than the last frame's counts as the same time.

        Returns:
          What to show and play.
        """
        captured = self._advance_capture(embedding, now_s)
        goal = self.goals.get(self.active) if self.active is not None else None
        measured = error = None
        if goal is not None and embedding is not None:
            measured = tones.distance(embedding, goal.embedding)
            self._smoothed = self._average(measured, now_s)
        if goal is not None and self._smoothed is not None:
            error = tones.relative_error(self._smoothed, goal.dead_band, self.scale)
        if measured is not None and error is not None and self._capture is None:
            preset = PRESETS[self.preset]
            self._tone = tones.tone_of(error, preset.low_hz, preset.high_hz, preset.max_gain)
        else:
            self._fade(now_s)
        self._heard_s = now_s
        return Reading(measured, self._smoothed, error, self._tone, captured)

    @property
    def scale(self) -> float:
        """Distance of the loudest tone: from goal to neutral face, if both are known."""
        if self.neutral is None or self.active is None:
            return DEFAULT_SCALE
        return tones.distance(self.neutral.embedding, self.goals[self.active].embedding)

    def _average(self, measured: float, now_s: float) -> float:
        before, seen_s = self._smoothed, self._seen_s
        self._seen_s = now_s if seen_s is None else max(now_s, seen_s)
        if before is None or seen_s is None:
            return measured
        weight = tones.smoothing_weight(now_s - seen_s, PRESETS[self.preset].smoothing_s)
        return before + weight * (measured - before)

    def _fade(self, now_s: float) -> None:
        step_s = 0.0 if self._heard_s is None else now_s - self._heard_s
        gain = self._tone.gain * (1 - tones.smoothing_weight(step_s, FADE_S))
        self._tone = Tone(self._tone.hz, gain if gain > _INAUDIBLE else 0.0)

    def _advance_capture(self, embedding: np.ndarray | None, now_s: float) -> CaptureState | None:
        capture = self._capture
        if capture is None:
            return None
        if embedding is not None:
            if not capture.embeddings:
                capture.first_s = now_s
            capture.embeddings.append(embedding)
        n = len(capture.embeddings)
        elapsed_s = now_s - capture.first_s if n else 0.0
        if n >= MIN_FRAMES and elapsed_s >= CAPTURE_S:
            return self._finish(capture)
        if n < MIN_FRAMES and now_s - capture.asked_s >= GIVE_UP_S:
            self._capture = None
            return CaptureState(
                capture.kind,
                capture.name,
                0.0,
                failure=f"only {n} pictures of the last {GIVE_UP_S:g} s showed a face; "
                f"{MIN_FRAMES} are needed. Face the camera in good light and try again.",
            )
        share = min(elapsed_s / CAPTURE_S, n / MIN_FRAMES, 1.0)
        return CaptureState(capture.kind, capture.name, max(share, 0.0))

    def _finish(self, capture: _Capture) -> CaptureState:
        self._capture = None
        try:
            goal = tones.goal_of(np.stack(capture.embeddings))
        except ValueError:
            text = "the pictures differ too much to be averaged. Hold the expression and try again."
            return CaptureState(capture.kind, capture.name, 0.0, failure=text)
        if capture.kind == NEUTRAL:
            self.neutral = goal
        else:
            self.set_goal(capture.name, goal)
        return CaptureState(capture.kind, capture.name, 1.0, result=goal)

    def _check_room(self, name: str) -> None:
        if name not in self.goals and len(self.goals) >= MAX_GOALS:
            raise SessionError(f"there are {MAX_GOALS} goals already; forget one first")


_INAUDIBLE = 1e-4
