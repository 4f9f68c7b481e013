"""Uneven misses: found where they are, seldom where there is only chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from imagefec.data.crop import unevenness
from imagefec.data.crop.unevenness import ALPHA, FEWEST, most_uneven_pair


def outcome(*groups):
    """`missed`, `groups` and one photo per face from (missed, of) of each group."""
    missed = np.concatenate([np.arange(of) < n for n, of in groups])
    number = np.repeat(np.arange(len(groups)), [of for _, of in groups])
    return missed, number, np.arange(len(missed))[:, None]


def test_a_group_missed_twice_as_often_is_found():
    assert most_uneven_pair(*outcome((40, 200), (80, 200), (60, 200))) == (1, 0)


def test_kept_twice_as_often_is_as_uneven_as_missed_twice_as_often():
    assert most_uneven_pair(*outcome((160, 200), (120, 200))) == (0, 1)  # 20 % kept and 40 %


@pytest.mark.parametrize(
    "groups",
    [
        ((500, 2000), (700, 2000)),  # significant, but 1.4 times as often, kept 1.15 times
        ((20, 4000), (100, 4000)),  # five times as often, but 2 points of a hundred
        ((4, 20), (9, 20)),  # more than twice as often, by chance
        ((0, 1000), (19, 19)),  # one face less than are compared
        ((0, 300), (0, 300)),
        ((300, 300), (300, 300)),
        ((7, 50),),
        (),
    ],
)
def test_small_rare_or_random_differences_are_not_reported(groups):
    found = outcome(*groups) if groups else (np.zeros(0, bool), np.zeros(0, int), np.zeros((0, 1)))
    assert most_uneven_pair(*found) is None


def test_faces_that_share_few_photos_are_few_observations():
    missed, groups, _ = outcome((50, 100), (10, 100))
    alone = np.arange(200)[:, None]
    assert most_uneven_pair(missed, groups, alone) == (0, 1)
    assert most_uneven_pair(missed, groups, alone // 10) is None  # 5 of 10 photos, 1 of 10


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(FEWEST, 60)).map(lambda pair: sorted(pair)),
        min_size=2,
        max_size=5,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_faces_does_not_matter(counts, random):
    missed, groups, photos = outcome(*((n, of) for n, of in counts if of >= FEWEST))
    order = np.array(random.sample(range(len(missed)), len(missed)), int)
    shuffled = most_uneven_pair(missed[order], groups[order], photos[order])
    assert shuffled == most_uneven_pair(missed, groups, photos)


def faces_by_chance(rng, n, n_classes, rate, together):
    """Faces whose photo and class are random; those of a photo are missed together, or not."""
    photo = np.cumsum(rng.random(n) > together)
    fate = rng.random(photo.max() + 1) < rate
    groups = rng.integers(n_classes, size=photo.max() + 1)[photo]
    return fate[photo], groups, photo[:, None]


def triplets_by_chance(rng, n_faces, n_triplets, rate):
    """Triplets of classed faces, each in many of them, with types as FEC's."""
    words, fate = rng.integers(3, size=n_faces), rng.random(n_faces) < rate
    faces = np.array([rng.choice(n_faces, 3, replace=False) for _ in range(n_triplets)])
    kinds = np.array([len(set(words[three])) - 1 for three in faces])
    return fate[faces].any(axis=1), kinds, faces


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("sample", "arguments"),
    [
        (faces_by_chance, (400, 7, 0.25, 0.0)),
        (faces_by_chance, (400, 12, 0.05, 0.0)),
        (faces_by_chance, (800, 5, 0.2, 0.8)),
        (triplets_by_chance, (60, 300, 0.1)),
        (triplets_by_chance, (150, 300, 0.3)),
    ],
)
def test_chance_is_seldom_reported(sample, arguments, strict, monkeypatch):
    if not strict:  # the tests alone, whatever the size of the difference
        monkeypatch.setattr(unevenness, "RATIO", 1.0)
        monkeypatch.setattr(unevenness, "LEAST_DIFFERENCE", 0.0)
    n, rng = 60, np.random.default_rng(len(sample.__name__) + sum(map(int, arguments)))
    n_reported = sum(most_uneven_pair(*sample(rng, *arguments)) is not None for _ in range(n))
    # As many as 1 in 1000 such tests would find if the probability is ALPHA.
    assert n_reported <= binom.ppf(0.999, n, ALPHA)
