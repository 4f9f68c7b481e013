"""The JSON messages of a session: requests to change it, and the answer to a frame."""

import json
import math
from typing import Any

import numpy as np

from imagefec import json_files
from imagefec.maths.geometry import Box
from imagefec.maths.tones import MIN_DEAD_BAND, Goal
from imagefec.serving.live import session as sessions
from imagefec.serving.live.session import CaptureState, Reading, Session, SessionError

MAX_BYTES = 65_536  # of a request; an embedding of 512 numbers takes 12 kB
OPERATIONS = ("goal", "neutral", "use", "forget", "preset", "reset", "state")


def apply(session: Session, text: str | bytes, d_embedding: int, now_s: float) -> dict[str, Any]:
    """Applies one request to a session.

    {"op": "goal", "name": NAME} captures a goal from the coming frames; with "embedding" and
    "dead_band" it sets one that was captured before. {"op": "neutral"} does the same with the face
    at rest. {"op": "use" | "forget", "name": NAME}, {"op": "preset", "name": PRESET},
    {"op": "reset"} and {"op": "state"} do what they say. NAME may be left out if there is one goal.

    Args:
      session: to be changed.
      text: JSON, as it came.
      d_embedding: length of an embedding.
      now_s: time.

    Returns:
      {"op", "ok": true, "state"}, or {"op", "ok": false, "error"} for a refused request.
    """
    operation = None
    try:
        request = _parse(text)
        operation = request.get("op")
        if operation not in OPERATIONS:
            found = f"found {operation!r}" if "op" in request else "there is none"
            raise SessionError(f'"op" must be one of {", ".join(OPERATIONS)}; {found}'[:300])
        _apply(session, operation, request, d_embedding, now_s)
    except SessionError as error:
        known = operation if operation in OPERATIONS else None
        return {"op": known, "ok": False, "error": str(error)}
    return {"op": operation, "ok": True, "state": state(session)}


def state(session: Session) -> dict[str, Any]:
    """What a session has set: names of the goals, the one in use, and so on."""
    return {
        "goals": list(session.goals),
        "active": session.active,
        "neutral": session.neutral is not None,
        "preset": session.preset,
    }


def frame_answer(
    seq: int, box: Box | None, score: float | None, reading: Reading, took_ms: float
) -> dict[str, Any]:
    """The answer to a frame.

    Args:
      seq: number of the frame in its session, from 1.
      box: of the face, pixels of the frame; None for no face.
      score: of its detection.
      reading: of the session.
      took_ms: milliseconds from the frame's arrival.
    """
    answer: dict[str, Any] = {
        "seq": seq,
        "box": None if box is None else box_list(box),
        "score": None if score is None else float(score),
        "distance": _rounded(reading.distance),
        "smoothed": _rounded(reading.smoothed),
        "relative_error": _rounded(reading.relative_error),
        "tone": {"hz": round(reading.tone.hz, 2), "gain": round(reading.tone.gain, 5)},
        "ms": round(took_ms, 1),
    }
    if reading.capture is not None:
        answer["capture"] = _capture(reading.capture)
    return answer


def box_list(box: Box) -> list[float]:
    """A box as [left, top, right, bottom]."""
    return [round(float(side), 1) for side in (box.left, box.top, box.right, box.bottom)]


def dumps(message: dict[str, Any]) -> str:
    """A message as compact JSON; NaN, which JSON lacks, is a bug here."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


def _parse(text: str | bytes) -> dict[str, Any]:
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(data) > MAX_BYTES:
        raise SessionError(f"a request has at most {MAX_BYTES} bytes, this one {len(data)}")
    try:
        request = json_files.parse_json(data, constants=False)
    except (ValueError, RecursionError) as error:
        raise SessionError(f"a request must be JSON such as {_EXAMPLE}: {error}"[:300]) from None
    if not isinstance(request, dict):
        raise SessionError(f"a request must be a JSON object such as {_EXAMPLE}")
    return request


_EXAMPLE = '{"op": "goal"}'


def _apply(
    session: Session, operation: str, request: dict[str, Any], d_embedding: int, now_s: float
) -> None:
    if operation == "reset":
        session.reset()
    elif operation == "preset":
        session.set_preset(_name(request))
    elif operation == "use":
        session.use(_name(request))
    elif operation == "forget":
        session.forget(_name(request))
    elif operation in (sessions.GOAL, sessions.NEUTRAL):
        name = _name(request)
        if "embedding" not in request:
            session.capture(operation, now_s, name)
        elif operation == sessions.GOAL:
            session.set_goal(name, _goal(request, d_embedding))
        else:
            session.neutral = _goal(request, d_embedding)


def _name(request: dict[str, Any]) -> str:
    name = request.get("name", sessions.DEFAULT_NAME)
    if not isinstance(name, str) or not 0 < len(name) <= sessions.MAX_NAME:
        raise SessionError(f'"name" must be a text of 1 to {sessions.MAX_NAME} characters')
    if not name.isprintable():
        raise SessionError('"name" must not have control characters')
    return name


def _goal(request: dict[str, Any], d_embedding: int) -> Goal:
    numbers = request["embedding"]
    if (
        not isinstance(numbers, list)
        or len(numbers) != d_embedding
        or not all(_is_finite(number) for number in numbers)
    ):
        raise SessionError(
            f'"embedding" must be a list of {d_embedding} finite numbers, as this model gives '
            "them; a goal of another model must be captured again"
        )
    embedding = np.array(numbers, np.float64)
    length = float(np.linalg.norm(embedding))
    if not abs(length - 1) < _LENGTH_TOLERANCE:
        raise SessionError(f'"embedding" must have length 1, found {length:.3g}')
    dead_band = request.get("dead_band", MIN_DEAD_BAND)
    if not (_is_finite(dead_band) and 0 <= dead_band <= 2):
        raise SessionError('"dead_band" must be a number from 0 to 2')
    return Goal((embedding / length).astype(np.float32), max(float(dead_band), MIN_DEAD_BAND))


_LENGTH_TOLERANCE = 0.01


def _is_finite(value: object) -> bool:
    # An integer of JSON may exceed every float.
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < 1e6
        and math.isfinite(value)
    )


def _capture(capture: CaptureState) -> dict[str, Any]:
    message: dict[str, Any] = {
        "kind": capture.kind,
        "name": capture.name,
        "share": round(capture.share, 3),
        "done": capture.result is not None,
    }
    if capture.result is not None:
        message["embedding"] = [round(float(x), 6) for x in capture.result.embedding]
        message["dead_band"] = round(capture.result.dead_band, 6)
    if capture.failure:
        message["error"] = capture.failure
    return message


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
