"""Both searches against a naive comparison with every vector: ties, sizes, exclusions, blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagefec.analysis.neighbours import NeighbourIndex, neighbours_from_other_photos
from imagefec.analysis.neighbours import product as product_module
from imagefec.analysis.neighbours.product import BLOCK, ProductSearch
from imagefec.analysis.neighbours.tree import TreeSearch
from imagefec.errors import UserError


def naive(vectors, places, query, k, excluded):
    """(distance, row) of the nearest, by Python's sort."""
    distances = [float(np.sqrt(((v.astype(float) - query) ** 2).sum())) for v in vectors]
    rows = [row for row in range(len(vectors)) if row not in set(excluded)]
    rows.sort(key=lambda row: (distances[row], places[row]))
    return [(distances[row], row) for row in rows[:k]]


def answers(search, queries, k, excluded):
    found = search.nearest(queries, k, [np.array(out, np.int64) for out in excluded])
    return [list(zip(distances.tolist(), rows.tolist())) for distances, rows in found]


@pytest.fixture
def in_blocks(monkeypatch):
    """Few vectors are searched in blocks, too."""
    monkeypatch.setattr(product_module, "_SMALL", 0)


def in_blocks_always():
    patch = pytest.MonkeyPatch()
    patch.setattr(product_module, "_SMALL", 0)
    return patch


def check(vectors, queries, k, excluded, places=None):
    places = np.arange(len(vectors)) if places is None else places
    expected = [
        naive(vectors, places, query, k, out) for query, out in zip(queries.astype(float), excluded)
    ]
    for search in (TreeSearch, ProductSearch):
        assert answers(search(vectors, places), queries, k, excluded) == expected, search


KINDS = {
    "random": lambda random, n: random.normal(size=(n, 5)),
    "collapsed": lambda random, n: 3 + 1e-9 * random.normal(size=(n, 5)),
    "one point": lambda random, n: np.tile(random.normal(size=(1, 5)), (n, 1)),
    "grid": lambda random, n: random.integers(-1, 2, size=(n, 5)).astype(float),
    "duplicates": lambda random, n: random.normal(size=(n // 9 + 1, 5))[
        np.arange(n) % (n // 9 + 1)
    ],
    "huge and tiny": lambda random, n: (
        random.normal(size=(n, 5)) * 10.0 ** random.integers(-99, 99, size=(n, 1))
    ),
    "tiny": lambda random, n: 1e-162 * random.integers(-3, 4, size=(n, 5)),
    "zeros": lambda _, n: np.zeros((n, 5)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_searches_give_the_same_bits_as_a_naive_comparison(in_blocks, kind, dtype):
    if dtype == np.float32 and kind in ("huge and tiny", "tiny"):
        pytest.skip("float32 has no such numbers")
    random = np.random.default_rng(7)
    vectors = KINDS[kind](random, 450).astype(dtype)
    far = KINDS[kind](random, 2).astype(dtype) * 3
    queries = np.concatenate([vectors[:4], vectors[:2] + vectors[5:7], far])
    excluded = [[0], [], [2, 3, 4, 449], range(0, 450, 3), range(100), [], [1], range(430)]
    for k in (1, 4, 7):
        check(vectors, queries, k, excluded)
    check(vectors, queries, 450, excluded, places=random.permutation(450))


@settings(max_examples=40)
@given(st.data())
def test_few_vectors_with_many_ties_in_blocks_are_those_of_a_naive_comparison(data):
    patch = in_blocks_always()
    try:
        n = data.draw(st.integers(1, 3 * BLOCK))
        number = st.sampled_from([0.0, 1.0, -1.0, 1e-30, 1e30, 1 + 1e-12, 3e-170])
        pool = data.draw(st.lists(st.tuples(number, number), min_size=1, max_size=8))
        picks = data.draw(st.lists(st.integers(0, len(pool) - 1), min_size=n, max_size=n))
        vectors = np.array(pool)[picks]
        queries = np.array(data.draw(st.lists(st.sampled_from(pool), min_size=1, max_size=3)))
        excluded = [data.draw(st.sets(st.integers(0, n - 1), max_size=9)) for _ in queries]
        k = data.draw(st.one_of(st.just(n), st.integers(1, n)))
        places = np.random.default_rng(data.draw(st.integers(0, 9))).permutation(n)
        check(vectors, queries, k, [sorted(out) for out in excluded], places)
    finally:
        patch.undo()


def test_only_few_candidates_are_compared_in_float64():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(20_000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    search = ProductSearch(vectors, np.arange(20_000))
    counts = [len(rows) for rows in search._candidates(vectors[:50].astype(float), np.full(50, 5))]
    assert 5 * BLOCK <= np.median(counts) <= 7 * BLOCK


@pytest.mark.parametrize("n", [BLOCK - 1, BLOCK, 1023, 1024, 1025, 1024 + BLOCK + 1])
def test_numbers_of_vectors_around_blocks_and_chunks_lose_none(in_blocks, n):
    vectors = np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32)
    search = ProductSearch(vectors, np.arange(n))
    found = answers(search, vectors, 1, [[]] * n)
    assert found == [[(0.0, row)] for row in range(n)]


def test_more_queries_than_a_chunk_get_the_answers_of_each_alone(in_blocks):
    vectors = np.random.default_rng(2).normal(size=(1500, 4)).astype(np.float32)
    for search in (TreeSearch, ProductSearch):
        made = search(vectors, np.arange(1500))
        together = answers(made, vectors, 3, [[row] for row in range(1500)])
        for row in (0, 255, 256, 1023, 1024, 1499):
            assert answers(made, vectors[row : row + 1], 3, [[row]]) == [together[row]]


@pytest.mark.parametrize("algorithm", ["tree", "product"])
def test_equal_distances_are_in_the_order_of_ids_whatever_the_order_of_faces(algorithm):
    ids, vectors = ["d", "b", "a", "c"], np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    order = [2, 0, 3, 1]
    for rows in (range(4), order):
        index = NeighbourIndex(vectors[rows], [ids[row] for row in rows], algorithm)
        [found] = index.query(np.zeros((1, 2)), k=3)
        assert [near.id for near in found] == ["a", "b", "c"]


@pytest.mark.parametrize("algorithm", ["tree", "product"])
def test_faces_of_other_photos_are_the_same_with_either_search(in_blocks, algorithm):
    vectors = np.random.default_rng(3).normal(size=(300, 4)).astype(np.float32)
    photos = [row // 4 for row in range(300)]
    found = neighbours_from_other_photos(vectors, photos, range(300), 5, algorithm=algorithm)
    for row, nearest in enumerate(found):
        same = [other for other in range(300) if photos[other] == photos[row]]
        expected = naive(vectors, range(300), vectors[row].astype(float), 5, same)
        assert [(distance, near) for near, distance in nearest] == expected


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(UserError, match="algorithm = 'ball': allowed are tree and product"):
        NeighbourIndex(np.zeros((1, 2)), ["a"], "ball")


@pytest.mark.slow
@pytest.mark.parametrize("dim", [16, 512])
def test_at_the_size_of_fec_both_searches_give_the_same_bits(dim):
    random = np.random.default_rng(dim)
    n = 156_000 if dim == 16 else 30_000
    vectors = random.normal(size=(n, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[1000:1100] = vectors[:100]
    out = [[row] for row in range(64)]
    tree = answers(TreeSearch(vectors, np.arange(n)), vectors[:64], 5, out)
    assert answers(ProductSearch(vectors, np.arange(n)), vectors[:64], 5, out) == tree
