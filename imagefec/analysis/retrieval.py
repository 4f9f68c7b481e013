"""Numbers for what a gallery shows: do the nearest faces have the query's label, or its person?

No files; the faces and their annotations are given.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from imagefec.analysis.accuracy import photo_numbers
from imagefec.analysis.neighbours import neighbours_from_other_photos
from imagefec.analysis.overlap.photo_sources import photo_source
from imagefec.data.annotations import Annotations, read_annotations
from imagefec.data.store.triplets import Triplets
from imagefec.maths.metrics import tpa_with_errors
from imagefec.maths.uncertainty import clustered_standard_error

KS = (1, 4, 10)
SAME_LABEL, OTHER_PERSONS, SAME_PERSON = "same_label", "same_label_other_persons", "same_person"


def score_neighbours(
    vectors: np.ndarray, urls: Sequence[str], known: Annotations, ks: Sequence[int] = KS
) -> dict[str, Any]:
    """Precision among the k nearest faces from other photos, by label and by person.

    Args:
      vectors: float [n, d]; those that are not finite are left out.
      urls: the photo of each face; several URLs of one photo are told by `photo_source`.
      known: persons and labels of the n faces.
      ks: numbers of neighbours.

    Returns:
      Of these three what the annotations allow, each {"1": {"share", "chance", "se", "n_queries"},
      "4": …}. "same_label": share of the k nearest labelled faces from other photos that have the
      query's label. "same_label_other_persons": likewise, among faces of other persons only.
      "same_person": share of the k nearest faces of known persons from other photos that show the
      query's person, over the queries of whom there is one. "chance" is the share among all faces
      that may be neighbours, the mean over the same queries. "se" is the standard error of the
      share, where queries of one photo or person count as dependent. Queries for which there are
      fewer than k faces are left out; values are None if there is no query.
    """
    photos = photo_numbers([photo_source(url) for url in urls])
    finite = np.isfinite(vectors).all(axis=1)
    clusters = _clusters(photos, known.person)
    labelled, named = finite & (known.label >= 0), finite & (known.person >= 0)
    scores = {}
    if labelled.any():
        near = _Neighbourhood(vectors, photos, photos, labelled, max(ks))
        scores[SAME_LABEL] = near.scores(known.label, clusters, ks)
    if named.any():
        near = _Neighbourhood(vectors, photos, photos, named, max(ks))
        scores[SAME_PERSON] = near.scores(known.person, clusters, ks, must_exist=True)
    if (both := labelled & named).any():
        near = _Neighbourhood(vectors, photos, known.person, both, max(ks))
        scores[OTHER_PERSONS] = near.scores(known.label, clusters, ks)
    return scores


def score_same_person_odd(
    correct: np.ndarray, triplets: np.ndarray, known: Annotations, photos: np.ndarray
) -> dict[str, Any] | None:
    """TPA on the triplets in which identity would mislead: the odd one is the person of another.

    Args:
      correct: bool [t], which triplets are predicted correctly.
      triplets: int [t, 3], rows of the faces; the odd one is last.
      known: of the faces.
      photos: int [t, 3], as returned by `accuracy.triplet_photos`.

    Returns:
      {"tpa", "tpa_se", "tpa_se_clustered", "n_triplets", "others": the same of the other triplets
      whose three persons are known}; None if no triplet's persons are known.
    """
    persons = known.person[triplets]
    all_known = (persons >= 0).all(axis=1)
    if not all_known.any():
        return None
    misleads = all_known & (persons[:, :2] == persons[:, 2:]).any(axis=1)
    others = all_known & ~misleads
    return {
        **tpa_with_errors(correct[misleads], photos[misleads]),
        "others": tpa_with_errors(correct[others], photos[others]),
    }


def neighbour_numbers(
    vectors: np.ndarray,
    correct: np.ndarray,
    data: Triplets,
    photos: np.ndarray,
    annotations: Sequence[str | os.PathLike[str]],
    what: str,
) -> dict[str, Any]:
    """The "neighbours" of `evaluate --json`.

    Args:
      vectors: float [n, d], of the faces of `data`; NaN if not known.
      correct: bool [t], of the triplets of `data`.
      data: the triplets.
      photos: int [t, 3], as returned by `accuracy.triplet_photos`.
      annotations: files, as for `read_annotations`.
      what: the dataset and split, for messages.

    Returns:
      {"annotations": as `Annotations.as_json`, what `score_neighbours` returns, "same_person_odd":
      what `score_same_person_odd` returns}.

    Raises:
      UserError: as for `read_annotations`.
    """
    known = read_annotations(annotations, data.face_ids, data.urls, what)
    return {
        "annotations": known.as_json(),
        **score_neighbours(vectors, data.urls, known),
        "same_person_odd": score_same_person_odd(correct, data.triplets, known, photos),
    }


class _Neighbourhood:
    """The k nearest faces of each of some faces, without those of the same photo or group.

    Args:
      vectors: float [n, d].
      photos: int [n].
      groups: int [n], such as the persons; faces of the query's group are no neighbours.
      chosen: bool [n], the faces that are queries and may be neighbours.
      k: neighbours per query.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        photos: np.ndarray,
        groups: np.ndarray,
        chosen: np.ndarray,
        k: int,
    ) -> None:
        self._rows = np.flatnonzero(chosen)
        self._photos, self._groups = photos[self._rows], groups[self._rows]
        n = len(self._rows)
        # Of a group's faces some may share the query's photo: search for more, then drop them.
        _, sizes = np.unique(self._photos, return_counts=True)
        extra = 0 if photos is groups else int(sizes.max()) - 1
        found = neighbours_from_other_photos(
            vectors[self._rows], self._groups.tolist(), range(n), min(k + extra, n)
        )
        self._near = np.full((n, k), -1, np.int64)
        for place, nearest in enumerate(found):
            rows = [row for row, _ in nearest if self._photos[row] != self._photos[place]][:k]
            self._near[place, : len(rows)] = rows

    def scores(
        self, values: np.ndarray, clusters: np.ndarray, ks: Sequence[int], must_exist: bool = False
    ) -> dict[str, Any]:
        """The share of neighbours with the query's value; as `score_neighbours` returns it.

        Args:
          values: int [n], of all faces.
          clusters: int [n, 2], likewise.
          ks: numbers of neighbours.
          must_exist: only queries for which there is such a neighbour.
        """
        values, clusters = values[self._rows], clusters[self._rows]
        n_others, n_same = _n_candidates(values, self._photos, self._groups)
        hits = (self._near >= 0) & (values[self._near] == values[:, None])
        result = {}
        for k in ks:
            asked = (n_others >= k) & ((n_same > 0) | (not must_exist))
            shares = hits[asked, :k].mean(axis=1)
            n = len(shares)
            result[str(k)] = {
                "share": float(shares.mean()) if n else None,
                "chance": float((n_same[asked] / n_others[asked]).mean()) if n else None,
                "se": clustered_standard_error(shares, clusters[asked]) if n > 1 else None,
                "n_queries": n,
            }
        return result


def _n_candidates(
    values: np.ndarray, photos: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How many faces of other photos and groups there are, and how many of the same value.

    Returns:
      (int [n], int [n]), by inclusion and exclusion over the faces of the photo and of the group.
    """
    counts = []
    for others in ((), (values,)):
        by_photo = _size_of(photos, *others)
        by_group = _size_of(groups, *others)
        by_both = _size_of(photos, groups, *others)
        n_all = _size_of(*others) if others else np.full(len(photos), len(photos))
        counts.append(n_all - by_photo - by_group + by_both)
    return counts[0], counts[1]


def _size_of(*columns: np.ndarray) -> np.ndarray:
    """For each row, how many rows have the same values in all columns: int [n]."""
    table = np.stack(columns, axis=1)
    _, numbers, sizes = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    return sizes[numbers.reshape(-1)]


def _clusters(photos: np.ndarray, person: np.ndarray) -> np.ndarray:
    """Photo and person of each face as numbers; an unknown person is one of its own: [n, 2]."""
    n = len(photos)
    persons = np.where(person >= 0, person, person.max(initial=0) + 1 + np.arange(n))
    return np.stack([photos, photos.max(initial=0) + 1 + persons], axis=1)
