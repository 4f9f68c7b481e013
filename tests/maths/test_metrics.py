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
    n_correct = 0
    for triplet in embeddings:
        d = euclidean_distances(triplet.astype(np.float64))
        n_correct += d[0, 1] < d[0, 2] and d[0, 1] < d[1, 2]
    return n_correct / len(embeddings)


def test_a_triplet_is_correct_only_if_the_alike_pair_is_closest_of_all_three():
    correct = on_circle(0, 10, 180)
    odd_near_the_first = on_circle(0, 40, -10)
    odd_near_the_second = on_circle(0, 40, 50)
    embeddings = np.stack([correct, correct, odd_near_the_first, odd_near_the_second])
    assert metrics.triplet_prediction_accuracy(embeddings) == 0.5


def test_tpa_equals_a_naive_loop_over_scikit_learns_distances():
    embeddings = np.random.default_rng(0).normal(size=(500, 3, 4)).astype(np.float32)
    expected = tpa_by_loop(embeddings)
    assert 0.2 < expected < 0.5
    np.testing.assert_allclose(metrics.triplet_prediction_accuracy(embeddings), expected, rtol=1e-6)
    np.testing.assert_allclose(
        jax.jit(metrics.triplet_prediction_accuracy)(embeddings), expected, rtol=1e-6
    )


def test_ties_are_wrong_so_a_collapsed_model_has_tpa_0():
    assert metrics.triplet_prediction_accuracy(np.ones((10, 3, 4), np.float32)) == 0
    one_tie = np.array([[[0.0], [1.0], [-1.0]]], np.float32)  # d12 = d13 = 1 < d23 = 2
    assert metrics.triplet_prediction_accuracy(one_tie) == 0


@pytest.mark.parametrize("face", [0, 1, 2])
def test_nan_in_any_face_is_wrong(face):
    embeddings = np.stack([on_circle(0, 10, 180)] * 2)
    embeddings[0, face, 1] = np.nan
    assert metrics.triplet_prediction_accuracy(embeddings) == 0.5
    assert metrics.triplet_prediction_accuracy(jnp.asarray(embeddings)) == 0.5


def test_numpy_arrays_give_numpy_results_and_jax_arrays_jax_results():
    embeddings = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)
    assert isinstance(metrics.triplet_prediction_accuracy(embeddings), np.floating)
    assert isinstance(metrics.rms_pairwise_distance(embeddings[0]), np.floating)
    assert isinstance(metrics.triplet_prediction_accuracy(jnp.asarray(embeddings)), jax.Array)


@pytest.mark.parametrize("shape", [(3, 4), (2, 4, 5), (0, 3, 4)])
def test_embeddings_of_another_shape_or_none_are_refused(shape):
    with pytest.raises(ValueError, match=r"\[batch >= 1, 3, dim\]"):
        metrics.triplet_prediction_accuracy(np.zeros(shape))


def test_tpa_by_type_equals_values_worked_by_hand():
    correct = np.array([1, 1, 1, 0, 1, 0, 0, 0], bool)
    types = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    found = metrics.tpa_by_type(correct, types)
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
    single = metrics.tpa_by_type(np.arange(400) < 320, types)
    assert single["tpa_se"] == pytest.approx(np.std(tpas), rel=0.06)


def test_the_clustered_error_is_present_only_with_clusters():
    correct = np.array([1, 0, 1, 1], bool)
    clusters = np.array([[0, 1, 2], [0, 3, 4], [5, 6, 7], [8, 9, 10]])
    plain = metrics.tpa_with_errors(correct)
    assert plain == {"tpa": 0.75, "tpa_se": math.sqrt(0.75 * 0.25 / 4), "n_triplets": 4}
    # Residuals 1/4, -3/4, 1/4, 1/4; triplets 0 and 1 share a photo: 12/16 - 2 * 3/16 = 6/16 is less
    # than the 12/16 of independent triplets, which is the lower bound.
    clustered = metrics.tpa_with_errors(correct, clusters)
    assert clustered == {**plain, "tpa_se_clustered": pytest.approx(math.sqrt(12 / 16 / 12))}
    # Triplets 2 and 3, both correct, share a photo: 12/16 + 2 * 1/16.
    clusters[3, 0] = 5
    clusters[1, 0] = 11
    clustered = metrics.tpa_with_errors(correct, clusters)
    assert clustered["tpa_se_clustered"] == pytest.approx(math.sqrt(14 / 16 / 12))


