"""Measures how a detector's boxes in complete photos differ from the csv files' boxes."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from imagefec import files, json_files
from imagefec.data.crop import face_folder
from imagefec.data.fetch.photo_cache.cache import Cache
from imagefec.faces.box_mapping import fit_mapping
from imagefec.faces.crop_settings import MAPPING, read_crop_settings
from imagefec.faces.detectors import Detection, Detector
from imagefec.faces.opencv import single_thread
from imagefec.faces.photos import NotAPhoto, read_photo
from imagefec.maths.geometry import Box, iou, to_pixels

SAMPLE_FACES = 300
_LEAST_IOU = 0.3  # of the csv's box and a detection of the same face


def record_mapping(
    faces_dir: Path, cache: Cache, detector: Detector, train_ids: Collection[str]
) -> None:
    """Adds the mapping of the detector's boxes to settings.json.

    It is measured on the train faces with the lowest ids. Ids are digests, so these are a random
    sample, and the same one in every crop of the same csv files.

    Args:
      faces_dir: folder of the faces; its manifest is sorted.
      cache: of the photos.
      detector: the one that cropped the faces.
      train_ids: ids of the train split's faces. If there are none, settings.json stays as it is.
    """
    sample = list(itertools.islice(_kept(faces_dir, train_ids), SAMPLE_FACES))
    if not sample or detector.name == "none":
        return
    digest = hashlib.sha256("".join(face_id for face_id, _, _ in sample).encode()).hexdigest()[:20]
    path = faces_dir / face_folder.SETTINGS
    settings = json_files.read_json(path)
    if _is_measured(settings, digest):
        return
    with single_thread():
        pairs = [pair for _, url, box in sample if (pair := _pair(cache, detector, url, box))]
    mapping = fit_mapping(pairs)
    measured: dict[str, Any] = asdict(mapping) if mapping else {"n": len(pairs)}
    settings[MAPPING] = {**measured, "sample": digest}
    files.write_text(path, json.dumps(settings, indent=2) + "\n")


def best_match(found: Iterable[Detection], box: Box) -> Box | None:
    """The detected box that overlaps a face's box most; None if none is of the same face."""
    boxes = [detection.box for detection in found]
    best = max(boxes, key=lambda each: iou(each, box), default=None)
    return best if best is not None and iou(best, box) >= _LEAST_IOU else None


def _is_measured(settings: dict[str, Any], digest: str) -> bool:
    """Whether the settings have a mapping of this sample; anyone may have written them."""
    try:
        read_crop_settings(settings)
    except ValueError:
        return False
    return (settings.get(MAPPING) or {}).get("sample") == digest


def _kept(faces_dir: Path, train_ids: Collection[str]) -> Iterator[tuple[str, str, Box]]:
    """Yields (id, URL, box) of the train faces that have a PNG, in the manifest's order."""
    for face_id, record, line in face_folder.read_manifest(faces_dir):
        if record.kept and face_id in train_ids:
            yield face_id, face_folder.url_of(line), face_folder.box_of(line)


def _pair(cache: Cache, detector: Detector, url: str, box: Box) -> tuple[Box, Box] | None:
    """The detected box and the csv's box of a face, in pixels; None if it is not detected."""
    path = cache.photo_path(url)
    if path is None:
        return None
    try:
        photo = read_photo(path)
    except NotAPhoto:
        return None
    of_csv = to_pixels(box, photo.shape[1], photo.shape[0])
    found = best_match(detector.detect(photo), of_csv)
    return None if found is None else (found, of_csv)
