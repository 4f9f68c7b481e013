"""Tables: csv and parquet, paths and URLs, boxes, and every cell that cannot be used."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefec.data.labels.columns import parse_by
from imagefec.data.labels.tables import read_table
from imagefec.errors import UserError
from imagefec.maths.geometry import Box


def test_a_row_is_a_face_with_what_the_columns_say(table):
    path = table(
        "\ufeffpath,label,person,split,left,right,top,bottom,note\r\n"
        '"a, b [1].jpg",joy,ann,Training,0.1,0.5,0.2,0.6,x\r\n'
        "\r\nc.jpg,fear,,PrivateTest,,,,,\r\n"
    )
    source = read_table(path, {})
    first, second = source.faces
    assert (first.name, first.path) == ("line 2", path.parent / "a, b [1].jpg")
    assert (first.label, first.person, first.split) == ("joy", "ann", "train")
    assert first.box == Box(0.1, 0.5, 0.2, 0.6) and not source.box_in_pixels
    assert (second.name, second.split, second.person, second.box) == ("line 4", "test", "", None)
    assert source.read_as["not used"] == "note"


def test_boxes_are_pixels_if_any_exceeds_one(table):
    rows = "url,label,l,t,r,b\nhttp://h/a.jpg,joy,0,0,1,1\nhttp://h/b.jpg,joy,3,4,30,40\n"
    source = read_table(table(rows), parse_by(["box:l,r,t,b"]))
    assert source.box_in_pixels and source.read_as["box unit"] == "pixels"
    assert source.faces[1].box == Box(3, 30, 4, 40)


def test_one_box_above_one_does_not_make_pixels_of_fractions(table):
    header = "path,label,left,right,top,bottom\n"
    text = header + "a.jpg,joy,.2,.8,.2,.8\n" * 39 + "b.jpg,joy,.2,.8,.2,1.02\n"
    said = r"table.csv, line 41: the box has bottom 1.02, .* 40 of 40 boxes .* \(1 in all\)"
    with pytest.raises(UserError, match=said):
        read_table(table(text), {})
    some = header + "a.jpg,joy,0,1,0,1\nb.jpg,joy,0,2,0,2\n"  # half of them are plausible
    assert read_table(table(some), {}).box_in_pixels


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_semicolons_and_tabs_separate_cells_too(table, delimiter):
    text = "path,label\na.jpg,joy\n".replace(",", delimiter)
    assert read_table(table(text), {}).faces[0].label == "joy"


def test_paths_that_were_written_on_windows_are_found(table):
    path = table("path,label\nsub\\a.jpg,joy\n")
    assert read_table(path, {}).faces[0].path == path.parent / "sub" / "a.jpg"


def test_parquet_gives_the_same_faces(table, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"path": ["a.jpg", "b.jpg"], "valence": [0.5, float("nan")], "arousal": [-0.25, 0.0]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    source = read_table(tmp_path / "t.parquet", {})
    assert [face.values for face in source.faces] == [(0.5, -0.25)]
    assert source.left_out.counts == {"a number is missing or is none": 1}
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="not a parquet file"):
        read_table(tmp_path / "t.parquet", {})


def parquet_table(path, columns):
    """Writes a parquet table of (name, cells) pairs, of which two may have one name."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names, cells = zip(*columns)
    arrays = [pyarrow.array(*each) if isinstance(each, tuple) else each for each in cells]
    parquet.write_table(pyarrow.Table.from_arrays(arrays, names=names), path)
    return path


def not_utf8(n):
    """A column of texts that are a byte which is no UTF-8."""
    pyarrow = pytest.importorskip("pyarrow")
    offsets = pyarrow.array([b"a"] * n, pyarrow.binary()).buffers()[1]
    return pyarrow.StringArray.from_buffers(n, offsets, pyarrow.py_buffer(b"\xff" * n))


def out_of_range(n):
    """A column of times after the year 9999."""
    pyarrow = pytest.importorskip("pyarrow")
    return pyarrow.array([2**62] * n, pyarrow.timestamp("us"))


def test_columns_of_parquet_that_are_not_used_may_hold_anything(tmp_path):
    unused = [("time", out_of_range(1)), ("note", not_utf8(1)), ("path.x", not_utf8(1))]
    columns = [("path", (["a.jpg"],)), ("label", (["joy"],)), *unused]
    [face] = read_table(parquet_table(tmp_path / "t.parquet", columns), {}).faces
    assert (face.path, face.label) == (tmp_path / "a.jpg", "joy")


def test_texts_of_parquet_may_be_written_as_bytes(tmp_path):
    columns = [("path", (["ä.jpg".encode()],)), ("label", ([b"joy"],))]
    [face] = read_table(parquet_table(tmp_path / "t.parquet", columns), {}).faces
    assert (face.path, face.label) == (tmp_path / "ä.jpg", "joy")


