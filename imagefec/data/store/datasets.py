"""Loads faces and triplets of a built dataset; tfds_source.py reads TFDS.

Faces are decoded once, into a face store beside the datasets:
DATA_DIR/face_stores/<dataset>/<split>_<size>px-<digest>/ with faces.npy, names.jsonl and, for
triplets, triplets.npz. Stores may be deleted: they are rebuilt when they are next needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imagefec.data.store import face_store, triplets
from imagefec.data.store.face_store import FaceStore
from imagefec.data.store.tfds_source import TfdsSource, open_source
from imagefec.data.store.triplets import TripletIndex, Triplets
from imagefec.errors import UserError
from imagefec.faces.crop_settings import CropSettings
from imagefec.paths import user_path

__all__ = [
    "LabelledFaces",
    "Triplets",
    "base_splits",
    "load_cached_array",
    "load_faces",
    "load_triplets",
    "rater_source_of",
    "split_names",
]

IMAGES = ("image_a", "image_b", "image_c")
_INDEX_FEATURES, _RATER_FEATURES = ("face_ids", "odd"), ("type", "votes", "agreement")
_ARRAY = "array.npy"
_FACE_FEATURES, _IDENTITY_FEATURES = ("face_id", "url"), ("identity",)


@dataclass(frozen=True)
class LabelledFaces:
    """The faces of a split of a dataset of single faces, labelled with their identities.

    Attributes:
      faces: uint8 [n, size, size, 3], RGB, read-only, mapped from a file.
      face_ids: n ids.
      urls: the photo of each.
      identities: the identity of each.
    """

    faces: np.ndarray
    face_ids: list[str]
    urls: list[str]
    identities: list[str]


def load_triplets(
    data_dir: str | os.PathLike[str],
    dataset: str = "fec",
    split: str = "train",
    image_size: int = 128,
) -> Triplets:
    """Loads a split of a dataset of triplets; its faces are decoded once, then read from a store.

    Args:
      data_dir: where datasets are built (`--data_dir` of `tfds build`). Face stores are cached
        there too, if it is writable.
      dataset: name in data_dir, optionally with a config and a version: "fec", "fec:1.1.0". The
        triplets of "fec/index" refer to the faces of "fec/faces" by id; the result is the same.
        "fec" is "fec/triplets" if that is built, else "fec/index".
      split: a split or, as in TFDS, a part of one: "train", "test", "train[:10%]".
      image_size: side of the faces, pixels; larger faces are averaged by area, smaller ones
        interpolated.

    Returns:
      The triplets, in the order of the dataset's files: the same at every call.

    Raises:
      UserError: data_dir lacks the dataset, the version or the split, the split is empty, the
        dataset holds no triplets or is damaged, or there is not enough room for a store.
      ValueError: image_size < 1.
    """
    _check_size(image_size)
    source = open_source(user_path(data_dir, "data_dir"), dataset, split)
    if not source.has(_INDEX_FEATURES) or (source.has(IMAGES) and not source.has(("urls",))):
        raise source.refusal(
            "triplets", (*IMAGES, *_INDEX_FEATURES, "urls"), "a dataset of triplets, such as fec"
        )
    if source.has(IMAGES):
        store, index = source.build_cached(
            f"{image_size}px",
            {"image_size": image_size},
            lambda folder: triplets.write_triplets(
                source.batches((*_INDEX_FEATURES, "urls"), IMAGES, _RATER_FEATURES),
                image_size,
                folder,
            ),
            partial(triplets.read_triplets, size=image_size),
        )
    else:
        store, index = _index_with_store(source, image_size)
    return index.select(store, source.chosen)


def rater_source_of(data_dir: str | os.PathLike[str], dataset: str, split: str) -> str | None:
    """Who judged the triplets of a split, "people", "simulated" or "mixed".

    Args:
      data_dir: as for load_triplets.
      dataset: likewise.
      split: likewise.

    Returns:
      None if the dataset does not say, as those of earlier versions.

    Raises:
      UserError: as load_triplets.
    """
    return open_source(user_path(data_dir, "data_dir"), dataset, split).rater_source


def crop_settings_of(
    data_dir: str | os.PathLike[str], dataset: str, split: str
) -> CropSettings | None:
    """How the faces of a dataset were cropped; arguments and errors as for `rater_source_of`.

    Returns:
      None if the dataset does not say, as those that `imagefec crop` had no part in.
    """
    return open_source(user_path(data_dir, "data_dir"), dataset, split).crop_settings


def base_splits(data_dir: str | os.PathLike[str], dataset: str, split: str) -> list[str]:
    """The complete splits of which `split` is a part or a sum; arguments as for load_triplets."""
    return open_source(user_path(data_dir, "data_dir"), dataset, split).splits


def split_names(data_dir: str | os.PathLike[str], dataset: str, split: str) -> list[str]:
    """All splits of the dataset that `split` is of; arguments as for load_triplets."""
    return list(open_source(user_path(data_dir, "data_dir"), dataset, split).builder.info.splits)


def load_cached_array(
    data_dir: str | os.PathLike[str],
    dataset: str,
    split: str,
    name: str,
    made_from: Mapping[str, Any],
    shape: tuple[int, ...],
    make: Callable[[], np.ndarray],
) -> np.ndarray:
    """An array that is computed from a split's faces once, then read from beside the face stores.

    Args:
      data_dir: as for load_triplets.
      dataset: likewise.
      split: likewise.
      name: of the array, without "_"; one of each name is cached per split.
      made_from: what it depends on apart from the dataset and the split, as JSON values.
      shape: of the array.
      make: returns the array, uint8.

    Raises:
      UserError: as load_triplets.
    """
    source = open_source(user_path(data_dir, "data_dir"), dataset, split)

    def read(folder: Path) -> np.ndarray:
        array = np.load(folder / _ARRAY, allow_pickle=False)
        if array.dtype != np.uint8 or array.shape != shape:
            raise ValueError(f"{_ARRAY} is {array.dtype} {list(array.shape)}, not {list(shape)}")
        return array

    about = {**made_from, "part": split}
    return source.build_cached(name, about, lambda to: np.save(to / _ARRAY, make()), read)


def load_faces(
    data_dir: str | os.PathLike[str],
    dataset: str = "vggface2/faces",
    split: str = "train",
    image_size: int = 128,
) -> LabelledFaces:
    """Loads a split of a dataset of single faces with identities, as load_triplets does.

    Args:
      data_dir: as for load_triplets.
      dataset: name in data_dir.
      split: as for load_triplets.
      image_size: as for load_triplets.

    Returns:
      The faces, in the order of the dataset's files.

    Raises:
      UserError: as load_triplets; also if the dataset has no identities.
      ValueError: image_size < 1.
    """
    _check_size(image_size)
    source = open_source(user_path(data_dir, "data_dir"), dataset, split)
    required = ("image", *_FACE_FEATURES, *_IDENTITY_FEATURES)
    if not source.has(required):
        raise source.refusal(
            "faces with identities", required, "a dataset of such faces, such as vggface2/faces"
        )
    store = _store_of_faces(source, image_size).part(source.chosen)
    return LabelledFaces(store.faces, store.face_ids, store.urls, store.identities or [])


def _store_of_faces(source: TfdsSource, size: int) -> FaceStore:
    return source.build_cached(
        f"{size}px",
        {"image_size": size},
        lambda folder: face_store.write_faces(
            source.batches(_FACE_FEATURES, ("image",), _IDENTITY_FEATURES), size, folder
        ),
        partial(FaceStore.open, size=size),
    )


def _index_with_store(source: TfdsSource, size: int) -> tuple[FaceStore, TripletIndex]:
    """Loads triplets that refer to faces by id, and the store of config `faces`."""
    name, version = source.builder.name, source.builder.version
    faces = open_source(
        source.data_dir,
        f"{name}/faces:{version}",
        "+".join(source.splits),
        f"; {source.full_name} takes its faces from there",
    )
    required = ("image", *_FACE_FEATURES)
    if not faces.has(required):
        raise faces.refusal("faces", required, f"triplets with their faces, such as {name}")
    face_ids, index = source.build_cached(
        "index",
        {},
        lambda folder: triplets.write_index(
            source.batches(_INDEX_FEATURES, optional=_RATER_FEATURES), folder
        ),
        triplets.read_index,
    )
    store = _store_of_faces(faces, size)
    indices = store.indices_of(face_ids)
    if (missing := indices < 0).any():
        raise UserError(
            f"{faces.full_name} in {source.data_dir} lacks {missing.sum()} of the {len(indices)} "
            f"faces of {source.full_name}, such as {face_ids[int(np.argmax(missing))]}: the two "
            "were built from different crops. Build both again with --overwrite."
        )
    return store, index.with_rows(indices.astype(np.int32)[index.rows])


def _check_size(image_size: int) -> None:
    if image_size < 1:
        raise ValueError(f"image_size must be 1 or more, not {image_size}")
