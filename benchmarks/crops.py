"""How far the crop of a detected face is from the dataset's crop of it, as Markdown tables.

    python benchmarks/crops.py CACHE TRAIN_CSV TEST_CSV --run=RUN     # FEC's csv files
    python benchmarks/crops.py PORTRAITS --run=RUN                    # a folder of people's folders

The dataset crops the csv's box; `embed_photo` crops what the detector finds in the complete photo.
Mappings between the two are fitted on TRAIN_CSV (or on half of the people) and measured on TEST_CSV
(or on the other half). Portraits have one centred face each, whose box is that of detectors.py.

    unmapped    the detector's box
    patch       mapping of the boxes that the detector finds in grown csv boxes, as `crop` does
    two-stage   the detector runs again in its own grown box; mapping as for patch
    photo       mapping of the boxes that it finds in complete photos: what `crop` records

Two measures: the mean intersection over union of the two squares that are cropped, and the mean
distance of the two embeddings, also in units of the mean distance between two faces.
"""

import argparse
import itertools
import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from imagefec.data.crop.box_sample import best_match
from imagefec.data.fec_csv import read_rows
from imagefec.data.fetch.photo_cache.cache import Cache
from imagefec.errors import UserError
from imagefec.faces import crop
from imagefec.faces.box_mapping import fit_mapping
from imagefec.faces.detectors import Detector, make_detector
from imagefec.faces.photos import read_photo
from imagefec.maths.geometry import Box, iou, to_fractions, to_pixels

MIDDLE = Box(0.15, 0.85, 0.2, 0.85)  # of a portrait; detectors.py has the same
DETECTORS = ("yunet", "blazeface", "haar", "lbp")
LABELLED = tuple[np.ndarray, Box]  # a photo and a face's box in pixels of it


@dataclass(frozen=True)
class Found:
    """One face: its photo and, in pixels, the dataset's box and those that a detector finds."""

    photo: np.ndarray
    box: Box
    in_photo: Box
    in_patch: Box  # grown around `box`, as `crop` does
    again: Box  # in a patch grown around `in_photo`


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("PATHS", type=pathlib.Path, nargs="+")
    parser.add_argument("--run", required=True, help="run that embeds the crops")
    parser.add_argument("--faces", type=int, default=300, help="of each half (default: 300)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if len(arguments.PATHS) == 1:
        halves = [list(_portraits(arguments.PATHS[0], half)) for half in (0, 1)]
    else:
        cache, *csvs = arguments.PATHS
        halves = [list(itertools.islice(_faces(cache, path), arguments.faces)) for path in csvs]
    from imagefec.model import Embedder

    embed = Embedder.load(arguments.run).embed
    apart = _mean_distance(embed, halves[1])
    print(f"Two faces are {apart:.3f} apart on average.\n")
    print("| detector | faces | crop | IoU | distance | of the distance of two faces |")
    print("|---|---|---|---|---|---|")
    for name in DETECTORS:
        try:
            _measure(make_detector(name), *halves, embed, apart)
        except UserError as error:
            print(f"{name} is left out: {error}", flush=True)


def _measure(
    detector: Detector,
    train: list[LABELLED],
    test: list[LABELLED],
    embed: Callable,
    apart: float,
) -> None:
    fitted, measured = _found(detector, train), _found(detector, test)
    patch = fit_mapping([(face.in_patch, face.box) for face in fitted])
    photo = fit_mapping([(face.in_photo, face.box) for face in fitted])
    if patch is None or photo is None or not measured:
        print(f"| {detector.name} | {len(measured)} | too few faces | | | |")
        return
    reference = embed([_cropped(face.photo, face.box)[0] for face in measured])
    for name, boxes in {
        "unmapped": [face.in_photo for face in measured],
        "patch": [patch.apply(face.in_photo) for face in measured],
        "two-stage": [patch.apply(face.again) for face in measured],
        "photo": [photo.apply(face.in_photo) for face in measured],
    }.items():
        crops = [_cropped(face.photo, box) for face, box in zip(measured, boxes)]
        squares = [_cropped(face.photo, face.box)[1] for face in measured]
        overlap = np.mean([iou(square, other) for square, (_, other) in zip(squares, crops)])
        away = np.linalg.norm(embed([face for face, _ in crops]) - reference, axis=1).mean()
        print(
            f"| {detector.name} | {len(measured)} | {name} | {overlap:.2f} | {away:.3f} | "
            f"{away / apart:.2f} |",
            flush=True,
        )
    print(f"{detector.name}: in patches {patch}; in photos {photo}")


def _found(detector: Detector, faces: list[LABELLED]) -> list[Found]:
    found = []
    for photo, box in faces:
        in_photo = best_match(detector.detect(photo), box)
        in_patch = _in_grown(detector, photo, box)
        if in_photo is not None and in_patch is not None:
            again = _in_grown(detector, photo, in_photo) or in_photo
            found.append(Found(photo, box, in_photo, in_patch, again))
    return found


def _grown(photo: np.ndarray, box: Box) -> Box:
    height, width = photo.shape[:2]
    return crop.grown_box(to_fractions(box, width, height), width, height)


def _in_grown(detector: Detector, photo: np.ndarray, box: Box) -> Box | None:
    """The face that the detector finds in a grown box, as `crop` does; in pixels of the photo."""
    grown = _grown(photo, box)
    found = crop.find_face(detector, crop.crop_patch(photo, grown))
    if found is None:
        return None
    left, right, top, bottom = found.box.sides
    return Box(left + grown.left, right + grown.left, top + grown.top, bottom + grown.top)


def _cropped(photo: np.ndarray, box: Box) -> tuple[np.ndarray, Box]:
    grown = _grown(photo, box)
    return crop.letterbox(crop.crop_patch(photo, grown))[0], grown


def _mean_distance(embed: Callable, faces: list[LABELLED]) -> float:
    vectors = embed([_cropped(photo, box)[0] for photo, box in faces])
    other = vectors[np.random.default_rng(0).permutation(len(vectors))]
    distances = np.linalg.norm(vectors - other, axis=1)
    return float(distances[distances > 0].mean())


def _faces(cache_dir: pathlib.Path, csv_path: pathlib.Path) -> Iterator[LABELLED]:
    seen = set()
    with Cache(cache_dir) as cache:
        for face in (face for row in read_rows(csv_path) for face in row.faces):
            path = cache.photo_path(face.url)
            if path is None or face.face_id in seen:
                continue
            seen.add(face.face_id)
            photo = read_photo(path)
            yield photo, to_pixels(face.box, photo.shape[1], photo.shape[0])


def _portraits(folder: pathlib.Path, half: int) -> Iterator[LABELLED]:
    people = sorted(path for path in folder.iterdir() if path.is_dir())
    for path in sorted(path for person in people[half::2] for path in person.glob("*.jpg")):
        photo = read_photo(path)
        yield photo, to_pixels(MIDDLE, photo.shape[1], photo.shape[0])


if __name__ == "__main__":
    main()
