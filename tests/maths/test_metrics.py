"""The metrics against hand-worked values, naive loops and scikit-learn's pairwise distances."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import euclidean_distances

from imagefec.maths import metrics


def on_circle(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).astype(np.float32)


def tpa_by_loop(embeddings: np.ndarray) -> float:
    n_right = 0
    for triplet in embeddings:
        d = euclidean_distances(triplet.astype(np.float64))
        n_right += d[0, 1] < d[0, 2] and d[0, 1] < d[1, 2]
    return n_right / len(embeddings)


def test_a_triplet_is_right_only_if_the_alike_pair_is_closest_of_all_three():
    right = on_circle(0, 10, 180)
    odd_near_the_first = on_circle(0, 40, -10)
    odd_near_the_second = on_circle(0, 40, 50)
    embeddings = np.stack([right, right, odd_near_the_first, odd_near_the_second])
    assert metrics.triplet_prediction_accuracy(embeddings) == 0.5


def test_tpa_equals_a_naive_loop_over_scikit_learns_distances():
    embeddings = np.random.default_rng(0).normal(size=(500, 3, 4)).astype(np.float32)
    expected = tpa_by_loop(embeddings)
    assert 0.2 < expected < 0.5
    np.testing.assert_allclose(metrics.triplet_prediction_accuracy(embeddings), expected, rtol=1e-6)
    np.testing.assert_allclose(
        jax.jit(metrics.triplet_prediction_accuracy)(embeddings), expected, rtol=1e-6
    )


def test_ties_are_wrong_so_a_collapsed_model_scores_nothing():
    assert metrics.triplet_prediction_accuracy(np.ones((10, 3, 4), np.float32)) == 0
    one_tie = np.array([[[0.0], [1.0], [-1.0]]], np.float32)  # d12 = d13 = 1 < d23 = 2
    assert metrics.triplet_prediction_accuracy(one_tie) == 0


@pytest.mark.parametrize("face", [0, 1, 2])
def test_nan_is_wrong_wherever_it_stands(face):
    embeddings = np.stack([on_circle(0, 10, 180)] * 2)
    embeddings[0, face, 1] = np.nan
    assert metrics.triplet_prediction_accuracy(embeddings) == 0.5
    assert metrics.triplet_prediction_accuracy(jnp.asarray(embeddings)) == 0.5


def test_numpy_in_gives_numpy_out_and_jax_in_gives_jax_out():
    embeddings = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)
    assert isinstance(metrics.triplet_prediction_accuracy(embeddings), np.floating)
    assert isinstance(metrics.rms_pairwise_distance(embeddings[0]), np.floating)
    assert isinstance(metrics.triplet_prediction_accuracy(jnp.asarray(embeddings)), jax.Array)


@pytest.mark.parametrize("shape", [(3, 4), (2, 4, 5), (0, 3, 4)])
def test_embeddings_of_another_shape_or_none_are_refused(shape):
    with pytest.raises(ValueError, match=r"\[batch >= 1, 3, dim\]"):
        metrics.triplet_prediction_accuracy(np.zeros(shape))


def test_tpa_by_type_is_worked_by_hand():
    right = np.array([1, 1, 1, 0, 1, 0, 0, 0], bool)
    types = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    found = metrics.tpa_by_type(right, types)
    assert found["tpa"] == 0.5 and found["n_triplets"] == 8
    assert found["tpa_se"] == pytest.approx(math.sqrt(0.25 / 8))
    assert found["by_type"]["one_class"] == {
        "tpa": 0.75,
        "tpa_se": pytest.approx(math.sqrt(0.75 * 0.25 / 4)),
        "n_triplets": 4,
    }
    assert found["by_type"]["two_class"]["tpa"] == 0.25
    assert found["by_type"]["three_class"] == {"tpa": None, "tpa_se": None, "n_triplets": 0}


def test_standard_error_is_the_spread_of_repeated_evaluations():
    generator = np.random.default_rng(0)
    types = np.zeros(400, int)
    tpas = [metrics.tpa_by_type(generator.random(400) < 0.8, types)["tpa"] for _ in range(2000)]
    one = metrics.tpa_by_type(np.arange(400) < 320, types)
    assert one["tpa_se"] == pytest.approx(np.std(tpas), rel=0.06)


def test_tpa_by_type_refuses_unknown_types_and_unequal_lengths():
    with pytest.raises(ValueError, match="one_class, two_class, three_class"):
        metrics.tpa_by_type(np.ones(2, bool), np.array([0, 3]))
    with pytest.raises(ValueError, match="alike"):
        metrics.tpa_by_type(np.ones(2, bool), np.zeros(3, int))
    with pytest.raises(ValueError, match=">= 1"):
        metrics.tpa_by_type(np.ones(0, bool), np.zeros(0, int))


def test_spread_is_the_rms_of_scikit_learns_distances_between_different_embeddings():
    embeddings = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32) + 3
    distances = euclidean_distances(embeddings.astype(np.float64))
    expected = np.sqrt(np.mean(distances[~np.eye(50, dtype=bool)] ** 2))
    np.testing.assert_allclose(metrics.rms_pairwise_distance(embeddings), expected, rtol=1e-5)
    np.testing.assert_allclose(
        metrics.rms_pairwise_distance(jnp.asarray(embeddings)), expected, rtol=1e-5
    )


def test_spread_of_two_opposite_embeddings_is_two_and_of_a_collapsed_set_nothing():
    assert metrics.rms_pairwise_distance(on_circle(0, 180)) == pytest.approx(2)
    assert metrics.rms_pairwise_distance(np.repeat(on_circle(30), 9, axis=0)) == pytest.approx(
        0, abs=1e-6
    )


def test_spread_of_a_lone_embedding_is_refused():
    with pytest.raises(ValueError, match="n >= 2"):
        metrics.rms_pairwise_distance(np.ones((1, 4)))


def rater_accuracy_by_loop(votes: list[list[int]]) -> float:
    right = []
    for counts in votes:
        ballots = [face for face in range(3) for _ in range(counts[face])]
        for voter, ballot in enumerate(ballots):
            others = ballots[:voter] + ballots[voter + 1 :]
            tally = sorted((others.count(face) for face in range(3)), reverse=True)
            if tally[0] > tally[1]:
                right.append(others.count(ballot) == tally[0])
    return sum(right) / len(right) if right else math.nan


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([[0, 0, 6]], 1.0),  # each of six agrees with the other five
        (
            [[1, 0, 5]],
            5 / 6,
        ),  # the dissenter sees 0-0-5 and is wrong, the five see 1-0-4 and are right
        ([[3, 0, 3]], 0.0),  # whoever leaves makes the other side the majority
        ([[0, 2, 1]], 0.0),  # the two see 0-1-1, a tie, and are left out; the third sees 0-2-0
        ([[0, 0, 6], [1, 0, 5]], 11 / 12),
    ],
)
def test_rater_accuracy_is_worked_by_hand(votes, expected):
    assert metrics.rater_accuracy(np.array(votes)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "votes", [np.zeros((0, 3), int), np.zeros((4, 3), int), np.eye(3, dtype=int)]
)
def test_rater_accuracy_without_a_vote_to_compare_with_is_nan(votes):
    assert math.isnan(metrics.rater_accuracy(votes))


@given(st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=1, max_size=8))
def test_rater_accuracy_equals_a_loop_over_single_ballots(votes):
    found, expected = metrics.rater_accuracy(np.array(votes)), rater_accuracy_by_loop(votes)
    assert found == pytest.approx(expected, nan_ok=True)


def test_rater_accuracy_refuses_what_are_no_counts():
    with pytest.raises(ValueError, match="votes must be counts"):
        metrics.rater_accuracy(np.array([[1, -1, 0]]))
    with pytest.raises(ValueError, match="votes must be counts"):
        metrics.rater_accuracy(np.zeros((4, 2), int))