def test_a_type_has_the_errors_of_its_own_triplets():
    random = np.random.default_rng(0)
    correct, types = random.random(60) < 0.6, random.integers(-1, 3, 60)
    clusters = random.integers(0, 20, (60, 3))
    found = metrics.tpa_by_type(correct, types, clusters)
    assert found == {**metrics.tpa_with_errors(correct, clusters), "by_type": found["by_type"]}
    for code, part in enumerate(found["by_type"].values()):
        own = types == code
        assert part == metrics.tpa_with_errors(correct[own], clusters[own])


def test_undefined_errors_are_none():
    nothing = metrics.tpa_with_errors(np.zeros(0, bool), np.zeros((0, 3), int))
    assert nothing == {"tpa": None, "tpa_se": None, "tpa_se_clustered": None, "n_triplets": 0}
    single = metrics.tpa_with_errors(np.ones(1, bool), np.zeros((1, 3), int))
    assert (single["tpa"], single["tpa_se"], single["tpa_se_clustered"]) == (1, 0, None)


def test_tpa_by_type_refuses_unknown_types_and_unequal_lengths():
    with pytest.raises(ValueError, match="one_class, two_class, three_class"):
        metrics.tpa_by_type(np.ones(2, bool), np.array([0, 3]))
    with pytest.raises(ValueError, match="must both be"):
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


def test_spread_of_two_opposite_embeddings_is_2_and_that_of_a_collapsed_set_is_0():
    assert metrics.rms_pairwise_distance(on_circle(0, 180)) == pytest.approx(2)
    assert metrics.rms_pairwise_distance(np.repeat(on_circle(30), 9, axis=0)) == pytest.approx(
        0, abs=1e-6
    )


def test_spread_of_a_single_embedding_is_refused():
    with pytest.raises(ValueError, match="n >= 2"):
        metrics.rms_pairwise_distance(np.ones((1, 4)))


def human_accuracy_by_loop(votes: list[list[int]]) -> float:
    correct = []
    for counts in votes:
        ballots = [face for face in range(3) for _ in range(counts[face])]
        for voter, ballot in enumerate(ballots):
            others = ballots[:voter] + ballots[voter + 1 :]
            tally = sorted((others.count(face) for face in range(3)), reverse=True)
            if tally[0] > tally[1]:
                correct.append(others.count(ballot) == tally[0])
    return sum(correct) / len(correct) if correct else math.nan


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([[0, 0, 6]], 1.0),  # each of six agrees with the other five
        # The dissenter is compared with 0-0-5 and wrong, the five with 1-0-4 and correct.
        ([[1, 0, 5]], 5 / 6),
        ([[3, 0, 3]], 0.0),  # without any one rater, the other side is the majority
        # Two are compared with 0-1-1, a tie, and not counted; the third with 0-2-0.
        ([[0, 2, 1]], 0.0),
        ([[0, 0, 6], [1, 0, 5]], 11 / 12),
    ],
)
def test_human_accuracy_equals_values_worked_by_hand(votes, expected):
    assert metrics.leave_one_out_human_accuracy(np.array(votes)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "votes", [np.zeros((0, 3), int), np.zeros((4, 3), int), np.eye(3, dtype=int)]
)
def test_human_accuracy_without_a_vote_to_compare_with_is_nan(votes):
    assert math.isnan(metrics.leave_one_out_human_accuracy(votes))


@given(st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=1, max_size=8))
def test_human_accuracy_equals_a_loop_over_single_ballots(votes):
    found, expected = (
        metrics.leave_one_out_human_accuracy(np.array(votes)),
        human_accuracy_by_loop(votes),
    )
    assert found == pytest.approx(expected, nan_ok=True)


def test_human_accuracy_refuses_anything_but_counts():
    with pytest.raises(ValueError, match=r"vote_counts must be \[triplets, 3\], counts >= 0"):
        metrics.leave_one_out_human_accuracy(np.array([[1, -1, 0]]))
    with pytest.raises(ValueError, match=r"vote_counts must be \[triplets, 3\], counts >= 0"):
        metrics.leave_one_out_human_accuracy(np.zeros((4, 2), int))
