"""The boxes of the faces of a built dataset, which face stores do not have."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from imagefec.data.store.tfds_source import TfdsSource, open_source
from imagefec.errors import UserError
from imagefec.paths import user_path


def load_boxes(
    data_dir: str | os.PathLike[str], dataset: str, split: str, face_ids: Sequence[str]
) -> np.ndarray | None:
    """Reads the box of each face in its photo; it reads the dataset's files once.

    Args:
      data_dir: as for `datasets.load_triplets`; likewise the others.
      dataset: likewise.
      split: likewise.
      face_ids: n ids of faces of the split.

    Returns:
      float32 [n, 4]: left, right, top, bottom, in fractions of the photo; NaN for unknown faces.
      None if the dataset has no boxes.

    Raises:
      UserError: there is no such dataset or split, or it is damaged.
    """
    source = open_source(user_path(data_dir, "data_dir"), dataset, split)
    ids, boxes = "face_ids", "boxes"
    if not source.has((ids, boxes)):
        source, ids, boxes = _faces_of(source), "face_id", "box"
    if not source.has((ids, boxes)):
        return None
    row_of = {face_id.encode(): row for row, face_id in enumerate(face_ids)}
    found = np.full((len(face_ids), 4), np.nan, np.float32)
    for batch in source.batches((ids, boxes)):
        for face_id, box in zip(batch[ids].reshape(-1), batch[boxes].reshape(-1, 4)):
            if (row := row_of.get(face_id)) is not None:
                found[row] = box
    return found


def _faces_of(source: TfdsSource) -> TfdsSource:
    """The config `faces` of a dataset whose triplets have no boxes; itself if it is not built."""
    name, version = source.builder.name, source.builder.version
    try:
        return open_source(source.data_dir, f"{name}/faces:{version}", "+".join(source.splits))
    except UserError:
        return source
