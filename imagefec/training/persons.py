"""Who is on each face that a run trains on, for identity removal."""

import numpy as np

from imagefec.data.annotations import read_annotations
from imagefec.data.store.triplets import Triplets
from imagefec.errors import UserError
from imagefec.training.config import DataConfig


def persons_of_faces(data: Triplets, config: DataConfig) -> np.ndarray:
    """Reads the persons of faces from training.annotations.

    Args:
      data: the training split.
      config: its `annotations` are read.

    Returns:
      int32 [n], a number for each person; -1 for a face whose person is not known.

    Raises:
      UserError: the file is missing, damaged or of other faces, or nothing can be learned from its
        persons: there are fewer than two, or none has two faces.
    """
    what = f"{config.train_dataset or config.dataset}, split {config.train_split}"
    known = read_annotations(
        config.annotations or (), data.face_ids, data.urls, what, "training.annotations"
    )
    counts = np.bincount(known.person[known.person >= 0])
    if len(counts) < 2 or counts.max() < 2:
        raise UserError(
            f"training.annotations={config.annotations}: names {len(counts)} persons of the faces "
            f"of {what}, and no more than {counts.max(initial=0)} faces of one. identity_removal "
            "compares the faces of a person with those of others; give a table with a column "
            "'person' that names two or more persons with several faces, or bind "
            "identity_removal.weight to 0."
        )
    return known.person.astype(np.int32)
