"""Photos to crop, csv files that name them, and their cache."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from imagefec.data.crop.stage import crop_faces
from imagefec.data.fec_csv import FaceRef, Row, write_rows
from imagefec.data.fetch.stage import fetch_photos
from imagefec.fec import TripletType
from imagefec.maths.geometry import Box


class Workspace:
    """A folder with photos, csv files and a cache."""

    TRAIN = "faceexp-comparison-data-train-public.csv"
    TEST = "faceexp-comparison-data-test-public.csv"
    FACE = Box(170 / 512, 275 / 512, 60 / 512, 180 / 512)

    def __init__(self, root: Path):
        self.root, self.cache, self.faces = root, root / "cache", root / "faces"
        (root / "photos").mkdir()

    def photo(self, name: str, rgb: np.ndarray) -> str:
        """Writes a photo and returns its URL."""
        path = self.root / "photos" / name
        Image.fromarray(rgb).save(path)
        return path.as_uri()

    def astronauts(self, n: int) -> list[str]:
        """Photos of one face with different brightness, so that their bytes differ."""
        face = skimage.data.astronaut()[:256, 96:352]
        brighter = (np.clip(face.astype(int) + k, 0, 255).astype(np.uint8) for k in range(n))
        return [self.photo(f"{k}.png", rgb) for k, rgb in enumerate(brighter)]

    def csv(self, triplets: list, name: str = TRAIN) -> Path:
        """Writes triplets of (three FaceRefs, choices) and fetches their photos."""
        rows = [
            Row(k, tuple(faces), TripletType(k % 3), ("a", "b", "c")[: len(choices)], choices)
            for k, (faces, choices) in enumerate(triplets)
        ]
        write_rows(self.root / name, rows)
        fetch_photos([self.root / name], self.cache)
        return self.root / name

    def crop(self, *paths: Path, **options):
        faces_dir = options.pop("faces_dir", self.faces)
        return crop_faces(paths, self.cache, faces_dir, **{"workers": 1} | options)

    def exclude(self, *names: str, path: str = "exclude.txt") -> Path:
        (self.root / path).write_text(
            "# not to be shown\n" + "".join(f"{name}\n" for name in names)
        )
        return self.root / path

    def astronaut_triplet(
        self, choices=(2, 2), third: FaceRef | None = None
    ) -> tuple[tuple[FaceRef, ...], tuple[int, ...]]:
        url = self.photo("astronaut.png", skimage.data.astronaut())
        boxes = self.FACE, Box(0.335, 0.54, 0.12, 0.36), Box(0.33, 0.53, 0.11, 0.35)
        first, second, last = (FaceRef(url, box) for box in boxes)
        return (first, second, third or last), choices

    def contents_after(self, name: str, **options) -> dict[str, bytes]:
        """Contents of a folder after one crop to it; each name is cropped once."""
        if not (self.root / name).exists():
            self.crop(self.path, faces_dir=self.root / name, **options)
        return self.contents(self.root / name)

    @staticmethod
    def contents(folder: Path) -> dict[str, bytes]:
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


@pytest.fixture
def many(workspace):
    """60 boxes on 30 photos; half of them contain a face."""
    urls = workspace.astronauts(30)
    boxes = [Box(0.29, 0.70, 0.24, 0.70), Box(0.05, 0.15, 0.05, 0.4)]
    faces = [FaceRef(url, box) for url in urls for box in boxes]
    workspace.path = workspace.csv([(faces[k : k + 3], (0, 0, 1)) for k in range(0, 60, 3)])
    workspace.refs = faces
    return workspace
