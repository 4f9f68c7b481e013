"""benchmarks/drawn_worlds_sheet.py: the picture of docs/drawn_world.md."""

import pathlib
import runpy

import cv2

import imagefec

SCRIPT = pathlib.Path(imagefec.__file__).parents[1] / "benchmarks/drawn_worlds_sheet.py"


def test_the_sheet_has_a_row_for_each_aspect_and_is_small_enough_for_the_page(tmp_path):
    benchmark = runpy.run_path(str(SCRIPT))
    benchmark["main"](str(tmp_path / "sheet.jpg"))
    sheet = cv2.imread(str(tmp_path / "sheet.jpg"))
    # Plain, twelve aspects, varied and hard twice, in two columns.
    assert sheet.shape[0] == 8 * benchmark["CELL"]
    assert (tmp_path / "sheet.jpg").stat().st_size < 150_000
