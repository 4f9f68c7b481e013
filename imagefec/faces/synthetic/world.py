"""Writes a drawn world to disk in FEC's own format: photographs, a csv file for each split, and the truth in side files."""

import concurrent.futures
import csv
import multiprocessing
import os
import pathlib
from collections.abc import Callable

import numpy as np

from imagefec.errors import UserError
from imagefec.faces.synthetic import photo as photos
from imagefec.faces.synthetic import raters
from imagefec.faces.synthetic.expressions import CONTROLS, WORDS, sample_expression
from imagefec.faces.synthetic.people import sample_person
from imagefec.faces.synthetic.people_folders import link_people
from imagefec.fec import TripletType, csv_file_name
from imagefec.maths.geometry import Box

_SHARE_OF_GROUP_PHOTOS = 0.1
_STREAMS = {
    "train": 0,
    "test": 1,
    "validation": 2,
}  # of random numbers: a split's faces do not depend on the others'
_DRAWN_FIRST = ("test", "train", "validation")
_FEWEST_FACES = 3 * len(WORDS)  # a split needs about three faces a word for one-class triplets


def render_world(
    out: str | os.PathLike,
    faces: int = 9000,
    identities: int = 300,
    triplets: int = 24000,
    test_fraction: float = 0.2,
    url_root: str | None = None,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int], object] | None = None,
    validation_fraction: float = 0.0,
    people_folders: bool = False,
) -> pathlib.Path:
    """Draws faces and has them judged; no two splits share people or photographs.

    Args:
      out: folder to write `images/`, the csv files, `identities.csv` and `controls.csv` into.
      faces: how many faces, all splits together.
      identities: how many people.
      triplets: how many rows, all splits together.
      test_fraction: share of people, faces and triplets that goes to test, in (0, 1).
      url_root: what the URLs in the csv files start with; default: file:// URLs of `out`.
      seed: the same seed and numbers give the same bytes.
      workers: processes; default one a core.
      progress: called with the number of photographs just drawn.
      validation_fraction: share that goes to a third split, on which to choose settings; FEC has
        none, so 0 by default.
      people_folders: also link the photographs by person under `people/`, as VGGFace2 has them.

    Returns:
      `out` as a path.

    Raises:
      UserError: numbers too small to fill every split, or a folder that cannot be written.
    """
    shares = _shares(test_fraction, validation_fraction)
    counts = {"faces": faces, "identities": identities, "triplets": triplets}
    _check_sizes(counts, shares)
    out = pathlib.Path(out)
    root = (url_root or out.resolve().as_uri()).rstrip("/")
    plans, n_triplets = {}, {}
    for split in sorted(shares, key=_DRAWN_FIRST.index):
        n = {name: _n_of(split, total, shares) for name, total in counts.items()}
        plans[split] = _plan(seed, _STREAMS[split], n["faces"], n["identities"], split)
        n_triplets[split] = n["triplets"]
    try:
        boxes = _draw_all(out, seed, plans, workers, progress)
        for split, plan in plans.items():
            _write_csv(out, split, n_triplets[split], root, plan, boxes, seed)
        _write_truth(out, plans)
        if people_folders:
            link_people(out)
    except OSError as error:
        raise UserError(
            f"{error.filename or out}: cannot write the drawn world there ({error.strerror}). "
            "Choose a folder you may write to, on a disk with room."
        ) from error
    return out


def _shares(test: float, validation: float) -> dict[str, float]:
    if not 0 < test < 1:
        raise UserError(f"--test_fraction is {test}; it must lie between 0 and 1, without either.")
    if not 0 <= validation < 1 - test:
        raise UserError(
            f"--validation_fraction is {validation}; it must be 0 or more, and with --test_fraction={test} less "
            f"than {1 - test:g}, so that some is left for training."
        )
    return {
        "train": 1 - test - validation,
        "test": test,
        **({"validation": validation} if validation else {}),
    }


def _check_sizes(counts: dict[str, int], shares: dict[str, float]) -> None:
    fractions = " ".join(
        f"--{split}_fraction={share}" for split, share in shares.items() if split != "train"
    )
    smallest = min(shares.values())
    if counts["faces"] * smallest < _FEWEST_FACES:
        raise UserError(
            f"--faces={counts['faces']} with {fractions} leaves a split fewer than {_FEWEST_FACES} faces; ask for "
            f"at least {int(np.ceil(_FEWEST_FACES / smallest))}."
        )
    for flag in ("identities", "triplets"):
        if _n_of("train", counts[flag], shares) < 1:
            raise UserError(
                f"--{flag}={counts[flag]} with {fractions} leaves a split without any; ask for at least "
                f"{int(np.ceil(1 / smallest))}."
            )


def _n_of(split: str, total: int, shares: dict[str, float]) -> int:
    """How many of all go to a split; train gets what the others leave."""
    if split == "train":
        return total - sum(_n_of(other, total, shares) for other in shares if other != "train")
    return max(1, round(total * shares[split]))


