"""From a built dataset to batches of triplets: the one file that reads TFDS; datasets are built elsewhere."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from imagefec.errors import UserError
from imagefec.quiet import quiet_imports

IMAGES = ("image_a", "image_b", "image_c")
_OF_TRIPLETS, _OF_RATERS = ("face_ids", "urls", "odd"), ("type", "votes", "agreement")
_OF_FACES = ("face_id", "url", "identity")
READ_TOGETHER = 128  # examples a step while loading: about 10 MB of PNG files
ODD_LAST = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])  # row k: the images' order that puts image k last


@dataclass(frozen=True)
class Triplets:
    """The triplets of a split and the faces they mention, each face stored once.

    Attributes:
      faces: uint8 [n, size, size, 3], RGB.
      face_ids: n ids, in the order of `faces`.
      urls: the photograph of each face, n of them; several faces may share one.
      triplets: int32 [t, 3], rows of `faces`; the ODD ONE LAST, the alike pair in the dataset's order.
      types: int8 [t], 0 one-class, 1 two-class, 2 three-class; -1 where the dataset has no types.
      votes: int32 [t, 3], how many annotators found the face of that column of `triplets` the odd one; 0 where nobody was
        asked.
      agreement: float32 [t], share of the votes that the odd one got, in (0, 1]; 1 where nobody was asked.
    """

    faces: np.ndarray
    face_ids: list[str]
    urls: list[str]
    triplets: np.ndarray
    types: np.ndarray
    votes: np.ndarray
    agreement: np.ndarray

    def __len__(self) -> int:
        return len(self.triplets)


@dataclass(frozen=True)
class Faces:
    """The faces of a split of a dataset of single faces.

    Attributes:
      faces: uint8 [n, size, size, 3], RGB.
      face_ids: n ids.
      urls: the photograph of each.
      identities: who is on each.
    """

    faces: np.ndarray
    face_ids: list[str]
    urls: list[str]
    identities: list[str]


def load_triplets(
    data_dir: str | os.PathLike[str], dataset: str = "fec", split: str = "train", image_size: int = 128
) -> Triplets:
    """Loads a split of a built dataset, each distinct face decoded and resized once.

    Args:
      data_dir: where datasets are built (`--data_dir` of `tfds build`).
      dataset: name in it, with a version if a certain one is meant: "fec", "fec:1.0.0".
      split: a split or, as TFDS has it, a part of one: "train", "test", "train[:10%]".
      image_size: side of the faces wanted, in pixels; the dataset's are averaged by area to a
        smaller one, interpolated to a larger.

    Returns:
      The triplets, in the order of the dataset's files: the same at every call.

    Raises:
      UserError: data_dir lacks the dataset, the version or the split, the split is empty, or the dataset
        holds no triplets or is damaged.
      ValueError: image_size < 1.
    """
    if image_size < 1:
        raise ValueError(f"image_size must be 1 or more, not {image_size}")
    data_dir = Path(data_dir).expanduser()
    examples = _open(data_dir, dataset, split, _OF_TRIPLETS, IMAGES, _OF_RATERS)
    bank = _FaceBank(image_size)
    columns: dict[str, list[np.ndarray]] = {"triplets": [], "types": [], "votes": [], "agreement": []}
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for batch in _whole(examples, f"{dataset} in {data_dir}"):
            faces = bank.rows(batch, pool)
            odd = batch["odd"].numpy()
            order = ODD_LAST[odd]
            columns["triplets"].append(np.take_along_axis(faces, order, axis=1))
            judged = "votes" in batch
            votes = _count_votes(batch["votes"], len(odd)) if judged else np.zeros((len(odd), 3), np.int32)
            columns["votes"].append(np.take_along_axis(votes, order, axis=1))
            columns["types"].append(batch["type"].numpy().astype(np.int8) if judged else np.full(len(odd), -1, np.int8))
            columns["agreement"].append(batch["agreement"].numpy() if judged else np.ones(len(odd), np.float32))
    return Triplets(
        **{name: np.concatenate(parts) for name, parts in columns.items()},
        faces=bank.finish(), face_ids=list(bank.row_of), urls=bank.urls,
    )


def load_faces(
    data_dir: str | os.PathLike[str], dataset: str = "vggface2/faces", split: str = "train", image_size: int = 128
) -> Faces:
    """Loads a split of a dataset of single faces with identities.

    Args:
      data_dir: where datasets are built.
      dataset: name in it.
      split: as load_triplets has it.
      image_size: likewise.

    Returns:
      The faces, in the order of the dataset's files.

    Raises:
      UserError: as load_triplets; also a dataset without identities.
      ValueError: image_size < 1.
    """
    if image_size < 1:
        raise ValueError(f"image_size must be 1 or more, not {image_size}")
    data_dir = Path(data_dir).expanduser()
    bank, identities = _FaceBank(image_size), []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for batch in _whole(_open(data_dir, dataset, split, _OF_FACES, ("image",)), f"{dataset} in {data_dir}"):
            bank.rows({"face_ids": batch["face_id"][:, None], "urls": batch["url"][:, None], "image_a": batch["image"]}, pool)
            identities += [name.decode() for name in batch["identity"].numpy()]
    return Faces(bank.finish(), list(bank.row_of), bank.urls, identities)


def triplet_batches(
    data: Triplets, batch_triplets: int, seed: int, balanced: bool = False, skip: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draws batches for ever; every triplet comes once an epoch, and each epoch is shuffled anew.

    Where the batch size does not divide the number of triplets, a batch ends one epoch and begins the next,
    so nothing is dropped.

    Args:
      data: what `load_triplets` returned.
      batch_triplets: triplets a batch, 1 or more.
      seed: of the order; the same seed gives the same batches.
      balanced: draw as many of each of the three types, in turns 0, 1, 2, 0, 1, 2, ...; an epoch is then each
        type's own, and a rare type comes round more often.
      skip: batches to pass over at the start without reading their faces: where a resumed run goes on.

    Returns:
      An iterator over (faces, types): faces uint8 [3 * batch_triplets, size, size, 3], (alike, alike, odd) of
      the first triplet, then of the second, ...; types int8 [batch_triplets].

    Raises:
      UserError: batch_triplets is below 1, above the number of triplets (of any type, if balanced), or, if
        balanced, not a multiple of 3.
    """
    numbers = triplet_numbers(data, batch_triplets, seed, balanced, skip)
    return ((data.faces[data.triplets[chosen].reshape(-1)], data.types[chosen]) for chosen in numbers)


