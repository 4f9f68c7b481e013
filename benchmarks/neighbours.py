"""Time per query of the searches for neighbours, and of FAISS's flat index as a peer.

    pip install faiss-cpu                  # for the peer, which is left out if it is missing
    python benchmarks/neighbours.py        # 156,000 faces, 16-d
    python benchmarks/neighbours.py --dims 64 512 --faces 40000
    python benchmarks/neighbours.py --embeddings views.npz    # vectors of your own

The searches take turns within one process. CPU ms are those of the process, so that other load on
the machine affects all alike; "x tree" is the median over the rounds of the tree's CPU time per
query divided by the search's in the same round. "same" counts the queries whose neighbours are
those of the tree, in the same order. Each query leaves itself out.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from imagefec.analysis.neighbours.search import ALGORITHMS, TREE, make_search

Rows = list[list[int]]
FAISS = "faiss flat"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=int, default=156_000, help="vectors searched")
    parser.add_argument("--dims", type=int, nargs="+", default=[16], help="their widths")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--embeddings", help=".npz with vectors [n, d], instead of --kinds")
    parser.add_argument("--queries", type=int, default=1024, help="per round, in one batch")
    parser.add_argument("--tree_queries", type=int, default=32, help="per round of the tree")
    parser.add_argument("--k", type=int, default=4, help="neighbours per query")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of one call each")
    args = parser.parse_args()
    print(
        "| vectors | d | search | ready, s CPU | ms per query | CPU ms per query | x tree | same |"
    )
    print("|---|---|---|---|---|---|---|---|")
    if args.embeddings is not None:
        vectors = unit(np.load(args.embeddings, allow_pickle=False)["vectors"])
        for row in measured(vectors, args):
            print(f"| {len(vectors):,} of the file | {vectors.shape[1]} | {row} |", flush=True)
        return
    for dim in args.dims:
        for kind in args.kinds:
            vectors = unit(KINDS[kind](np.random.default_rng(0), args.faces, dim))
            for row in measured(vectors, args):
                print(f"| {kind} | {dim} | {row} |", flush=True)


def random_vectors(random: np.random.Generator, n: int, dim: int) -> np.ndarray:
    return random.normal(size=(n, dim))


def clustered_vectors(random: np.random.Generator, n: int, dim: int) -> np.ndarray:
    """60 clusters, which help a tree."""
    centres = random.normal(size=(60, dim))
    return centres[random.integers(0, 60, n)] + 0.3 * random.normal(size=(n, dim))


KINDS = {"random": random_vectors, "clustered": clustered_vectors}


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def measured(vectors: np.ndarray, args: argparse.Namespace) -> list[str]:
    """A row of the table for each search."""
    searches: dict[str, tuple[Callable[[int], Rows], int, float]] = {}
    for name, make in makers(vectors, args.k).items():
        n = min(len(vectors), args.tree_queries if name == TREE else args.queries)
        start = time.process_time()
        query = make()
        ready_s = time.process_time() - start
        query(n)  # compiles
        searches[name] = query, n, ready_s
    wall: dict[str, list[float]] = {name: [] for name in searches}
    cpu: dict[str, list[float]] = {name: [] for name in searches}
    found: dict[str, Rows] = {}
    for _ in range(args.rounds):
        for name, (query, n, _) in searches.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            found[name] = query(n)
            wall[name].append((time.perf_counter() - start) / n * 1e3)
            cpu[name].append((time.process_time() - start_cpu) / n * 1e3)
    rows = []
    for name, (_, _, ready_s) in searches.items():
        ratio = statistics.median(t / c for t, c in zip(cpu[TREE], cpu[name]))
        same = sum(one == two for one, two in zip(found[name], found[TREE]))
        compared = min(len(found[name]), len(found[TREE]))
        rows.append(
            f"{name} | {ready_s:.1f} | {statistics.median(wall[name]):.3f} | "
            f"{statistics.median(cpu[name]):.3f} | {ratio:.1f} | {same} of {compared}"
        )
    return rows


def makers(vectors: np.ndarray, k: int) -> dict[str, Callable[[], Callable[[int], Rows]]]:
    """What makes each search; its result finds the neighbours of the first n vectors."""

    def ours(name: str) -> Callable[[], Callable[[int], Rows]]:
        def make() -> Callable[[int], Rows]:
            search = make_search(name, vectors, np.arange(len(vectors)))

            def query(n: int) -> Rows:
                itself = [np.array([row]) for row in range(n)]
                return [rows.tolist() for _, rows in search.nearest(vectors[:n], k, itself)]

            return query

        return make

    made = {name: ours(name) for name in ALGORITHMS}
    if importlib.util.find_spec("faiss") is not None:
        made[FAISS] = lambda: flat_index(vectors, k)
    return made


def flat_index(vectors: np.ndarray, k: int) -> Callable[[int], Rows]:
    import faiss

    index: Any = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors)

    def query(n: int) -> Rows:
        _, rows = index.search(vectors[:n], k + 1)
        found = ([row for row in near if row != own] for own, near in enumerate(rows.tolist()))
        return [near[:k] for near in found]

    return query


if __name__ == "__main__":
    main()
