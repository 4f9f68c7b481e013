"""Simulated raters, who choose the odd one of three synthetic faces by their expressions."""

import numpy as np

from imagefec.faces.synthetic.expressions import SALIENCE

N_RATERS = 6
_POOL = 40  # raters; each has the same taste throughout the dataset
_TASTE = 0.25  # spread of raters' weights of the controls
_SLIP = 0.16  # spread of a judgement's error, relative to the triplet's mean distance


class Raters:
    """A pool of raters, each with a taste of their own."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 77])
        self.names = [f"rater{i:02d}" for i in range(_POOL)]
        self._weights = SALIENCE * np.exp(rng.normal(0, _TASTE, (_POOL, len(SALIENCE))))

    def judge(self, rng: np.random.Generator, expressions: np.ndarray) -> list[tuple[str, int]]:
        """Asks six raters, sometimes seven or eight, for the odd one out.

        Args:
          rng: source of randomness.
          expressions: float32 [3, controls].

        Returns:
          (rater, odd one out 0 to 2) for each rater.
        """
        n = N_RATERS + (int(rng.integers(1, 3)) if rng.random() < 0.06 else 0)
        chosen = rng.choice(_POOL, n, replace=False)
        weighed = expressions[None] * self._weights[chosen, None]  # [n, 3, controls]
        pairs = weighed[:, [1, 0, 0]] - weighed[:, [2, 2, 1]]  # the pair that leaves out 0, 1, 2
        distances = np.linalg.norm(pairs, axis=-1)
        distances = distances + rng.normal(0, _SLIP, (n, 3)) * distances.mean(1, keepdims=True)
        return [(self.names[rater], int(odd)) for rater, odd in zip(chosen, distances.argmin(1))]


def sample_triplet(
    rng: np.random.Generator, words: np.ndarray, by_word: list[np.ndarray], kind: int
) -> np.ndarray:
    """Samples three different faces of one type of triplet, in shuffled order.

    Args:
      rng: source of randomness.
      words: int [faces], the prototype label of each face.
      by_word: for each label, the faces that have it.
      kind: a fec.TripletType: all three share a label, just two do, or none do.

    Returns:
      int [3], indices into `words`.
    """
    while True:
        first = int(rng.integers(len(words)))
        word = words[first]
        if kind == 0:
            others = rng.choice(by_word[word], 2)
        elif kind == 1:
            others = np.array([rng.choice(by_word[word]), rng.integers(len(words))])
        else:
            others = rng.integers(len(words), size=2)
        picked = np.array([first, *others])
        if len(set(picked.tolist())) == 3 and len(set(words[picked].tolist())) == kind + 1:
            return rng.permutation(picked)
