"""The `vggface2` dataset for TFDS: configs, features, metadata; examples: identity_examples.py."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from imagefec.data.identity import identity_examples
from imagefec.errors import UserError
from imagefec.faces.crop import FACE_PX
from imagefec.progress import progress
from tfds_builders.beam_path import BeamOnRequest, run_each
from tfds_builders.brief_info import BriefInfo
from tfds_builders.data_dir import TidyDataDir
from tfds_builders.same_bytes import SameBytesWriter


@dataclasses.dataclass(eq=False, kw_only=True)
class Config(tfds.core.BuilderConfig):
    """The contents of an example, and how faces are detected.

    Attributes:
      layout: "triplets" or "faces".
      n_triplets: number of triplets in each split; None for four per face, at most 500,000.
      seed: of the triplets.
      detector: as for `imagefec crop`: "auto", "haar", "lbp", ...; "none" uses each photo as one
        face.
      min_score: as for `imagefec crop`.
      boxes: "detector", or "loose_bb" for VGGFace2's own boxes, in which the detector must find a
        face.
    """

    layout: str = "triplets"
    n_triplets: int | None = None
    seed: int = 0
    detector: str = "auto"
    min_score: float | None = None
    boxes: str = "detector"

    def __post_init__(self) -> None:
        if self.layout not in identity_examples.LAYOUTS:
            raise UserError(
                f"config {self.name}: layout is {self.layout!r}; allowed are "
                f"{', '.join(identity_examples.LAYOUTS)}."
            )
        for name, least in (("n_triplets", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise UserError(
                    f"config {self.name}: {name} is {value!r}; it must be an integer of {least} "
                    "or more."
                )


class Builder(BeamOnRequest, TidyDataDir, BriefInfo, tfds.core.GeneratorBasedBuilder):
    """Builds triplets of identity, or faces with identities, from folders of photos."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {
        "1.0.0": "Seeded identity triplets, and faces with identities; lossless 128 px PNG."
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = identity_examples.HOW_TO_FILL
    BUILDER_CONFIGS = [
        Config(
            name="triplets",
            description="Two photos of one identity and one of another, self-contained.",
        ),
        Config(name="faces", layout="faces", description="Each face once, with its identity."),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        features = (
            _triplet_features() if self.builder_config.layout == "triplets" else _face_features()
        )
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            homepage="https://arxiv.org/abs/1710.08092",  # the dataset's own page no longer exists
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        config = self.builder_config
        settings = identity_examples.DetectionSettings.resolve(
            config.detector, config.min_score, config.boxes
        )
        # Beside the output, so that a resumed build and the other config find it.
        cache = Path(self.data_dir_root) / "downloads" / "vggface2_faces"
        manual = identity_examples.ManualDir(dl_manager.manual_dir, cache, settings)
        self.info.metadata["faces"] = settings.as_json()
        self.info.metadata["excluded"] = {
            "names": len(manual.exclusion),
            "digest": manual.exclusion.digest,
        }
        if config.layout == "triplets":
            self.info.metadata["seed"] = config.seed
        self.info.metadata["splits"] = {}
        return {split: self._generate_examples(split, manual) for split in manual.splits}

    def _generate_examples(self, split: str, manual: identity_examples.ManualDir) -> Any:
        """Crops the split's faces and reports on them; the examples are made later, by TFDS."""
        config, report = self.builder_config, manual.report(split)
        n_identities = len(manual.splits[split].identities)
        with progress(f"crop {split} faces", total=n_identities, unit="identities") as bar:
            for_each = functools.partial(run_each, self.beam) if self.beam else None
            faces = manual.faces(split, report, bar, for_each)
        sampling = (config.layout, config.n_triplets, config.seed)
        identity_examples.sample_examples(*sampling, faces, report)
        self.info.metadata["splits"][split] = report.as_json()
        logging.info("vggface2, split %s: %s", split, report)
        return self.examples(
            faces,
            functools.partial(identity_examples.plan_examples, *sampling),
            functools.partial(identity_examples.make_example, config.layout, faces.read),
        )

    def _example_writer(self) -> SameBytesWriter:
        return SameBytesWriter(self.info.file_format)


def _triplet_features() -> dict[str, Any]:
    images = {f"image_{x}": _image() for x in "abc"}
    three_texts = tfds.features.Sequence(tfds.features.Text(), length=3)
    return {
        **images,
        "odd": tfds.features.ClassLabel(names=tuple(images)),
        "face_ids": three_texts,
        "urls": three_texts,
        "identities": three_texts,
    }


def _face_features() -> dict[str, Any]:
    return {
        "image": _image(),
        "face_id": tfds.features.Text(),
        "url": tfds.features.Text(),
        "identity": tfds.features.Text(),
        "label": tfds.features.Scalar(np.int64),
        "box": tfds.features.Tensor(shape=(4,), dtype=np.float32),
    }


def _image() -> tfds.features.Image:
    return tfds.features.Image(shape=(FACE_PX, FACE_PX, 3), encoding_format="png")
