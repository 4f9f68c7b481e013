"""An index of embeddings by id, queried for the nearest ones; its file is in index_file.py."""

import os
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imagefec.analysis.neighbours import checks, index_file
from imagefec.analysis.neighbours.checks import MAX_DISTANCE, check_k, check_max_distance
from imagefec.analysis.neighbours.search import TREE, Search, check_algorithm, make_search
from imagefec.errors import UserError
from imagefec.model.embedding.run_identity import RunIdentity


@dataclass(frozen=True)
class Neighbour:
    """A face near a query: its id, its row in the index, and the Euclidean distance."""

    id: Hashable
    row: int
    distance: float


class NeighbourIndex:
    """Embeddings, queried for the nearest ones.

    Results equal those of a comparison with every vector in float64, whatever the algorithm. Equal
    distances are in the order of the ids, so results do not depend on the order of the faces.
    Several threads may query one index, but none may append at the same time.

    Attributes:
      vectors: float32 or float64 [n, d].
      ids: n ids, in the order of `vectors`: texts or whole numbers.
      algorithm: of the search.
      run: the run that made the vectors; None if unknown.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        ids: Sequence[Hashable],
        algorithm: str = TREE,
        run: RunIdentity | None = None,
    ) -> None:
        """Makes an index.

        Args:
          vectors: float [n, d], n >= 1, finite, values of at most 1e100.
          ids: n distinct ids, usually face ids: all texts or all whole numbers.
          algorithm: "tree", a k-d tree as in the original design; or "product", products of
            matrices: faster for many queries, for many dimensions and on an accelerator.
          run: the run that made the vectors (`Embedder.identity`).

        Raises:
          ValueError: shapes do not match, a vector is not finite, or an id is repeated.
          UserError: there is no such algorithm.
        """
        check_algorithm(algorithm)
        self.vectors = checks.checked_vectors(vectors)
        if len(self.vectors) == 0:
            raise ValueError(f"vectors must be [n >= 1, d], found {self.vectors.shape}")
        self.ids: list[str] | list[int] = checks.checked_ids(ids, len(self.vectors))
        self.algorithm, self.run = algorithm, run
        self._row_of: dict[Hashable, int] = {each: row for row, each in enumerate(self.ids)}
        self._search: Search | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        n, dim = self.vectors.shape
        run = f", run={self.run}" if self.run else ""
        return f"<NeighbourIndex of {n:,} faces, {dim}-d, {self.algorithm}{run}>"

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], algorithm: str = TREE, run: RunIdentity | None = None
    ) -> "NeighbourIndex":
        """Reads an index.

        Args:
          path: file that `save` wrote.
          algorithm: as in `NeighbourIndex`.
          run: the run whose vectors will be the queries; None not to check it.

        Raises:
          UserError: the file is missing, damaged or no index; or it is of another run.
        """
        check_algorithm(algorithm)
        vectors, ids, of_run = index_file.read(path)
        try:
            index = cls(vectors, ids, algorithm, of_run)
        except ValueError as error:
            raise UserError(f"{path}: a damaged index: {error}. Make the index again.") from None
        if run is not None:
            index.check_run(run, str(path))
        return index

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the index as .npz, atomically; `evaluate` and others read it as a file of vectors.

        Returns:
          The path.

        Raises:
          UserError: the path does not end in .npz or cannot be written.
          ValueError: an id cannot be stored: a text ends in a zero character, or a number has more
            than 64 bits.
        """
        return index_file.write(path, self.vectors, self.ids, self.run)

    def append(
        self, vectors: np.ndarray, ids: Sequence[Hashable], run: RunIdentity | None = None
    ) -> None:
        """Adds faces. If it raises, the index is as before.

        Args:
          vectors: float [m, d], finite.
          ids: m ids of the same kind as those of the index, which it does not have yet.
          run: the run that made the vectors; required if the index has one.

        Raises:
          UserError: the vectors are of another run or width, or the index has one of the ids.
          ValueError: as for `NeighbourIndex`.
        """
        self.check_run(run)
        vectors = checks.checked_vectors(vectors)
        if vectors.shape[1] != self.vectors.shape[1]:
            raise UserError(
                f"vectors to append are {vectors.shape[1]}-d and those of the index "
                f"{self.vectors.shape[1]}-d, so they are of another run. Make a new index."
            )
        new = checks.checked_ids(ids, len(vectors))
        if known := [each for each in new if each in self._row_of]:
            raise UserError(
                f"the index already has {len(known)} of the {len(new)} ids to append, such as "
                f"{known[0]!r}. Leave these faces out, or make a new index."
            )
        both = NeighbourIndex(
            np.concatenate([self.vectors, vectors]), [*self.ids, *new], self.algorithm, self.run
        )
        self.__dict__.update(both.__dict__)

    def check_run(self, run: RunIdentity | None, name: str = "the index") -> None:
        """Checks that vectors of a run can be compared with those of the index.

        Args:
          run: of the vectors.
          name: of the index, for the message.

        Raises:
          UserError: the index is of another run, or only one of the two names its run.
        """
        if (run and run.digest) == (self.run and self.run.digest):
            return
        raise UserError(
            f"{name} has vectors of {self.run or 'no known run'}, and these are of "
            f"{run or 'no known run'}. Distances between vectors of two runs mean nothing: embed "
            "the faces with the run of the index, or make a new index."
        )

    def query(
        self,
        vectors: np.ndarray,
        k: int = 4,
        max_distance: float | None = MAX_DISTANCE,
        exclude: Sequence[Collection[Hashable]] | None = None,
    ) -> list[list[Neighbour]]:
        """Finds the k nearest neighbours of each query.

        Args:
          vectors: float [q, d], the queries, finite.
          k: number of neighbours per query, from 1 to the size of the index.
          max_distance: neighbours farther away are omitted; None for no limit.
          exclude: for each query the ids to exclude, such as the query itself or the faces of the
            same photo; the next nearest take their places. Ids unknown to the index are ignored.

        Returns:
          For each query its neighbours, nearest first, equal distances in the order of ids; fewer
          than k if the limit or the exclusions leave fewer.

        Raises:
          UserError: k or max_distance is out of range.
          ValueError: vectors are not finite [q, d] with the width of the index, or exclude has
            another length.
        """
        vectors = checks.checked_vectors(vectors)
        check_k(k, len(self))
        limit = check_max_distance(max_distance)
        if vectors.shape[1] != self.vectors.shape[1]:
            raise ValueError(
                f"queries must be [q, {self.vectors.shape[1]}] like the index, found "
                f"{vectors.shape}"
            )
        if exclude is not None and len(exclude) != len(vectors):
            raise ValueError(
                f"exclude must have one collection per query, found {len(exclude)} for "
                f"{len(vectors)} queries"
            )
        excluded = (
            [self._rows(ids) for ids in exclude] if exclude else [self._rows(())] * len(vectors)
        )
        return [
            [
                Neighbour(self.ids[row], row, distance)
                for distance, row in zip(distances.tolist(), rows.tolist())
                if distance <= limit
            ]
            for distances, rows in self._made_search().nearest(vectors, k, excluded)
        ]

    def _made_search(self) -> Search:
        if self._search is None:  # two threads may both make one; they are equal
            places = np.empty(len(self), np.int64)
            places[sorted(range(len(self)), key=self.ids.__getitem__)] = np.arange(len(self))
            self._search = make_search(self.algorithm, self.vectors, places)
        return self._search

    def _rows(self, ids: Collection[Hashable]) -> np.ndarray:
        rows = {self._row_of[each] for each in ids if each in self._row_of}
        return np.fromiter(rows, np.int64, len(rows))
