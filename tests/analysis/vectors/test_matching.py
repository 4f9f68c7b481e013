"""Which row of a file is which face's: by id, file name or URL; what has no partner is counted."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefec.analysis.vectors import matching
from imagefec.analysis.vectors.matching import match
from imagefec.analysis.vectors.vector_file import VectorFile
from imagefec.errors import UserError

FACE_IDS = ["f0", "f1", "f2", "f3"]
URLS = ["http://a/0.jpg", "http://a/1.jpg", "http://a/1.jpg", "http://a/3.jpg"]  # f1, f2: one photo


def file_of(vectors, ids=None, urls=None, paths=None):
    return VectorFile(Path("v.npz"), np.array(vectors, float), ids, urls, paths, None)


def matched(file, normalise=False):
    return match(file, FACE_IDS, URLS, "fec, split test", normalise)


def test_ids_decide_in_any_order_and_other_rows_are_counted():
    found = matched(file_of([[3], [7], [0], [1]], ids=["f3", "other", "f0", "f1"]))
    assert found.vectors[[0, 1, 3], 0].tolist() == [0, 1, 3] and np.isnan(found.vectors[2, 0])
    assert found.known.tolist() == [True, True, False, True]
    assert found.missing == {matching.NOT_IN_FILE: 1} and found.matched_by == {"ids": 3}
    assert found.left_out.counts == {matching.NO_SUCH_FACE: 1}
    assert found.left_out.names == {matching.NO_SUCH_FACE: ["other"]}


def test_a_file_named_by_a_face_id_is_that_faces_as_crop_writes_it():
    found = matched(file_of([[1], [3]], paths=["faces/f1/f1.png", "C/f3.jpg"]))
    assert found.known.tolist() == [False, True, False, True] and found.matched_by == {"paths": 2}
    # embed writes the path as the id of a face without a manifest
    assert matched(file_of([[1]], ids=["faces/f1.png"])).known.tolist() == [
        False,
        True,
        False,
        False,
    ]


def test_a_url_names_a_face_only_if_neither_side_has_another_of_that_photo():
    found = matched(file_of([[0], [1], [3], [9]], urls=[URLS[0], URLS[1], URLS[3], "http://b"]))
    assert found.known.tolist() == [True, False, False, True] and found.matched_by == {"urls": 2}
    assert found.missing == {matching.SEVERAL_FACES: 2}
    assert found.left_out.counts == {matching.SEVERAL_FACES: 1, matching.NO_SUCH_FACE: 1}
    # Two different vectors of one photo: one of them is another face's.
    found = matched(file_of([[0], [5], [3]], urls=[URLS[0], URLS[0], URLS[3]]))
    assert found.known.tolist() == [False, False, False, True]
    with pytest.raises(UserError, match=r"such as http://a/1\.jpg, .* names no face .*Add ids"):
        matched(file_of([[1]], urls=[URLS[1]]))


def test_a_url_does_not_give_a_face_the_vector_of_another_id():
    # A face of the same photo in another split, as when all faces of FEC were embedded.
    found = matched(file_of([[0], [9]], ids=["f0", "of train"], urls=[URLS[0], URLS[3]]))
    assert found.known.tolist() == [True, False, False, False]


def test_a_repeated_row_is_counted_if_equal_and_refused_if_not():
    found = matched(file_of([[1], [1], [np.nan], [np.nan]], ids=["f1", "f1", "f2", "f2"]))
    assert found.left_out.counts == {matching.REPEATED: 2}
    with pytest.raises(UserError, match=r"rows 0 and 2 .* both of face f1, but their vectors diff"):
        matched(file_of([[1], [2], [3]], ids=["f1", "f2", "f1"]))


def test_vectors_that_are_not_finite_are_missing_and_zero_ones_only_if_scaled():
    file = file_of([[3, 4], [np.nan, 1], [np.inf, 0], [0, 0]], ids=FACE_IDS)
    found = matched(file)
    assert found.missing == {matching.NOT_FINITE: 2} and found.n_zero == 1
    found = matched(file, normalise=True)
    assert found.missing == {matching.NOT_FINITE: 2, matching.ZERO: 1}
    np.testing.assert_allclose(found.vectors[0], [0.6, 0.8])
    assert np.isnan(found.vectors[1:]).all() and found.known.tolist() == [True, False, False, False]


def test_ids_of_another_dataset_are_refused_with_one_of_each():
    with pytest.raises(UserError) as error:
        matched(file_of([[1], [2]], ids=["zz", "yy"], urls=["http://b/1", "http://b/2"]))
    text = str(error.value)
    assert "none of its 2 rows is a face of fec, split test" in text
    assert "ids such as 'zz', urls such as 'http://b/1'" in text
    assert "ids such as 'f0' and urls such as 'http://a/0.jpg'" in text


@given(st.lists(st.tuples(st.sampled_from([*FACE_IDS, "x", ""]), st.integers(0, 2)), min_size=1))
def test_matching_by_ids_equals_a_loop_over_the_rows(rows):
    expected, conflict = {}, False
    for name, value in rows:
        if name in FACE_IDS:
            conflict |= expected.setdefault(name, value) != value
    file = file_of([[value] for _, value in rows], ids=[name for name, _ in rows])
    if conflict or not expected:
        with pytest.raises(UserError):
            matched(file)
        return
    found = matched(file)
    assert {
        face_id: found.vectors[face, 0]
        for face, face_id in enumerate(FACE_IDS)
        if found.known[face]
    } == expected
    assert sum(found.missing.values()) == len(FACE_IDS) - len(expected)
    assert sum(found.left_out.counts.values()) == len(rows) - len(expected)