def triplet_numbers(
    data: Triplets, batch_triplets: int, seed: int, balanced: bool = False, skip: int = 0
) -> Iterator[np.ndarray]:
    """The order of `triplet_batches`, as row numbers int [batch_triplets] into data.triplets; the arguments are its own."""
    if batch_triplets < 1:
        raise UserError(f"The batch is {batch_triplets} triplets; it must be 1 or more.")
    pools = [np.flatnonzero(data.types == kind) for kind in range(3)] if balanced else [np.arange(len(data))]
    if batch_triplets % len(pools):
        raise UserError(
            f"The batch is {batch_triplets} triplets; a balanced one holds as many of each of 3 types, so "
            "take a multiple of 3, or turn balancing off."
        )
    share = batch_triplets // len(pools)
    for kind, pool in enumerate(pools):
        if len(pool) < share:
            which = f" of type {kind}, which balancing asks for," if balanced else ""
            raise UserError(
                f"A batch takes {share} triplets{which} and the data hold {len(pool)}. Take a smaller batch "
                "or load more triplets."
            )
    return _numbers(pools, share, np.random.default_rng(seed), skip)


def _numbers(pools: list[np.ndarray], share: int, random: np.random.Generator, skip: int) -> Iterator[np.ndarray]:
    streams = [_shuffled_for_ever(pool, share, child) for pool, child in zip(pools, random.spawn(len(pools)))]
    for _ in range(skip):
        for stream in streams:
            next(stream)
    while True:
        yield np.stack([next(stream) for stream in streams], axis=1).reshape(-1)


