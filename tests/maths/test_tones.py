import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefec.maths import tones

SHARES = st.floats(0, 1)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("error", "hz", "gain"), [(0, 220, 0), (0.5, 440, 0.1), (1, 880, 0.2), (0.25, 311.127, 0.05)]
)
def test_the_pitch_rises_two_octaves_and_the_gain_in_proportion(error, hz, gain):
    tone = tones.tone_of(error)
    assert tone.hz == pytest.approx(hz, abs=1e-3) and tone.gain == pytest.approx(gain)


@given(SHARES, SHARES)
def test_equal_steps_of_error_are_equal_musical_intervals(first, second):
    middle = tones.tone_of((first + second) / 2).hz
    assert middle**2 == pytest.approx(tones.tone_of(first).hz * tones.tone_of(second).hz)


@given(st.floats(0, 2), st.floats(0, 2), st.floats(0, 1), st.floats(0, 2))
def test_pitch_and_gain_fall_together_towards_the_goal(near, far, dead_band, scale):
    near, far = sorted((near, far))
    first, second = (
        tones.tone_of(tones.relative_error(distance, dead_band, scale)) for distance in (near, far)
    )
    assert 220 <= first.hz <= second.hz <= 880 + 1e-9
    assert 0 <= first.gain <= second.gain <= 0.2


@given(st.floats(0, 1), st.floats(0, 2), SHARES)
def test_the_dead_band_is_silent_and_its_edge_is_continuous(dead_band, scale, share):
    assert tones.relative_error(dead_band * share, dead_band, scale) == 0
    if max(scale, 2 * dead_band) - dead_band > 1e-3:
        assert tones.relative_error(dead_band + 1e-9, dead_band, scale) < 1e-5


def test_the_error_is_the_share_of_the_way_from_the_dead_band_to_the_scale():
    assert tones.relative_error(0.35, 0.1, 0.6) == pytest.approx(0.5)
    assert tones.relative_error(0.7, 0.1, 0.6) == 1
    # The neutral face lies inside the dead band: twice the dead band is the scale.
    assert tones.relative_error(0.15, 0.1, 0.05) == pytest.approx(0.5)


def test_a_goal_is_the_mean_direction_with_the_90th_percentile_as_dead_band():
    angles = np.radians([-10, 10, -20, 20, 0, 0, 0, 0, 0, 0, 0])
    goal = tones.goal_of(np.stack([np.cos(angles), np.sin(angles)], 1))
    np.testing.assert_allclose(goal.embedding, [1, 0], atol=1e-7)
    # Sorted distances: 0 (7 times), 2 sin 5° twice, 2 sin 10° twice. Of 11, the 90th percentile is
    # number 10, counted from 1.
    assert goal.dead_band == pytest.approx(2 * math.sin(math.radians(10)), rel=1e-6)
    assert goal.embedding.dtype == np.float32


@given(st.integers(1, 30), st.integers(2, 64), st.integers(0, 999))
def test_a_goal_has_length_one_and_most_of_its_own_frames_are_silent(n, d, seed):
    rng = np.random.default_rng(seed)
    embeddings = unit(unit(rng.normal(size=d)) + 0.2 / d**0.5 * rng.normal(size=(n, d)))
    goal = tones.goal_of(embeddings)
    assert np.linalg.norm(goal.embedding) == pytest.approx(1, abs=1e-6)
    inside = [tones.distance(each, goal.embedding) <= goal.dead_band + 1e-6 for each in embeddings]
    assert np.mean(inside) >= 0.9 - 1 / n


def test_a_goal_of_identical_frames_still_has_a_dead_band():
    assert tones.goal_of(np.tile([[0.6, 0.8]], (9, 1))).dead_band == tones.MIN_DEAD_BAND == 0.01


@pytest.mark.parametrize("wrong", [np.zeros((0, 4)), np.ones(4), np.array([[1.0, 0], [-1, 0]])])
def test_embeddings_without_a_mean_direction_are_refused(wrong):
    with pytest.raises(ValueError, match="embeddings"):
        tones.goal_of(wrong)


def test_a_mean_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="direction"):
        tones.goal_of(np.array([[np.nan, 0.0]]))


@given(st.lists(st.floats(0, 3), min_size=1, max_size=20), st.floats(0.05, 2))
def test_smoothing_does_not_depend_on_how_an_interval_is_cut_up(steps, time_constant):
    left = 1.0
    for step in steps:
        left *= 1 - tones.smoothing_weight(step, time_constant)
    assert left == pytest.approx(math.exp(-sum(steps) / time_constant), abs=1e-9)


def test_a_clock_that_goes_back_changes_nothing():
    assert tones.smoothing_weight(-5, 0.3) == 0


@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf])
def test_distances_that_are_none_are_refused(wrong):
    for arguments in ((wrong, 0.1, 0.5), (0.1, wrong, 0.5), (0.1, 0.1, wrong)):
        with pytest.raises(ValueError, match="finite"):
            tones.relative_error(*arguments)


def test_errors_outside_their_range_and_time_constants_of_zero_are_refused():
    with pytest.raises(ValueError, match="error"):
        tones.tone_of(1.01)
    with pytest.raises(ValueError, match="time_constant_s"):
        tones.smoothing_weight(1, 0)
