"""Tables of persons and labels: how rows find faces, what is left out, and what is refused."""

import logging

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imagefec.data.annotations import CONTRADICTION, NOTHING_KNOWN, Annotations, read_annotations
from imagefec.data.face_names import NO_NAME, OTHER_FACE, SEVERAL_FACES
from imagefec.data.fec_row import FaceRef
from imagefec.data.labels.tables import WRONG_CELLS
from imagefec.errors import UserError
from imagefec.maths.geometry import Box

# Two faces of one photo, one of a second, one of a third, whose name has an accent.
URLS = ["http://h/img/a.jpg", "http://h/img/a.jpg", "http://h/img/b,1.jpg", "http://h/%C3%A9.jpg"]
BOXES = [Box(0.1, 0.4, 0.1, 0.4), Box(0.6, 0.9, 0.1, 0.4), Box(0, 1, 0, 1), Box(0.2, 0.8, 0.2, 0.8)]
IDS = [FaceRef(url, box).face_id for url, box in zip(URLS, BOXES)]


def read(tmp_path, text, name="faces.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_annotations(tmp_path / name, IDS, URLS, "fec, test")


def persons_of(annotations):
    return [annotations.persons[code] if code >= 0 else None for code in annotations.person]


def labels_of(annotations):
    return [annotations.labels[code] if code >= 0 else None for code in annotations.label]


def test_rows_find_their_faces_by_url_and_box_as_in_the_csv_files(tmp_path):
    found = read(
        tmp_path,
        "url,left,right,top,bottom,person\n"
        "http://h/img/a.jpg,0.6,0.9,0.1,0.4,ann\n"
        "http://h/img/a.jpg,0.100000,0.4,0.1,0.4,bob\n"
        '"http://h/img/b,1.jpg",-0.0,1,0,1,ann\n'
        "http://h/img/a.jpg,0.2,0.4,0.1,0.4,cid\n",
    )
    assert persons_of(found) == ["bob", "ann", "ann", None] and labels_of(found) == [None] * 4
    assert found.persons == ("ann", "bob") and found.labels == ()
    assert found.matched_by == {"boxes": 3}
    assert found.left_out.counts == {OTHER_FACE: 1}
    assert found.person.dtype == found.label.dtype == np.int64


def test_rows_find_their_faces_by_id(tmp_path):
    found = read(tmp_path, f"face_id;Emotion\n{IDS[2]};joy\n{'0' * 20};awe\n{IDS[0]};awe\n;x\n")
    assert labels_of(found) == ["awe", None, "joy", None]
    assert found.matched_by == {"ids": 2}
    assert found.left_out.counts == {OTHER_FACE: 1, NO_NAME: 1}


def test_without_a_box_a_url_names_a_face_only_if_its_photo_has_no_other(tmp_path, caplog):
    text = f'url,label\n{URLS[0]},awe\n"{URLS[2]}",joy\n{URLS[3]},joy\nhttp://h/z.jpg,awe\n'
    with caplog.at_level(logging.WARNING):
        found = read(tmp_path, text)
    assert labels_of(found) == [None, None, "joy", "joy"]
    assert found.matched_by == {"urls": 2}
    assert found.left_out.counts == {SEVERAL_FACES: 1, OTHER_FACE: 1}
    assert "the label of 2 of 4 faces is not known" in caplog.text
    assert f"1 rows: {SEVERAL_FACES}" in caplog.text and OTHER_FACE not in caplog.text


def test_paths_are_compared_with_the_end_of_the_url(tmp_path):
    text = f'image,person\n"img/b,1.jpg",ann\né.jpg,bob\nmg/a.jpg,cid\nfaces/{IDS[1]}.png,dan\n'
    found = read(tmp_path, text)
    assert persons_of(found) == [None, "dan", "ann", "bob"]
    assert found.matched_by == {"paths": 3} and found.left_out.counts == {OTHER_FACE: 1}


def test_a_path_with_a_box_names_one_face_of_its_photo(tmp_path):
    found = read(tmp_path, "path,left,right,top,bottom,person\na.jpg,0.6,0.9,0.1,0.4,ann\n")
    assert persons_of(found) == [None, "ann", None, None]


def test_two_tables_are_joined_and_a_folder_means_its_two_tables(tmp_path):
    (tmp_path / "persons.csv").write_text(f"id,person\n{IDS[0]},ann\n{IDS[1]},Bob\n")
    (tmp_path / "expressions.csv").write_text(f"id,expression\n{IDS[0]},joy\n")
    for paths in (tmp_path, [tmp_path / "expressions.csv", tmp_path / "persons.csv"]):
        found = read_annotations(paths, IDS, URLS, "fec, test")
        assert persons_of(found) == ["ann", "Bob", None, None]
        assert labels_of(found) == ["joy", None, None, None]
    counts = found.as_json()
    assert (counts["n_faces"], counts["n_person"], counts["n_label"]) == (4, 2, 1)
    assert (counts["n_persons"], counts["n_labels"]) == (2, 1)


def test_spellings_are_joined_and_contradictions_leave_the_face_unknown(tmp_path):
    found = read(
        tmp_path,
        f"id,person,label\n{IDS[0]},Zoe\u0301,Joy\n{IDS[0]},ZO\u00c9, joy \n{IDS[1]},ann,joy\n"
        f"{IDS[1]},bob,joy\n{IDS[1]},ann,\n{IDS[2]},,\n",
    )
    assert persons_of(found) == ["Zo\u00e9", None, None, None]
    assert labels_of(found) == ["Joy", "Joy", None, None]
    assert found.persons == ("Zo\u00e9",)  # of faces that are still known
    assert found.left_out.counts == {CONTRADICTION: 2, NOTHING_KNOWN: 1}
    lines = ["faces.csv, line 5 (person bob)", "faces.csv, line 6 (person ann)"]
    assert found.left_out.names[CONTRADICTION] == lines


def test_a_parquet_table_is_read_like_a_csv_file(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"id": [IDS[3], IDS[1], None], "class": [7, None, 7]})
    parquet.write_table(table, tmp_path / "faces.parquet")
    found = read_annotations([tmp_path / "faces.parquet"], IDS, URLS, "fec, test")
    assert labels_of(found) == [None, None, None, "7.0"] or labels_of(found)[3] == "7"
    assert found.left_out.counts == {NOTHING_KNOWN: 1, NO_NAME: 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,person\n", r"none of its 0 rows is a face of fec, test, which has ids such as"),
        ("id,person\nabc,ann\n", r"none of its 1 rows, such as 'abc', is a face"),
        ("person,label\nann,joy\n", r"no column is known to name the faces .* it has 'person'"),
        ("id,age\nabc,7\n", r"no column is known to name their persons or labels"),
        ("", "it is empty"),
        ('id,person\n"a', r"line 2: broken csv"),
    ],
)
def test_a_table_without_faces_or_columns_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, text)


