"""The `fec` dataset for TFDS: configs, features, splits, metadata.

The examples come from imagefec.data.fec_examples.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from imagefec.data import fec_examples, fec_manual_dir
from imagefec.data.crop import face_folder
from imagefec.data.exclusion import Exclusion
from imagefec.errors import UserError
from imagefec.faces.crop import FACE_PX
from imagefec.fec import TYPE_KEYS
from tfds_builders.beam_path import BeamOnRequest
from tfds_builders.brief_info import BriefInfo
from tfds_builders.data_dir import TidyDataDir
from tfds_builders.same_bytes import SameBytesWriter


@dataclasses.dataclass(eq=False, kw_only=True)
class Config(tfds.core.BuilderConfig):
    """The contents of an example.

    Attributes:
      layout: one of fec_examples.LAYOUTS.
    """

    layout: str = "triplets"

    def __post_init__(self) -> None:
        if self.layout not in fec_examples.LAYOUTS:
            raise UserError(
                f"config {self.name}: layout is {self.layout!r}; allowed are "
                f"{', '.join(fec_examples.LAYOUTS)}."
            )


class Builder(BeamOnRequest, TidyDataDir, BriefInfo, tfds.core.GeneratorBasedBuilder):
    """Builds FEC's triplets from a manual directory: csv files, and faces from `imagefec crop`."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {
        "1.1.0": "Configs: triplets (as before), faces (each once) and index (triplets by face "
        "ids); exclude.txt.",
        "1.0.0": "Triplets as self-contained examples, faces as lossless 128 px PNG.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = fec_manual_dir.HOW_TO_FILL
    BUILDER_CONFIGS = [
        Config(name="triplets", description="Triplets with their three faces, self-contained."),
        Config(name="faces", layout="faces", description="Each face of the triplets once."),
        Config(
            name="index",
            layout="index",
            description="Triplets by the ids of their faces, which config faces holds.",
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "triplets": _triplet_features,
            "faces": _face_features,
            "index": _index_features,
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features[self.builder_config.layout]()),
            homepage="https://ai.google/tools/datasets/google-facial-expression/",
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        files = fec_manual_dir.find_manual_files(dl_manager.manual_dir)
        for split in ("train", "test"):  # FEC has no third split
            if split not in files.csv_paths:
                logging.warning(
                    "No %s in the manual directory: split %s is not built.",
                    fec_manual_dir.CSV_NAMES[split],
                    split,
                )
        exclusion = Exclusion.of_manual_dir(dl_manager.manual_dir)
        self.info.metadata["faces"] = fec_manual_dir.read_settings(files.faces_dir)
        self.info.metadata["excluded"] = {"names": len(exclusion), "digest": exclusion.digest}
        self.info.metadata["splits"] = {}
        faces = face_folder.read_faces(files.faces_dir)
        layout = self.builder_config.layout
        generators = {}
        for split, csv_path in files.csv_paths.items():
            planned, report = fec_examples.plan_split(layout, csv_path, faces, exclusion)
            self.info.metadata["splits"][split] = report.as_json()
            logging.info("fec, split %s: %s", split, report)
            if self.beam:  # paths are small enough to be sent; a worker reads the csv again
                source: Any = (csv_path, files.faces_dir)
                plan: Any = functools.partial(fec_examples.plan_from_files, layout, exclusion)
            else:
                source, plan = planned, iter
            generators[split] = self._generate_examples(source, plan)
        return generators

    def _generate_examples(self, source: Any, plan: Any) -> Any:
        make = functools.partial(fec_examples.make_example, self.builder_config.layout)
        return self.examples(source, plan, make)

    def _example_writer(self) -> SameBytesWriter:
        return SameBytesWriter(self.info.file_format)


def _triplet_features() -> dict[str, Any]:
    return {
        **{f"image_{x}": _image() for x in "abc"},
        **_index_features(),
        "urls": tfds.features.Sequence(tfds.features.Text(), length=3),
        "boxes": tfds.features.Tensor(shape=(3, 4), dtype=np.float32),
    }


def _face_features() -> dict[str, Any]:
    return {
        "image": _image(),
        "face_id": tfds.features.Text(),
        "url": tfds.features.Text(),
        "box": tfds.features.Tensor(shape=(4,), dtype=np.float32),
    }


def _index_features() -> dict[str, Any]:
    return {
        "face_ids": tfds.features.Sequence(tfds.features.Text(), length=3),
        "type": tfds.features.ClassLabel(names=TYPE_KEYS),
        "odd": tfds.features.ClassLabel(names=tuple(f"image_{x}" for x in "abc")),
        "votes": tfds.features.Sequence(tfds.features.Scalar(np.int64)),
        "annotators": tfds.features.Sequence(tfds.features.Text()),
        "agreement": tfds.features.Scalar(np.float32),
        "line": tfds.features.Scalar(np.int64),
    }


def _image() -> tfds.features.Image:
    return tfds.features.Image(shape=(FACE_PX, FACE_PX, 3), encoding_format="png")
