"""Compares an exported file with its run, on faces of the run's dataset or synthetic ones."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from imagefec.model.run import Run

if TYPE_CHECKING:
    from imagefec.data.store.datasets import Triplets

TOLERANCE = 1e-4  # of any number of an embedding, whose vector has length 1
_N_FACES = 32
Engine = Callable[[np.ndarray], np.ndarray]  # faces uint8 [n, side, side, 3] -> [n, d]


class Faces(NamedTuple):
    """Faces to compare on.

    Attributes:
      faces: uint8 [n, side, side, 3] RGB.
      source: where they come from, in words.
    """

    faces: np.ndarray
    source: str


def faces_of_dataset(data: "Triplets", name: str) -> Faces:
    """The first faces of a split; `name` is that of the split, for the record."""
    faces = np.stack([data.faces[i] for i in range(min(_N_FACES, len(data.faces)))])
    return Faces(faces, name)


def synthetic_faces(run: Run) -> Faces:
    """Rendered faces, cropped as a dataset's; the same at every call."""
    from imagefec.faces import crop, opencv
    from imagefec.faces.synthetic.heads.expressions import WORDS, sample_expression
    from imagefec.faces.synthetic.heads.people import sample_person
    from imagefec.faces.synthetic.photo import render_photo

    rng, faces = np.random.default_rng(0), []
    for index in range(_N_FACES):
        head = sample_person(rng), sample_expression(rng, index % len(WORDS))
        photo, (box,) = render_photo(rng, [head])
        grown = crop.grown_box(box, photo.shape[1], photo.shape[0])
        face, _ = crop.letterbox(crop.crop_patch(photo, grown))
        faces.append(opencv.resize(face, run.image_size, run.image_size))
    return Faces(np.stack(faces), "synthetic faces")


def compare(
    engine: Engine, expected: np.ndarray, faces: Faces, path: str | os.PathLike[str]
) -> dict[str, Any]:
    """Embeds faces with an exported file, at once and one alone, and compares with the run.

    Args:
      engine: runs the file.
      expected: float32 [n, d], the run's embeddings.
      faces: n of them.
      path: of the file, for the message.

    Returns:
      {"faces": their source, "n_faces", "largest_difference", "tolerance"}.

    Raises:
      RuntimeError: the file differs from the run: an error of this project, not of the user.
    """
    found = np.concatenate([engine(faces.faces), engine(faces.faces[:1])])
    wanted = np.concatenate([expected, expected[:1]])
    same_shape = found.shape == wanted.shape
    largest = float(np.abs(found - wanted).max()) if same_shape else np.inf
    if not largest <= TOLERANCE:  # refuses NaN too
        raise RuntimeError(
            f"{path}: its embeddings {list(found.shape)} differ from the run's "
            f"{list(wanted.shape)} by up to {largest:.2g}; at most {TOLERANCE} is allowed. The "
            "file was not kept."
        )
    return {
        "faces": faces.source,
        "n_faces": len(faces.faces),
        "largest_difference": largest,
        "tolerance": TOLERANCE,
    }
