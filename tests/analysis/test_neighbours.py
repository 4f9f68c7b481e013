"""The neighbour index against brute force; ties, exclusions, limits and errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import pairwise_distances

from imagefec.analysis.neighbours import (
    Neighbour,
    NeighbourIndex,
    neighbours_from_other_photos,
)
from imagefec.errors import UserError


def unit_vectors(n, dim, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def brute_force(vectors, queries, k, max_distance, excluded):
    """Ordered by (distance, row), from scikit-learn's matrix of all distances."""
    found = []
    for distances, out in zip(
        pairwise_distances(queries.astype(float), vectors.astype(float)), excluded
    ):
        rows = [row for row in np.lexsort((np.arange(len(vectors)), distances)) if row not in out]
        found.append([row for row in rows[:k] if distances[row] <= max_distance])
    return found


def rows_of(found):
    return [[near.row for near in neighbours] for neighbours in found]


@pytest.mark.parametrize("dim", [2, 16])
def test_neighbours_are_those_of_brute_force(dim):
    vectors, queries = unit_vectors(500, dim), unit_vectors(40, dim, seed=1)
    found = NeighbourIndex(vectors, range(500)).query(queries, k=7, max_distance=0.9)
    assert rows_of(found) == brute_force(vectors, queries, 7, 0.9, [set()] * 40)
    table = pairwise_distances(queries.astype(float), vectors.astype(float))
    for query, neighbours in enumerate(found):
        np.testing.assert_allclose(
            [near.distance for near in neighbours],
            table[query, [near.row for near in neighbours]],
            atol=1e-7,
        )


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_ties_exclusions_and_limits_together_are_those_of_brute_force(data):
    # On a grid many distances are equal, bit for bit in both computations.
    n = data.draw(st.integers(1, 30))
    grid = st.lists(st.integers(-2, 2), min_size=2, max_size=2)
    vectors = np.array(data.draw(st.lists(grid, min_size=n, max_size=n)), float)
    queries = np.array(data.draw(st.lists(grid, min_size=1, max_size=4)), float)
    excluded = [data.draw(st.sets(st.integers(0, n - 1))) for _ in queries]
    k = data.draw(st.integers(1, n))
    limit = data.draw(st.sampled_from([0.0, 1.0, 1.77, np.inf]))
    table = np.sqrt(((queries[:, None] - vectors[None]) ** 2).sum(2))
    expected = []
    for distances, out in zip(table, excluded):
        order = sorted((d, row) for row, d in enumerate(distances) if row not in out)[:k]
        expected.append([row for d, row in order if d <= limit])
    found = NeighbourIndex(vectors, range(n)).query(queries, k, limit, exclude=excluded)
    assert rows_of(found) == expected


def test_the_next_nearest_face_replaces_an_excluded_one():
    vectors = np.array([[0.0], [0.1], [0.3], [0.6]])
    index = NeighbourIndex(vectors, ["a", "b", "c", "d"])
    [found] = index.query(vectors[:1], k=2, exclude=[{"a", "c", "not in the index"}])
    assert [near.id for near in found] == ["b", "d"]
    assert found[0] == Neighbour("b", 1, pytest.approx(0.1))


def test_the_query_itself_is_found_unless_it_is_excluded():
    vectors = unit_vectors(10, 4)
    found = NeighbourIndex(vectors, range(10)).query(vectors, k=1)
    assert rows_of(found) == [[row] for row in range(10)]
    assert [near.distance for [near] in found] == [0.0] * 10


def test_the_maximum_distance_is_inclusive():
    index = NeighbourIndex(np.array([[1.0, 0.0], [-1.0, 0.0]]), ["near", "opposite"])
    here = np.array([[1.0, 0.0]])
    assert [near.id for near in index.query(here, k=2)[0]] == ["near"]  # 1.77 by default
    assert index.query(here, k=2, exclude=[["near"]]) == [[]]
    assert [near.distance for near in index.query(here, k=2, max_distance=2.0)[0]] == [0.0, 2.0]
    assert len(index.query(here, k=2, max_distance=None)[0]) == 2


def test_a_collapsed_run_gives_neighbours_in_the_order_of_rows():
    vectors = np.tile(unit_vectors(1, 8), (100, 1))
    found = NeighbourIndex(vectors, range(100)).query(vectors[:2], k=3, exclude=[[0], [0, 1]])
    assert rows_of(found) == [[1, 2, 3], [2, 3, 4]]


def test_no_queries_give_no_results():
    assert NeighbourIndex(unit_vectors(3, 4), "abc").query(np.zeros((0, 4)), k=3) == []


@pytest.mark.parametrize("k", [0, -1, 4])
def test_a_k_that_the_index_cannot_give_is_refused(k):
    index = NeighbourIndex(unit_vectors(3, 4), "abc")
    with pytest.raises(UserError, match=f"k = {k} neighbours: it must be 1 to 3"):
        index.query(index.vectors, k)


@pytest.mark.parametrize("limit", [-0.1, float("nan")])
def test_a_negative_or_nan_limit_is_refused(limit):
    index = NeighbourIndex(unit_vectors(3, 4), "abc")
    with pytest.raises(UserError, match="must be 0 or more"):
        index.query(index.vectors, 1, limit)


@pytest.mark.parametrize(
    ("vectors", "ids", "text"),
    [
        (np.zeros((2, 3)), ["a", "a"], "distinct, found 1 repeated"),
        (np.zeros((2, 3)), ["a"], "found 2 vectors and 1 ids"),
        (np.zeros((0, 3)), [], "n >= 1"),
        (np.zeros(3), ["a"], "finite"),
        (np.array([[np.nan]]), ["a"], "finite"),
    ],
)
def test_an_index_of_invalid_vectors_or_ids_raises_value_error(vectors, ids, text):
    with pytest.raises(ValueError, match=text):
        NeighbourIndex(vectors, ids)


def test_queries_of_another_shape_raise_value_error():
    index = NeighbourIndex(unit_vectors(3, 4), "abc")
    with pytest.raises(ValueError, match=r"\[q, 4\] like the index, found \(1, 5\)"):
        index.query(np.zeros((1, 5)), 1)
    with pytest.raises(ValueError, match="one collection per query, found 1 for 2"):
        index.query(np.zeros((2, 4)), 1, exclude=[["a"]])


@pytest.mark.parametrize("max_distance", [None, 0.8])
def test_neighbours_from_other_photos_are_those_of_brute_force(max_distance):
    vectors, photos = unit_vectors(90, 4), [f"u{row // 3}" for row in range(90)]
    candidates, queries = np.flatnonzero(np.arange(90) % 7), [0, 1, 44, 89]
    found = neighbours_from_other_photos(vectors, photos, queries, 5, max_distance, candidates)
    table = pairwise_distances(vectors.astype(float))
    for query, nearest in zip(queries, found):
        others = [row for row in candidates if photos[row] != photos[query]]
        others = sorted(others, key=lambda row: (table[query, row], row))[:5]
        limit = np.inf if max_distance is None else max_distance
        expected = [row for row in others if table[query, row] <= limit]
        assert [row for row, _ in nearest] == expected
        np.testing.assert_allclose(
            [distance for _, distance in nearest], table[query, expected], atol=1e-7
        )