def _plan(seed: int, stream: int, n_faces: int, n_people: int, split: str) -> dict:
    """Decides who shows what in which photograph, before a pixel is drawn."""
    rng = np.random.default_rng([seed, stream])
    people = [sample_person(rng) for _ in range(n_people)]
    words = rng.permutation(np.arange(n_faces) % len(WORDS))
    expressions = np.stack([sample_expression(rng, word) for word in words])
    who = rng.integers(n_people, size=n_faces)
    groups, at = [], 0
    while at < n_faces:
        size = int(rng.integers(2, 4)) if rng.random() < _SHARE_OF_GROUP_PHOTOS else 1
        groups.append(list(range(at, min(at + size, n_faces))))
        at += size
    # Flickr's addresses have commas now and then, and the reader must live with them.
    names = [
        f"images/{split}/{i:06d}{',_b' if rng.random() < 0.05 else ''}.jpg"
        for i in range(len(groups))
    ]
    return {
        "split": split,
        "stream": stream,
        "people": people,
        "words": words,
        "expressions": expressions,
        "who": who,
        "groups": groups,
        "names": names,
    }


def _draw_all(
    out: pathlib.Path, seed: int, plans: dict, workers: int | None, progress
) -> dict[str, list[Box]]:
    tasks = []
    for split, plan in plans.items():
        (out / "images" / split).mkdir(parents=True, exist_ok=True)
        photo_heads = [
            [(plan["people"][plan["who"][i]], plan["expressions"][i]) for i in group]
            for group in plan["groups"]
        ]
        for start in range(0, len(photo_heads), 100):
            tasks.append(
                (
                    out,
                    [seed, 10 + plan["stream"], start],
                    plan["names"][start : start + 100],
                    photo_heads[start : start + 100],
                )
            )
    boxes = {}
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        results = map(_draw_some, tasks)
        return _gather(results, boxes, progress)
    with concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn")
    ) as pool:
        return _gather(pool.map(_draw_some, tasks), boxes, progress)


def _gather(results, boxes: dict, progress) -> dict[str, list[Box]]:
    for result in results:
        boxes.update(result)
        if progress:
            progress(len(result))
    return boxes


def _draw_some(task: tuple) -> dict[str, list[Box]]:
    out, seed, names, photo_heads = task
    rng = np.random.default_rng(seed)
    boxes = {}
    for name, heads in zip(names, photo_heads):
        picture, boxes[name] = photos.render_photo(rng, heads)
        _write(out / name, photos.encode_jpeg(rng, picture))
    return boxes


def _write_csv(
    out: pathlib.Path, split: str, n: int, root: str, plan: dict, boxes: dict, seed: int
) -> None:
    rng = np.random.default_rng([seed, 20 + plan["stream"]])
    panel = raters.Raters(seed)
    by_word = [np.flatnonzero(plan["words"] == word) for word in range(len(WORDS))]
    cells = _face_cells(root, plan, boxes)
    lines = []
    for i in range(n):
        kind = i % 3
        picked = raters.sample_triplet(rng, plan["words"], by_word, kind)
        votes = panel.judge(rng, plan["expressions"][picked])
        judged = ",".join(f"{name},{odd + 1}" for name, odd in votes)
        lines.append(
            ",".join([*(cells[face] for face in picked), TripletType(kind).csv_name, judged])
        )
    order = rng.permutation(n)
    text = "".join(lines[i] + "\r\n" for i in order)
    _write(out / csv_file_name(split), text.encode())


def _face_cells(root: str, plan: dict, boxes: dict) -> list[str]:
    """The five csv cells of each face: quoted URL, left, right, top, bottom."""
    cells = []
    for name, group in zip(plan["names"], plan["groups"]):
        for box in boxes[name][: len(group)]:
            url = f"{root}/{name}".replace('"', '""')
            cells.append(f'"{url}",{box.left:.6f},{box.right:.6f},{box.top:.6f},{box.bottom:.6f}')
    return cells


def _write_truth(out: pathlib.Path, plans: dict) -> None:
    """Side files that no training code reads: who is in which photograph, and what each face does."""
    for file_name, header in (
        ("identities.csv", ["image", "position", "split", "identity"]),
        ("controls.csv", ["image", "position", "word", *CONTROLS]),
    ):
        rows = [header]
        for split, plan in sorted(plans.items()):
            for name, group in zip(plan["names"], plan["groups"]):
                for position, i in enumerate(group):
                    truth = (
                        [split, f"{split}{plan['who'][i]:05d}"]
                        if file_name == "identities.csv"
                        else [
                            WORDS[plan["words"][i]],
                            *(f"{v:.4f}" for v in plan["expressions"][i]),
                        ]
                    )
                    rows.append([name, position, *truth])
        partial = out / (file_name + ".partial")
        with open(partial, "w", newline="") as file:
            csv.writer(file).writerows(rows)
        partial.replace(out / file_name)


def _write(path: pathlib.Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)
