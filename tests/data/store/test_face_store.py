"""Face stores: written faces are read back, in any order."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from imagefec.data.store.face_store import FaceStore, FaceStoreWriter, IndexedFaces
from imagefec.errors import UserError


def png(value: int, size: int = 8) -> bytes:
    """An image whose pixels are (value, value + 1, value + 2), red first."""
    bgr = np.full((size, size, 3), [value + 2, value + 1, value], np.uint8)
    return cv2.imencode(".png", bgr)[1].tobytes()


def write(folder: Path, n: int = 5, size: int = 8) -> None:
    with FaceStoreWriter(folder, size) as store:
        for start in range(0, n, 2):
            rows = range(start, min(n, start + 2))
            store.add(
                [png(10 * row) for row in rows],
                [(f"id{row}", f"http://host/ü{row},\u2028.jpg", "ann") for row in rows],
            )


def read(folder: Path) -> FaceStore:
    return FaceStore.open(folder, 8)


def test_a_store_holds_each_face_red_first_with_its_names(tmp_path):
    write(tmp_path)
    store = read(tmp_path)
    assert store.faces.shape == (5, 8, 8, 3)
    assert [face[3, 4].tolist() for face in store.faces] == [
        [10 * row, 10 * row + 1, 10 * row + 2] for row in range(5)
    ]
    assert store.face_ids == ["id0", "id1", "id2", "id3", "id4"]
    assert store.urls[4] == "http://host/ü4,\u2028.jpg"
    assert store.identities == ["ann"] * 5
    assert store.indices_of(["id3", "nobody", "id0"]).tolist() == [3, -1, 0]


def test_the_file_is_the_one_that_numpy_would_write(tmp_path):
    write(tmp_path)
    np.save(tmp_path / "by_numpy.npy", read(tmp_path).faces)
    assert (tmp_path / "faces.npy").read_bytes() == (tmp_path / "by_numpy.npy").read_bytes()


def test_the_error_names_a_damaged_face(tmp_path):
    with (
        pytest.raises(UserError, match="face id7 is damaged"),
        FaceStoreWriter(tmp_path, 8) as store,
    ):
        store.add([b"not an image"], [("id7", "")])


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        slice(1, 3),
        np.array([2, 0, 2]),
        [1],
        np.array([True, False, True, False]),
        (slice(None), 2),
        (1, slice(None), 0),
        (slice(0, 2), slice(1, 3), 0, 1),
    ],
    ids=str,
)
def test_faces_in_another_order_are_indexed_like_an_array(key):
    faces = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8)
    rows = np.array([5, 0, 3, 3])
    view = IndexedFaces(faces, rows)
    np.testing.assert_array_equal(view[key], faces[rows][key])
    np.testing.assert_array_equal(
        np.concatenate([view, faces]), np.concatenate([faces[rows], faces])
    )
    np.testing.assert_array_equal(np.stack(list(view)), faces[rows])
    assert (view.shape, view.dtype, view.ndim, view.nbytes, len(view)) == (
        (4, 4, 4, 3),
        np.uint8,
        4,
        4 * 48,
        4,
    )


def test_a_contiguous_part_stays_mapped_and_another_is_read_by_index(tmp_path):
    write(tmp_path)
    store = read(tmp_path)
    assert store.part(np.arange(5)) is store
    middle, mixed = store.part(np.arange(1, 4)), store.part(np.array([4, 0]))
    assert np.shares_memory(middle.faces, store.faces)
    assert middle.face_ids == ["id1", "id2", "id3"]
    assert isinstance(mixed.faces, IndexedFaces)
    assert mixed.face_ids == ["id4", "id0"]
    np.testing.assert_array_equal(mixed.faces[:], store.faces[[4, 0]])
