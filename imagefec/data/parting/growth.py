"""Sets of photos or persons that grow along the triplets that connect them; no files."""

from __future__ import annotations

import heapq

import numpy as np


class Connections:
    """The rows that units (photos or persons) are in, shared by the sets that grow along them.

    Args:
      units: int [rows, 3 or more], numbers from 0 of the units of each row.
      rows: numbers of the rows that sets may grow along.
      rank: int [rows], decides between equals.
      weights: int [units], what each unit counts for, such as its photos.
    """

    def __init__(
        self, units: np.ndarray, rows: np.ndarray, rank: np.ndarray, weights: np.ndarray
    ) -> None:
        self.units_of = dict(zip(rows.tolist(), map(set, units[rows].tolist())))
        self.rank, self.weights = rank.tolist(), weights.tolist()
        self.rows_of: dict[int, list[int]] = {}
        for row, own in self.units_of.items():
            for unit in own:
                self.rows_of.setdefault(unit, []).append(row)
        # Sorted, so it is a heap, of which each set takes a copy.
        self.waiting = sorted((len(own), self.rank[row], row) for row, own in self.units_of.items())


class Growth:
    """A set of units that grows by one row at a time.

    Args:
      connections: of the units.
      taken: the units of all sets that grow beside each other; it is changed.
      room: weight that the set may grow by.

    Attributes:
      chosen: the units that were added.
      room: weight that may still be added.
    """

    def __init__(self, connections: Connections, taken: set[int], room: float) -> None:
        self.chosen: set[int] = set()
        self.room = room
        self._connections, self._taken = connections, taken
        self._waiting = connections.waiting.copy()

    def grow(self) -> bool:
        """Adds the units of the row of which the set lacks the fewest, of those that fit.

        Returns:
          Whether there was one. Others have too many units, or units of another set.
        """
        connections = self._connections
        while self._waiting:
            lacks, _, row = heapq.heappop(self._waiting)
            new = connections.units_of[row] - self.chosen
            if not new or len(new) < lacks or not new.isdisjoint(self._taken):
                continue  # done, or outdated, or out of reach
            weight = sum(connections.weights[unit] for unit in new)
            if weight <= self.room:
                self.room -= weight
                self._add(new)
                return True
        return False

    def _add(self, new: set[int]) -> None:
        self.chosen |= new
        self._taken |= new
        connections = self._connections
        for other in {row for unit in new for row in connections.rows_of[unit]}:
            lacks = len(connections.units_of[other] - self.chosen)
            if lacks:
                heapq.heappush(self._waiting, (lacks, connections.rank[other], other))
