"""FEC's csv files: what is read, what is refused, and the text of the refusal."""

# Over 350 lines: the table of bad rows and their texts belongs to one reader.

import math
import os
import re
import sys
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imagefec.data.fec_csv import FaceRef, Row, RowReport, read_rows, split_of, write_rows
from imagefec.errors import UserError
from imagefec.fec import TripletType
from imagefec.maths.geometry import Box

FACE = '"http://a.example/1,2_b.jpg",0.1,0.5,0.25,0.75'
GOOD = f"{FACE},{FACE},{FACE},ONE_CLASS_TRIPLET"


@pytest.fixture
def csv_of(tmp_path):
    def write(text):
        path = tmp_path / "faceexp-comparison-data-test-public.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def row_with(choices):
    face = FaceRef("http://a.example/x.jpg", Box(0.1, 0.2, 0.3, 0.4))
    raters = tuple("abcdefghi"[: len(choices)])
    return Row(1, (face,) * 3, TripletType.ONE_CLASS, raters, tuple(choices))


def test_a_row_has_urls_with_commas_boxes_in_fec_order_and_choices_from_zero(csv_of):
    path = csv_of(
        '"http://a.example/1,2.jpg",0.1,0.2,0.3,0.4,"https://b.example/é ""q"".png",0,1,0,1,"file:///p/3.jpg",'
        "0.5,0.6,0.7,0.8,TWO_CLASS_TRIPLET,ann,3,bob,1,cy,3\n"
    )
    (row,) = read_rows(path)
    assert row.line == 1 and row.type is TripletType.TWO_CLASS
    assert row.faces == (
        FaceRef("http://a.example/1,2.jpg", Box(left=0.1, right=0.2, top=0.3, bottom=0.4)),
        FaceRef('https://b.example/é "q".png', Box(left=0, right=1, top=0, bottom=1)),
        FaceRef("file:///p/3.jpg", Box(left=0.5, right=0.6, top=0.7, bottom=0.8)),
    )
    assert row.annotators == ("ann", "bob", "cy") and row.choices == (2, 0, 2)
    assert row.odd == 2 and row.agreement == pytest.approx(2 / 3) and row.why_unlabelled is None


def test_rows_of_every_length_are_read(csv_of):
    path = csv_of("".join(GOOD + ",a,1" * n + "\n" for n in (0, 1, 6, 7, 30)))
    assert [len(row.choices) for row in read_rows(path)] == [0, 1, 6, 7, 30]


def test_bom_crlf_blank_lines_and_a_missing_last_newline_are_accepted(csv_of):
    report = RowReport()
    path = csv_of(b"\xef\xbb\xbf" + f"{GOOD},a,1\r\n\r\n  \r\n{GOOD},b,2".encode())
    assert [row.line for row in read_rows(path, report)] == [1, 4]
    assert (report.n_rows, report.n_blank, report.refused) == (2, 2, [])


def test_ties_and_missing_choices_give_no_odd_face(csv_of):
    path = csv_of(f"{GOOD},a,1,b,2\n{GOOD}\n{GOOD},a,3,b,,,\n{GOOD},a,\n")
    rows = list(read_rows(path))
    assert [row.why_unlabelled for row in rows] == ["tie", "no votes", None, "no votes"]
    assert [row.odd for row in rows] == [None, None, 2, None]
    assert rows[2].annotators == ("a",)


@given(st.lists(st.integers(0, 2), max_size=9))
def test_the_odd_face_is_chosen_strictly_more_often_than_either_other(choices):
    row = row_with(choices)
    most_chosen = [
        a for a in range(3) if all(choices.count(a) > choices.count(b) for b in range(3) if b != a)
    ]
    assert row.odd == (most_chosen[0] if most_chosen else None)
    if most_chosen:
        assert row.agreement == sum(c == most_chosen[0] for c in choices) / len(choices)
    else:
        assert math.isnan(row.agreement)


def test_a_face_id_depends_on_url_and_box():
    first, second = Box(0.1, 0.2, 0.3, 0.4), Box(0.1, 0.2, 0.3, 0.5)
    ids = {
        FaceRef(url, box).face_id for url in ("http://a/1", "http://a/2") for box in (first, second)
    }
    assert len(ids) == 4 and all(re.fullmatch(r"[0-9a-f]{20}", face_id) for face_id in ids)
    nearly = Box(0.1 + 1e-12, 0.2, 0.3, 0.4)
    assert FaceRef("http://a/1", first).face_id == FaceRef("http://a/1", nearly).face_id


