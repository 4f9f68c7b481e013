"""The measure of invariance on embedders with known results, and on a run."""

import itertools

import numpy as np
import pytest

from imagefec.analysis.invariance import augmentation_invariance

NO_CHANGE = {"crop": 0.0, "flip": 0.0, "brightness": 0.0, "contrast": 0.0}


class MeanColour:
    """Embeds a face as its mean colour: flipping has no effect, brightness scales it."""

    def embed(self, faces):
        return faces.reshape(len(faces), -1, 3).mean(axis=1).astype(np.float32)


@pytest.fixture
def faces():
    return np.random.default_rng(0).integers(0, 200, (40, 1, 1, 3), np.uint8) * np.ones(
        (1, 16, 16, 1), np.uint8
    )


def naive_distance(vectors):
    return np.mean(
        [np.linalg.norm(a - b) for a, b in itertools.combinations(vectors.astype(float), 2)]
    )


def test_without_augmentation_two_views_are_equal(faces):
    found = augmentation_invariance(MeanColour(), faces, NO_CHANGE)
    assert (
        found["view_distance"]
        == found["relative_view_distance"]
        == found["relative_view_distance_se"]
        == 0
    )
    assert (
        found["face_distance"] == pytest.approx(naive_distance(MeanColour().embed(faces)))
        and found["n_faces"] == 40
    )


def test_augmentation_that_the_embedding_ignores_has_view_distance_0(faces):
    found = augmentation_invariance(MeanColour(), faces, {**NO_CHANGE, "flip": 0.5, "crop": 0.2})
    assert found["relative_view_distance"] == pytest.approx(0, abs=1e-6)


def test_the_ratio_is_proportional_to_the_ranges_and_has_the_error_of_a_mean(faces):
    small, large = (
        augmentation_invariance(MeanColour(), faces, {**NO_CHANGE, "brightness": size})
        for size in (0.1, 0.3)
    )
    # Two factors, uniform in 1 +- b, differ by 2 b / 3 on average.
    lengths = np.linalg.norm(MeanColour().embed(faces), axis=1)
    assert small["view_distance"] == pytest.approx(lengths.mean() * 0.2 / 3, rel=0.35)
    assert large["relative_view_distance"] == pytest.approx(
        3 * small["relative_view_distance"], rel=0.1
    )
    assert small["relative_view_distance"] == pytest.approx(
        small["view_distance"] / small["face_distance"]
    )
    assert 0 < small["relative_view_distance_se"] < 0.3 * small["relative_view_distance"]


def test_the_same_seed_gives_the_same_views_of_at_most_n_faces(faces):
    found = [
        augmentation_invariance(MeanColour(), faces, n_faces=20, seed=seed) for seed in (1, 1, 2)
    ]
    assert found[0] == found[1] != found[2] and found[0]["n_faces"] == 20


def test_a_collapsed_embedding_has_no_ratio(faces):
    class Collapsed:
        def embed(self, faces):
            return np.ones((len(faces), 2), np.float32)

    found = augmentation_invariance(Collapsed(), faces)
    assert found["relative_view_distance"] is None and found["relative_view_distance_se"] is None
    with pytest.raises(ValueError, match=r"n >= 2.*found 1 faces"):
        augmentation_invariance(Collapsed(), faces[:1])


def test_a_run_sees_views_at_its_own_size(embedder, data):
    found = augmentation_invariance(embedder, data.faces)
    assert 0 < found["relative_view_distance"] < 2 and found["n_faces"] == len(data.faces)
