"""BlazeFace's networks: an RGB image in, candidates for faces out; files are read elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

N_KEYPOINTS = 6  # the eye further left in the image, the other eye, nose tip, mouth, both ears

# Candidates at each place of the two feature maps.
_PER_PLACE = (2, 6)
_OUTPUTS = ("classificators", "regressors")


class BlazefaceNetwork:
    """One of Google's BlazeFace graphs, run by OpenCV; for one thread at a time.

    The graphs are fully convolutional, so an image of any size whose sides are multiples of the
    larger stride can be fed; a face then has the size in pixels that counts.

    Source: Bazarevsky et al. 2019, "BlazeFace: Sub-millisecond Neural Face Detection on Mobile
    GPUs", arXiv:1907.05047; MediaPipe's ssd_anchors_calculator.cc and
    tensors_to_detections_calculator.cc.
    """

    def __init__(self, model: bytes, strides: tuple[int, int]) -> None:
        """Reads a graph.

        Args:
          model: a .tflite file's bytes.
          strides: pixels of the image per place of the first and of the second feature map.

        Raises:
          cv2.error: OpenCV cannot read it.
        """
        self._net = cv2.dnn.readNetFromTFLite(np.frombuffer(model, np.uint8))
        self._strides = strides

    def candidates(self, image: np.ndarray, min_score: float) -> tuple[np.ndarray, np.ndarray]:
        """Runs the network.

        Args:
          image: uint8 [height, width, 3] RGB, its sides multiples of the larger stride.
          min_score: lowest score of a candidate, in (0, 1).

        Returns:
          (points, scores): points float64 [candidates, 8, 2], (column, row) in pixels of the image:
          the box's top left and bottom right corner, then the six keypoints; scores float64
          [candidates].
        """
        height, width = image.shape[:2]
        blob = cv2.dnn.blobFromImage(image, 1 / 127.5, (width, height), (127.5, 127.5, 127.5))
        self._net.setInput(blob)  # -1 to 1
        logits, values = (each[0].astype(np.float64) for each in self._net.forward(_OUTPUTS))
        scores = 1 / (1 + np.exp(-logits[:, 0].clip(-80, 80)))
        chosen = scores >= min_score
        anchors = anchor_points(width, height, self._strides)[chosen]
        return decode(values[chosen], anchors), scores[chosen]


def anchor_points(width: int, height: int, strides: Sequence[int]) -> np.ndarray:
    """The point that each candidate is relative to: the middle of its place.

    Args:
      width: of the image, pixels.
      height: of the image, pixels.
      strides: of the feature maps, pixels.

    Returns:
      float64 [candidates, 2], (column, row) in pixels, in the order of the network's outputs: by
      feature map, row and column; the candidates of one place follow each other.
    """
    maps = []
    for stride, n_each in zip(strides, _PER_PLACE, strict=True):
        rows, columns = np.mgrid[0 : height // stride, 0 : width // stride]
        middles = (np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5) * stride
        maps.append(np.repeat(middles, n_each, axis=0))
    return np.concatenate(maps)


def decode(values: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Converts a network's regressed values to points of the image.

    Args:
      values: float64 [candidates, 16]: the box's centre, relative to the anchor, its width and
        height, and six keypoints, relative to the anchor; all in pixels, column before row.
      anchors: float64 [candidates, 2].

    Returns:
      float64 [candidates, 8, 2]: top left, bottom right, six keypoints.
    """
    pairs = values.reshape(-1, 2 + N_KEYPOINTS, 2)
    centre, half = pairs[:, 0] + anchors, pairs[:, 1] / 2
    return np.concatenate(
        [(centre - half)[:, None], (centre + half)[:, None], pairs[:, 2:] + anchors[:, None]],
        axis=1,
    )
