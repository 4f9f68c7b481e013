"""JPEG compression."""

import numpy as np


def sample_quality(rng: np.random.Generator, hard: bool) -> int:
    """Samples the quality: 25 to 95; in the hard world 8 to 24. Plain photos have 82 to 95."""
    return int(rng.integers(8, 25) if hard else rng.integers(25, 96))
