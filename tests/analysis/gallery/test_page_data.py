"""What a gallery's page contains for its visitor to walk through."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from imagefec import fec
from imagefec.analysis.gallery import page_data as made
from imagefec.analysis.gallery.page import make_page
from imagefec.analysis.gallery.sheet import GalleryText
from imagefec.data.store.triplets import Triplets
from imagefec.errors import UserError
from imagefec.faces.photo_files import NotAPhoto
from tests.analysis.gallery.walkable import gallery_faces, labels, page_data, ties, write_page


def vectors_in(walk):
    dtype = np.dtype(walk.values["dtype"]).newbyteorder("<")
    flat = np.frombuffer(base64.b64decode(walk.values["vectors"]), dtype)
    return flat.reshape(len(walk.numbers), -1)


def sprite_in(walk):
    picture = base64.b64decode(walk.values["sprite"]["url"].split(",")[1])
    return np.asarray(Image.open(io.BytesIO(picture)))


def test_the_page_has_the_vectors_photos_and_pictures_of_all_allowed_faces():
    data = gallery_faces(ties(), columns=labels())
    allowed = [row for row in range(24) if row not in (3, 4)]
    _, walk = page_data(data, allowed=allowed)
    assert list(walk.numbers) == allowed and list(walk.numbers.values()) == list(range(22))
    np.testing.assert_array_equal(vectors_in(walk), ties()[allowed])
    values = walk.values
    assert values["ids"] == [f"face {row}" for row in allowed]
    assert [values["urls"][photo] for photo in values["photos"]] == [data.urls[r] for r in allowed]
    column = values["columns"][0]
    assert column["name"] == "label" and column["values"] == ["awe", "joy"]
    known = [[column["values"][value] for value in of] for of in column["of"]]
    assert known == [list(data.columns[0].values[row]) for row in allowed]
    side = sprite_in(walk).shape[1] // values["sprite"]["columns"]
    for number, row in enumerate(allowed):
        y, x = divmod(number, values["sprite"]["columns"])
        tile = sprite_in(walk)[y * side : (y + 1) * side, x * side : (x + 1) * side]
        inside = tile[2:-2, 2:-2].astype(int)  # colours run over edges by a pixel in a JPEG
        assert np.abs(inside - data.faces[row][0, 0]).max() <= 6


def test_a_page_of_fewer_faces_has_the_queries_their_neighbours_and_a_seeded_sample():
    data = gallery_faces(ties())
    strips, walk = page_data(data, faces=12)
    shown = {tile.row for strip in strips for tile in (strip.query, *strip.neighbours)}
    assert len(walk.numbers) == 12 and shown < set(walk.numbers) and walk.is_part
    assert list(walk.numbers) == sorted(walk.numbers)  # ties are in the order of the rows
    assert page_data(data, faces=12)[1] == walk
    other = page_data(data, faces=12, seed=1)[1]
    assert shown < set(other.numbers) != set(walk.numbers)
    assert set(page_data(data, faces=1)[1].numbers) == shown
    assert page_data(data, faces=0)[1] is None
    with pytest.raises(UserError, match="faces = -1: it must be 0"):
        made.check_n_faces(-1)


@pytest.mark.parametrize(
    ("vectors", "dtype"),
    [
        (ties().astype(np.float64), "float32"),
        (ties() / 3.0, "float32"),
        (ties().astype(np.float64) / 3, "float64"),
        (ties().astype(np.float64) * 1e60, "float64"),
    ],
)
def test_vectors_are_not_rounded(vectors, dtype):
    walk = page_data(gallery_faces(vectors))[1]
    assert walk.values["dtype"] == dtype
    np.testing.assert_array_equal(vectors_in(walk), vectors)


def test_the_slider_of_the_distance_reaches_the_farthest_faces():
    assert page_data(gallery_faces(np.eye(9)))[1].values["largestDistance"] == 2
    vectors = ties() * 50.0
    largest = max(np.linalg.norm(a - b) for a in vectors for b in vectors)
    assert largest <= page_data(gallery_faces(vectors))[1].values["largestDistance"] <= 2 * largest
    assert page_data(gallery_faces(np.zeros((9, 2))))[1].values["largestDistance"] == 1
    far = np.full((9, 1), 1e100) * np.array([[1], [-1], [1]] * 3)  # the largest that are searched
    assert 2e100 <= page_data(gallery_faces(far))[1].values["largestDistance"] <= 4e100


def test_thumbnails_of_many_faces_are_smaller():
    def side(n):
        walk = page_data(gallery_faces(np.eye(n, 3)))[1]
        return sprite_in(walk).shape[1] // walk.values["sprite"]["columns"]

    assert (side(9), side(900), side(2000)) == (128, 112, 80)


def test_faces_that_cannot_be_read_are_left_out_and_named(monkeypatch):
    class Pictures(list):
        def __getitem__(self, row):
            if row == 9:
                raise NotAPhoto("damaged")
            return super().__getitem__(row)

    data = gallery_faces(ties())
    object.__setattr__(data, "faces", Pictures(data.faces))
    logged = []
    monkeypatch.setattr(made.logging, "warning", lambda text, *args: logged.append(text % args))
    walk = page_data(data)[1]
    assert 9 not in walk.numbers and len(walk.values["ids"]) == 23 and walk.is_part
    assert logged == ["left out, cannot be read: face 9 (damaged)"]


def test_a_face_has_the_types_of_the_triplets_in_which_it_occurs():
    kinds = fec.TripletType
    triplets = Triplets(
        faces=np.zeros((5, 2, 2, 3), np.uint8),
        face_ids=list("abcde"),
        urls=list("abcde"),
        triplets=np.array([[0, 1, 2], [2, 1, 3]], np.int32),
        types=np.array([kinds.THREE_CLASS, kinds.ONE_CLASS], np.int8),
        vote_counts=np.zeros((2, 3), np.int32),
        agreement=np.ones(2, np.float32),
    )
    both = ("one-class", "three-class")
    assert made.triplet_column(triplets, 6).values == [both[1:], both, both, both[:1], (), ()]


def test_another_gallery_has_another_digest():
    digests = {
        page_data(data)[1].values["digest"]
        for data in (
            gallery_faces(ties()),
            gallery_faces(ties() + 1),
            gallery_faces(ties(), ids=[f"other {row}" for row in range(24)]),
        )
    }
    assert len(digests) == 3
    assert page_data(gallery_faces(ties()))[1].values["digest"] in digests


def test_the_page_loads_nothing_and_runs_only_its_own_script(tmp_path):
    write_page(tmp_path / "gallery.html", gallery_faces(ties(), columns=labels()))
    text = (tmp_path / "gallery.html").read_text(encoding="utf-8")
    assert len(re.findall("<script", text)) == 2 and text.count("</script>") == 2
    markup = re.sub(r"(?s)<script.*?</script>", "", text)
    assert "url(" not in markup and "@import" not in markup and "<link" not in markup
    assert set(re.findall(r'(?:src|href)="([^"]{1,5})', markup)) == {"data:", "#"}
    json.loads(re.search(r'(?s)id="data">(.*?)</script>', text)[1])


def test_strips_alone_make_a_page_without_a_script():
    strips, _ = page_data(gallery_faces(ties()))
    page = make_page(GalleryText("t", "f", "none"), strips, "why")
    assert "<script" not in page and "data-face" not in page and "Open a face" not in page
