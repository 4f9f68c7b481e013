"""faced, an older detector: two frozen TensorFlow graphs that users download.

The first graph proposes a face for each cell of a grid over the photo, the second corrects each
proposal. TensorFlow is imported only when a detector is made.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from imagefec.errors import UserError
from imagefec.faces.detectors.model_files import (
    ModelFile,
    describe_file,
    find_model,
    model_folder,
    read_model,
    sha256_of,
    where_to_put,
)
from imagefec.faces.detectors.protocol import (
    SMALLEST,
    Detection,
    check_photo,
    checked_min_score,
    clip_to_photo,
    drop_small_or_invalid,
)
from imagefec.maths.geometry import Box, iou
from imagefec.quiet import quiet_imports
from imagefec.with_tensorflow import import_tensorflow

_PAGE = "https://github.com/iitzco/faced"
FILES = tuple(ModelFile(name, _PAGE, "MIT") for name in ("face_yolo.pb", "face_corrector.pb"))


class FacedDetector:
    """faced's two networks; the score is the first network's probability of a face, from 0 to 1.

    As in the original, the first axis of the grid counts columns, and a proposal is widened by half
    of its size on every side before it is corrected. Unlike the original, both graphs get RGB (its
    later versions give the second one BGR), intermediate boxes are not rounded to integer pixels,
    and the highest-scoring of overlapping faces is reported.

    Source: github.com/iitzco/faced, by Ivan Itzcovich.
    """

    name = "faced"

    def __init__(
        self, min_score: float | None = None, model_dir: str | os.PathLike[str] | None = None
    ) -> None:
        self.min_score = checked_min_score(self.name, min_score, 0.0, 1.0, default=0.7)
        paths = find_files(model_dir)
        if paths is None:
            raise UserError(f"detector faced: {missing_files(model_dir)}. {how_to_get(model_dir)}")
        yolo, corrector = (read_model(path) for path in paths)
        self._yolo = _Graph(
            paths[0], yolo, _YOLO_PX, ("prob", "x_center", "y_center", "w", "h"), _CELLS**2
        )
        self._corrector = _Graph(paths[1], corrector, _CORRECTOR_PX, ("X", "Y", "W", "H"), 1)
        self.version = "+".join(sha256_of(model)[:8] for model in (yolo, corrector)) + "-1"

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        """As `Detector.detect`."""
        check_photo(photo, smallest)
        height, width = photo.shape[:2]
        prob, x, y, w, h = (each.reshape(_CELLS, _CELLS) for each in self._yolo.run(photo))
        found = []
        for cell in np.argwhere(prob >= self.min_score):
            column, row = cell
            at = tuple(cell)
            box = self._corrected(
                photo,
                (column + x[at]) / _CELLS * width,
                (row + y[at]) / _CELLS * height,
                w[at] * width,
                h[at] * height,
            )
            if box is not None:
                found.append(Detection(box, float(prob[at])))
        found = _without_overlaps(drop_small_or_invalid(found, smallest, width, height))
        return clip_to_photo(found, width, height)

    def _corrected(self, photo: np.ndarray, x: float, y: float, w: float, h: float) -> Box | None:
        """Corrects a proposal of centre x, y and size w, h, in pixels, with the second network."""
        if not math.isfinite(x + y + w + h):
            return None
        height, width = photo.shape[:2]
        # On each side of the centre: half of the size, and as much margin.
        left, right = int(max(0, x - w)), int(min(width, x + w))
        top, bottom = int(max(0, y - h)), int(min(height, y + h))
        if left >= right or top >= bottom:
            return None
        patch = photo[top:bottom, left:right]
        x, y, w, h = (float(each[0]) for each in self._corrector.run(patch))
        x, w = left + x * (right - left), w * (right - left)
        y, h = top + y * (bottom - top), h * (bottom - top)
        if not (w > 0 and h > 0):
            return None
        return Box(x - w / 2, x + w / 2, y - h / 2, y + h / 2)


def find_files(model_dir: str | os.PathLike[str] | None = None) -> tuple[Path, ...] | None:
    """Both graphs, unchecked; None unless both are installed."""
    paths = tuple(find_model(file.name, model_dir) for file in FILES)
    return None if None in paths else paths  # type: ignore[return-value]


def how_to_get(model_dir: str | os.PathLike[str] | None = None) -> str:
    """A sentence that says where to get the files and where to put them."""
    return (
        f"Get {' and '.join(file.name for file in FILES)} ({FILES[0].licence}) from the folder "
        f"faced/models of {_PAGE} and {where_to_put('them', model_dir)}."
    )


def missing_files(model_dir: str | os.PathLike[str] | None) -> str:
    """Part of a sentence that names the graphs that are not installed."""
    folder = model_folder(model_dir)
    if folder is None:
        return "this user has no home directory, where its model files would be"
    missing = [file.name for file in FILES if find_model(file.name, model_dir) is None]
    return (
        f"{folder} has no {' and no '.join(missing)}"
        if os.path.isdir(folder)  # noqa: PTH112  # False if it is another user's
        else f"there is no folder {folder}"
    )


_YOLO_PX, _CORRECTOR_PX, _CELLS = 288, 50, 9
_NMS_IOU = 0.2


class _Graph:
    """A frozen graph from a square RGB image to a few small tensors."""

    def __init__(
        self, path: Path, model: bytes, side_px: int, outputs: Sequence[str], n_values: int
    ) -> None:
        tf = import_tensorflow("detector faced", "Or use another detector, such as blazeface.")
        self._path, self._side_px, self._n_values = path, side_px, n_values
        tf1 = tf.compat.v1
        graph_def, graph = tf1.GraphDef(), tf1.Graph()
        try:
            graph_def.ParseFromString(model)
            with graph.as_default():
                tf1.import_graph_def(graph_def, name="")
        except Exception as error:  # damaged bytes raise many types, protobuf's among them
            raise self._wrong(
                f"found {describe_file(model)}, not a frozen TensorFlow graph "
                f"({_first_line(error)})"
            ) from None
        names = [f"{name}:0" for name in ("img", "training", *outputs)]
        try:
            self._image, self._training, *self._outputs = (
                graph.get_tensor_by_name(name) for name in names
            )
        except (KeyError, ValueError):
            operations = {operation.name for operation in graph.get_operations()}
            missing = [name for name in names if name.removesuffix(":0") not in operations]
            raise self._wrong(
                f"found {describe_file(model)}, a graph without {', '.join(missing)}"
            ) from None
        # One thread, so that the same photo gives the same bits on every machine; processes share
        # the cores. No GPU: TensorFlow would take the memory that JAX needs.
        config = tf1.ConfigProto(
            intra_op_parallelism_threads=1, inter_op_parallelism_threads=1, device_count={"GPU": 0}
        )
        self._session = tf1.Session(graph=graph, config=config)
        self._try_out(tf)

    def run(self, image: np.ndarray) -> list[np.ndarray]:
        """The outputs for an RGB image of any size, each float64 [n_values]."""
        # Bilinear whether it shrinks or grows, as in faced: the networks were trained that way.
        resized = cv2.resize(image, (self._side_px, self._side_px))
        feed = {self._image: (resized / 255.0)[None].astype(np.float32), self._training: False}
        return [
            np.asarray(each, np.float64).ravel() for each in self._session.run(self._outputs, feed)
        ]

    def _try_out(self, tf: Any) -> None:
        try:
            with quiet_imports():  # the first run also logs passes and devices
                outputs = self.run(np.zeros((self._side_px, self._side_px, 3), np.uint8))
        except (tf.errors.OpError, ValueError, TypeError) as error:
            raise self._wrong(
                f"it cannot be run on an image of {self._side_px} x {self._side_px} px "
                f"({_first_line(error)})"
            ) from None
        sizes = [each.size for each in outputs]
        if any(size != self._n_values for size in sizes):
            raise self._wrong(f"its outputs hold {sizes} values, not {self._n_values} each")

    def _wrong(self, found: str) -> UserError:
        return UserError(
            f"{self._path}: not a graph of detector faced: {found}. {how_to_get(self._path.parent)}"
        )


def _without_overlaps(found: list[Detection]) -> list[Detection]:
    """Non-maximum suppression."""
    selected: list[Detection] = []
    for each in sorted(found, key=lambda d: -d.score):
        if all(iou(each.box, other.box) <= _NMS_IOU for other in selected):
            selected.append(each)
    return selected


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
