"""From a built dataset to faces and triplets in memory: the one file that reads TFDS; datasets are built elsewhere.

Faces are decoded once, into a face bank beside the datasets:
DATA_DIR/face_stores/<dataset>/<split>_<size>px-<digest>/ with faces.npy, names.jsonl and, of
triplets, triplets.npz. Banks may be deleted: they are made again when they are next wanted.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from imagefec.data.store import store_writers
from imagefec.data.store.cached import fingerprint, keep
from imagefec.data.store.face_store import FaceStore
from imagefec.data.store.triplets import TripletIndex, Triplets, triplet_batches, triplet_numbers
from imagefec.errors import UserError
from imagefec.quiet import quiet_imports

__all__ = ["Faces", "Triplets", "load_faces", "load_triplets", "triplet_batches", "triplet_numbers"]

BANKS = "face_stores"  # in the data_dir
IMAGES = ("image_a", "image_b", "image_c")
_OF_INDEX, _OF_RATERS = ("face_ids", "odd"), ("type", "votes", "agreement")
_OF_FACES, _OF_PEOPLE = ("face_id", "url"), ("identity",)
READ_TOGETHER = 128  # examples a step while loading: about 10 MB of PNG files
FORMAT = 2  # of what is kept: raise it when its meaning changes, so that older ones are made again

T = TypeVar("T")


@dataclass(frozen=True)
class Faces:
    """The faces of a split of a dataset of single faces.

    Attributes:
      faces: uint8 [n, size, size, 3], RGB, mapped from a file: not to be written to.
      face_ids: n ids.
      urls: the photograph of each.
      identities: who is on each.
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
    """Loads a split of a built dataset of triplets; its faces are decoded the first time only, and come from a bank after.

    Args:
      data_dir: where datasets are built (`--data_dir` of `tfds build`); face banks are kept there
        too, where that is allowed.
      dataset: name in it, with a version if a certain one is meant: "fec", "fec:1.1.0". One of
        triplets that name their faces only, "fec/index", takes these from the config "faces" beside
        it; what is returned is the same.
      split: a split or, as TFDS has it, a part of one: "train", "test", "train[:10%]".
      image_size: side of the faces wanted, in pixels; the dataset's are averaged by area to a
        smaller one, interpolated to a larger.

    Returns:
      The triplets, in the order of the dataset's files: the same at every call.

    Raises:
      UserError: data_dir lacks the dataset, the version or the split, the split is empty, or the
        dataset holds no triplets or is damaged; or there is no room for a bank.
      ValueError: image_size < 1.
    """
    _check_size(image_size)
    source = _open(Path(data_dir).expanduser(), dataset, split)
    if source.lacks(_OF_INDEX) or (not source.lacks(IMAGES) and source.lacks(("urls",))):
        raise source.refusal(
            "triplets", (*IMAGES, *_OF_INDEX, "urls"), "a dataset of triplets, such as fec"
        )
    if source.lacks(IMAGES):
        bank, index = _index_and_its_bank(source, image_size)
    else:
        made_from = {"image_size": image_size}
        bank, index = source.keep(
            f"{image_size}px",
            made_from,
            lambda folder: store_writers.write_triplets(
                source.batches((*_OF_INDEX, "urls"), IMAGES, _OF_RATERS), image_size, folder
            ),
            partial(store_writers.read_triplets, size=image_size),
        )
    return index.of(bank, source.chosen)


def load_faces(
    data_dir: str | os.PathLike[str],
    dataset: str = "vggface2/faces",
    split: str = "train",
    image_size: int = 128,
) -> Faces:
    """Loads a split of a dataset of single faces with identities, from its bank as load_triplets does.

    Args:
      data_dir, split, image_size: as load_triplets has them.
      dataset: name in data_dir.

    Returns:
      The faces, in the order of the dataset's files.

    Raises:
      UserError: as load_triplets; also a dataset without identities.
      ValueError: image_size < 1.
    """
    _check_size(image_size)
    source = _open(Path(data_dir).expanduser(), dataset, split)
    if source.lacks(("image", *_OF_FACES, *_OF_PEOPLE)):
        raise source.refusal(
            "faces with identities",
            ("image", *_OF_FACES, *_OF_PEOPLE),
            "a dataset of such faces, such as vggface2/faces",
        )
    bank = _bank_of_faces(source, image_size).part(source.chosen)
    return Faces(bank.faces, bank.face_ids, bank.urls, bank.identities)


