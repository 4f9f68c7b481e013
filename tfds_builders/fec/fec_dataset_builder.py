"""The `fec` dataset for TFDS: features, splits, metadata; examples come from imagefec.data.fec_examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from tensorflow_datasets.core import writer
from tensorflow_datasets.proto import tf_example_pb2

from imagefec.data import face_files, fec_examples


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builds FEC's triplets from a manual directory: the csv files and the faces that `imagefec crop` cut."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Triplets as self-contained examples, faces as lossless 128 px PNG."}  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = fec_examples.HOW_TO_FILL

    def _info(self) -> tfds.core.DatasetInfo:
        side = fec_examples.FACE_PX
        image = {
            f"image_{x}": tfds.features.Image(shape=(side, side, 3), encoding_format="png") for x in "abc"
        }
        three_texts = tfds.features.Sequence(tfds.features.Text(), length=3)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    **image,
                    "type": tfds.features.ClassLabel(names=fec_examples.TYPE_NAMES),
                    "odd": tfds.features.ClassLabel(names=tuple(image)),
                    "votes": tfds.features.Sequence(tfds.features.Scalar(np.int64)),
                    "annotators": tfds.features.Sequence(tfds.features.Text()),
                    "agreement": tfds.features.Scalar(np.float32),
                    "face_ids": three_texts,
                    "urls": three_texts,
                    "boxes": tfds.features.Tensor(shape=(3, 4), dtype=np.float32),
                    "line": tfds.features.Scalar(np.int64),
                }
            ),
            homepage="https://ai.google/tools/datasets/google-facial-expression/",
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        files = fec_examples.find_manual_files(dl_manager.manual_dir)
        for split in fec_examples.CSV_NAMES.keys() - files.csv_paths.keys():
            name = fec_examples.CSV_NAMES[split]
            logging.warning("No %s in the manual directory: split %s is not built.", name, split)
        self.info.metadata["faces"] = fec_examples.read_settings(files.faces_dir)
        self.info.metadata["splits"] = {}
        faces = face_files.read_faces(files.faces_dir)
        return {
            split: self._generate_examples(split, path, faces) for split, path in files.csv_paths.items()
        }

    def _generate_examples(
        self, split: str, csv_path: Path, faces: dict[str, face_files.FaceRecord]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        report = fec_examples.SplitReport(csv_path.name)
        yield from fec_examples.make_examples(csv_path, faces, report)
        self.info.metadata["splits"][split] = report.as_json()
        logging.info("fec, split %s: %s", split, report)

    def _example_writer(self) -> writer.ExampleWriter:
        return _SameBytesWriter(self.info.file_format)


class _SameBytesWriter(writer.ExampleWriter):
    """Writes an example's features in a fixed order.

    TFDS serialises them in the order of protobuf's hash map, which differs from process to process; two
    builds of the same data would then differ in every file.
    """

    def write(self, path: Any, examples: Iterable[tuple[Any, bytes]]) -> Any:
        parse = tf_example_pb2.Example.FromString
        return super().write(
            path, ((key, parse(example).SerializeToString(deterministic=True)) for key, example in examples)
        )