def test_minus_zero_gives_the_same_face_id_as_zero(csv_of):
    other = GOOD.replace("0.1,0.5", "-0.0,0.5", 1).replace("0.1,0.5", "0,0.5", 1)
    (row,) = read_rows(csv_of(other))
    assert row.faces[0].face_id == row.faces[1].face_id


BAD_ROWS = {
    "too few columns": ("a,b,c", "found 3 columns; allowed are 16 and then"),
    "half a pair": (GOOD + ",a", "found 17 columns"),
    "no url": (
        GOOD.replace('"http://a.example/1,2_b.jpg"', "", 1),
        "unsupported URL '' in column 1",
    ),
    "ftp": (
        GOOD.replace("http:", "ftp:", 1),
        "unsupported URL 'ftp://a.example/1,2_b.jpg' in column 1",
    ),
    "a bare path": (
        GOOD.replace('"http://a.example/1,2_b.jpg"', "/etc/x.jpg", 1),
        "allowed are http://",
    ),
    "no host": (GOOD.replace("http://a.example", "http://", 1), "unsupported URL"),
    "left not below right": (
        GOOD.replace("0.1,0.5", "0.5,0.1", 1),
        "left 0.5 >= right 0.1; boxes are",
    ),
    "no width": (GOOD.replace("0.1,0.5", "0.5,0.5", 1), "left 0.5 >= right 0.5"),
    "top not above bottom": (GOOD.replace("0.25,0.75", "0.75,0.25", 1), "top 0.75 >= bottom 0.25"),
    "pixels": (GOOD.replace("0.1,0.5", "10,500", 1), "left 10, outside 0 to 1"),
    "negative": (GOOD.replace("0.1,0.5", "-0.1,0.5", 1), "left -0.1, outside 0 to 1"),
    "nan": (GOOD.replace("0.1,0.5", "0.1,nan", 1), "right nan, outside 0 to 1"),
    "infinite": (GOOD.replace("0.25,0.75", "0.25,inf", 1), "bottom inf, outside 0 to 1"),
    "no number": (
        GOOD.replace("0.1,0.5", "left,0.5", 1),
        "left 'left' in column 2; it must be a number from 0 to 1",
    ),
    "an unknown type": (
        GOOD.replace("ONE_", "FOUR_"),
        "unknown type 'FOUR_CLASS_TRIPLET' in column 16",
    ),
    "an unknown choice": (
        GOOD + ",a,1,b,4",
        "unknown annotation '4' in column 20; allowed are 1, 2, 3",
    ),
    "a choice of zero": (GOOD + ",a,0", "unknown annotation '0' in column 18"),
    "an open quote": (GOOD + ',"a,1', "broken csv"),
    "a NUL": (GOOD + ",a\0,1", "a NUL byte at column"),
    "latin-1": (GOOD.encode() + b",ren\xe9,1", "byte 0xe9 at byte"),
    "windows-1252": (GOOD.encode() + b",\x93ann\x94,1", "iconv -f WINDOWS-1252 -t UTF-8"),
    "carriage returns": (f"{GOOD},a,1\r{GOOD},b,1", "convert an old Mac's file"),
    "a line end in a URL": (
        GOOD.replace("http://a.example/1,2_b.jpg", "http://a.example/1\r2.jpg", 1),
        "a carriage return inside the line",
    ),
    "a huge number": (GOOD.replace("0.1,0.5", "0.1,1e999", 1), "right inf, outside 0 to 1"),
    "minus infinity": (GOOD.replace("0.1,0.5", "-inf,0.5", 1), "left -inf, outside 0 to 1"),
    "an underscore": (GOOD.replace("0.1,0.5", "0_0.1,0.5", 1), "left '0_0.1' in column 2"),
    "digits of another script": (
        GOOD.replace("0.1,0.5", "\u0660.\u0661,0.5", 1),
        "it must be a number from 0 to 1",
    ),
    "an escape sequence": (
        GOOD.replace("http://a.example/1", "http://a.example/\x1b[31m", 1),
        "unsupported URL 'http://a.example/\\x1b[31m,2_b.jpg'",
    ),
    "a javascript URL": (
        GOOD.replace("http://a.example/1,2_b.jpg", "javascript:x", 1),
        "unsupported URL",
    ),
    "a long line": (GOOD + ",a,1" * 300_000, "too long for a row"),
}


