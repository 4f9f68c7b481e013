"""What it costs that a source lacks the vectors of some faces: triplets, counted and told."""

from typing import Any

import numpy as np

from imagefec.analysis.vectors.matching import ZERO, Matched
from imagefec.analysis.vectors.sources import Source, SplitVectors
from imagefec.errors import UserError
from imagefec.paths import readable


def triplets_known(found: SplitVectors, triplets: np.ndarray, source: Source) -> np.ndarray:
    """Which triplets have the vectors of their three faces.

    Args:
      found: vectors of the faces.
      triplets: int [t, 3], indices of faces.
      source: of the vectors, for the message.

    Returns:
      bool [t].

    Raises:
      UserError: none has.
    """
    kept = found.known[triplets].all(axis=1)
    if not kept.any():
        raise UserError(
            f"{source.path}: no triplet of this split has the vectors of its three faces; "
            f"{found.known.sum():,} of {len(found.known):,} faces have one"
            f"{_listed(found.matched)}. Give the vectors of all faces."
        )
    return kept


def describe_coverage(matched: Matched, kept: np.ndarray, n_correct: int) -> dict[str, Any]:
    """The "coverage" of `evaluate.evaluate_embeddings`.

    Args:
      matched: the faces and rows.
      kept: bool [t], as returned by `triplets_known`.
      n_correct: how many triplets the vectors predict correctly.
    """
    return {
        "n_faces": len(matched.known),
        "n_found": int(matched.known.sum()),
        "missing": matched.missing,
        "n_triplets": len(kept),
        "n_lost": len(kept) - int(kept.sum()),
        "tpa_lost_wrong": n_correct / len(kept),
        "matched_by": matched.matched_by,
        "rows_left_out": matched.left_out.as_json(),
    }


def coverage_warnings(source: Source, matched: Matched, coverage: dict[str, Any]) -> list[str]:
    """Sentences that say what is missing and what it costs; none if nothing is."""
    n_triplets, n_lost = coverage["n_triplets"], coverage["n_lost"]
    cost = (
        f", which costs {n_lost:,} of {n_triplets:,} triplets. The TPA is of the other "
        f"{n_triplets - n_lost:,}; if the lost ones count as wrong, it is "
        f"{coverage['tpa_lost_wrong']:.4f}."
    )
    return vector_warnings(source, matched, cost)


def vector_warnings(source: Source, matched: Matched, cost: str) -> list[str]:
    """Sentences that say which faces have no vector, or a zero one; none if there are none.

    Args:
      source: of the vectors.
      matched: the faces and rows.
      cost: end of the sentence about faces without one, with its full stop.
    """
    warnings, name = [], readable(source.path)
    n_missing = len(matched.known) - int(matched.known.sum())
    if n_missing:
        warnings.append(
            f"{name}: {n_missing:,} of {len(matched.known):,} faces have no vector"
            f"{_listed(matched)}{cost}"
        )
    if matched.n_zero and ZERO not in matched.missing:
        warnings.append(
            f"{name}: the vectors of {matched.n_zero:,} faces are zero, as if nothing had been "
            "computed; they count like any others. Leave them out to have them counted as missing."
        )
    return warnings


def _listed(matched: Matched | None) -> str:
    missing = {} if matched is None else matched.missing
    return f" ({', '.join(f'{reason}: {n:,}' for reason, n in missing.items())})" if missing else ""
