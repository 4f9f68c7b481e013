"""`imagefec judge` on a table: what its columns say of the photos, and rows that cannot be used."""

import csv
import io
import json
import unicodedata

import numpy as np
import pytest
from PIL import Image

from imagefec import cli
from imagefec.data.fec_csv import read_rows
from imagefec.errors import UserError
from imagefec.fec import csv_file_name
from imagefec.serving.judging import server
from imagefec.serving.judging.photo_table import find_in_table
from imagefec.serving.judging.photos import find_photos
from imagefec.serving.judging.project import Settings, open_project, split_warnings
from tests.serving.judging.photos import WORDS, Rater, jpeg, write_photos
from tests.serving.servers import running_verb

SPLITS = ("train", "train", "validation", "test")
HEADER = "path,label,person,split,left,right,top,bottom"


@pytest.fixture
def photos(tmp_path):
    """photos/anger0.jpg and so on: 12 persons with 3 expressions each."""
    return write_photos(tmp_path / "photos", n=12, by_label=False)


def write(photos, rows, header=HEADER, name="table.csv"):
    path = photos / name
    text = io.StringIO()
    csv.writer(text).writerows([header.split(","), *rows])
    path.write_text(text.getvalue())
    return path


def full_rows():
    return [
        [f"{word}{who}.jpg", word, f"p{who}", SPLITS[who % 4], 0.2, 0.8, 0.1, 0.9]
        for word in WORDS
        for who in range(12)
    ]


def opened(table, tmp_path, **settings):
    out = tmp_path / "out"
    out.mkdir(exist_ok=True, parents=True)
    return open_project(table, out, Settings(**settings))


def test_a_row_gives_label_person_split_and_box(photos, tmp_path):
    project = opened(write(photos, full_rows()), tmp_path)
    assert len(project.faces) == 36 and not project.left_out
    for name, face in project.faces.items():
        word, who = face.photo.path.stem[:-1].rstrip("1"), face.photo.path.stem
        who = int(who.removeprefix(word))
        assert (project.labels[name], project.persons[name]) == (word, f"p{who}")
        assert project.splits[name] == SPLITS[who % 4]
        assert face.box.sides == (0.2, 0.8, 0.1, 0.9)
        assert (project.out / "pictures" / f"{name}.jpg").is_file()


