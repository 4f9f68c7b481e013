"""A turned head: where points of the face go, by hand, and what the brush does with them."""

import numpy as np
import pytest

from imagefec.faces.synthetic.heads.brush import CANVAS_PX, CENTRE, UNIT_PX, Brush
from imagefec.faces.synthetic.heads.pose import (
    DEPTH,
    UPRIGHT,
    HeadShape,
    Pose,
    TurnedBrush,
    make_brush,
    sample_pose,
    turned,
)

# A head without a nose, as wide below as above: an ellipsoid of half-axes 0.8, 1 and 0.8 * 0.8.
PLAIN = HeadShape(face_width=0.8, jaw_width=0.8, chin=1.0, nose_row=9.0)
SIN, COS = 0.5, np.sqrt(0.75)  # of 30 degrees


def test_an_upright_face_stays_where_it_is():
    points = [[0.3, -0.2], [0.0, 0.5]]
    np.testing.assert_array_equal(turned(points, PLAIN, UPRIGHT), points)
    assert type(make_brush(np.zeros((9, 9), np.uint8), CENTRE, UNIT_PX, PLAIN, UPRIGHT)) is Brush


@pytest.mark.parametrize(
    ("point", "pose", "expected"),
    [
        # The middle of the face is DEPTH = 0.8 half-widths in front of the axis.
        ([0, 0], Pose(yaw=30), [0.8 * SIN * 0.8, 0]),
        ([0, 0], Pose(yaw=-30), [-0.8 * SIN * 0.8, 0]),
        ([0, 0], Pose(pitch=30), [0, 0.8 * SIN]),
        ([0, 0], Pose(pitch=-30), [0, -0.8 * SIN]),
        # Half-way to the side: across 0.5, depth 0.8 * sqrt(0.75).
        ([0.4, 0], Pose(yaw=30), [0.8 * (0.5 * COS + 0.8 * COS * SIN), 0]),
        ([-0.4, 0], Pose(yaw=30), [0.8 * (-0.5 * COS + 0.8 * COS * SIN), 0]),
        # The near side of the outline comes forward; the far side, hidden, stays on the outline.
        ([-0.8, 0], Pose(yaw=30), [-0.8 * COS, 0]),
        ([0.8, 0], Pose(yaw=30), [0.8, 0]),
    ],
)
def test_a_point_moves_with_the_ellipsoid(point, pose, expected):
    assert DEPTH == 0.8
    np.testing.assert_allclose(turned([point], PLAIN, pose), [expected], atol=1e-9)


def test_the_nose_stands_out_so_it_moves_further():
    with_nose = HeadShape(0.8, 0.8, 1.0, nose_row=0.0)
    # 0.2 further out: (0.8 + 0.2) * sin 30 of half a width.
    np.testing.assert_allclose(turned([[0, 0]], with_nose, Pose(30)), [[0.4, 0]], atol=1e-9)


def test_heights_below_the_middle_are_measured_in_chins():
    long = HeadShape(0.8, 0.8, 1.25, 9.0)
    # Half-way to the chin, at depth 0.8 * sqrt(1 - 0.5**2); a nod of 30 degrees.
    down = 0.5 * COS + 0.8 * np.sqrt(0.75) * SIN
    np.testing.assert_allclose(turned([[0, 0.625]], long, Pose(pitch=30)), [[0, 1.25 * down]])


def test_eyes_foreshorten_and_the_far_one_more():
    left, right = turned([[-0.5, 0], [-0.2, 0], [0.2, 0], [0.5, 0]], PLAIN, Pose(30))[:, 0].reshape(
        2, 2
    )
    assert 0 < right[1] - right[0] < left[1] - left[0]
    assert right[1] - right[0] < 0.3


def test_no_point_leaves_the_outline_by_more_than_it_was_outside():
    across = np.linspace(-0.78, 0.78, 21)
    for pose in (Pose(50, 0), Pose(-50, 0), Pose(0, 30), Pose(30, -30)):
        for row in (-0.6, 0.0, 0.6):
            points = np.stack([across, np.full(21, row)], 1)
            points = points[(points[:, 0] / 0.8) ** 2 + row**2 < 1]
            moved = turned(points, PLAIN, pose)
            assert (np.hypot(moved[:, 0] / 0.8, moved[:, 1]) < 1 + 1e-9).all()


def test_the_brush_puts_points_where_turned_does():
    shape, pose = HeadShape(0.78, 0.6, 1.06, 0.24), Pose(25, -12)
    canvas = np.zeros((CANVAS_PX, CANVAS_PX), np.uint8)
    points = np.random.default_rng(0).uniform(-0.6, 0.6, (40, 2))
    found = TurnedBrush(canvas, CENTRE, UNIT_PX, shape, pose).points(points)
    expected = Brush(canvas, CENTRE, UNIT_PX).points(turned(points, shape, pose))
    np.testing.assert_allclose(found, expected, atol=16)  # one pixel


@pytest.mark.parametrize("width", [None, 0.03])
def test_an_oval_of_the_brush_is_foreshortened(width):
    canvas = np.zeros((CANVAS_PX, CANVAS_PX), np.uint8)
    TurnedBrush(canvas, CENTRE, UNIT_PX, PLAIN, Pose(40)).oval(
        (0.3, 0), (0.1, 0.1), (255,), width=width
    )
    rows, columns = np.nonzero(canvas > 128)
    assert np.ptp(columns) < 0.75 * np.ptp(rows)
    assert columns.mean() > CENTRE[0] + 0.5 * UNIT_PX


def test_poses_of_the_hard_world_are_beyond_those_of_the_varied():
    rng = np.random.default_rng(0)
    for _ in range(200):
        pose, far = sample_pose(rng, hard=False), sample_pose(rng, hard=True)
        assert abs(pose.yaw) <= 30 and abs(pose.pitch) <= 18
        assert abs(far.yaw) <= 50 and abs(far.pitch) <= 30
        assert abs(far.yaw) >= 30 or abs(far.pitch) >= 18
