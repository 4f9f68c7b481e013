"""expressions.csv: found beside the csv files, optional, and refused if it is damaged."""

import pytest

from imagefec.data.crop.expressions import MOST_LABELS, read_expressions
from imagefec.data.fec_csv import FaceRef
from imagefec.errors import UserError
from imagefec.maths.geometry import Box

HEADER = "url,left,right,top,bottom,expression\n"
LINE = '"http://photos/a,""b"".jpg",0.250000,.5,-0.0,1,{}\n'
FACE = FaceRef('http://photos/a,"b".jpg', Box(0.25, 0.5, 0.0, 1.0))


@pytest.fixture
def beside(tmp_path):
    """Writes expressions.csv and returns the path of a csv file in its folder."""

    def write(text, folder="."):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "expressions.csv").write_bytes(text.encode("latin-1"))
        return tmp_path / folder / "faceexp-comparison-data-train-public.csv"

    return write


def test_a_label_belongs_to_the_face_that_the_csv_file_calls_by_that_url_and_box(beside):
    assert read_expressions([beside(HEADER + LINE.format("  open  mouth "))]) == {
        FACE.face_id: "open mouth"
    }


def test_each_folder_of_csv_files_may_have_labels_or_none(beside, tmp_path):
    first = beside(HEADER + LINE.format("joy"), "first")
    second = beside(HEADER + "http://photos/2.jpg,0,1,0,1,fear\n\n", "second")
    assert sorted(read_expressions([first, second, tmp_path / "none.csv"]).values()) == [
        "fear",
        "joy",
    ]
    assert read_expressions([tmp_path / "none.csv"]) == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a,b\n", "line 1: the header is 'a,b'"),
        (HEADER + "x,0,1,0,joy\n", "line 2: found 'x,0,1,0,joy'"),
        (HEADER + "x,0,1,0,one,joy\n", "line 2: found"),
        (HEADER + LINE.format(""), "line 2: the label is ''"),
        (HEADER + LINE.format("x" * 61), "line 2: the label is 'xxx"),
        (HEADER + LINE.format("\x1b[31m"), "line 2: the label is '\\\\x1b"),
        (HEADER + LINE.format("\xe9"), "cannot be read"),
        (HEADER + '"' + LINE.format("joy"), "cannot be read"),
        (
            HEADER + "".join(LINE.format(f"label {k}") for k in range(MOST_LABELS + 1)),
            f"line {MOST_LABELS + 2}: {MOST_LABELS} other labels stand above",
        ),
    ],
)
def test_a_damaged_file_names_the_line_and_that_it_is_optional(beside, text, found):
    with pytest.raises(UserError, match=rf"(?s)expressions\.csv.*{found}.*it is optional"):
        read_expressions([beside(text)])


def test_a_folder_of_that_name_is_an_error_too(tmp_path):
    (tmp_path / "expressions.csv").mkdir()
    with pytest.raises(UserError, match=r"expressions\.csv: cannot be read"):
        read_expressions([tmp_path / "train.csv"])
