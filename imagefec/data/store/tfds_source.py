"""Opens a built dataset's split and reads it in order; only `tfds_records` also uses TFDS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from imagefec.data.store.cached import build_cached, fingerprint
from imagefec.data.store.dataset_folder import (
    CURE,
    FEATURES,
    INFO,
    METADATA,
    check_name,
    check_shards,
    defect_of,
    refuse_foreign_classes,
    version_folders,
    with_config,
)
from imagefec.data.store.tfds_records import defect_of_records, read_examples, said_by
from imagefec.errors import UserError
from imagefec.faces.crop_settings import CropSettings, read_crop_settings
from imagefec.fec import MIXED, PEOPLE, SIMULATED
from imagefec.progress import progress
from imagefec.quiet import quiet_imports
from imagefec.with_tensorflow import has_tensorflow, import_tensorflow

STORES = "face_stores"  # in the data_dir
BATCH_EXAMPLES = 128  # read at once while loading: about 10 MB of PNG files
FORMAT = 2  # of the cached folders: increase if their meaning changes, so that they are rebuilt

T = TypeVar("T")


@dataclass(frozen=True)
class TfdsSource:
    """A split of a built dataset, or parts of one or more; `open_source` makes one.

    Attributes:
      data_dir: folder of the built datasets.
      builder: TFDS's read-only builder.
      splits: names of the splits of which all or part was requested.
      chosen: int64 [n], indices of the requested examples; `splits` are numbered consecutively.
    """

    data_dir: Path
    builder: Any
    splits: list[str]
    chosen: np.ndarray

    @property
    def full_name(self) -> str:
        """Name, config and version: "fec/triplets/1.1.0"."""
        return self.builder.info.full_name

    @property
    def crop_settings(self) -> CropSettings | None:
        """How the faces of the dataset were cropped; None if its metadata do not say.

        Raises:
          UserError: the metadata are damaged.
        """
        found = (self.builder.info.metadata or {}).get("faces")
        if found is None:
            return None
        try:
            return read_crop_settings(found)
        except (ValueError, AttributeError) as error:
            path = Path(self.builder.data_dir) / METADATA
            raise UserError(f"{path}: faces: {error}. {CURE}") from error

    @property
    def rater_source(self) -> str | None:
        """Who judged the triplets, as `fec.rater_source`; None if the metadata do not say."""
        by_split = (self.builder.info.metadata or {}).get("splits")
        if not isinstance(by_split, dict):
            return None
        reports = [by_split.get(split) for split in self.splits]
        found = [report.get("raters") if isinstance(report, dict) else None for report in reports]
        if not found or any(name not in (SIMULATED, PEOPLE, MIXED) for name in found):
            return None
        return found[0] if found.count(found[0]) == len(found) else MIXED

    def has(self, features: Sequence[str]) -> bool:
        """Whether the dataset has all of these features."""
        return not self._missing(features)

    def refusal(self, what: str, features: Sequence[str], instead: str) -> UserError:
        """Makes the error for a dataset that lacks features that `what` requires."""
        return UserError(
            f"{self.full_name} in {self.data_dir} holds no {what}: it lacks "
            f"{', '.join(self._missing(features))}. Give {instead}."
        )

    def build_cached(
        self,
        name: str,
        made_from: dict[str, Any],
        build: Callable[[Path], None],
        read: Callable[[Path], T],
    ) -> T:
        """Reads a cached folder that is built from these splits; see cached.build_cached.

        Args:
          name: second part of the folder's name, after the splits.
          made_from: the source apart from the dataset and the splits, as JSON values.
          build: as for cached.build_cached.
          read: as for cached.build_cached.

        Raises:
          UserError: a file of the dataset cannot be read, or as cached.build_cached.
        """
        folder = Path(self.builder.data_dir)
        shards = [path for split in self.splits for path in _shards(self.builder, split)]
        try:
            digest = fingerprint([folder / FEATURES, folder / INFO, *shards])
        except OSError as error:
            raise UserError(f"{error.filename}: {error.strerror}. {CURE}") from error
        joined = "+".join(self.splits)
        about = {
            "format": FORMAT,
            "dataset": self.full_name,
            "splits": joined,
            "fingerprint": digest,
            **made_from,
        }
        stores = self.data_dir / STORES / self.full_name

        def checked_build(to: Path) -> None:
            try:
                build(to)
            except (ValueError, LookupError) as error:  # values that no dataset can have
                raise self._damaged(error) from error

        return build_cached(stores, f"{joined}_{name}", about, checked_build, read)

    def batches(
        self, features: Sequence[str], images: Sequence[str] = (), optional: Sequence[str] = ()
    ) -> Iterator[dict[str, np.ndarray]]:
        """Reads all examples of the complete splits, BATCH_EXAMPLES at a time.

        Args:
          features: names of features.
          images: names of image features, which stay encoded.
          optional: names of further features, left out unless the dataset has all of them.

        Returns:
          An iterator over feature -> array [b, ...]; "votes" are counted, int32 [b, 3].

        Raises:
          UserError: the dataset is damaged, or TensorFlow is not installed.
        """
        tf = import_tensorflow(
            f"{self.data_dir}: reading the files of {self.full_name} ({'+'.join(self.splits)})",
            "Or, for train and evaluate, run the same command where TensorFlow is installed, then "
            f"copy {self.data_dir} here, {STORES} included.",
        )
        names = (*images, *features, *(optional if self.has(optional) else ()))
        for split in self.splits:
            expected, n = self.builder.info.splits[split].num_examples, 0
            try:
                examples = read_examples(self.builder, split, images, _shards(self.builder, split))
                examples = examples.map(lambda example: {name: example[name] for name in names})
                with progress(f"load {self.builder.name} {split}", expected, "examples") as bar:
                    for batch in examples.ragged_batch(BATCH_EXAMPLES).prefetch(2):
                        n += len(batch[names[0]])
                        yield {
                            name: _count_votes(column) if name == "votes" else column.numpy()
                            for name, column in batch.items()
                        }
                        bar.update(len(batch[names[0]]))
            except (tf.errors.OpError, ImportError) as error:
                raise self._damaged(error) from error
            if n != expected:
                raise self._damaged(ValueError(f"{split} has {n} examples, not {expected}"))

    def _damaged(self, error: Exception) -> UserError:
        """Makes the error for a dataset whose examples cannot be read."""
        file_format = self.builder.info.file_format.value
        if isinstance(error, ImportError):
            return UserError(
                f"{self.full_name} in {self.data_dir} has files of the format {file_format}, which "
                f"require another package ({error}). Build it again with --file_format=tfrecord."
            )
        for split in self.splits:
            lengths = self.builder.info.splits[split].shard_lengths
            for path, length in zip(_shards(self.builder, split), lengths):
                defect = defect_of_records(self.builder, path, length)
                if defect is not None:
                    return UserError(f"{path}: damaged ({defect}). {CURE}")
        return UserError(
            f"{self.full_name} in {self.data_dir} cannot be read to its end ({said_by(error)}): "
            f"its {INFO}, {FEATURES} or a {file_format} file is damaged. {CURE}"
        )

    def _missing(self, features: Sequence[str]) -> list[str]:
        return [name for name in features if name not in self.builder.info.features]


def open_source(data_dir: Path, dataset: str, split: str, why: str = "") -> TfdsSource:
    """Opens a split of a built dataset; reads no examples.

    Args:
      data_dir: where datasets are built.
      dataset: name in it, with or without a config and a version.
      split: a split or, as in TFDS, a part of one.
      why: continues an error text: why the dataset is required.

    Raises:
      UserError: the dataset, version or split does not exist, the split is empty, or a file of the
        dataset is missing, damaged or would run Python code.
    """
    with quiet_imports():
        import tensorflow_datasets as tfds

    if has_tensorflow():  # TFDS imports it when it reads the splits
        import_tensorflow(dataset)
    refuse_foreign_classes(data_dir, dataset)
    try:
        builder = tfds.core.read_only_builder.builder_from_files(
            with_config(data_dir, dataset), data_dir=data_dir
        )
        splits = builder.info.splits
        check_name(builder.info.full_name, Path(builder.data_dir))
    except UserError:
        raise
    except Exception as error:  # of any type: TFDS does not check what it reads
        defect, folders = defect_of(data_dir, dataset), version_folders(data_dir, dataset)
        if defect is not None:
            raise UserError(f"{defect}. {CURE}") from error
        if not folders or isinstance(error, tfds.core.registered.DatasetNotFoundError):
            raise UserError(_not_found(data_dir, dataset, why)) from error
        raise UserError(
            f"{folders[-1]}: cannot be opened ({type(error).__name__}: {said_by(error)}): its "
            f"{INFO} or {FEATURES} is damaged. {CURE}"
        ) from error
    try:
        splits[split]  # raises for what `to_absolute` accepts
        parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(dict(splits))
    except (KeyError, ValueError, AssertionError) as error:
        raise UserError(_no_split(data_dir, builder, split)) from error
    names = list(dict.fromkeys(part.splitname for part in parts))
    for name in names:
        _shards(builder, name)
    sizes = [splits[name].num_examples for name in names]
    offsets = dict(zip(names, np.cumsum([0, *sizes]).tolist()))
    chosen = [
        offsets[part.splitname]
        + np.arange(splits[part.splitname].num_examples)[part.from_ : part.to]
        for part in parts
    ]
    if not any(map(len, chosen)):  # TFDS counts test[5:2] as -3 examples
        raise UserError(
            f"{builder.info.full_name} in {data_dir}: {split!r} is empty. Use a larger part."
        )
    return TfdsSource(data_dir, builder, names, np.concatenate(chosen))


def _shards(builder: Any, split: str) -> list[Path]:
    """The files of a split, which are checked to exist in the dataset's folder.

    Raises:
      UserError: as `check_shards`.
    """
    folder, info = Path(builder.data_dir), builder.info.splits[split]
    try:
        paths = [Path(path) for path in info.filepaths]
        n_examples = info.num_examples
        if min(info.shard_lengths) < 0:
            raise ValueError("a file has fewer than 0 examples")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / INFO}: split {split!r} is damaged ({error}). {CURE}") from error
    check_shards(folder, paths, n_examples)
    return paths


def _count_votes(votes: Any) -> np.ndarray:
    """Counts raters' choices, a ragged tensor [n, None] of 0..2, per image: int32 [n, 3]."""
    n, rows = votes.shape[0], votes.value_rowids().numpy()
    counts = np.bincount(rows * 3 + votes.values.numpy(), minlength=3 * n)
    return counts.reshape(n, 3).astype(np.int32)


def _no_split(data_dir: Path, builder: Any, split: str) -> str:
    splits = builder.info.splits.items()
    found = ", ".join(f"{name} ({info.num_examples} examples)" for name, info in splits) or "none"
    return (
        f"{builder.info.full_name} in {data_dir} has no split {split!r}; it has {found}. A part is "
        "written as train[:10%] or train[100:200]. A split is missing if its csv file was not in "
        "the manual directory: put it there and build again with --overwrite."
    )


def _not_found(data_dir: Path, dataset: str, why: str) -> str:
    if data_dir.is_dir():
        infos = data_dir.glob("*/**/dataset_info.json")
        names = {f"{p.parents[1].relative_to(data_dir)}:{p.parent.name}" for p in infos}
        found = f"it holds {', '.join(sorted(names)) or 'none'}."
    else:
        found = "it is not a folder."
    name, _, config = dataset.split(":")[0].partition("/")
    flag = f"--config={config} " if config else ""
    return (
        f"{data_dir} holds no dataset {dataset!r}{why}; {found} Build it: tfds build "
        f"tfds_builders/{name} {flag}--manual_dir=DIR --data_dir={data_dir}"
    )
