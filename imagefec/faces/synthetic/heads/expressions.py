"""Expressions of synthetic faces: controls named after facial action units, thirty prototypes."""

import numpy as np

# Each control is a number in [-1, 1]; 0 is a face at rest. Action units: Ekman & Friesen 1978.
CONTROLS = (
    "inner_brow_raise",  # AU1
    "outer_brow_raise",  # AU2
    "brow_furrow",  # AU4
    "lid_opening",  # AU5 (+ wide), AU43 (-1 closed)
    "cheek_raise",  # AU6
    "nose_wrinkle",  # AU9
    "upper_lip_raise",  # AU10
    "smile",  # AU12 (+), AU15 (- frown)
    "lip_stretch",  # AU20
    "pucker",  # AU18
    "jaw_drop",  # AU26, AU27
    "lip_press",  # AU24
    "one_sided",  # AU12 on the left face half only (+), on the right only (-)
    "gaze_right",  # AU61 (-), AU62 (+)
    "gaze_down",  # AU63 (-), AU64 (+)
)
# Weight of each control for a rater: roughly the share of the face's pixels that it changes.
SALIENCE = np.array(
    [0.9, 0.7, 1.0, 1.2, 0.4, 0.5, 0.6, 1.8, 0.4, 0.9, 1.9, 0.35, 0.5, 0.2, 0.25], np.float32
)

_LOWEST = np.array([0, 0, 0, -1, 0, 0, 0, -1, 0, 0, 0, 0, -1, -1, -1], np.float32)


def _pose(**controls: float) -> np.ndarray:
    return np.array([controls.pop(name, 0.0) for name in CONTROLS], np.float32)


# The thirty emotion words with which FEC's authors searched for photos (arXiv:1811.11283, 3).
PROTOTYPES = {
    "amusement": _pose(cheek_raise=0.7, smile=0.9, jaw_drop=0.35, lid_opening=-0.35),
    "anger": _pose(brow_furrow=1, lid_opening=0.4, lip_press=0.8, smile=-0.4, nose_wrinkle=0.3),
    "awe": _pose(
        inner_brow_raise=0.7, outer_brow_raise=0.7, lid_opening=0.6, jaw_drop=0.6, smile=0.25
    ),
    "boredom": _pose(lid_opening=-0.6, smile=-0.25, gaze_down=0.3, gaze_right=0.5),
    "concentration": _pose(brow_furrow=0.6, lid_opening=-0.2, lip_press=0.6, gaze_down=0.5),
    "confusion": _pose(
        brow_furrow=0.6, outer_brow_raise=0.5, pucker=0.3, one_sided=-0.4, gaze_right=-0.4
    ),
    "contemplation": _pose(pucker=0.35, gaze_right=0.7, gaze_down=-0.6, brow_furrow=0.2),
    "contempt": _pose(one_sided=0.9, lid_opening=-0.3, outer_brow_raise=0.2),
    "contentment": _pose(smile=0.5, lid_opening=-0.45, cheek_raise=0.3),
    "desire": _pose(lid_opening=-0.4, pucker=0.5, jaw_drop=0.25, inner_brow_raise=0.3),
    "disappointment": _pose(inner_brow_raise=0.6, smile=-0.6, gaze_down=0.6, lid_opening=-0.2),
    "disgust": _pose(
        nose_wrinkle=1, upper_lip_raise=0.9, brow_furrow=0.5, lid_opening=-0.35, smile=-0.2
    ),
    "distress": _pose(
        inner_brow_raise=0.9, brow_furrow=0.6, lip_stretch=0.7, jaw_drop=0.3, smile=-0.5
    ),
    "doubt": _pose(outer_brow_raise=0.8, lip_press=0.5, one_sided=-0.6, smile=-0.2),
    "ecstasy": _pose(smile=1, jaw_drop=0.8, lid_opening=-1, cheek_raise=0.9, inner_brow_raise=0.4),
    "elation": _pose(
        smile=1, jaw_drop=0.6, inner_brow_raise=0.6, outer_brow_raise=0.6, lid_opening=0.4
    ),
    "embarrassment": _pose(
        smile=0.4, lip_press=0.7, gaze_down=0.9, gaze_right=-0.5, cheek_raise=0.3
    ),
    "fear": _pose(
        inner_brow_raise=1,
        outer_brow_raise=0.5,
        brow_furrow=0.4,
        lid_opening=1,
        lip_stretch=0.9,
        jaw_drop=0.4,
    ),
    "interest": _pose(inner_brow_raise=0.5, outer_brow_raise=0.5, lid_opening=0.3, smile=0.2),
    "love": _pose(smile=0.65, pucker=0.3, lid_opening=-0.3, inner_brow_raise=0.4, cheek_raise=0.4),
    "neutral": _pose(),
    "pain": _pose(
        brow_furrow=0.9,
        lid_opening=-1,
        nose_wrinkle=0.7,
        upper_lip_raise=0.6,
        lip_stretch=0.6,
        jaw_drop=0.3,
    ),
    "pride": _pose(smile=0.45, lip_press=0.4, gaze_down=-0.4, outer_brow_raise=0.3),
    "realization": _pose(
        inner_brow_raise=0.8, outer_brow_raise=0.8, lid_opening=0.7, jaw_drop=0.3, pucker=0.3
    ),
    "relief": _pose(lid_opening=-1, jaw_drop=0.3, smile=0.25, inner_brow_raise=0.4),
    "sadness": _pose(inner_brow_raise=1, smile=-0.9, lid_opening=-0.35, brow_furrow=0.3),
    "shame": _pose(gaze_down=1, lid_opening=-0.45, smile=-0.5, inner_brow_raise=0.5, lip_press=0.4),
    "surprise": _pose(inner_brow_raise=1, outer_brow_raise=1, lid_opening=1, jaw_drop=1),
    "sympathy": _pose(inner_brow_raise=0.9, smile=0.25, lip_press=0.4),
    "triumph": _pose(smile=0.8, jaw_drop=1, brow_furrow=0.5, nose_wrinkle=0.4, lid_opening=-0.2),
}
WORDS = tuple(PROTOTYPES)


def sample_expression(rng: np.random.Generator, word: int) -> np.ndarray:
    """Samples an expression of a word: its prototype, scaled, blended with another and jittered.

    Args:
      rng: source of randomness.
      word: index into WORDS.

    Returns:
      float32 [controls], each within its range.
    """
    other = PROTOTYPES[WORDS[rng.integers(len(WORDS))]]
    blend = rng.uniform(0, 0.3)
    strength = rng.uniform(0.5, 1.15)
    pose = strength * ((1 - blend) * PROTOTYPES[WORDS[word]] + blend * other)
    return np.clip(pose + rng.normal(0, 0.07, len(CONTROLS)), _LOWEST, 1).astype(np.float32)
