"""YuNet, a small convolutional detector, run by OpenCV from a model file that users download."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from imagefec.errors import UserError
from imagefec.faces import opencv
from imagefec.faces.detectors.instances import Instances
from imagefec.faces.detectors.model_files import (
    ModelFile,
    describe_file,
    describe_folder,
    find_model,
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
from imagefec.maths.geometry import Box

FILE = ModelFile(
    name="face_detection_yunet_2023mar.onnx",
    page="https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet",
    licence="MIT",
    n_bytes=232_589,
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
)


class YunetDetector:
    """OpenCV's FaceDetectorYN: faces of any pose.

    The score, from 0 to 1, is the geometric mean of the network's confidence in the face and in its
    box. The default min_score, 0.7, is below OpenCV's 0.9: in a box that a person marked as a face,
    a miss costs all triplets of that face.

    Source: Wu, Peng & Yu 2023, "YuNet: a tiny millisecond-level face detector", Machine
    Intelligence Research 20.
    """

    name = "yunet"

    def __init__(
        self, min_score: float | None = None, model_dir: str | os.PathLike[str] | None = None
    ) -> None:
        self.min_score = checked_min_score(self.name, min_score, 0.0, 1.0, default=0.7)
        if not runs_here():
            raise UserError(
                f"detector yunet: this OpenCV ({cv2.__version__}) has no FaceDetectorYN; 4.10 and "
                "later have it if they are built with the dnn module. Use --detector haar or lbp, "
                "or pip install 'opencv-python-headless>=4.10'."
            )
        path, model = _checked_file(model_dir)
        self.version = f"{sha256_of(model)[:12]}-1"
        try:
            self._networks = Instances(lambda: _network(model, self.min_score))
        except cv2.error as error:
            raise UserError(
                f"{path}: this OpenCV ({cv2.__version__}) cannot read it: {error.err}. Use "
                "--detector haar or lbp, or pip install 'opencv-python-headless>=4.10'."
            ) from None

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        """As `Detector.detect`."""
        check_photo(photo, smallest)
        height, width = photo.shape[:2]
        scale = min(max(_SMALLEST_FACE_PX / smallest, _LEAST_SIDE_PX) / min(height, width), 1.0)
        bgr = cv2.cvtColor(photo, cv2.COLOR_RGB2BGR)
        if scale < 1.0:
            bgr = opencv.resize(bgr, max(round(width * scale), 1), max(round(height * scale), 1))
        with self._networks.lent() as network:
            network.setInputSize((bgr.shape[1], bgr.shape[0]))
            _, rows = network.detect(bgr)
        # A row is left, top, width, height, five landmarks (the eyes first), score; without faces,
        # rows is None.
        found = [
            Detection(
                Box(*(float(side) / scale for side in (x, x + w, y, y + h))),
                float(score),
                tuple(
                    (float(column) / scale, float(row) / scale)
                    for column, row in zip(landmarks[::2], landmarks[1::2])
                ),
            )
            for x, y, w, h, *landmarks, score in (() if rows is None else rows)
        ]
        return clip_to_photo(drop_small_or_invalid(found, smallest, width, height), width, height)


def runs_here() -> bool:
    """Whether this OpenCV can run the model."""
    return hasattr(cv2, "FaceDetectorYN")


def find_file(model_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """The model file, unchecked; None if it is not installed."""
    return find_model(FILE.name, model_dir)


def how_to_get(model_dir: str | os.PathLike[str] | None = None) -> str:
    """A sentence that says where to get the file, how to recognise it and where to put it."""
    return (
        f"Get {FILE.name} ({FILE.n_bytes:,} bytes, sha256 {FILE.sha256}, {FILE.licence}) from "
        f"{FILE.page} and {where_to_put('it', model_dir)}."
    )


# YuNet finds faces of 10 to 300 px: if the smallest face has 32 px, it also finds those almost ten
# times as large.
_SMALLEST_FACE_PX = 32
_LEAST_SIDE_PX = 160  # photos are not shrunk below this; the smallest face of a crop has half of it
_NMS_IOU = 0.3  # OpenCV's own
_TOP_K = 5000


def _checked_file(model_dir: str | os.PathLike[str] | None) -> tuple[Path, bytes]:
    path = find_file(model_dir)
    if path is None:
        raise UserError(
            f"detector yunet: no {FILE.name} in {describe_folder(model_dir)}. "
            f"{how_to_get(model_dir)}"
        )
    model = read_model(path)
    digest = sha256_of(model)
    if digest != FILE.sha256:
        raise UserError(
            f"{path}: not the model of detector yunet: found {describe_file(model)}, sha256 "
            f"{digest}. {how_to_get(model_dir)}"
        )
    return path, model


def _network(model: bytes, min_score: float) -> Any:
    """Reads the network from the bytes whose digest was checked; the file may change meanwhile."""
    buffer = np.frombuffer(model, np.uint8)
    nothing = np.zeros(0, np.uint8)  # OpenCV's place for a second file, which ONNX does not have
    return cv2.FaceDetectorYN.create("onnx", buffer, nothing, (32, 32), min_score, _NMS_IOU, _TOP_K)
