"""How sure a run is of a triplet's odd face: the margin by which train triplets are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from imagefec.faces import opencv, photos
from imagefec.faces.detectors import make_detector
from imagefec.faces.detectors.protocol import Detection
from imagefec.maths import geometry
from imagefec.progress import progress
from imagefec.serving.judging.project import DETECTOR, Project
from imagefec.serving.judging.schedule import Margins
from imagefec.serving.judging.triplets import Triplet

_BATCH = 64


def margins_of(project: Project, model: Path) -> Margins:
    """Embeds the train faces with a run and returns the margins of their triplets.

    Args:
      project: whose faces are embedded, cropped as the run's were.
      model: run directory, archive of `imagefec export`, or an .onnx file.

    Raises:
      UserError: the model cannot be loaded, or its faces were aligned and the detector finds no
        eyes.
    """
    from imagefec.faces.detection_crop import cropper
    from imagefec.serving.models import open_engine
    from imagefec.serving.server import crop_settings

    engine = open_engine(model)
    crop = cropper(crop_settings(engine.record, engine.name), make_detector(DETECTOR), engine.name)
    train = [name for name, split in project.splits.items() if split == "train"]
    vectors: dict[str, np.ndarray] = {}
    with progress("embed", len(train), "faces") as bar, opencv.single_thread():
        for start in range(0, len(train), _BATCH):
            names, faces = [], []
            for name in train[start : start + _BATCH]:
                judged = project.faces[name]
                photo = photos.read_photo(judged.photo.path, upright=True)
                box = geometry.to_pixels(judged.box, photo.shape[1], photo.shape[0])
                face = crop(photo, Detection(box, 1.0)).face
                if face is not None:  # its eyes were found
                    names.append(name)
                    faces.append(opencv.resize(face, engine.image_size, engine.image_size))
            if faces:
                vectors |= zip(names, engine.embed(np.stack(faces)))
            bar.update(len(train[start : start + _BATCH]))
    return lambda triplets: margins(triplets, vectors)


def margins(triplets: Sequence[Triplet], vectors: Mapping[str, np.ndarray]) -> list[float]:
    """The second smallest of a triplet's distances minus the smallest; small if the run is unsure.

    Args:
      triplets: ids of three faces each.
      vectors: embedding of each face, float32 [d].

    Returns:
      A margin per triplet, at least 0; infinite if a face has no embedding.
    """
    found = [float("inf")] * len(triplets)
    known = [i for i, triplet in enumerate(triplets) if vectors.keys() >= triplet]
    if known:
        a, b, c = np.stack([[vectors[face] for face in sorted(triplets[i])] for i in known], axis=1)
        distances = np.sort([np.linalg.norm(x - y, axis=1) for x, y in ((a, b), (a, c), (b, c))], 0)
        for i, margin in zip(known, distances[1] - distances[0]):
            found[i] = float(margin)
    return found
