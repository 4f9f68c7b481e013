"""Places of vectors in a plane, and how well they keep neighbours."""

import sys

import numpy as np
import pytest
from sklearn import manifold
from sklearn.metrics import pairwise_distances

from imagefec.analysis.map import projection, quality
from imagefec.analysis.map.projection import check_method, project
from imagefec.errors import UserError


def clusters(n_each, d=5, seed=0):
    """Two clouds, far apart."""
    random = np.random.default_rng(seed)
    cloud = random.normal(size=(2, n_each, d))
    cloud[1] += 50
    return cloud.reshape(2 * n_each, d).astype(np.float32)


@pytest.mark.parametrize("k", [1, 5, 12])
def test_trustworthiness_equals_that_of_scikit_learn(k):
    random = np.random.default_rng(k)
    vectors, points = random.normal(size=(40, 6)), random.normal(size=(40, 2))
    expected = manifold.trustworthiness(vectors, points, n_neighbors=k)
    np.testing.assert_allclose(quality.trustworthiness(vectors, points, k), expected, rtol=1e-12)


def test_trustworthiness_of_a_sample_is_near_that_of_all():
    vectors = np.random.default_rng(0).normal(size=(600, 4))
    points = vectors[:, :2]
    every = quality.trustworthiness(vectors, points, 5)
    assert quality.trustworthiness(vectors, points, 5, max_queries=200) == pytest.approx(
        every, abs=0.02
    )


def test_a_map_that_keeps_all_neighbours_has_trustworthiness_1():
    points = np.random.default_rng(0).normal(size=(30, 2))
    assert quality.trustworthiness(points, 3 * points) == 1
    assert quality.trustworthiness(points[:3], points[:3]) is None  # no neighbourhoods


def test_pca_keeps_distances_of_vectors_in_a_plane():
    flat = np.random.default_rng(2).normal(size=(20, 2))
    axes = np.linalg.qr(np.random.default_rng(1).normal(size=(7, 2)))[0].T  # orthonormal rows
    found = project(flat @ axes + 3, "pca")
    shown, expected = pairwise_distances(found.points), pairwise_distances(flat)
    np.testing.assert_allclose(shown / shown.max(), expected / expected.max(), atol=1e-5)
    assert np.ptp(found.points, axis=0).max() == pytest.approx(2)
    assert found.explained == pytest.approx(1) and found.trustworthiness > 0.999


def test_explained_variance_is_the_share_of_the_two_largest_axes():
    signs = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    found = project(signs * [3.0, 2.0, 1.0], "pca")  # variances 9, 4, 1
    assert found.explained == pytest.approx(13 / 14)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_the_same_input_gives_the_same_map_and_clouds_stay_apart(method):
    vectors = clusters(20)
    first, second = project(vectors, method, 3), project(vectors.copy(), method, 3)
    np.testing.assert_array_equal(first.points, second.points)
    assert first.method == method and np.abs(first.points).max() <= 1.0001
    apart = pairwise_distances(first.points)
    assert apart[:20, :20].max() < apart[:20, 20:].min()
    assert (first.explained is None) == (method == "tsne")


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_few_faces_are_placed_apart(n, method):
    found = project(np.eye(6, dtype=np.float32)[:n], method)
    assert found.points.shape == (n, 2) and np.isfinite(found.points).all()
    assert len(np.unique(found.points, axis=0)) == n
    assert found.method == (method if n >= 4 else "pca")
    assert (found.trustworthiness is None) == (n < 4)


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize(
    "vectors",
    [
        np.arange(12.0)[:, None],  # one number each
        np.repeat(np.eye(3), 4, axis=0),  # each four times
        np.outer(np.arange(12), [1.0, 2.0, 3.0]),  # on a line
        np.random.default_rng(0).normal(size=(12, 4)) * 1e100,
        np.random.default_rng(0).normal(size=(12, 4)) * 1e-200,
    ],
    ids=["one number", "repeated", "line", "huge", "tiny"],
)
def test_odd_vectors_get_finite_places(vectors, method):
    found = project(vectors, method)
    assert np.isfinite(found.points).all() and np.ptp(found.points, axis=0).max() == pytest.approx(
        2
    )
    assert 0 <= found.trustworthiness <= 1


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_equal_vectors_have_one_place(method):
    found = project(np.full((7, 3), 0.4, np.float32), method)
    assert found.all_equal and (found.points == 0).all()
    assert found.trustworthiness is None and found.explained is None


@pytest.mark.parametrize(
    "vectors", [[[np.nan, 1.0]], [[np.inf, 1.0]], [1.0, 2.0], np.zeros((0, 3))]
)
def test_what_is_no_finite_table_is_refused(vectors):
    with pytest.raises(ValueError, match="finite"):
        project(np.array(vectors), "pca")


def test_umap_that_is_not_installed_is_one_sentence_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(UserError, match=r"pip install 'imagefec\[umap\]'"):
        check_method("umap")


def test_an_unknown_method_is_refused():
    with pytest.raises(UserError, match="'isomap': allowed are tsne, umap, pca"):
        check_method("isomap")


@pytest.mark.slow  # numba compiles for a minute
@pytest.mark.parametrize("n_each", [2, 20])
def test_umap_places_clouds_apart_and_the_same_at_each_call(n_each):
    pytest.importorskip("umap")
    vectors = clusters(n_each)
    found = project(vectors, "umap", 1)
    np.testing.assert_array_equal(found.points, project(vectors, "umap", 1).points)
    assert found.method == "umap"
    if n_each > 15:
        apart = pairwise_distances(found.points)
        assert apart[:n_each, :n_each].max() < apart[:n_each, n_each:].min()


def test_methods_are_those_of_the_flag():
    assert projection.METHODS == ("tsne", "umap", "pca")
