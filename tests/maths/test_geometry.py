"""Boxes against hand-worked cases, and properties of growing, clipping and squaring any box."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefec.maths import geometry
from imagefec.maths.geometry import Box

SIDES = st.integers(1, 5000)
FRACTIONS = st.floats(0, 1, allow_subnormal=False)


@st.composite
def fraction_boxes(draw):
    left, right = sorted((draw(FRACTIONS), draw(FRACTIONS)))
    top, bottom = sorted((draw(FRACTIONS), draw(FRACTIONS)))
    return Box(left, right, top, bottom)


def inside(box, width, height):
    return 0 <= box.left <= box.right <= width and 0 <= box.top <= box.bottom <= height


def test_grow_adds_seven_and_a_half_percent_of_the_box_on_each_side():
    # a box of 0.4 x 0.2: 0.03 on the left and right, 0.015 above and below
    grown = geometry.grow(Box(0.2, 0.6, 0.5, 0.7))
    assert (grown.left, grown.right) == pytest.approx((0.17, 0.63))
    assert (grown.top, grown.bottom) == pytest.approx((0.485, 0.715))


def test_pixels_are_fractions_of_width_and_height():
    assert geometry.to_pixels(Box(0.25, 0.5, 0.1, 0.2), 400, 100) == Box(100, 200, 10, 20)


def test_clip_limits_a_box_to_the_image():
    assert geometry.clip(Box(-5, 50, 10, 120), 40, 100) == Box(0, 40, 10, 100)


def test_clip_makes_a_box_completely_outside_empty():
    outside = geometry.clip(Box(50, 60, 10, 20), 40, 100)
    assert outside.width == 0


def test_square_extends_the_shorter_side_about_the_centre():
    assert geometry.square(Box(40, 60, 20, 60), 200, 100) == Box(30, 70, 20, 60)


def test_square_shifts_at_the_border():
    # 40 wide about column 5 would start at -15
    assert geometry.square(Box(0, 10, 20, 60), 200, 100) == Box(0, 40, 20, 60)
    assert geometry.square(Box(190, 200, 20, 60), 200, 100) == Box(160, 200, 20, 60)


def test_square_spans_an_image_too_narrow_for_it():
    assert geometry.square(Box(5, 25, 10, 90), 30, 100) == Box(0, 30, 10, 90)


@given(fraction_boxes(), SIDES, SIDES)
def test_grown_and_clipped_boxes_stay_inside(box, width, height):
    grown = geometry.clip(geometry.to_pixels(geometry.grow(box), width, height), width, height)
    assert inside(grown, width, height)
    assert inside(geometry.clip(geometry.grow(box), 1, 1), 1, 1)


@given(fraction_boxes(), SIDES, SIDES)
def test_square_is_square_where_the_image_allows_and_contains_the_box(box, width, height):
    px = geometry.to_pixels(box, width, height)
    px = geometry.clip(px, width, height)
    squared = geometry.square(px, width, height)
    slack = 1e-9 * max(width, height)
    side = max(px.width, px.height)
    assert inside(geometry.clip(squared, width, height), width, height)
    assert squared.left >= 0 and squared.top >= 0
    assert squared.right <= width + slack and squared.bottom <= height + slack
    assert squared.width == pytest.approx(min(side, width), abs=slack)
    assert squared.height == pytest.approx(min(side, height), abs=slack)
    assert squared.left <= px.left + slack and squared.right >= px.right - slack
    assert squared.top <= px.top + slack and squared.bottom >= px.bottom - slack
    column, row = px.centre
    assert squared.left <= column <= squared.right and squared.top <= row <= squared.bottom


@given(fraction_boxes(), SIDES, SIDES)
def test_whole_pixels_are_integers_inside_the_image_and_keep_squares_square(box, width, height):
    px = geometry.clip(geometry.to_pixels(box, width, height), width, height)
    squared = geometry.square(px, width, height)
    rounded = geometry.whole_pixels(squared, width, height)
    assert all(
        isinstance(side, int) for side in (rounded.left, rounded.right, rounded.top, rounded.bottom)
    )
    assert inside(rounded, width, height) and rounded.width >= 1 and rounded.height >= 1
    # Half a pixel for the corner, another for the side, and half of an empty box's one pixel.
    assert abs(rounded.left - squared.left) <= 1.5 and abs(rounded.bottom - squared.bottom) <= 1.5
    if max(px.width, px.height) <= min(width, height):
        assert abs(rounded.width - rounded.height) <= (1 if squared.width != squared.height else 0)


def test_iou_of_boxes_that_share_a_third():
    # two 2 x 1 boxes shifted by 1: shared 1, union 3
    assert geometry.iou(Box(0, 2, 0, 1), Box(1, 3, 0, 1)) == pytest.approx(1 / 3)


def test_iou_counts_pixels_as_a_naive_loop_does():
    a, b = Box(1, 7, 2, 9), Box(3, 12, 0, 5)
    pixels_a = {(x, y) for x in range(1, 7) for y in range(2, 9)}
    pixels_b = {(x, y) for x in range(3, 12) for y in range(0, 5)}
    assert geometry.iou(a, b) == pytest.approx(len(pixels_a & pixels_b) / len(pixels_a | pixels_b))


@given(fraction_boxes(), fraction_boxes())
def test_iou_is_symmetric_and_between_0_and_1(a, b):
    assert geometry.iou(a, b) == geometry.iou(b, a)
    assert 0 <= geometry.iou(a, b) <= 1
    assert geometry.iou(a, a) == (pytest.approx(1) if a.width * a.height > 0 else 0)


def test_boxes_apart_share_nothing():
    assert geometry.iou(Box(0, 1, 0, 1), Box(2, 3, 2, 3)) == 0
