"""Which rows become examples, and their contents."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from imagefec.data import fec_csv, fec_examples
from imagefec.data.crop import face_folder
from imagefec.data.exclusion import Exclusion
from imagefec.errors import UserError
from imagefec.fec import TripletType
from imagefec.maths.geometry import Box

TRAIN = "faceexp-comparison-data-train-public.csv"


def png(size=(128, 128, 3), seed=0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def face(number: int) -> fec_csv.FaceRef:
    return fec_csv.FaceRef(f"http://photos/{number},large.jpg", Box(0.125, 0.5, 0.25, 0.75))


def row(numbers=(0, 1, 2), choices=(2, 2, 2, 0)) -> fec_csv.Row:
    annotators = tuple(f"rater {i}" for i in range(len(choices)))
    faces = tuple(face(n) for n in numbers)
    return fec_csv.Row(1, faces, TripletType.TWO_CLASS, annotators, tuple(choices))


@pytest.fixture
def make(tmp_path):
    """Makes the examples of rows and the report; faces 0 to 8 have a PNG, face 9 was dropped."""

    def run(*rows, layout="triplets", exclude=(), extra_text="", faces=range(10), rewrite=True):
        csv_path = tmp_path / TRAIN
        fec_csv.write_rows(csv_path, rows)
        with csv_path.open("a") as file:
            file.write(extra_text)
        if rewrite:
            write_faces(tmp_path / "faces", faces)
        exclusion = Exclusion(exclude)
        planned, report = fec_examples.plan_split(
            layout, csv_path, face_folder.read_faces(tmp_path / "faces"), exclusion
        )
        files = csv_path, tmp_path / "faces"
        assert fec_examples.plan_from_files(layout, exclusion, files) == planned
        return [fec_examples.make_example(layout, item) for item in planned], report

    return run


def write_faces(folder: Path, numbers) -> None:
    """Writes a folder as crop does."""
    lines = [face_folder.HEADER + "\n"]
    for n in numbers:
        dropped = n == 9
        path = face_folder.face_path(folder, face(n).face_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not dropped:
            path.write_bytes(png(seed=n))
        lines.append(
            face_folder.manifest_line(
                face(n).face_id,
                face(n).url,
                face(n).box,
                "no face found" if dropped else "",
                "none",
                None,
                False,
            )
        )
    (folder / "faces.csv").write_text("".join(lines))


def test_an_example_holds_the_row_and_the_files_of_its_faces(make):
    [(key, example)], _ = make(row(numbers=(4, 0, 8), choices=(2, 2, 0, 2)))
    boxes = example.pop("boxes")
    assert key == 1
    assert example == {
        "image_a": png(seed=4),
        "image_b": png(seed=0),
        "image_c": png(seed=8),
        "type": "two_class",
        "odd": 2,
        "votes": [2, 2, 0, 2],
        "annotators": ["rater 0", "rater 1", "rater 2", "rater 3"],
        "agreement": 0.75,
        "face_ids": [face(n).face_id for n in (4, 0, 8)],
        "urls": [f"http://photos/{n},large.jpg" for n in (4, 0, 8)],
        "line": 1,
    }
    assert boxes.dtype == np.float32
    np.testing.assert_array_equal(boxes, [[0.125, 0.5, 0.25, 0.75]] * 3)


def test_only_labelled_triplets_with_three_cropped_faces_become_examples(make):
    examples, report = make(
        row(),
        row(choices=(0, 0, 1, 1)),
        row(choices=()),
        row(numbers=(0, 9, 2)),
        row(numbers=(3, 1, 0)),
        extra_text="not,a,row\n",
    )
    assert [key for key, _ in examples] == [1, 5]
    assert report.as_json() == {
        "csv": TRAIN,
        "rows": 6,
        "examples": 2,
        "faces": 4,
        "dropped": {"bad row": 1, "no face found": 1, "no votes": 1, "tie": 1},
        "raters": "people",
    }


def test_a_row_without_label_and_face_is_counted_under_its_missing_label(make):
    _, report = make(row(), row(numbers=(9, 1, 2), choices=()))
    assert report.dropped == {"no votes": 1}


def test_a_face_that_crop_has_not_seen_is_an_error_that_names_row_and_verb(make):
    with pytest.raises(UserError, match=rf"{TRAIN}, line 2: .*{face(7).face_id}.*imagefec crop"):
        make(row(), row(numbers=(0, 1, 7)), faces=range(4))


def test_a_csv_file_without_a_usable_triplet_is_an_error_with_the_reasons(make):
    with pytest.raises(UserError, match=r"none of its 2 triplets.*'tie': 1.*'no face found': 1"):
        make(row(choices=(0, 1)), row(numbers=(0, 1, 9)))


def test_the_index_holds_a_triplet_without_its_images(make):
    rows = row(numbers=(4, 0, 8)), row(numbers=(1, 4, 2), choices=(0, 0))
    triplets, _ = make(*rows)
    index, _ = make(*rows, layout="index")
    left_out = {"image_a", "image_b", "image_c", "urls", "boxes"}
    assert index == [
        (key, {name: value for name, value in example.items() if name not in left_out})
        for key, example in triplets
    ]


def test_each_face_of_a_usable_triplet_is_an_example_once_in_order_of_first_mention(make):
    faces, report = make(
        row(numbers=(4, 0, 8)), row(numbers=(1, 9, 2)), row(numbers=(8, 4, 3)), layout="faces"
    )
    assert [key for key, _ in faces] == [face(n).face_id for n in (4, 0, 8, 3)]
    for (key, example), n in zip(faces, (4, 0, 8, 3)):
        np.testing.assert_array_equal(
            example.pop("box"), np.array([0.125, 0.5, 0.25, 0.75], np.float32)
        )
        assert example == {
            "image": png(seed=n),
            "face_id": key,
            "url": f"http://photos/{n},large.jpg",
        }
    assert (report.examples, report.faces) == (2, 4)


@pytest.mark.parametrize("name", [face(1).url, face(1).face_id])
@pytest.mark.parametrize("layout", fec_examples.LAYOUTS)
def test_triplets_of_an_excluded_face_are_dropped_and_counted(make, layout, name):
    made, report = make(
        row(numbers=(0, 1, 2)),
        row(numbers=(3, 4, 5)),
        row(numbers=(1, 9, 2)),
        layout=layout,
        exclude=[name],
    )
    assert report.as_json() | {"csv": ""} == {
        "csv": "",
        "rows": 3,
        "examples": 1,
        "faces": 3,
        "dropped": {"excluded": 2},
        "raters": "people",
    }
    assert [key for key, _ in made] == (
        [face(n).face_id for n in (3, 4, 5)] if layout == "faces" else [2]
    )


@pytest.mark.parametrize("layout", ["triplets", "faces"])
def test_a_face_file_that_was_damaged_since_the_crop_stops_the_build_by_name(
    make, tmp_path, layout
):
    make(row())
    path = face_folder.face_path(tmp_path / "faces", face(1).face_id)
    path.write_bytes(png(seed=1)[:-20])
    with pytest.raises(
        UserError, match=rf"{face(1).face_id}\.png: not a complete PNG file .*imagefec crop"
    ):
        make(row(), layout=layout, rewrite=False)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "not a complete PNG"),
        (png()[:-5], "not a complete PNG"),
        (
            cv2.imencode(".jpg", np.zeros((128, 128, 3), np.uint8))[1].tobytes(),
            "not a complete PNG",
        ),
        (png((96, 128, 3)), "128 x 96 pixels"),
        (png((128, 128)), "colour type 0"),
        (png((128, 128, 4)), "colour type 6"),
    ],
)
def test_a_face_file_that_is_gone_or_damaged_is_an_error_that_names_it(content, said, tmp_path):
    path = tmp_path / "face.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=f"face.png.*{said}.*imagefec crop"):
        fec_examples.read_png(path)
