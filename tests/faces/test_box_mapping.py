"""Mappings of a detector's boxes to a dataset's: fitted on pairs, applied, stored as JSON."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefec.faces.box_mapping import BoxMapping, fit_mapping
from imagefec.faces.crop_settings import CropSettings, read_crop_settings
from imagefec.maths.geometry import Box

NUMBERS = st.floats(-500, 500)
SIDES = st.floats(5, 500)
OFFSETS, SCALES = st.floats(-0.5, 0.5), st.floats(0.5, 2)


def test_a_mapped_box_is_the_moved_and_scaled_square():
    # 100 x 80 about (150, 140): 0.1 x 100 to the right, 0.5 x 80 down, 1.2 x 100 wide and high.
    mapped = BoxMapping(0.1, 0.5, 1.2, 50).apply(Box(100, 200, 100, 180))
    assert mapped == Box(100, 220, 120, 240)


def test_a_mapping_is_fitted_by_medians_that_foreign_boxes_do_not_move():
    # 21 boxes of 100 x 80 whose csv boxes are 90 x 120 about a centre 10 px right and 8 px down,
    # and nine pairs of different faces.
    pairs = [(Box(k, k + 100, 0, 80), Box(k + 15, k + 105, -12, 108)) for k in range(0, 21)] + [
        (Box(0, 10, 0, 10), Box(900, 1900, 300, 2300))
    ] * 9
    assert fit_mapping(pairs) == BoxMapping(0.1, 0.1, 1.2, 30)


def test_a_few_faces_give_no_mapping():
    pair = Box(0, 10, 0, 10), Box(0, 12, 0, 12)
    assert fit_mapping([pair] * 19) is None
    assert fit_mapping([pair] * 20) == BoxMapping(0.1, 0.1, 1.2, 20)


@given(
    st.lists(st.tuples(NUMBERS, NUMBERS, SIDES, SIDES), min_size=20, max_size=30),
    OFFSETS,
    OFFSETS,
    SCALES,
)
def test_a_mapping_that_all_faces_agree_on_is_found_and_maps_each(boxes, dx, dy, scale):
    pairs = []
    for left, top, width, height in boxes:
        side = scale * max(width, height)
        column, row = left + width / 2 + dx * width, top + height / 2 + dy * height
        to = Box(column - side / 2, column + side / 2, row - side / 2, row + side / 2)
        pairs.append((Box(left, left + width, top, top + height), to))
    mapping = fit_mapping(pairs)
    assert (mapping.dx, mapping.dy, mapping.scale) == pytest.approx((dx, dy, scale), abs=1e-4)
    for box, to in pairs:
        tolerance = 2e-4 * max(box.width, box.height)
        assert mapping.apply(box).sides == pytest.approx(to.sides, abs=tolerance)


@given(OFFSETS, OFFSETS, SCALES, st.integers(20, 10**6), st.sampled_from(["none", "eyes"]))
def test_crop_settings_are_read_back_from_json(dx, dy, scale, n, align):
    settings = CropSettings("haar", "1", align, BoxMapping(dx, dy, scale, n))
    assert read_crop_settings(json.loads(json.dumps(settings.as_json()))) == settings
    unmapped = replace(settings, box_mapping=None)
    assert read_crop_settings(unmapped.as_json()) == unmapped


def test_settings_of_earlier_versions_are_unaligned_and_unmapped():
    old = {"format": 2, "detector": "haar", "detector_version": "1", "min_score": 0.0}
    assert read_crop_settings(old) == CropSettings("haar", "1")
    assert read_crop_settings({}) == CropSettings()


def test_only_the_same_detector_and_version_has_the_mapping():
    mapping = BoxMapping(0, 0, 1, 20)
    settings = CropSettings("haar", "1", "none", mapping)
    assert settings.mapping_for("haar", "1") is mapping
    assert settings.mapping_for("haar", "2") is None
    assert settings.mapping_for("lbp", "1") is None


def test_a_mapping_of_few_faces_was_recorded_but_is_not_used():
    assert read_crop_settings({"box_mapping": {"n": 7, "sample": "ab"}}) == CropSettings()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"detector": 3}, "detector must be text"),
        ({"detector_version": None}, "detector_version must be text"),
        ({"align": "mouth"}, "align must be none or eyes"),
        ({"align": ["eyes"]}, "align must be"),
        ({"box_mapping": []}, "must be an object"),
        ({"box_mapping": {"n": True}}, "a number n"),
        ({"box_mapping": {"n": 30, "dx": 0, "dy": 0}}, "scale must be a number from 0.01 to 100"),
        ({"box_mapping": {"n": 30, "dx": "0", "dy": 0, "scale": 1}}, "dx must be a number"),
        ({"box_mapping": {"n": 30, "dx": 0, "dy": math.nan, "scale": 1}}, "dy must be a number"),
        ({"box_mapping": {"n": 30, "dx": 0, "dy": 0, "scale": 0}}, "scale must be a number"),
        ({"box_mapping": {"n": 30, "dx": 0, "dy": 0, "scale": 1e9}}, "scale must be a number"),
    ],
)
def test_settings_that_nobody_writes_are_refused_by_name(wrong, message):
    with pytest.raises(ValueError, match=message):
        read_crop_settings(wrong)
