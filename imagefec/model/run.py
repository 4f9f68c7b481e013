"""A run directory: names and contents of its files, or an archive, which replaces one.

run.json       the network, the faces it sees, how they were cropped, the run's length and seed
settings.json  every setting in force, by its gin name
config.gin     the same as gin bindings, for another run
history.json   measures by step, written when the run ends
best.npz       the checkpoint with the highest TPA
model.npz      the latest checkpoint, from which the run resumes
"""

import functools
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imagefec import files, json_files
from imagefec.errors import UserError
from imagefec.model import archive, checkpoint_file, legacy_settings, run_schema
from imagefec.paths import readable, user_path

RUN_FORMAT = 1
CHANNEL_ORDER = "rgb"  # of every run's faces, even if its run.json lacks the key
FACES = "faces"  # in run.json: how the faces of the training were cropped
INFO, SETTINGS, HISTORY, LEGACY_CONFIG = "run.json", "settings.json", "history.json", "config.gin"
BEST, LATEST = "best.npz", "model.npz"
SEED, INIT_CHECKPOINT = "training.seed", "training.init_checkpoint"
# Arguments of Augment and of maths.augment.augment_faces.
AUGMENT_RANGES = ("crop", "flip", "brightness", "contrast")
# Those that are off at 0, with the argument that has an effect only if they are on.
AUGMENT_OPTIONS = {
    **dict.fromkeys(("rotation", "scale", "translation"), ""),
    **dict.fromkeys(("saturation", "hue", "channel_gain", "grey"), ""),
    **{"blur": "blur_sigma", "cutout": "cutout_size"},
}