def _shuffled_for_ever(pool: np.ndarray, share: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    waiting = np.empty(0, pool.dtype)
    while True:
        if len(waiting) < share:
            waiting = np.concatenate([waiting, random.permutation(pool)])
        yield waiting[:share]
        waiting = waiting[share:]


@dataclass
class _FaceBank:
    """Faces seen so far, in one array that grows in place (numpy's resize copies no large one on Linux)."""

    size: int
    row_of: dict[str, int] = field(default_factory=dict)
    urls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.faces = np.empty((0, self.size, self.size, 3), np.uint8)

    def rows(self, batch: dict[str, Any], pool: ThreadPoolExecutor) -> np.ndarray:
        """The rows int32 [b, 3] of a batch's faces; those not seen before are decoded and added."""
        ids = batch["face_ids"].numpy()
        urls = batch["urls"].numpy()
        pngs = None
        new: list[tuple[int, str, bytes]] = []
        rows = np.empty(ids.shape, np.int32)
        for place in np.ndindex(*ids.shape):
            face_id = ids[place].decode()
            if face_id not in self.row_of:
                if pngs is None:
                    pngs = np.stack([batch[name].numpy() for name in IMAGES if name in batch], axis=1)
                new.append((len(self.row_of), face_id, pngs[place]))
                self.row_of[face_id] = len(self.row_of)
                self.urls.append(urls[place].decode())
            rows[place] = self.row_of[face_id]
        self._make_room(len(self.row_of))
        list(pool.map(self._decode, new))
        return rows

    def finish(self) -> np.ndarray:
        self.faces.resize((len(self.row_of), *self.faces.shape[1:]), refcheck=False)
        return self.faces

    def _make_room(self, n: int) -> None:
        if n > len(self.faces):
            self.faces.resize((max(n, len(self.faces) * 5 // 4), *self.faces.shape[1:]), refcheck=False)

    def _decode(self, face: tuple[int, str, bytes]) -> None:
        row, face_id, image = face
        bgr = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise UserError(f"The image of face {face_id} is damaged; build again with --overwrite.")
        if bgr.shape[:2] != (self.size, self.size):
            # INTER_AREA averages when it shrinks; when it enlarges it only repeats pixels.
            how = cv2.INTER_AREA if self.size < min(bgr.shape[:2]) else cv2.INTER_CUBIC
            bgr = cv2.resize(bgr, (self.size, self.size), interpolation=how)
        cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=self.faces[row])


def _count_votes(votes: Any, n: int) -> np.ndarray:
    """Votes of each annotator, a ragged [n, None] of 0..2, -> int32 [n, 3] counts an image."""
    rows = votes.value_rowids().numpy()
    return np.bincount(rows * 3 + votes.values.numpy(), minlength=3 * n).reshape(n, 3).astype(np.int32)


def _open(data_dir: Path, dataset: str, split: str, wanted: tuple, images: tuple, optional: tuple = ()) -> Any:
    """The split as a tf.data.Dataset of batches with undecoded images and, where there are all, the optional features."""
    with quiet_imports():
        import tensorflow as tf
        import tensorflow_datasets as tfds

    # TensorFlow would take all of the memory that JAX trains in. It refuses where it is in use already:
    # then its owner has decided.
    with quiet_imports(), contextlib.suppress(RuntimeError):
        tf.config.set_visible_devices([], "GPU")
    try:
        builder = tfds.core.read_only_builder.builder_from_files(dataset, data_dir=data_dir)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        raise UserError(_not_found(data_dir, dataset)) from error
    wanted = (*images, *wanted)
    if all(name in builder.info.features for name in optional):
        wanted = (*wanted, *optional)
    missing = [name for name in wanted if name not in builder.info.features]
    if missing:
        raise UserError(
            f"{builder.info.full_name} in {data_dir} holds no {'triplets' if images == IMAGES else 'faces with identities'}: it "
            f"lacks {', '.join(missing)}. Name a dataset of "
            f"{'triplets, such as fec' if images == IMAGES else 'such faces, such as vggface2/faces'}."
        )
    splits = builder.info.splits
    try:
        n_examples = splits[split].num_examples
    except (KeyError, ValueError, AssertionError) as error:
        raise UserError(
            f"{builder.info.full_name} in {data_dir} has no split {split!r}; it has "
            + (", ".join(f"{name} ({info.num_examples} examples)" for name, info in splits.items()) or "none")
            + ". A part is written as train[:10%] or train[100:200]. A split is missing where its csv file "
            "was not in the manual directory; put it there and build again with --overwrite."
        ) from error
    if not n_examples:
        raise UserError(f"{builder.info.full_name} in {data_dir}: {split!r} is empty. Ask for a larger part.")
    examples = builder.as_dataset(
        split=split,
        decoders={name: tfds.decode.SkipDecoding() for name in images},
        read_config=_read_in_order(),
    )
    examples = examples.map(lambda example: {name: example[name] for name in wanted})
    return examples.ragged_batch(READ_TOGETHER).prefetch(2)


def _whole(examples: Any, where: str) -> Iterator[dict[str, Any]]:
    import tensorflow as tf

    try:
        yield from examples
    except tf.errors.OpError as error:
        raise UserError(
            f"{where} cannot be read to its end: {error.message}. Build again with --overwrite.") from error


def _read_in_order() -> Any:
    """One file after the other, little read ahead: left to itself, tf.data holds much of it all at once."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    return tfds.ReadConfig(
        options=options, try_autocache=False, skip_prefetch=True, interleave_cycle_length=1,
        num_parallel_calls_for_interleave_files=1, num_parallel_calls_for_decode=4,
    )


def _not_found(data_dir: Path, dataset: str) -> str:
    there = sorted(
        {":".join([*p.parent.relative_to(data_dir).parts[:-1], p.parent.name])
         for p in data_dir.glob("*/**/dataset_info.json")}
    ) if data_dir.is_dir() else []
    name = dataset.split(":")[0].split("/")[0]
    found = f"it holds {', '.join(there) or 'none'}." if data_dir.is_dir() else "it is no folder."
    return (
        f"{data_dir} holds no dataset {dataset!r}; {found}"
        f" Build it: tfds build tfds_builders/{name} --manual_dir=DIR --data_dir={data_dir}"
    )
