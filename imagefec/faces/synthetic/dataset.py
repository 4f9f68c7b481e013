"""Writes synthetic faces in FEC's own format: photos, a csv file per split, and ground truth."""

import contextlib
import csv
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from imagefec import files
from imagefec.cpu import cpu_count
from imagefec.errors import UserError
from imagefec.faces.synthetic import photo as photos
from imagefec.faces.synthetic import raters
from imagefec.faces.synthetic.heads.expressions import CONTROLS, WORDS
from imagefec.faces.synthetic.people_folders import link_people
from imagefec.faces.synthetic.settings import DrawSettings, checked_url_root
from imagefec.faces.synthetic.split_plans import Heads, SplitPlan, plan_splits
from imagefec.faces.synthetic.variations import Variations
from imagefec.faces.synthetic.worlds import World, make_world
from imagefec.fec import (
    EXPRESSIONS_CSV,
    EXPRESSIONS_HEADER,
    PERSONS_CSV,
    PERSONS_HEADER,
    TripletType,
    csv_file_name,
)
from imagefec.maths.geometry import Box
from imagefec.paths import user_path
from imagefec.plan import Plan, shown_bytes
from imagefec.workers import checked_workers, worker_pool

LOCK = "draw.lock"
_TASK_PHOTOS = 100  # rendered by a worker at once

# Folder, seed, names and heads of photos, deviation of the roll, world.
Task = tuple[Path, list[int], list[str], list[Heads], float, World]


def render_dataset(
    out: str | os.PathLike[str],
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
    roll: float = photos.ROLL,
    world: str | None = None,
    vary: str | Iterable[str] | None = None,
) -> Path:
    """Renders faces and simulates raters; no two splits share identities or photos.

    A folder takes photos of one set of numbers and one seed, which settings.json records. If
    interrupted, run it again: the finished folder has the same bytes.

    Args:
      out: folder for `images/`, the csv files, `identities.csv`, `controls.csv`, expressions.csv,
        persons.csv, settings.json.
      faces: number of faces in all splits together.
      identities: number of identities in all splits together.
      triplets: number of csv rows in all splits together.
      test_fraction: share of identities, faces and triplets in test, in (0, 1).
      url_root: prefix of the URLs in the csv files; file:// URLs of `out` by default. It may differ
        from that of an earlier call, because the csv files are written anew.
      seed: 0 or more; the same seed and numbers give the same bytes.
      workers: processes; one per core by default. In a script, more than one needs the usual
        `if __name__ == "__main__":` guard.
      progress: called with the number of photos just rendered.
      validation_fraction: share of a third split, to choose settings on; 0 by default, because FEC
        has none.
      people_folders: whether to link the photos by identity under `people/`, in VGGFace2's layout.
      roll: standard deviation of the angle by which heads lean to a shoulder, degrees, 0 to 45.
      world: "plain" (the default), "varied" (ranges to train on) or "hard" (ranges beyond those,
        and people that no other world has).
      vary: aspects of worlds.ASPECTS that vary, a sequence or separated by commas; all by default.
        Without a world, in the ranges of the varied one.

    Returns:
      `out` as a path.

    Raises:
      UserError: a number is out of range or too small to fill every split; the URLs would not be
        fetched; the folder holds other photos, is in use by another call, or cannot be written.
      ValueError: an argument has a wrong type.
    """
    settings = DrawSettings(
        faces,
        identities,
        triplets,
        test_fraction,
        validation_fraction,
        seed,
        roll,
        make_world(world, vary),
    )
    n_workers = checked_workers(workers) or cpu_count()
    out = user_path(out, "out")
    root = checked_url_root(url_root, out)
    plans = plan_splits(settings)
    with _folder_errors(out):
        files.refuse_links(out, _LINKS_REFUSED)
        with files.folder_lock(out, "draw", "OUT", LOCK, "images/*"):
            settings.claim(out)
            boxes = _render_all(out, settings, plans, n_workers, progress)
            for plan in plans:
                n = settings.numbers_of(plan.split)["triplets"]
                _write_csv(out, n, root, plan, boxes, settings.seed)
            _write_truth(out, plans)
            _write_labels(out, root, plans, boxes)
            if people_folders:
                link_people(out)
    return out


def plan_dataset(
    out: str | os.PathLike[str], settings: DrawSettings, url_root: str | None = None
) -> Plan:
    """What `render_dataset` would write; a few photos are rendered in memory to estimate the size.

    Args:
      out: as for `render_dataset`.
      settings: its numbers.
      url_root: as for `render_dataset`.

    Raises:
      UserError: as `render_dataset`.
    """
    out = user_path(out, "out")
    checked_url_root(url_root, out)
    plans = plan_splits(settings)
    with _folder_errors(out):
        files.refuse_links(out, _LINKS_REFUSED)
        files.check_folder(out)
        settings.check(out)
    heads = plans[-1].heads[:_ESTIMATE_PHOTOS]
    seed, names = [settings.seed, 10 + plans[-1].stream, 0], plans[-1].names[:_ESTIMATE_PHOTOS]
    sample = _rendered((out, seed, names, heads, settings.roll, settings.world))
    n_photos = sum(len(plan.groups) for plan in plans)
    n_bytes = round(sum(len(jpeg) for _, jpeg, _ in sample) / len(names) * n_photos)
    numbers = {plan.split: settings.numbers_of(plan.split) for plan in plans}
    lines = [f"photos     {n_photos} would be rendered, about {shown_bytes(n_bytes)}"]
    lines += [
        f"{split:<11}{n['triplets']} triplets of {n['faces']} faces of {n['identities']} identities"
        for split, n in numbers.items()
    ]
    return Plan(out, lines, {"n_photos": n_photos, "n_bytes": n_bytes, "splits": numbers})