@dataclass(frozen=True)
class Run:
    """A run directory or an archive; `Run.open` reads and checks its run.json.

    Attributes:
      path: the directory, or the archive's file.
      info: contents of run.json.
      archive_meta: what the archive says (see archive.py); None for a directory.
    """

    path: Path
    info: dict[str, Any]
    archive_meta: dict[str, Any] | None = None

    @classmethod
    def open(cls, run_dir: str | os.PathLike[str]) -> "Run":
        """Reads run.json.

        Args:
          run_dir: the directory, or an archive made by `imagefec export`.

        Raises:
          UserError: there is no such run, or its run.json is broken, of another format or of
            another channel order.
        """
        run_dir = user_path(run_dir, "the run")
        if archive.is_archive(run_dir):
            meta = archive.read_meta(run_dir)
            return cls._checked(run_dir, run_dir, meta["run"], meta)
        if not run_dir.is_dir():
            raise UserError(
                f"{run_dir}: no such run directory. Give the --output_dir of a training run."
            )
        path = run_dir / INFO
        try:
            info = _read_object(path, constants=False)
        except FileNotFoundError:
            raise UserError(
                f"{run_dir}: has no {INFO}, so it is not a run directory. Give the --output_dir of "
                "a training run."
            ) from None
        return cls._checked(run_dir, path, info)

    @classmethod
    def _checked(
        cls, run_dir: Path, path: Path, info: dict[str, Any], meta: dict[str, Any] | None = None
    ) -> "Run":
        """Checks the contents of run.json, which come from the file `path`."""
        found = info.get("format")
        if found != RUN_FORMAT or isinstance(found, bool):
            raise UserError(
                f"{path}: format {found!r}; this version reads format {RUN_FORMAT}. Use the "
                "version of Image FEC that trained the run."
            )
        run_schema.check_info(path, info)
        check_channel_order(path, info)
        return cls(run_dir, info, meta)

    @property
    def name(self) -> str:
        """Name of the directory, readable."""
        return readable(self.path.resolve().name)

    @property
    def info_path(self) -> Path:
        """The file that `info` comes from."""
        return self.path if self.archive_meta is not None else self.path / INFO

    @property
    def image_size(self) -> int:
        """Side in pixels at which the network sees faces."""
        return self.info["image_size"]

    @property
    def model_settings(self) -> dict[str, Any]:
        """Keyword arguments of the run's ImageFEC."""
        return self.info["model"]

    @property
    def checkpoint(self) -> Path:
        """The checkpoint to evaluate: best.npz, or model.npz if there is no best.npz yet.

        An archive is its own checkpoint.

        Raises:
          UserError: neither exists.
        """
        if self.archive_meta is not None:
            return self.path
        for name in (BEST, LATEST):
            if (self.path / name).is_file():
                return self.path / name
        raise UserError(
            f"{self.path}: has no checkpoint ({BEST} or {LATEST}). Train it until its first "
            "evaluation, or give another run."
        )

    @property
    def without_best(self) -> str:
        """A sentence that model.npz is used because there is no best.npz; "" if it is not.

        Raises:
          UserError: as `checkpoint`.
        """
        if self.archive_meta is not None or self.checkpoint.name == BEST:
            return ""
        return (
            f"{readable(self.path)} has no {BEST}, so its {LATEST} is used: the weights of its "
            "last step, not those of the highest TPA. A training that has evaluated writes both: "
            "if this one has, copy the run again."
        )

    def load_checkpoint(
        self, expected: Mapping[str, Any]
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Reads the checkpoint to evaluate; an archive's arrays are compared with their digests.

        Args:
          expected: as for `checkpoint_file.load`.

        Returns:
          (arrays, meta), as there.

        Raises:
          UserError: there is none, it cannot be read, or its arrays are not the expected ones.
        """
        path = self.checkpoint
        loaded = checkpoint_file.load(path, expected)
        if self.archive_meta is not None:
            archive.check_arrays(path, self.archive_meta)
        return loaded

    @functools.cached_property
    def checkpoint_digest(self) -> str:
        """SHA-256 of the arrays of the checkpoint to evaluate; two seeds never have the same.

        Raises:
          UserError: there is none, or it cannot be read.
        """
        return checkpoint_file.arrays_digest(self.checkpoint)

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """Every setting in force, by its gin name.

        Empty if the run has neither settings.json nor config.gin.

        Raises:
          UserError: the file is broken.
        """
        if self.archive_meta is not None:
            return self.archive_meta["settings"]
        path = self.path / SETTINGS
        try:
            settings = _read_object(path)
        except FileNotFoundError:
            path = self.path / LEGACY_CONFIG
            settings = legacy_settings.read(path) if path.exists() else {}
        run_schema.check_settings(path, settings)
        return settings

    @functools.cached_property
    def history(self) -> dict[str, Any]:
        """Contents of history.json; empty if the run has not ended, and for an archive.

        Raises:
          UserError: the file is broken.
        """
        path = self.path / HISTORY
        if self.archive_meta is not None:
            return {}
        try:
            found = _read_object(path, run_schema.MAX_HISTORY_BYTES)
        except FileNotFoundError:
            return {}
        return run_schema.check_history(path, found)

    @property
    def seed(self) -> int:
        """Seed of the training; 0 if the run does not record it."""
        value = self.info.get("seed", self.settings.get(SEED))
        return value if isinstance(value, int) else 0

    @property
    def uda_weight(self) -> float:
        """Weight of the UDA term; 0 for none."""
        uda = self.info.get("uda")
        weight = (
            uda.get("weight")
            if isinstance(uda, dict)
            else self.settings.get("uda_consistency.weight")
        )
        return float(weight) if isinstance(weight, int | float) else 0.0

    @property
    def train_split(self) -> str:
        """The split that the run was trained on."""
        return str(self.settings.get("training.train_split", "train"))

    @property
    def augment_ranges(self) -> dict[str, float]:
        """Arguments of augment_faces in training: those that the settings record and are on."""
        options = {
            argument: self.settings.get(f"Augment.{argument}")
            for name, its_size in AUGMENT_OPTIONS.items()
            for argument in (name, its_size)
            if argument and self.settings.get(f"Augment.{name}")
        }
        found = {name: self.settings.get(f"Augment.{name}") for name in AUGMENT_RANGES} | options
        return {
            name: value if name == "cutout" else float(value)
            for name, value in found.items()
            if isinstance(value, int | float)
        }

    @property
    def images_per_second(self) -> float | None:
        """Median over the intervals between evaluations, without the first, which compiles."""
        speeds = [value for step, value in self.measures("steps_per_second") if step > 1]
        images = self.info.get("images_per_step") or 3 * (self.info.get("batch_triplets") or 0)
        return sorted(speeds)[len(speeds) // 2] * images if speeds and images else None

    def measures(self, name: str) -> list[tuple[int, float]]:
        """(step, finite value) of a measure of the evaluations, such as "tpa"; [] for none.

        Args:
          name: the measure, without "metrics/".
        """
        found = self.history.get("eval", {}).get(f"metrics/{name}", [])
        return [(step, float(value)) for step, value in found if math.isfinite(value)]


def prepare_directory(run_dir: str | os.PathLike[str], dry_run: bool = False) -> Path:
    """Creates a run directory and checks that files can be written there.

    Args:
      run_dir: the run directory.
      dry_run: create and write nothing; only check.

    Raises:
      UserError: the directory or a file in it cannot be written.
    """
    path = user_path(run_dir, "output_dir")
    probe = path / f".probe.{os.getpid()}{files.TEMPORARY_SUFFIX}"
    try:
        if dry_run:
            files.check_folder(path)
        else:
            files.make_folder(path)
            probe.touch()
            probe.unlink()
    except OSError as error:
        raise UserError(
            f"--output_dir={run_dir}: cannot be written ({error.strerror}). Choose a directory "
            "with write permission, on a disk with free space."
        ) from error
    return path


def write_json(run_dir: Path, name: str, value: Mapping[str, Any]) -> None:
    """Writes a JSON file of a run atomically.

    Args:
      run_dir: the run directory.
      name: INFO, SETTINGS or HISTORY.
      value: its contents.
    """
    files.write_text(run_dir / name, json.dumps(value, indent=1) + "\n")


def check_channel_order(path: Path, info: Mapping[str, Any]) -> None:
    """Refuses a run that was trained on faces of another channel order.

    Its weights would silently swap red and blue.

    Args:
      path: of run.json, for the message.
      info: its contents.

    Raises:
      UserError: info["channel_order"] exists and is not CHANNEL_ORDER.
    """
    found = info.get("channel_order", CHANNEL_ORDER)
    if found != CHANNEL_ORDER:
        raise UserError(
            f"{path}: channel_order {found!r}; faces are {CHANNEL_ORDER!r} here, so the run's "
            f"weights would swap colours. Give a run trained on {CHANNEL_ORDER.upper()} faces, or "
            "train a new one."
        )


def _read_object(
    path: Path, max_bytes: int = run_schema.MAX_BYTES, constants: bool = True
) -> dict[str, Any]:
    """A JSON object of a run; raises FileNotFoundError or, if the file is broken, UserError."""
    try:
        return json_files.parse_object(json_files.read_bytes(path, max_bytes), constants)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UserError(f"{path}: cannot be read ({error}). {run_schema.REMEDY}") from None
