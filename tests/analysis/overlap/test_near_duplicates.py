"""Perceptual hashes: those of ImageHash, near for copies of a face, far for other faces."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from imagefec.analysis.overlap import near_duplicates
from imagefec.analysis.overlap.near_duplicates import (
    HASH_PX,
    MAX_DISTANCE,
    VIEWS,
    hash_faces,
    hash_grey,
    nearest_distances,
)
from imagefec.faces.synthetic.heads.expressions import sample_expression
from imagefec.faces.synthetic.heads.people import sample_person
from imagefec.faces.synthetic.photo import render_photo

N_PEOPLE, N_EACH = 6, 4


@pytest.fixture(scope="module")
def faces():
    """Synthetic faces of 128 px: four of each of six people, with other expressions and light."""
    rng = np.random.default_rng(7)
    people = [sample_person(rng) for _ in range(N_PEOPLE)]
    found = []
    for person in people:
        for word in range(N_EACH):
            image, boxes = render_photo(rng, [(person, sample_expression(rng, 5 * word))], 4.0)
            height, width = image.shape[:2]
            left, right, top, bottom = boxes[0].sides
            face = image[int(top * height) : int(bottom * height)]
            face = face[:, int(left * width) : int(right * width)]
            found.append(cv2.resize(face, (128, 128), interpolation=cv2.INTER_AREA))
    return found


def jpeg(face, quality=60):
    file = io.BytesIO()
    Image.fromarray(face).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def resized(face, side):
    return cv2.resize(cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA), (128, 128))


def shifted(face, x, y):
    move = np.array([[1.0, 0, x], [0, 1.0, y]])
    return cv2.warpAffine(face, move, (128, 128), borderMode=cv2.BORDER_REPLICATE)


COPIES = {
    "recompressed": jpeg,
    "recompressed strongly": lambda face: jpeg(face, 30),
    "half the size": lambda face: resized(face, 64),
    "another size": lambda face: resized(face, 96),
    "brighter": lambda face: np.clip(face * 1.05, 0, 255).astype(np.uint8),
    "darker": lambda face: (face * 0.95).astype(np.uint8),
    "mirrored": lambda face: face[:, ::-1].copy(),
    "smaller file of a mirrored one": lambda face: jpeg(resized(face[:, ::-1].copy(), 96)),
}


def test_hashes_are_bit_for_bit_those_of_imagehash(faces):
    imagehash = pytest.importorskip("imagehash")
    random = np.random.default_rng(0).integers(0, 256, (3, HASH_PX, HASH_PX), np.uint8)
    grey = np.stack([near_duplicates._small_grey(face) for face in faces])
    grey = np.concatenate([grey, random])
    expected = [
        np.packbits(imagehash.phash(Image.fromarray(image), hash_size=16).hash.reshape(-1))
        for image in grey
    ]
    np.testing.assert_array_equal(hash_grey(grey), expected)
    np.testing.assert_array_equal(hash_faces(faces), expected[: len(faces)])


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_found(faces, kind):
    views = hash_faces([COPIES[kind](face) for face in faces], views=True)
    for row, own in enumerate(hash_faces(faces)):
        assert nearest_distances(views[row : row + 1], own[None])[0] <= MAX_DISTANCE


@pytest.mark.parametrize(("x", "y"), [(1, 0), (-1, 1), (0, 2), (2, -2)])
def test_copies_that_are_shifted_by_a_pixel_or_two_are_found(faces, x, y):
    views = hash_faces([shifted(face, x, y) for face in faces], views=True)
    found = [
        nearest_distances(views[row : row + 1], own[None])[0] <= MAX_DISTANCE
        for row, own in enumerate(hash_faces(faces))
    ]
    assert np.mean(found) >= 0.9


def test_other_faces_of_one_person_are_no_copies(faces):
    views, hashes = hash_faces(faces, views=True), hash_faces(faces)
    for row in range(len(faces)):
        others = np.delete(hashes, row, axis=0)
        assert nearest_distances(views[row : row + 1], others)[0] > MAX_DISTANCE


def test_distances_equal_those_of_a_loop_if_they_are_near(monkeypatch):
    monkeypatch.setattr(near_duplicates, "_CHUNK_FACES", 7)
    monkeypatch.setattr(near_duplicates, "_CHUNK_QUERIES", 4)
    monkeypatch.setattr(near_duplicates, "_CHUNK_PAIRS", 5)
    random = np.random.default_rng(1)
    hashes = random.integers(0, 256, (20, 32), np.uint8)
    views = random.integers(0, 256, (9, VIEWS, 32), np.uint8)
    for query in range(6):  # near one of the hashes in its unshifted and in a shifted view
        near = hashes[3 * query].copy()
        near[: query + 1] ^= 0b101
        views[query, 0 if query % 2 else VIEWS // 2] = near
        near[: query // 2] ^= 0b101
        views[query, 3 if query % 2 else VIEWS // 2 + 3] = near
    expected = [
        min(int(np.unpackbits(view ^ own).sum()) for view in of_query for own in hashes)
        for of_query in views
    ]
    found = nearest_distances(views, hashes)
    np.testing.assert_array_equal(found[:6], expected[:6])
    assert (found[6:] >= expected[6:]).all() and (found[6:] > 72).all()


def test_no_faces_have_no_hashes_and_are_near_nothing():
    assert hash_faces([]).shape == (0, 32) and hash_faces([], views=True).shape == (0, VIEWS, 32)
    views = np.zeros((2, VIEWS, 32), np.uint8)
    assert nearest_distances(views, np.zeros((0, 32), np.uint8)).tolist() == [256, 256]
    assert nearest_distances(views[:0], np.zeros((3, 32), np.uint8)).shape == (0,)


def test_a_single_colour_has_a_hash():
    assert hash_faces([np.full((128, 128, 3), 7, np.uint8)]).shape == (1, 32)
