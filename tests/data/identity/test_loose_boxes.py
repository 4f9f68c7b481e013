"""VGGFace2's csv files of boxes: how they are read and where they are found."""

import pytest

from imagefec.data.identity.loose_boxes import find_loose_boxes, read_loose_boxes
from imagefec.errors import UserError
from imagefec.maths.geometry import Box
from tests.data.identity.photos import loose_csv


def test_loose_boxes_are_read_as_the_authors_wrote_them(tmp_path):
    rows = (
        '"n2/0001_01",161,140,224,324',
        '"n1/0002_01",-3,5,10,20',
        '"n1/0003_01",1,1,0,9',
        '"n1/0004_01",nan,1,9,9',
    )
    boxes = read_loose_boxes(loose_csv(tmp_path, *rows))
    assert boxes.find("n2", "0001_01.jpg") == Box(161, 385, 140, 464)
    assert boxes.find("n1", "0002_01.JPEG") == Box(-3, 7, 5, 25)
    assert len(boxes) == 4
    assert [boxes.find("n1", f"000{n}_01.jpg") for n in (1, 3, 4)] == [None] * 3
    assert read_loose_boxes(loose_csv(tmp_path)).find("n1", "1.jpg") is None


@pytest.mark.parametrize(
    "row",
    ["n1/1,1,2,3", "n1/1,1,2,3,x", "n1/1,1,2,3,4,5"],
)
def test_a_bad_row_of_loose_boxes_is_an_error_that_names_its_line(tmp_path, row):
    with pytest.raises(
        UserError, match=r"loose_bb_train\.csv, line 3: not a name and four numbers"
    ):
        read_loose_boxes(loose_csv(tmp_path, "n1/0,1,2,3,4", row))


def test_another_csv_file_is_refused_by_its_header(tmp_path):
    with pytest.raises(UserError, match="header 'a,b', not 'NAME_ID,X,Y,W,H'"):
        read_loose_boxes(loose_csv(tmp_path, header="a,b"))


@pytest.mark.parametrize(
    "folder",
    ["", "bb_landmark", "meta", "VGGFace2/data", "VGGFace2/bb_landmark", "VGGFace2/data/train"],
)
def test_loose_boxes_are_found_beside_the_split_or_above(tmp_path, folder):
    split = tmp_path / "VGGFace2/data/train"
    split.mkdir(parents=True)
    with pytest.raises(UserError, match=r"requires loose_bb_train\.csv; found none"):
        find_loose_boxes("train", split, tmp_path)
    path = loose_csv(tmp_path / folder)
    assert find_loose_boxes("train", split, tmp_path) == path


@pytest.mark.parametrize(
    "text",
    [
        "NAME_ID,X,Y,W,H\nn1/1,1,2,3,4\nn2/1,5,6,7,8\n\n",
        "NAME_ID,X,Y,W,H\nn1/1,1,2,3,4\nn2/1,5,6,7,8\n   \n",
        "NAME_ID,X,Y,W,H\nn1/1,1,2,3,4\n\nn2/1,5,6,7,8",
        "\nNAME_ID,X,Y,W,H\nn1/1,1,2,3,4\nn2/1,5,6,7,8\n",
        "NAME_ID,X,Y,W,H\r\nn1/1,1,2,3,4\r\nn2/1,5,6,7,8\r\n\r\n",
        "\ufeffNAME_ID,X,Y,W,H\r\nn1/1,1,2,3,4\r\nn2/1,5,6,7,8\r\n",
        'NAME_ID, X, Y, W, H\n"n1/1", 1, 2, 3, 4\n"n2/1", 5, 6, 7, 8\n,,,,\n',
    ],
    ids=["blank end", "spaces", "middle", "blank start", "CRLF", "BOM", "quoted"],
)
def test_blank_lines_a_byte_order_mark_and_crlf_change_nothing(tmp_path, text):
    path = tmp_path / "loose_bb_train.csv"
    path.write_bytes(text.encode())
    boxes = read_loose_boxes(path)
    assert len(boxes) == 2
    assert boxes.find("n1", "1.jpg") == Box(1, 4, 2, 6)
    assert boxes.find("n2", "1.jpg") == Box(5, 12, 6, 14)


def test_a_bad_row_after_blank_lines_is_named_by_its_line_in_the_file(tmp_path):
    with pytest.raises(UserError, match=r"loose_bb_train\.csv, line 5: not a name"):
        read_loose_boxes(loose_csv(tmp_path, "", "n1/0,1,2,3,4", "", "n1/1,1,2"))


def test_names_that_look_like_other_paths_are_names_only(tmp_path):
    (tmp_path / "canary.jpg").write_text("not a photo of the dataset")
    boxes = read_loose_boxes(
        loose_csv(tmp_path, "../canary,1,2,3,4", "/etc/passwd,1,2,3,4", "a/../n1/1,5,6,7,8")
    )
    assert boxes.find("n1", "1.jpg") is None
    assert (tmp_path / "canary.jpg").read_text() == "not a photo of the dataset"


@pytest.mark.parametrize("name", ["validation", "val"])
def test_boxes_of_a_validation_split_are_found_under_both_names(tmp_path, name):
    split = tmp_path / "val"
    split.mkdir()
    path = loose_csv(tmp_path, split=name)
    assert find_loose_boxes("validation", split, tmp_path) == path
    path.unlink()
    with pytest.raises(UserError, match=r"loose_bb_validation\.csv or loose_bb_val\.csv"):
        find_loose_boxes("validation", split, tmp_path)