def _bank_of_faces(source: _Source, size: int) -> FaceStore:
    return source.keep(
        f"{size}px",
        {"image_size": size},
        lambda folder: store_writers.write_faces(
            source.batches(_OF_FACES, ("image",), _OF_PEOPLE), size, folder
        ),
        partial(FaceStore.open, size=size),
    )


def _index_and_its_bank(source: _Source, size: int) -> tuple[FaceStore, TripletIndex]:
    """Of triplets that name their faces: the bank is that of the config `faces`, and the index is made to fit it."""
    name, version = source.builder.name, source.builder.version
    faces = _open(
        source.data_dir,
        f"{name}/faces:{version}",
        "+".join(source.splits),
        f"; {source.full_name} takes its faces from there",
    )
    if faces.lacks(("image", *_OF_FACES)):
        raise faces.refusal(
            "faces", ("image", *_OF_FACES), f"triplets with their faces, such as {name}"
        )
    face_ids, index = source.keep(
        "index",
        {},
        lambda folder: store_writers.write_index(
            source.batches(_OF_INDEX, optional=_OF_RATERS), folder
        ),
        store_writers.read_index,
    )
    bank = _bank_of_faces(faces, size)
    rows = bank.rows_of(face_ids)
    if (rows < 0).any():
        first = face_ids[int(np.argmax(rows < 0))]
        raise UserError(
            f"{faces.full_name} in {source.data_dir} lacks {(rows < 0).sum()} of the {len(rows)} faces that {source.full_name} "
            f"mentions, {first} for one: the two were built from different crops. Build both again with --overwrite."
        )
    return bank, index.with_rows(rows.astype(np.int32)[index.rows])


@dataclass(frozen=True)
class _Source:
    """A split of a built dataset, or parts of one or more.

    Attributes:
      data_dir: where it is.
      builder: TFDS's, read-only.
      splits: the whole splits that are wanted, or parts of which.
      chosen: int64, which examples of these, one split after the other.
    """

    data_dir: Path
    builder: Any
    splits: list[str]
    chosen: np.ndarray

    @property
    def full_name(self) -> str:
        return self.builder.info.full_name

    def lacks(self, wanted: Sequence[str]) -> bool:
        return any(name not in self.builder.info.features for name in wanted)

    def refusal(self, what: str, wanted: Sequence[str], instead: str) -> UserError:
        missing = ", ".join(name for name in wanted if name not in self.builder.info.features)
        return UserError(
            f"{self.full_name} in {self.data_dir} holds no {what}: it lacks {missing}. Name {instead}."
        )

    def keep(
        self,
        name: str,
        made_from: dict[str, Any],
        make: Callable[[Path], None],
        read: Callable[[Path], T],
    ) -> T:
        """What was made of these whole splits, as kept.keep has it."""
        folder, splits = Path(self.builder.data_dir), self.builder.info.splits
        files = [
            folder / "features.json",
            folder / "dataset_info.json",
            *(Path(path) for split in self.splits for path in splits[split].filepaths),
        ]
        try:
            digest = fingerprint(files)
        except OSError as error:
            raise UserError(
                f"{error.filename}: {error.strerror}. Build {self.full_name} again with --overwrite."
            ) from error
        joined = "+".join(self.splits)
        about = {
            "format": FORMAT,
            "dataset": self.full_name,
            "splits": joined,
            "fingerprint": digest,
            **made_from,
        }
        return keep(self.data_dir / BANKS / self.full_name, f"{joined}_{name}", about, make, read)

    def batches(
        self, wanted: Sequence[str], images: Sequence[str] = (), optional: Sequence[str] = ()
    ) -> Iterator[dict[str, np.ndarray]]:
        """All examples of the splits, READ_TOGETHER at a time: feature -> array [b, ...].

        Images are not decoded, votes are counted: int32 [b, 3]. Optional features come where there
          are all.
        """
        import tensorflow as tf
        import tensorflow_datasets as tfds

        names = (*images, *wanted, *(() if self.lacks(optional) else optional))
        for split in self.splits:
            examples = self.builder.as_dataset(
                split=split,
                decoders={name: tfds.decode.SkipDecoding() for name in images},
                read_config=_read_in_order(),
            )
            examples = examples.map(lambda example: {name: example[name] for name in names})
            try:
                for batch in examples.ragged_batch(READ_TOGETHER).prefetch(2):
                    yield {
                        name: _count_votes(column) if name == "votes" else column.numpy()
                        for name, column in batch.items()
                    }
            except tf.errors.OpError as error:
                raise UserError(
                    f"{self.full_name} in {self.data_dir} cannot be read to its end: {error.message}. Build again "
                    "with --overwrite."
                ) from error


