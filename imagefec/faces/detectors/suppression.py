"""Merges the candidates that a network gives for one face."""

import numpy as np


def merge_overlapping(
    points: np.ndarray, scores: np.ndarray, least_iou: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted non-maximum suppression.

    The highest-scoring candidate and all that overlap its box become one face, whose points are the
    candidates' mean, weighted by score; then the highest-scoring of the others, and so on. A mean
    of neighbours moves less from photo to photo than the best candidate does.

    Args:
      points: float64 [candidates, n, 2], (column, row). The first two of the n points are the box's
        top left and bottom right corner.
      scores: float64 [candidates], positive.
      least_iou: candidates overlap if their intersection over union exceeds this.

    Returns:
      (points, scores) of the faces, highest score first: float64 [faces, n, 2] and [faces]. A
      face's score is its best candidate's.

    Source: Bazarevsky et al. 2019, "BlazeFace", arXiv:1907.05047, section 3.2.
    """
    order = np.argsort(-scores, kind="stable")
    points, scores = points[order], scores[order]
    merged, best = [], []
    while len(scores):
        same = _iou_with_first(points[:, 0], points[:, 1]) > least_iou
        same[0] = True  # even if its box is empty
        merged.append(np.average(points[same], axis=0, weights=scores[same]))
        best.append(scores[0])
        points, scores = points[~same], scores[~same]
    return np.array(merged).reshape(-1, *points.shape[1:]), np.array(best, np.float64)


def _iou_with_first(top_left: np.ndarray, bottom_right: np.ndarray) -> np.ndarray:
    """Intersection over union of each box with the first: float64 [boxes]."""
    overlap = np.minimum(bottom_right, bottom_right[0]) - np.maximum(top_left, top_left[0])
    intersection = overlap.clip(0).prod(axis=1)
    areas = (bottom_right - top_left).clip(0).prod(axis=1)
    union = areas + areas[0] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
