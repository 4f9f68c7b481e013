"""Folders and tables of small photos with labels."""

import io

import numpy as np
import pytest
from PIL import Image


def photo_bytes(number, kind="JPEG", size=(24, 20), **options):
    """A small photo; different numbers give different bytes."""
    pixels = np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


class Photos:
    """Writes photos below a folder; each has other bytes unless `same` is given."""

    def __init__(self, root):
        self.root, self._n = root, 0

    def __call__(self, name, same=None, **options):
        self._n += 1
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo_bytes(self._n if same is None else 10_000 + same, **options))
        return path

    def labelled(self, counts, form="{label}/{n}.jpg"):
        """Photos of each label by their number."""
        for label, count in counts.items():
            for n in range(count):
                self(form.format(label=label, n=n))
        return self.root


@pytest.fixture
def photos(tmp_path):
    return Photos(tmp_path / "photos")


@pytest.fixture
def table(tmp_path):
    """Writes a csv table."""

    def write(text, name="table.csv"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write
