"""Weighted non-maximum suppression, against worked examples and a naive loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefec.faces.detectors.suppression import merge_overlapping
from imagefec.maths.geometry import Box, iou


def candidates(*boxes):
    """Candidates with a keypoint in the middle: (left, top, right, bottom) -> [n, 3, 2]."""
    return np.array(
        [[(x0, y0), (x1, y1), ((x0 + x1) / 2, (y0 + y1) / 2)] for x0, y0, x1, y1 in boxes], float
    )


def naive(points, scores, least_iou):
    rest = sorted(zip(scores.tolist(), points.tolist()), key=lambda each: -each[0])
    faces = []
    while rest:
        boxes = [Box(p[0][0], p[1][0], p[0][1], p[1][1]) for _, p in rest]
        same = [n == 0 or iou(box, boxes[0]) > least_iou for n, box in enumerate(boxes)]
        group = [each for each, inside in zip(rest, same) if inside]
        total = sum(score for score, _ in group)
        mean = [
            [sum(score * p[i][axis] for score, p in group) / total for axis in (0, 1)]
            for i in range(len(group[0][1]))
        ]
        faces.append((group[0][0], mean))
        rest = [each for each, inside in zip(rest, same) if not inside]
    return faces


def test_overlapping_candidates_become_their_mean_weighted_by_score():
    # The first two overlap by 8 / 12. The mean of left 0 and 2 with weights .9 and .3 is .5.
    points, scores = merge_overlapping(
        candidates((2, 0, 12, 1), (0, 0, 10, 1), (50, 0, 60, 1)), np.array([0.3, 0.9, 0.6]), 0.3
    )
    np.testing.assert_allclose(points[0], [(0.5, 0), (10.5, 1), (5.5, 0.5)])
    np.testing.assert_allclose(points[1], candidates((50, 0, 60, 1))[0])
    assert scores.tolist() == [0.9, 0.6]


def test_candidates_with_exactly_the_least_overlap_stay_apart():
    points = candidates((0, 0, 2, 1), (1, 0, 3, 1))  # 1 / 3
    assert len(merge_overlapping(points, np.array([0.9, 0.8]), 1 / 3)[1]) == 2
    assert len(merge_overlapping(points, np.array([0.9, 0.8]), 0.33)[1]) == 1


def test_without_candidates_there_are_no_faces():
    points, scores = merge_overlapping(np.zeros((0, 8, 2)), np.zeros(0), 0.3)
    assert points.shape == (0, 8, 2) and scores.shape == (0,)


@given(
    st.lists(
        st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(0, 8)] * 2), min_size=1, max_size=12
    ),
    st.randoms(use_true_random=False),
)
def test_faces_are_those_of_a_naive_loop_in_any_order_of_the_candidates(corners, random):
    scores = np.linspace(0.9, 0.2, len(corners))
    random.shuffle(order := list(range(len(corners))))
    points = candidates(*[(x, y, x + w, y + h) for x, y, w, h in corners])
    expected = naive(points, scores, 0.29)
    for chosen in (slice(None), order):
        found, best = merge_overlapping(points[chosen], scores[chosen], 0.29)
        np.testing.assert_allclose(best, [score for score, _ in expected])
        assert found == pytest.approx(np.array([mean for _, mean in expected]), abs=1e-9)