@pytest.mark.parametrize(
    ("make_label", "said"),
    [
        (lambda: not_utf8(1), "column 'label' cannot be read .*Write it as UTF-8 text"),
        (lambda: out_of_range(1), "column 'label' cannot be read"),
        (lambda: ([b"\xff"],), "column 'label' cannot be read"),
        (lambda: ([{"text": "joy"}],), "column 'label' cannot be read .it holds a dict"),
    ],
)
def test_a_column_of_parquet_that_cannot_be_read_is_named(tmp_path, make_label, said):
    columns = [("path", (["a.jpg"],)), ("label", make_label())]
    with pytest.raises(UserError, match=said):
        read_table(parquet_table(tmp_path / "t.parquet", columns), {})


def test_a_parquet_table_with_wrong_columns_is_refused(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = [("path", (["a.jpg"],)), ("label", (["joy"],)), ("label", (["fear"],))]
    with pytest.raises(UserError, match="it has two columns 'label'; rename one of them"):
        read_table(parquet_table(tmp_path / "t.parquet", columns), {})
    parquet.write_table(pyarrow.table({}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="it has no columns"):
        read_table(tmp_path / "t.parquet", {})


def test_urls_of_files_are_files_and_others_are_the_web(table):
    text = "url,label\nFILE:///x/a%20b.jpg,joy\nhttps://h/c.jpg,joy\nftp://h/c.jpg,joy\n,joy\n"
    source = read_table(table(text), {})
    assert [(str(face.path), face.url) for face in source.faces] == [
        ("/x/a b.jpg", ""),
        ("None", "https://h/c.jpg"),
    ]
    assert source.left_out.counts == {"not an http, https or file URL": 1, "no path or URL": 1}
    [face] = read_table(table("path,label\nFILE:///x/a%20b.jpg,joy\n"), {}).faces
    assert (str(face.path), face.url) == ("/x/a b.jpg", "")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("a.jpg,1,-1,2", "a negative count"),
        ("a.jpg,0,0,0", "all counts are zero"),
        ("a.jpg,1,nan,2", "a number is missing or is none"),
        ("a.jpg,1,inf,2", "a number is missing or is none"),
        ("a.jpg,1,1_0,2", "a number is missing or is none"),
        ("a.jpg,1,,2", "a number is missing or is none"),
        ("a.jpg,1,1e300,2", "a number is too large (beyond a trillion)"),
        ("a.jpg,1,2", "another number of cells than the header"),
    ],
)
def test_a_row_of_counts_that_cannot_be_used_is_counted_with_its_reason(table, cells, reason):
    source = read_table(table(f"path,joy,fear,anger\nb.jpg,1,2,3\n{cells}\n"), {})
    assert [face.values for face in source.faces] == [(1, 2, 3)]
    assert source.left_out.counts == {reason: 1}


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("a.jpg,,train,0,1,0,1", "no label"),
        ("a.jpg,joy,maybe,0,1,0,1", "unknown split"),
        ("a.jpg,joy,train,0.5,0.2,0,1", "bad box"),
        ("a.jpg,joy,train,-0.1,0.2,0,1", "bad box"),
        ("a.jpg,joy,train,0.1,,0,1", "bad box"),
    ],
)
def test_a_labelled_row_that_cannot_be_used_is_counted_with_its_reason(table, cells, reason):
    header = "path,label,split,left,right,top,bottom\nb.jpg,joy,train,0,1,0,1\n"
    assert read_table(table(header + cells + "\n"), {}).left_out.counts == {reason: 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"\n\n", "it is empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"path,label\na\0.jpg,joy\n", "NUL"),
        ("path,label\nä.jpg,joy\n".encode("utf-16"), "UTF-16. .* -f UTF-16 -t UTF-8 converts it"),
        (b"sep=;\r\npath;label\r\na.jpg;joy\r\n", "first line is 'sep=;', .* Delete this line"),
        (b"path,label\n", "table.csv: it has no rows"),
        (b"path,label\n,joy\n", "none of its 1 rows can be used: no path or URL: 1, line 2"),
        (b'path,label\n"a.jpg,joy\n', "line 2: broken csv"),
        (b"\x89PNG\r\n\x1a\n\x00", "not UTF-8|NUL"),
    ],
)
def test_what_is_no_table_is_refused(table, content, said):
    with pytest.raises(UserError, match=said):
        read_table(table(content), {})


@given(content=st.binary() | st.text().map(lambda text: ("path,label\n" + text).encode()))
def test_any_file_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        assert read_table(path, {}).faces
