"""Rows of FEC's csv files over photos with short names, and files of them."""

import itertools

import pytest

from imagefec.data.fec_csv import FaceRef, Row, write_rows
from imagefec.fec import TripletType, csv_file_name
from imagefec.maths.geometry import Box


def row(*photos):
    faces = tuple(FaceRef(f"http://h/{photo}.jpg", Box(0, 0.5, 0, 1)) for photo in photos)
    return Row(1, faces, TripletType.TWO_CLASS, ("ann",), (1,))


def islands(n):
    """Rows of n sets of four photos, each connected, none with another."""
    return [row(*(f"{i}-{at}" for at in chosen)) for i in range(n) for chosen in
            itertools.combinations(range(4), 3)]  # fmt: skip


@pytest.fixture
def written(tmp_path):
    def write(rows, split="train"):
        (tmp_path / "in").mkdir(exist_ok=True)
        path = tmp_path / "in" / csv_file_name(split)
        write_rows(path, rows)
        return path

    return write
