"""Synthetic identities: colours and measures of a head, the same in all photos of a person."""

import dataclasses

import numpy as np

_SKINS = np.array(
    [
        [255, 224, 196],
        [241, 194, 158],
        [224, 172, 125],
        [198, 134, 90],
        [158, 105, 72],
        [122, 80, 56],
    ],
    float,
)
_HAIRS = np.array(
    [
        [30, 24, 20],
        [70, 45, 30],
        [110, 75, 45],
        [150, 112, 64],
        [182, 150, 98],
        [140, 60, 32],
        [128, 126, 124],
    ],
    float,
)
_IRISES = np.array([[60, 40, 25], [95, 65, 40], [70, 95, 60], [70, 100, 140]], float)


@dataclasses.dataclass(frozen=True)
class SyntheticPerson:
    """One identity. Lengths are in head units (half its height); colours are RGB, 0 to 255."""

    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    lips: np.ndarray
    hair_style: int  # 0 bald, 1 short, 2 fringe, 3 long
    face_width: float
    jaw_width: float
    eye_distance: float
    eye_width: float
    eye_height: float
    eye_row: float
    brow_row: float
    brow_thickness: float
    nose_row: float
    nose_width: float
    mouth_row: float
    mouth_width: float
    lip_thickness: float
    glasses: int  # 0 none, 1 round, 2 square
    beard: int  # 0 none, 1 moustache, 2 full beard
    shirt: np.ndarray
    age: float = 0.0  # 0 without wrinkles to 1


def sample_person(rng: np.random.Generator) -> SyntheticPerson:
    """Samples one identity."""
    skin = _between(rng, _SKINS) + rng.normal(0, 4, 3)
    return SyntheticPerson(
        skin=skin,
        hair=np.clip(
            _HAIRS[rng.integers(len(_HAIRS) if skin.mean() > 150 else 2)] + rng.normal(0, 6), 0, 255
        ),
        iris=_IRISES[rng.integers(len(_IRISES))],
        lips=np.clip(skin * [0.82, 0.58, 0.58] + rng.normal(0, 8, 3), 0, 255),
        hair_style=int(rng.choice(4, p=[0.1, 0.4, 0.2, 0.3])),
        face_width=rng.uniform(0.72, 0.84),
        jaw_width=rng.uniform(0.54, 0.70),
        eye_distance=rng.uniform(0.31, 0.37),
        eye_width=rng.uniform(0.18, 0.21),
        eye_height=rng.uniform(0.090, 0.110),
        eye_row=rng.uniform(-0.14, -0.10),
        brow_row=rng.uniform(-0.42, -0.38),
        brow_thickness=rng.uniform(0.050, 0.085),
        nose_row=rng.uniform(0.20, 0.28),
        nose_width=rng.uniform(0.11, 0.16),
        mouth_row=rng.uniform(0.52, 0.56),
        mouth_width=rng.uniform(0.29, 0.35),
        lip_thickness=rng.uniform(0.05, 0.075),
        glasses=int(rng.choice(3, p=[0.82, 0.09, 0.09])),
        beard=int(rng.choice(3, p=[0.78, 0.11, 0.11])),
        shirt=rng.uniform(20, 220, 3),
    )


def _between(rng: np.random.Generator, colours: np.ndarray) -> np.ndarray:
    at = rng.uniform(0, len(colours) - 1)
    low = int(at)
    return colours[low] + (at - low) * (colours[low + 1] - colours[low])
