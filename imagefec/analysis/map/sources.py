"""Where the faces of a map come from: a split, image files, or a file of vectors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from imagefec.analysis.map.faces import MapFaces
from imagefec.analysis.map.table import FRACTIONS, PIXELS, Boxes

if TYPE_CHECKING:
    from imagefec.analysis.vectors.sources import FileSource, RunSource

AnyPath = str | os.PathLike[str]


def faces_of_run(run_dir: AnyPath, data_dir: AnyPath, dataset: str, split: str) -> MapFaces:
    """The faces of a split, embedded by a run; arguments and errors as of `make_gallery`."""
    from imagefec.analysis.vectors.sources import RunSource

    return _of_split(RunSource(run_dir), data_dir, dataset, split)


def faces_of_photos(
    run_dir: AnyPath, photos: AnyPath | Iterable[AnyPath], on_no_face: str, detector: str
) -> MapFaces:
    """The faces of image files; arguments and errors as of `make_photo_gallery`."""
    from imagefec.analysis.gallery import photo_faces

    data = photo_faces.faces_of_photos(run_dir, photos, on_no_face, detector)
    boxes = data.boxes
    return MapFaces(data, lambda: None if boxes is None else Boxes(boxes, PIXELS))


def faces_of_file(
    embeddings: AnyPath, data_dir: AnyPath | None, dataset: str, split: str, normalise: bool
) -> MapFaces:
    """The vectors of a file; arguments and errors as of `make_file_gallery`."""
    from imagefec.analysis.gallery import photo_faces
    from imagefec.analysis.vectors.sources import FileSource

    source = FileSource(embeddings, normalise)
    if data_dir is not None:
        return _of_split(source, data_dir, dataset, split)
    data, boxes = photo_faces.faces_of_file(source.file, normalise), source.file.boxes
    return MapFaces(data, lambda: None if boxes is None else Boxes(boxes, PIXELS))


def annotated(found: MapFaces, annotations: Sequence[AnyPath]) -> MapFaces:
    """The faces with the labels and persons of tables; see `annotations.read_annotations`."""
    if not annotations:
        return found
    from imagefec.data.annotations import read_annotations

    known = read_annotations(annotations, found.data.face_ids, found.data.urls, "this map")
    columns = {
        name: [names[code] if code >= 0 else "" for code in codes.tolist()]
        for name, codes, names in (
            ("label", known.label, known.labels),
            ("person", known.person, known.persons),
        )
        if names
    }
    return replace(found, known=columns)


def _of_split(
    source: RunSource | FileSource, data_dir: AnyPath, dataset: str, split: str
) -> MapFaces:
    from imagefec.analysis.gallery.split_faces import faces_of_split

    data = faces_of_split(source, data_dir, dataset, split)

    def boxes() -> Boxes | None:
        from imagefec.data.store.boxes import load_boxes

        found = load_boxes(data_dir, dataset, split, data.face_ids)
        return None if found is None else Boxes(found, FRACTIONS)

    return MapFaces(data, boxes)
