"""Shared neighbours and rank correlation against loops and SciPy."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from imagefec.analysis import orderings

N = 60
URLS = [f"u{row // 2}" for row in range(N)]  # two faces a photograph


def embedded(seed):
    vectors = np.random.default_rng(seed).normal(size=(N, 4))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def ordered(vectors, k=4):
    return orderings.order_faces(vectors, URLS, np.arange(0, N, 3), np.arange(N), k)


def foreign(query):
    return [row for row in range(N) if URLS[row] != URLS[query]]


def naive_neighbours(vectors, query, k=4):
    return sorted(
        foreign(query), key=lambda row: (np.linalg.norm(vectors[row] - vectors[query]), row)
    )[:k]


def test_neighbours_come_from_other_photographs_nearest_first():
    vectors = embedded(0)
    found = ordered(vectors).neighbours
    assert found.tolist() == [naive_neighbours(vectors, query) for query in range(0, N, 3)]


def test_overlap_is_the_share_of_neighbours_that_both_have():
    a, b = embedded(0), embedded(0) + 0.2 * embedded(1)
    found = orderings.overlap(ordered(a), ordered(b))
    naive = [
        len(set(naive_neighbours(a, query)) & set(naive_neighbours(b, query))) / 4
        for query in range(0, N, 3)
    ]
    np.testing.assert_allclose(found, naive)
    assert 0.2 < found.mean() < 0.95
    assert (orderings.overlap(ordered(a), ordered(a)) == 1).all()


def test_rank_correlation_is_spearmans_of_each_querys_distances():
    a, b = embedded(0), embedded(0) + 0.5 * embedded(1)
    b[10:14] = b[10]  # ties
    found = orderings.rank_correlation(ordered(a), ordered(b))
    for value, query in zip(found, range(0, N, 3)):
        others = foreign(query)
        distances = [[np.linalg.norm(its[row] - its[query]) for row in others] for its in (a, b)]
        assert value == pytest.approx(spearmanr(*distances).statistic, abs=1e-5)


def test_turning_and_stretching_an_embedding_changes_no_order():
    a = embedded(0)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))[0]
    np.testing.assert_allclose(orderings.overlap(ordered(a), ordered(3 * a @ turn)), 1)
    np.testing.assert_allclose(
        orderings.rank_correlation(ordered(a), ordered(3 * a @ turn)), 1, atol=1e-5
    )


def test_faces_that_all_embed_alike_correlate_with_nothing():
    assert (orderings.rank_correlation(ordered(embedded(0)), ordered(np.ones((N, 4)))) == 0).all()


def test_the_same_faces_are_chosen_every_time_and_none_twice():
    queries, ranked = orderings.choose_faces(10_000)
    again, _ = orderings.choose_faces(10_000)
    assert queries.tolist() == again.tolist()
    assert (
        len(set(queries.tolist())) == orderings.N_QUERIES
        and len(set(ranked.tolist())) == orderings.N_RANKED
    )
    assert orderings.choose_faces(7)[0].tolist() == list(range(7))


def test_what_cannot_be_ordered_is_a_callers_bug():
    with pytest.raises(ValueError, match="finite"):
        ordered(np.full((N, 4), np.nan))
    with pytest.raises(ValueError, match="58 faces of other photographs, 59"):
        ordered(embedded(0), k=59)
