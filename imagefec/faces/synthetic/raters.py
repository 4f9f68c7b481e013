"""Simulated raters, who choose the odd one of three synthetic faces by their expressions."""

import numpy as np

from imagefec.faces.synthetic.heads.expressions import SALIENCE

N_RATERS = 6
_POOL = 40  # raters; each has the same weights throughout the dataset
_WEIGHT_SPREAD = 0.25  # of the raters' weights of the controls
_ERROR_SPREAD = 0.16  # of a judgement's error, relative to the triplet's mean distance


class Raters:
    """A pool of raters, each with their own weights of the controls.

    Args:
      seed: of the weights.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 77])
        self.names = [f"rater{i:02d}" for i in range(_POOL)]
        self._weights = SALIENCE * np.exp(rng.normal(0, _WEIGHT_SPREAD, (_POOL, len(SALIENCE))))

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
        weighted = expressions[None] * self._weights[chosen, None]  # [n, 3, controls]
        pairs = weighted[:, [1, 0, 0]] - weighted[:, [2, 2, 1]]  # the pair that leaves out 0, 1, 2
        distances = np.linalg.norm(pairs, axis=-1)
        distances = distances + rng.normal(0, _ERROR_SPREAD, (n, 3)) * distances.mean(
            1, keepdims=True
        )
        return [(self.names[rater], int(odd)) for rater, odd in zip(chosen, distances.argmin(1))]


def sample_triplet(
    rng: np.random.Generator, words: np.ndarray, by_word: list[np.ndarray], kind: int
) -> np.ndarray:
    """Samples three different faces of one type of triplet, in shuffled order.

    Args:
      rng: source of randomness.
      words: int [faces], the prototype label of each face.
      by_word: for each label, the faces that have it.
      kind: a fec.TripletType, the number of different labels less one.

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
        chosen = np.array([first, *others])
        if len(set(chosen.tolist())) == 3 and len(set(words[chosen].tolist())) == kind + 1:
            return rng.permutation(chosen)
