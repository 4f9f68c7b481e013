"""Neighbour overlap and rank correlation against loops and SciPy."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from imagefec.analysis import orderings

N = 60
URLS = [f"u{row // 2}" for row in range(N)]  # two faces per photo


def embedded(seed):
    vectors = np.random.default_rng(seed).normal(size=(N, 4))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def ordered(vectors, k=4):
    return orderings.order_faces(vectors, URLS, np.arange(0, N, 3), np.arange(N), k)


def from_other_photos(query):
    return [row for row in range(N) if URLS[row] != URLS[query]]


def naive_neighbours(vectors, query, k=4):
    return sorted(
        from_other_photos(query),
        key=lambda row: (np.linalg.norm(vectors[row] - vectors[query]), row),
    )[:k]


def test_neighbours_are_from_other_photos_nearest_first():
    vectors = embedded(0)
    found = ordered(vectors).neighbours
    assert found.tolist() == [naive_neighbours(vectors, query) for query in range(0, N, 3)]


def test_neighbour_overlap_is_the_share_of_neighbours_in_both():
    a, b = embedded(0), embedded(0) + 0.2 * embedded(1)
    found = orderings.neighbour_overlap(ordered(a), ordered(b))
    naive = [
        len(set(naive_neighbours(a, query)) & set(naive_neighbours(b, query))) / 4
        for query in range(0, N, 3)
    ]
    np.testing.assert_allclose(found, naive)
    assert 0.2 < found.mean() < 0.95
    assert (orderings.neighbour_overlap(ordered(a), ordered(a)) == 1).all()


def test_rank_correlation_is_that_of_spearman_for_each_querys_distances():
    a, b = embedded(0), embedded(0) + 0.5 * embedded(1)
    b[10:14] = b[10]  # ties
    found = orderings.rank_correlation(ordered(a), ordered(b))
    for value, query in zip(found, range(0, N, 3)):
        others = from_other_photos(query)
        distances = [
            [np.linalg.norm(vectors[row] - vectors[query]) for row in others] for vectors in (a, b)
        ]
        assert value == pytest.approx(spearmanr(*distances).statistic, abs=1e-5)


def test_rotating_and_scaling_an_embedding_changes_no_order():
    a = embedded(0)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))[0]
    np.testing.assert_allclose(
        orderings.neighbour_overlap(ordered(a), ordered(3 * a @ rotation)), 1
    )
    np.testing.assert_allclose(
        orderings.rank_correlation(ordered(a), ordered(3 * a @ rotation)), 1, atol=1e-5
    )


def test_equal_embeddings_of_all_faces_have_correlation_0():
    assert (orderings.rank_correlation(ordered(embedded(0)), ordered(np.ones((N, 4)))) == 0).all()


def test_the_chosen_faces_are_reproducible_and_distinct():
    queries, ranked = orderings.choose_faces(10_000)
    again, _ = orderings.choose_faces(10_000)
    assert queries.tolist() == again.tolist()
    assert (
        len(set(queries.tolist())) == orderings.N_QUERIES
        and len(set(ranked.tolist())) == orderings.N_RANKED
    )
    assert orderings.choose_faces(7)[0].tolist() == list(range(7))


def test_embeddings_that_are_not_finite_and_too_large_a_k_raise_value_error():
    with pytest.raises(ValueError, match="finite"):
        ordered(np.full((N, 4), np.nan))
    with pytest.raises(ValueError, match="58 for query 0; found 59"):
        ordered(embedded(0), k=59)