def test_parquet_gives_the_same_project(photos, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = dict(zip(HEADER.split(","), zip(*full_rows())))
    path = photos / "table.parquet"
    parquet.write_table(pyarrow.table({name: list(of) for name, of in columns.items()}), path)
    found, _ = find_in_table(path, True)
    assert found == find_in_table(write(photos, full_rows()), True)[0]


def test_a_path_is_enough_and_faces_are_then_detected(photos, tmp_path):
    project = opened(write(photos, [[f"anger{who}.jpg"] for who in range(12)], "path"), tmp_path)
    assert len(project.faces) >= 9 and set(project.labels.values()) == {""}
    assert all(0 < face.box.width < 1 for face in project.faces.values())
    assert set(project.splits.values()) == {"train", "validation", "test"}


def test_persons_are_in_one_split_near_the_fractions(photos, tmp_path):
    rows = [[path, label, who] for path, label, who, *_ in full_rows()]
    project = opened(write(photos, rows, "path,label,person"), tmp_path, boxes="whole")
    of_person = {}
    for name, who in project.persons.items():
        of_person.setdefault(who, set()).add(project.splits[name])
    assert len(of_person) == 12 and all(len(splits) == 1 for splits in of_person.values())
    counts = {split: list(project.splits.values()).count(split) for split in SPLITS}
    assert counts["test"] in (6, 9) and counts["validation"] in (3, 6)  # 7.2 and 3.6 wanted


def test_boxes_in_pixels_are_of_the_stored_pixels_of_a_turned_photo(photos, tmp_path):
    picture = Image.open(io.BytesIO(jpeg("anger", 0)))
    width, height = picture.size
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side; upright is turned clockwise
    picture.save(photos / "turned.jpg", exif=exif)
    rows = [["turned.jpg", 10, 60, 20, 90], ["anger1.jpg", 10, 60, 20, 90]]
    table = write(photos, rows, "path,left,right,top,bottom")
    turned, upright = (photo.box for photo in find_in_table(table, True)[0])
    np.testing.assert_allclose(
        turned.sides, (1 - 90 / height, 1 - 20 / height, 10 / width, 60 / width)
    )
    size = Image.open(photos / "anger1.jpg").size
    np.testing.assert_allclose(
        upright.sides, (10 / size[0], 60 / size[0], 20 / size[1], 90 / size[1])
    )


def test_rows_that_cannot_be_used_are_counted_with_their_reason(photos):
    (photos / "copy.jpg").write_bytes((photos / "anger0.jpg").read_bytes())
    (photos / "broken.jpg").write_bytes(b"\xff\xd8 no")
    box = [0.2, 0.8, 0.1, 0.9]
    rows = [
        *[[name, *box] for name in ("anger0.jpg", "copy.jpg", "gone.jpg", "broken.jpg")],
        ["http://h/a.jpg", *box],
        ["anger0.jpg", 0.5, 0.6, 0.5, 0.6],
        ["anger2.jpg", 0.6, 0.5, 0.5, 0.6],
        ["", *box],
    ]
    found, left_out = find_in_table(write(photos, rows, "path,left,right,top,bottom"), True)
    assert [photo.path.name for photo in found] == ["anger0.jpg"]
    assert left_out.counts == {
        "bad box": 1,
        "no path or URL": 1,
        "same content as an earlier one": 1,
        "unreadable": 2,
        "on the web: fetch it, and give its path": 1,
        "another face of a photo, of which the first is judged": 1,
    }


def test_a_face_with_two_labels_or_persons_is_left_out(photos):
    (photos / "copy.jpg").write_bytes((photos / "anger1.jpg").read_bytes())
    rows = [
        ["anger0.jpg", "anger", "a"],
        ["anger1.jpg", "anger", "a"],
        ["copy.jpg", "joy", "a"],
        ["anger2.jpg", "Anger", "a"],
        ["anger2.jpg", "anger", "b"],
        ["anger3.jpg", "joy", ""],
        ["anger3.jpg", "joy", "b"],
    ]
    table = write(photos, rows, "path,label,person")
    found, left_out = find_in_table(table, True)
    assert [photo.path.name for photo in found] == ["anger0.jpg", "anger3.jpg"]
    assert left_out.counts == {
        "given with different labels": 2,
        "given with different persons": 2,
        "same content as an earlier one": 1,
    }
    found, _ = find_in_table(table, False)  # labels do not matter then
    assert [photo.path.name for photo in found] == ["anger0.jpg", "anger1.jpg", "anger3.jpg"]


def test_of_two_faces_the_first_without_a_contradiction_is_judged(photos):
    rows = [
        ["anger0.jpg", label, left, 0.9, 0.1, 0.9]
        for label, left in (("joy", 0.1), ("fear", 0.1), ("joy", 0.2), ("fear", 0.3))
    ]
    found, left_out = find_in_table(write(photos, rows, "path,label,left,right,top,bottom"), True)
    assert [photo.box.left for photo in found] == [0.2]
    assert left_out.counts == {
        "given with different labels": 2,
        "another face of a photo, of which the first is judged": 1,
    }


def test_labels_are_used_only_if_every_photo_has_one(photos):
    def labels(rows, use_labels=True):
        found, _ = find_in_table(write(photos, rows, "path,label"), use_labels)
        return [photo.label for photo in found]

    rows = [[f"anger{who}.jpg", label] for who, label in enumerate(("joy", "Joy ", "joy", "fear"))]
    assert labels(rows) == ["joy", "joy", "joy", "fear"]
    assert labels(rows, False) == [""] * 4
    assert labels([*rows, ["anger4.jpg", ""]]) == [""] * 5


def test_a_project_goes_on_if_only_the_spelling_of_a_label_has_changed(photos, tmp_path):
    rows = [row[:2] for row in full_rows()]
    begun = opened(write(photos, rows, "path,label"), tmp_path, boxes="whole")
    upper = [[path, label.upper()] for path, label in rows]
    again = opened(write(photos, upper, "path,label"), tmp_path, boxes="whole")
    assert again.splits == begun.splits and set(again.labels.values()) == {*map(str.upper, WORDS)}


def test_labels_of_folders_are_in_one_spelling_too(photos):
    for who, label in enumerate(
        ("Zärtlich", unicodedata.normalize("NFD", "zärtlich"), "zärtlich", "b\u200b", "b\u200d")
    ):
        (photos / "by" / label).mkdir(parents=True)
        (photos / f"anger{who}.jpg").rename(photos / "by" / label / f"{who}.jpg")

    def labels():
        return {photo.path.stem: photo.label for photo in find_photos(photos / "by", True)[0]}

    assert labels() == {
        **dict.fromkeys("012", "zärtlich"),
        "3": r"b\u200b",  # cannot be printed, and are two labels
        "4": r"b\u200d",
    }
    (photos / "by" / " ").mkdir()
    (photos / "anger5.jpg").rename(photos / "by" / " " / "5.jpg")
    assert set(labels().values()) == {""}


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        ("label,person", [["joy", "a"]], "no column is known to name the photos"),
        ("path,path", [["a.jpg", "a.jpg"]], "two columns 'path'"),
        ("path,split", [["anger0.jpg", "train"], ["anger1.jpg", ""]], "1 of 2 photos have no"),
        ("path,split", [["anger0.jpg", "left"]], "unknown split: 1"),
        ("path,left,right,top", [["anger0.jpg", 0, 1, 0]], "left, right, top, but no bottom"),
    ],
)
def test_a_table_that_cannot_be_judged_is_refused(photos, header, rows, said):
    with pytest.raises(UserError, match=said):
        find_in_table(write(photos, rows, header), True)