@pytest.mark.parametrize(("bad", "reason"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_refused_with_file_line_reason_and_remedy(csv_of, bad, reason):
    bad = bad if isinstance(bad, bytes) else bad.encode()
    path = csv_of(f"{GOOD},a,1\n".encode() * 40 + bad + f"\n{GOOD},b,2\n".encode())
    with pytest.raises(UserError, match=re.escape(f"{path}, line 41: ")) as refusal:
        list(read_rows(path))
    assert reason in str(refusal.value) and "--skip_bad_rows" in str(refusal.value)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 600


@pytest.mark.parametrize(("bad", "reason"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_skipped_row_is_reported_and_affects_no_other(csv_of, bad, reason):
    bad = bad if isinstance(bad, bytes) else bad.encode()
    report = RowReport()
    path = csv_of(f"{GOOD},a,1\n".encode() * 200 + bad + f"\n{GOOD},b,2\n".encode())
    rows = list(read_rows(path, report, skip_bad_rows=True))
    assert [row.line for row in rows] == [*range(1, 201), 202]
    ((line, found),) = report.refused
    assert line == 201 and reason in found
    assert report.n_refused == 1 and sum(report.kinds.values()) == 1


def test_many_bad_rows_are_all_counted_and_some_listed(csv_of):
    report = RowReport()
    path = csv_of("a,b,c\n" * 3000 + f"{GOOD},a,4\n{GOOD},a,1\n")
    assert len(list(read_rows(path, report, skip_bad_rows=True))) == 1
    assert report.n_refused == 3001 and len(report.refused) == 1000
    assert report.kinds == {"wrong number of columns": 3000, "unknown annotation": 1}


def test_a_line_of_any_length_is_one_bad_row_and_needs_little_memory(csv_of):
    path = csv_of(f"{GOOD},a,1\n" * 60)  # more than is looked at for a binary file
    with path.open("r+b") as file:
        file.seek(2**28)  # a hole, which reads as zeros
        file.write(f"\n{GOOD},b,2\n".encode())
    report = RowReport()
    tracemalloc.start()
    rows = list(read_rows(path, report, skip_bad_rows=True))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row.line for row in rows] == [*range(1, 61), 62]
    assert report.refused == [(61, "the line has 1048576 bytes or more, too long for a row")]
    assert peak_bytes < 8 * 2**20


def test_a_pipe_and_a_device_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", "/dev/zero"):
        with pytest.raises(UserError, match="this is a pipe or a device"):
            list(read_rows(path))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"\n\n \n", "no row of FEC's format (3 blank lines, 0 bad rows)"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary file"),
        (GOOD.encode("utf-16"), "binary file"),
        (b"PK\x03\x04\x14\x00", "zip archive"),
        (b"\x1f\x8b\x08abc", "binary file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("skip_bad_rows", [False, True])
def test_a_file_that_is_not_csv_is_refused_even_if_bad_rows_are_skipped(
    csv_of, content, found, skip_bad_rows
):
    path = csv_of(content)
    with pytest.raises(UserError, match=re.escape(f"{path}: ")) as refusal:
        list(read_rows(path, skip_bad_rows=skip_bad_rows))
    assert found in str(refusal.value)


def test_a_file_with_only_bad_rows_is_refused_with_the_first_reason(csv_of):
    with pytest.raises(
        UserError, match=r"0 blank lines, 2 bad rows; the first at line 1: found 3 columns"
    ):
        list(read_rows(csv_of("a,b,c\nd,e,f\n"), skip_bad_rows=True))


def test_missing_files_and_directories_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        list(read_rows(tmp_path / "none.csv"))
    with pytest.raises(UserError, match="this is a directory"):
        list(read_rows(tmp_path))
    with pytest.raises(UserError, match="cannot be read"):
        list(read_rows("a\0b"))


def test_reading_is_streamed(csv_of):
    rows = read_rows(csv_of(f"{GOOD},a,1\n" + "nonsense\n"))
    assert next(rows).line == 1  # the bad second line is not read yet
    with pytest.raises(UserError, match="line 2"):
        next(rows)


def test_the_work_per_row_is_constant_and_small(csv_of):
    def n_calls(n_rows):
        calls = 0

        def count(frame, event, argument):
            nonlocal calls
            calls += event in ("call", "c_call")

        rows = read_rows(csv_of(f"{GOOD},a,1,b,1,c,2,d,1,e,3,f,1\n" * n_rows))
        sys.setprofile(count)
        try:
            assert sum(1 for _ in rows) == n_rows
        finally:
            sys.setprofile(None)
        return calls

    small, large = n_calls(100), n_calls(1100)
    assert (large - small) / 1000 < 100  # function calls, built-in ones included


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_split_follows_from_the_file_name(split):
    assert split_of(f"/some/where/faceexp-comparison-data-{split}-public.csv") == split


def test_another_name_has_no_split():
    with pytest.raises(
        UserError, match=r"train\.csv: .* allowed are faceexp-comparison-data-train"
    ):
        split_of("train.csv")


sides = (
    st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda pair: pair[0] != pair[1]).map(sorted)
)
urls = st.tuples(
    st.sampled_from(["http://h/", "https://h.example/", "HTTP://H/", "file:///"]),
    st.text(
        st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from(",\"' ;\u2028"), min_size=1
    ),
).map("".join)
faces = st.builds(
    lambda url, across, down: FaceRef(url, Box(across[0] + 0.0, across[1], down[0] + 0.0, down[1])),
    urls,
    sides,
    sides,
)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n\r"), max_size=8)
choices_of_raters = st.lists(st.tuples(names, st.integers(0, 2)), max_size=9)
many_rows = st.lists(
    st.builds(
        lambda three, kind, chosen: (three, kind, *(tuple(c[n] for c in chosen) for n in (0, 1))),
        st.tuples(faces, faces, faces),
        st.sampled_from(TripletType),
        choices_of_raters,
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(many_rows)
def test_written_rows_are_read_back(tmp_path_factory, contents):
    path = tmp_path_factory.getbasetemp() / "round_trip.csv"
    rows = [Row(line, *content) for line, content in enumerate(contents, start=1)]
    write_rows(path, rows)
    assert list(read_rows(path)) == rows


def test_a_line_end_inside_a_row_is_a_callers_bug(tmp_path):
    face = FaceRef("http://a/\nb", Box(0.1, 0.2, 0.3, 0.4))
    with pytest.raises(ValueError, match="one line"):
        write_rows(tmp_path / "x.csv", [Row(1, (face,) * 3, TripletType.ONE_CLASS, (), ())])


pieces = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([GOOD.encode(), b",a,1", b"\n", b"\r\n", b'"', b",", b"nan", b"\0"]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(pieces, max_size=12).map(b"".join), st.booleans())
@example(GOOD.encode() + b"\r" + GOOD.encode(), True)
def test_arbitrary_bytes_raise_nothing_but_user_errors(tmp_path_factory, content, skip_bad_rows):
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(content)
    report = RowReport()
    refusal = None
    try:
        n_rows = sum(1 for _ in read_rows(path, report, skip_bad_rows))
    except UserError as error:
        refusal = str(error)
    if refusal is not None:
        assert str(path) in refusal
        return
    assert n_rows == report.n_rows >= 1
    n_lines = content.count(b"\n") + (not content.endswith(b"\n"))
    assert n_rows + report.n_blank + report.n_refused == n_lines


numbers = st.one_of(
    st.floats().map(repr),
    st.floats(-0.5, 1.5).map(repr),
    st.sampled_from(["-0.0", "+.5", "1e-320", "1e999", "-1e999", "1.", "0x1", "", " 0.5 ", "1_0"]),
    st.text(max_size=4).filter(lambda text: not set(text) & set(',"\n\r\0')),
)


@settings(max_examples=400, deadline=None)
@given(st.tuples(*[numbers] * 4))
def test_any_box_is_either_inside_the_photo_or_refused(tmp_path_factory, sides):
    path = tmp_path_factory.getbasetemp() / "box.csv"
    row = f'"http://a/x",{",".join(sides)},{FACE},{FACE},ONE_CLASS_TRIPLET,a,1\n'
    path.write_text(row, encoding="utf-8", newline="")
    refusal = None
    try:
        (found,) = read_rows(path)
    except UserError as error:
        refusal = str(error)
    if refusal is not None:
        assert "line 1: " in refusal and len(refusal) < 700
        return
    box = found.faces[0].box
    assert 0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1
    assert [math.copysign(1, side) for side in box.sides] == [1, 1, 1, 1]
    assert [float(side) for side in sides] == list(box.sides)
    assert re.fullmatch("[0-9a-f]{20}", found.faces[0].face_id)