def _check_size(image_size: int) -> None:
    if image_size < 1:
        raise ValueError(f"image_size must be 1 or more, not {image_size}")


def _open(data_dir: Path, dataset: str, split: str, why: str = "") -> _Source:
    with quiet_imports():
        import tensorflow as tf
        import tensorflow_datasets as tfds

    # TensorFlow would take all of the memory that JAX trains in. It refuses where it is in use
    # already: then its owner has decided.
    with quiet_imports(), contextlib.suppress(RuntimeError):
        tf.config.set_visible_devices([], "GPU")
    try:
        builder = tfds.core.read_only_builder.builder_from_files(dataset, data_dir=data_dir)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        raise UserError(_not_found(data_dir, dataset, why)) from error
    splits = builder.info.splits
    try:
        n_examples = splits[split].num_examples
        parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(dict(splits))
    except (KeyError, ValueError, AssertionError) as error:
        raise UserError(
            f"{builder.info.full_name} in {data_dir} has no split {split!r}; it has "
            + (
                ", ".join(f"{name} ({info.num_examples} examples)" for name, info in splits.items())
                or "none"
            )
            + ". A part is written as train[:10%] or train[100:200]. A split is missing where its csv file "
            "was not in the manual directory; put it there and build again with --overwrite."
        ) from error
    if not n_examples:
        raise UserError(
            f"{builder.info.full_name} in {data_dir}: {split!r} is empty. Ask for a larger part."
        )
    names = list(dict.fromkeys(part.splitname for part in parts))
    begins = dict(
        zip(names, np.cumsum([0, *(splits[name].num_examples for name in names)]).tolist())
    )
    chosen = [
        np.arange(splits[part.splitname].num_examples)[part.from_ : part.to]
        + begins[part.splitname]
        for part in parts
    ]
    return _Source(data_dir, builder, names, np.concatenate(chosen))


def _count_votes(votes: Any) -> np.ndarray:
    """Votes of each annotator, a ragged tensor [n, None] of 0..2, -> int32 [n, 3] counts an image."""
    n, rows = votes.shape[0], votes.value_rowids().numpy()
    return (
        np.bincount(rows * 3 + votes.values.numpy(), minlength=3 * n).reshape(n, 3).astype(np.int32)
    )


def _read_in_order() -> Any:
    """One file after the other, little read ahead: left to itself, tf.data holds much of it all at once."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    return tfds.ReadConfig(
        options=options,
        try_autocache=False,
        skip_prefetch=True,
        interleave_cycle_length=1,
        num_parallel_calls_for_interleave_files=1,
        num_parallel_calls_for_decode=4,
    )


def _not_found(data_dir: Path, dataset: str, why: str) -> str:
    there = (
        sorted(
            {
                ":".join([str(p.parents[1].relative_to(data_dir)), p.parent.name])
                for p in data_dir.glob("*/**/dataset_info.json")
            }
        )
        if data_dir.is_dir()
        else []
    )
    name, _, config = dataset.split(":")[0].partition("/")
    found = f"it holds {', '.join(there) or 'none'}." if data_dir.is_dir() else "it is no folder."
    return (
        f"{data_dir} holds no dataset {dataset!r}{why}; {found} Build it: tfds build tfds_builders/{name} "
        f"{f'--config={config} ' if config else ''}--manual_dir=DIR --data_dir={data_dir}"
    )