def test_splits_and_persons_that_give_no_triplet_are_refused(photos, tmp_path):
    rows = [[f"anger{who}.jpg", "test" if who < 2 else "train"] for who in range(12)]
    with pytest.raises(UserError, match=r"test 2.* need at least 3"):
        opened(write(photos, rows, "path,split"), tmp_path, boxes="whole")
    rows = [[f"anger{who}.jpg", "test"] for who in range(12)]
    with pytest.raises(UserError, match=r"test 12 .* change the column split, or leave it out\.$"):
        opened(write(photos, rows, "path,split"), tmp_path, boxes="whole")
    rows = [[f"{word}{who}.jpg", f"p{who % 2}"] for word in WORDS for who in range(12)]
    with pytest.raises(UserError, match=r"2 persons are too few for 3 splits.*give up splits"):
        opened(write(photos, rows, "path,person"), tmp_path, boxes="whole")


def test_persons_in_two_splits_of_a_table_are_a_warning(photos, tmp_path):
    rows = full_rows()
    assert split_warnings(opened(write(photos, rows), tmp_path / "a")) == []
    rows[1][3] = "test"  # p1 is in train, too
    rows[6][3] = "test"  # p6 is else in validation, which is no warning
    out = tmp_path / "b" / "out"
    with running_verb("judge", write(photos, rows), f"--out={out}", "--port=0") as running:
        _, err = running.stop()
    said = "judge: warning: 1 persons are in train and in test, as the table says (p1): the TPA of"
    assert said in err and err.count("warning") == 1


def test_a_table_is_judged_by_the_verb_and_its_changes_are_noticed(photos, tmp_path, capsys):
    table, out = write(photos, full_rows()), tmp_path / "judged"
    with running_verb("judge", table, f"--out={out}", "--port=0") as running:
        Rater(running, "Anna").judge(12)
        _, err = running.stop()
    assert "judge: 36 faces (train 18, test 9, validation 9), 3 labels" in err
    with (out / "persons.csv").open(newline="") as file:
        persons = {row["url"]: row["person"] for row in csv.DictReader(file)}
    assert len(persons) == 36 and (out / "expressions.csv").is_file()
    for split in ("train", "test"):
        for row in read_rows(out / csv_file_name(split)):
            numbers = {int(persons[face.url].removeprefix("p")) for face in row.faces}
            assert {SPLITS[number % 4] for number in numbers} == {split}
    rows = full_rows()
    rows[0][2] = "p5"
    assert cli.main(["judge", str(write(photos, rows)), f"--out={out}", "--port=0"]) == 2
    assert "1 photos of" in capsys.readouterr().err
    table = write(photos, full_rows())
    record = server.export_answers(table, out, Settings(), quiet=True)
    assert json.loads((out / "record.json").read_text())["triplets"] == record["triplets"]


def test_a_table_in_the_output_folder_is_refused(photos, capsys):
    table = write(photos, full_rows())
    assert cli.main(["judge", str(table), f"--out={photos}", "--port=0"]) == 2
    assert "is the folder of table.csv" in capsys.readouterr().err
    assert cli.main(["judge", str(photos / "gone.csv"), f"--out={photos}", "--port=0"]) == 2
    assert "gone.csv: no such file. Give a folder of photos" in capsys.readouterr().err