def test_missing_files_and_other_files_are_refused(tmp_path):
    for path, message in (
        (tmp_path / "none.csv", "no such file"),
        (tmp_path, "neither expressions.csv nor persons.csv"),
        ([], "no file is given"),
    ):
        with pytest.raises(UserError, match=message):
            read_annotations(path, IDS, URLS, "fec, test")
    (tmp_path / "a.npz").write_bytes(b"x")
    with pytest.raises(UserError, match="not a table by its name"):
        read_annotations(tmp_path / "a.npz", IDS, URLS, "fec, test")


def test_rows_with_another_number_of_cells_are_counted(tmp_path):
    found = read(tmp_path, f"id,person\n{IDS[0]},ann\n{IDS[1]}\n")
    assert found.left_out.counts == {WRONG_CELLS: 1}


_CELL = st.sampled_from(
    ["", "ann", "0.1", "nan", "1e999", "http://[", "a.jpg", "\ud7ff", *IDS, *URLS]
)


@settings(max_examples=40)
@given(st.lists(st.lists(_CELL, min_size=8, max_size=8), min_size=1, max_size=5))
@example([[IDS[0], "", "", "", "", "", "", "ann"]])
def test_any_cells_give_annotations_or_a_sentence(tmp_path_factory, rows):
    import csv

    path = tmp_path_factory.mktemp("any") / "faces.csv"
    header = ["id", "url", "path", "left", "right", "top", "bottom", "person"]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    try:
        found = read_annotations(path, IDS, URLS, "fec, test")
    except UserError:
        return
    assert isinstance(found, Annotations) and found.person.max() < len(found.persons)
    assert set(persons_of(found)) <= {None, *(row[-1] for row in rows)}