_ESTIMATE_PHOTOS = 20
_LINKS_REFUSED = ("images", "images/*", "people", "people/*", "people/*/*")


@contextlib.contextmanager
def _folder_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{error.filename or out}: cannot write the synthetic faces there ({error.strerror}). "
            "Choose a writable folder on a disk with enough room."
        ) from error


def _render_all(
    out: Path,
    settings: DrawSettings,
    plans: list[SplitPlan],
    workers: int,
    progress: Callable[[int], object] | None,
) -> dict[str, list[Box]]:
    """Renders all photos; returns the boxes of each photo's faces."""
    tasks: list[Task] = []
    for plan in plans:
        folder = out / "images" / plan.split
        folder.mkdir(parents=True, exist_ok=True)
        heads = plan.heads
        for start in range(0, len(heads), _TASK_PHOTOS):
            chunk = slice(start, start + _TASK_PHOTOS)
            seed = [settings.seed, 10 + plan.stream, start]
            tasks.append(
                (out, seed, plan.names[chunk], heads[chunk], settings.roll, settings.world)
            )
    if workers == 1:
        return _merged(map(_render_photos, tasks), progress)
    with worker_pool(workers, "draw") as pool:
        return _merged(pool.map(_render_photos, tasks), progress)


def _merged(
    results: Iterable[dict[str, list[Box]]], progress: Callable[[int], object] | None
) -> dict[str, list[Box]]:
    boxes: dict[str, list[Box]] = {}
    for result in results:
        boxes.update(result)
        if progress:
            progress(len(result))
    return boxes


def _render_photos(task: Task) -> dict[str, list[Box]]:
    boxes = {}
    for name, jpeg, boxes[name] in _rendered(task):
        files.write_bytes(task[0] / name, jpeg, durable=False)
    return boxes


def _rendered(task: Task) -> Iterator[tuple[str, bytes, list[Box]]]:
    """Yields (name, JPEG file, boxes of the faces) of each photo."""
    _, seed, names, photo_heads, roll, world = task
    rng, variations = np.random.default_rng(seed), Variations(world, seed)
    for name, heads in zip(names, photo_heads):
        image, boxes = photos.render_photo(rng, heads, roll, variations)
        yield name, photos.encode_jpeg(rng, image, variations), boxes


def _write_csv(
    out: Path, n: int, root: str, plan: SplitPlan, boxes: dict[str, list[Box]], seed: int
) -> None:
    rng = np.random.default_rng([seed, 20 + plan.stream])
    panel = raters.Raters(seed)
    by_word = [np.flatnonzero(plan.words == word) for word in range(len(WORDS))]
    cells = _face_cells(root, plan, boxes)
    lines = []
    for i in range(n):
        kind = TripletType(i % len(TripletType))
        sampled = raters.sample_triplet(rng, plan.words, by_word, kind)
        choices = panel.judge(rng, plan.expressions[sampled])
        judged = ",".join(f"{name},{odd + 1}" for name, odd in choices)
        lines.append(",".join([*(cells[face] for face in sampled), kind.csv_name, judged]))
    text = "".join(lines[i] + "\r\n" for i in rng.permutation(n))
    files.write_text(out / csv_file_name(plan.split), text)


def _face_cells(root: str, plan: SplitPlan, boxes: dict[str, list[Box]]) -> list[str]:
    """The five csv cells of each face: quoted URL, left, right, top, bottom."""
    cells = []
    for name, group in zip(plan.names, plan.groups):
        url = f"{root}/{name}".replace('"', '""')
        for box in boxes[name][: len(group)]:
            cells.append(",".join([f'"{url}"', *(f"{side:.6f}" for side in box.sides)]))
    return cells


def _write_truth(out: Path, plans: list[SplitPlan]) -> None:
    """Writes the identities and the expressions of all faces; training does not read them."""
    identities: list[list[object]] = [["image", "position", "split", "identity"]]
    controls: list[list[object]] = [["image", "position", "word", *CONTROLS]]
    for plan in sorted(plans, key=lambda plan: plan.split):
        for name, group in zip(plan.names, plan.groups):
            for position, i in enumerate(group):
                identities.append([name, position, plan.split, plan.identity_of(i)])
                values = (f"{value:.4f}" for value in plan.expressions[i])
                controls.append([name, position, WORDS[plan.words[i]], *values])
    for file_name, rows in (("identities.csv", identities), ("controls.csv", controls)):
        with files.atomic_open(out / file_name, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)


def _write_labels(
    out: Path, root: str, plans: list[SplitPlan], boxes: dict[str, list[Box]]
) -> None:
    """Writes the expression and the person of every face, as `triplets` does; `crop` reads one."""
    headers = {EXPRESSIONS_CSV: EXPRESSIONS_HEADER, PERSONS_CSV: PERSONS_HEADER}
    lines = {name: [",".join(header)] for name, header in headers.items()}
    for plan in sorted(plans, key=lambda plan: plan.split):
        for i, (face, word) in enumerate(zip(_face_cells(root, plan, boxes), plan.words)):
            lines[EXPRESSIONS_CSV].append(f"{face},{WORDS[word]}")
            lines[PERSONS_CSV].append(f"{face},{plan.identity_of(i)}")
    for name, of_file in lines.items():
        with files.atomic_open(out / name, "w", newline="", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in of_file)
