"""Parts faces into splits, so that no person and no photo is in two of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Sequence

import numpy as np

from imagefec.data.labels.photos import Face
from imagefec.errors import UserError

SPLIT_ORDER = ("train", "validation", "test")  # of --split's fractions
DEFAULT_FRACTIONS = (0.7, 0.1, 0.2)
GIVEN = "given"
VALIDATION_SHARE = 0.1  # of train, where the given splits lack a validation split
_WITH_VALIDATION = {"train": 1 - VALIDATION_SHARE, "validation": VALIDATION_SHARE}


def parse_fractions(text: str) -> tuple[float, float, float] | None:
    """Reads --split: "given" as None, or the fractions of train, validation and test.

    Raises:
      UserError: it is neither.
    """
    if text == GIVEN:
        return None
    try:
        fractions = tuple(float(part) for part in text.split(","))
    except ValueError:
        fractions = ()
    if (
        len(fractions) != 3
        or not all(0 <= part <= 1 for part in fractions)
        or not (fractions[0] or fractions[2] == 1)
        or not math.isclose(sum(fractions), 1, abs_tol=0.001)
    ):
        raise UserError(
            f"--split is {text!r}; allowed are given, or three fractions that add up to 1, of "
            "train, validation and test: --split=0.7,0.1,0.2. Without train all is test: "
            "--split=0,0,1."
        )
    return fractions[0], fractions[1], fractions[2]


def split_faces(
    faces: Sequence[Face], fractions: tuple[float, float, float] | None, seed: int
) -> list[str]:
    """Assigns each face to a split.

    Photos and persons are ordered by a digest of the seed and their name, so that the result does
    not depend on the order or the place of the files. Photos with one face are parted label by
    label.

    Args:
      faces: their `split` is used, and then given by all, if `fractions` is None.
      fractions: of train, validation and test; None for the splits as given, with a tenth of train
        held out as validation if there is none. All may be test, to evaluate runs.
      seed: 0 or more.

    Returns:
      The split of each face.

    Raises:
      UserError: splits are not given, or by few; or there are fewer persons (or photos) than
        splits.
    """
    if fractions is not None:
        return _parted(faces, dict(zip(SPLIT_ORDER, fractions)), seed)
    without = [face.name for face in faces if not face.split]
    if without:
        raise UserError(
            f"--split=given: {len(without)} of {len(faces)} faces have no split, the first: "
            f"{without[0]}. Give every face one (train, validation, test), or fractions: "
            "--split=0.7,0.1,0.2."
        )
    splits = [face.split for face in faces]
    if "train" not in splits and set(splits) != {"test"}:
        raise UserError(
            f"--split=given: there is {' and '.join(sorted(set(splits)))}, but no train. Give "
            "fractions: --split=0.7,0.1,0.2; or 0,0,1, which makes all faces test."
        )
    if "validation" in splits or "train" not in splits:
        return splits
    train = [at for at, split in enumerate(splits) if split == "train"]
    for at, split in zip(train, _parted([faces[at] for at in train], _WITH_VALIDATION, seed)):
        splits[at] = split
    return splits


def fold_splits(faces: Sequence[Face], n_folds: int, seed: int) -> list[list[str]]:
    """Assigns each face to a split in each of several folds; it is tested in exactly one.

    Args:
      faces: parted by person where known, else by photo, as in `split_faces`.
      n_folds: number of folds.
      seed: 0 or more.

    Returns:
      For each fold the split of each face: a tenth of those that it does not test is validation.

    Raises:
      UserError: there are fewer persons (or photos) than folds, or fewer than three.
    """
    shares = {f"fold{number}": 1 / n_folds for number in range(n_folds)}
    fold_of = _parted(faces, shares, seed, "fewer --folds")
    folds = []
    for name in shares:
        splits = ["test" if own == name else "" for own in fold_of]
        rest = [at for at, split in enumerate(splits) if not split]
        parts = _parted([faces[at] for at in rest], _WITH_VALIDATION, seed, "more --folds")
        for at, split in zip(rest, parts):
            splits[at] = split
        folds.append(splits)
    return folds


def connected(groups: Sequence[Sequence[Hashable]]) -> np.ndarray:
    """Numbers groups; two have the same number if they share a member or others join them.

    Args:
      groups: their members, such as the photo and the person of each face.

    Returns:
      int [groups], from 0.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    number: dict[Hashable, int] = {}
    edges = [
        (at, len(groups) + number.setdefault(member, len(number)))
        for at, members in enumerate(groups)
        for member in members
    ]
    n = len(groups) + len(number)
    first, second = zip(*edges) if edges else ((), ())
    graph = coo_matrix((np.ones(len(edges), np.int8), (first, second)), (n, n))
    _, component = connected_components(graph, directed=False)
    return np.unique(component[: len(groups)], return_inverse=True)[1].reshape(-1)


def digest_order(seed: int, name: str) -> bytes:
    """A key to sort names in an order that depends on the seed and on nothing else."""
    return hashlib.sha256(f"{seed}|{name}".encode("utf-8", "surrogatepass")).digest()


def _parted(
    faces: Sequence[Face],
    shares: dict[str, float],
    seed: int,
    remedy: str = "fewer splits: --split=1,0,0",
) -> list[str]:
    shares = {split: share for split, share in shares.items() if share}
    units: dict[int, list[int]] = {}
    members = [[("photo", face.photo), *_person(face)] for face in faces]
    for at, unit in enumerate(connected(members).tolist()):
        units.setdefault(unit, []).append(at)
    if len(units) < len(shares):
        what = "person" if any(face.person for face in faces) else "photo"
        names = list(shares)
        shown = ", ".join(names) if len(names) < 4 else f"{names[0]} to {names[-1]}"
        hint = " Or ignore the persons: --by=person: (with nothing after the colon)."
        raise UserError(
            f"found {len(units)} {what}{'s' * (len(units) > 1)} for {len(names)} splits "
            f"({shown}), and no {what} may be in two. Give more, or {remedy}."
            f"{hint * (what == 'person')}"
        )

    def key(unit: int) -> bytes:
        names = sorted(faces[at].person or faces[at].photo for at in units[unit])
        return digest_order(seed, names[0])

    n_in: dict[str, dict[str, int]] = {}  # group -> split -> faces
    result = [""] * len(faces)
    empty = list(shares)
    for place, unit in enumerate(sorted(units, key=key)):
        own = units[unit]
        group = faces[own[0]].label if len(own) == 1 and not faces[own[0]].person else ""
        counts = n_in.setdefault(group, dict.fromkeys(shares, 0))
        total = sum(counts.values()) + len(own)
        # The split that lacks most; the first units fill one split each, so that none is empty.
        chosen = max(
            empty if len(units) - place <= len(empty) else shares,
            key=lambda split: shares[split] * total - counts[split],
        )
        counts[chosen] += len(own)
        empty = [split for split in empty if split != chosen]
        for at in own:
            result[at] = chosen
    return result


def _person(face: Face) -> list[tuple[str, str]]:
    return [("person", face.person)] if face.person else []
