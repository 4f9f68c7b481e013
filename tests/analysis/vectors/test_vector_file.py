"""Files of vectors by any program: every layout that is read, and a sentence for every other."""

import contextlib
import io
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from imagefec.analysis.vectors import columns
from imagefec.analysis.vectors.vector_file import are_unit_length, read_vector_file, unit_length
from imagefec.errors import UserError

IDS = ["a", "b", "ç, d"]
NO_TEXTS = np.uint32([[0x110000]] * 3).view("<U1")[:, 0]  # a number that stands for no character
VECTORS = np.array([[1.0, 0.5], [0.0, -2.0], [3.0, 4.0]], np.float32)


def npz(path, **columns_):
    np.savez(path, **columns_)
    return path


def parquet(path, **columns_):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as format_

    format_.write_table(pyarrow.table(columns_), path)
    return path


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", ">f8", "int8", "uint16", "int64", "bool"]
)
def test_vectors_of_any_real_type_keep_their_values(dtype, tmp_path):
    values = np.array([[1, 0], [1, 1], [0, 0]]).astype(dtype)
    file = read_vector_file(npz(tmp_path / "v.npz", ids=np.array(IDS), vectors=values))
    np.testing.assert_array_equal(file.vectors, values.astype(float))
    assert file.vectors.dtype in (np.float32, np.float64)
    assert (file.ids, file.urls, file.paths, file.boxes) == (IDS, None, None, None)


def test_every_layout_of_parquet_gives_the_same_as_npz(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    flat = pyarrow.array(VECTORS.reshape(-1))
    layouts = (
        pyarrow.FixedSizeListArray.from_arrays(flat, 2),
        pyarrow.FixedSizeListArray.from_arrays(flat.cast("float16"), 2),
        pyarrow.array(VECTORS.tolist()),
        pyarrow.array(VECTORS.tolist(), pyarrow.large_list(pyarrow.float32())),
        pyarrow.FixedShapeTensorArray.from_numpy_ndarray(VECTORS),
    )
    ids = (
        pyarrow.array(IDS),
        pyarrow.array(IDS, pyarrow.large_string()),
        pyarrow.array(IDS).dictionary_encode(),
        pyarrow.array([name.encode() for name in IDS]),
    )
    for number, vectors in enumerate(layouts):
        path = tmp_path / f"{number}.parquet"
        file = read_vector_file(parquet(path, ids=ids[number % 4], vectors=vectors))
        np.testing.assert_array_equal(file.vectors, VECTORS)
        assert file.ids == IDS


def test_what_embed_writes_is_read_back(run, faces_dir, tmp_path):
    from imagefec.analysis.embed import embed_paths

    found = []
    for suffix in ("npz", "parquet", "csv"):
        out = embed_paths(run, sorted(faces_dir.glob("*/*.png"))[:3], tmp_path / f"out.{suffix}")
        file = read_vector_file(out)
        assert len(file) == len(file.ids) == len(file.paths) == 3 and file.usable.all()
        assert file.boxes.tolist() == [[0, 128, 0, 128]] * 3
        assert are_unit_length(file.vectors)
        assert (file.vectors.dtype == np.float32) == (suffix != "csv")
        found.append((file.vectors.astype(np.float32), file.ids, file.urls, file.paths))
    for vectors, *names in found[1:]:
        np.testing.assert_array_equal(vectors, found[0][0])
        assert names == list(found[0][1:])


def test_a_csv_file_has_a_column_for_each_number(tmp_path):
    path = tmp_path / "v.csv"
    path.write_text('\ufeffids,vectors_1,vectors_0,more\n"a,1",2,1,x\n\nb,4e0,,y\n')
    file = read_vector_file(path)
    assert file.ids == ["a,1", "b"] and file.usable.tolist() == [True, False]
    np.testing.assert_array_equal(file.vectors[0], [1, 2])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "vectors"),
        ("ids,vectors_0\na,1,2\n", "row 2 has another number of cells"),
        ("ids,vectors_0\na,one\n", "could not convert string to float: 'one'"),
        ("ids,vectors_0,vectors_2\na,1,2\n", "vectors_0, vectors_1, … are not complete"),
        ("ids,vectors_0,vectors_0\na,1,2\n", "two columns have one name"),
        ('ids,vectors_0\n"a,1\n', "unexpected end of data"),
    ],
)
def test_a_csv_file_that_holds_no_vectors_is_refused_in_one_sentence(tmp_path, text, said):
    path = tmp_path / "v.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_vector_file(path)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("ids,vectors_0,vectors_1 ", r"a column 'vectors_1 '; it must be 'vectors_1'"),
        ("ids,vectors_0,Vectors_1", "a column 'Vectors_1'; it must be 'vectors_1'"),
        ("ids, vectors_0, vectors_1", "a column ' vectors_0'; it must be 'vectors_0'"),
        ("IDs,vectors_0,vectors_1", "a column 'IDs'; it must be 'ids'"),
    ],
)
def test_a_column_of_a_csv_file_is_not_lost_by_a_blank_or_a_capital_letter(header, said, tmp_path):
    path = tmp_path / "v.csv"
    path.write_text(f"{header}\na,1,2\n")
    with pytest.raises(UserError, match=said):
        read_vector_file(path)
    path.write_text("ids,vectors_0,Vectors_0,Note 1\na,1,2,x\n")  # none of these is missing
    np.testing.assert_array_equal(read_vector_file(path).vectors, [[1]])


def test_names_may_be_numbers_bytes_or_missing(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    path = npz(
        tmp_path / "n.npz", ids=np.arange(3), urls=np.array([*IDS[:2], "c"], "S"), vectors=VECTORS
    )
    file = read_vector_file(path)
    assert file.ids == ["0", "1", "2"] and file.urls == ["a", "b", "c"]
    lists = pyarrow.array(VECTORS.tolist())
    file = read_vector_file(
        parquet(tmp_path / "n.parquet", paths=["x.png", None, ""], vectors=lists)
    )
    assert (
        file.paths == ["x.png", "", ""]
        and file.name_of(0) == "x.png"
        and file.name_of(1) == "row 1"
    )


def test_vectors_that_are_not_finite_or_too_large_are_not_usable(tmp_path):
    values = np.array([[1, 2], [np.nan, 0], [0, -np.inf], [1e101, 0], [0, 0]])
    file = read_vector_file(npz(tmp_path / "v.npz", ids=np.arange(5), vectors=values))
    assert file.usable.tolist() == [True, False, False, False, True]
    single = npz(tmp_path / "s.npz", ids=np.arange(2), vectors=np.float32([[3e38, 1], [np.inf, 1]]))
    assert read_vector_file(single).usable.tolist() == [True, False]


def test_float32_whose_squares_do_not_fit_is_read_as_float64(tmp_path):
    for scale in (1e-30, 1e30):
        values = VECTORS * np.float32(scale)
        path = npz(tmp_path / "v.npz", ids=np.array(IDS), vectors=values)
        vectors = read_vector_file(path).vectors
        assert vectors.dtype == np.float64
        assert 0 < np.sum(vectors[0] ** 2) < np.inf


def test_unit_length_is_exact_for_any_size_and_has_no_direction_for_zero():
    values = np.array([[3, 4], [3e-320, 4e-320], [3e99, 4e99], [0, 0], [np.nan, 1], [np.inf, 1]])
    unit, has_length = unit_length(values)
    np.testing.assert_allclose(unit[:3], [[0.6, 0.8]] * 3, rtol=1e-3)
    assert has_length.tolist() == [True, True, True, False, False, False]
    assert np.isnan(unit[3:]).all()


def text(path):
    path.write_text("no archive")


def empty(path):
    path.write_bytes(b"")


def folder(path):
    path.mkdir()


def pipe(path):
    os.mkfifo(path)


def pickled_ids(path):
    npz(path, ids=np.array(IDS, object), vectors=VECTORS)


def pickled_vectors(path):
    npz(path, ids=np.array(IDS), vectors=np.array([[1], [1, 2], None], object))


def truncated(path):
    npz(path, ids=np.array(IDS), vectors=VECTORS)
    path.write_bytes(path.read_bytes()[:-40])


def twice(path):
    file = io.BytesIO()
    np.save(file, VECTORS)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("vectors.npy", file.getvalue())
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("vectors.npy", file.getvalue())


def longer_than_it_says(path):
    file = io.BytesIO()
    np.save(file, VECTORS)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("vectors.npy", file.getvalue() + b"more")


def columns_of(**named):
    return lambda path: npz(path, **named)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: None, "no such file"),
        (text, "cannot be read .*zip"),
        (empty, "cannot be read .*zip"),
        (folder, "is a folder"),
        (pipe, "cannot be read"),
        (truncated, "cannot be read"),
        (twice, "two arrays of one name"),
        (longer_than_it_says, "shorter or longer than float32"),
        (pickled_ids, r"ids holds Python objects.*ids=numpy\.array\(list\(ids\), str\)"),
        (pickled_vectors, "vectors holds Python objects"),
        (columns_of(vectors=VECTORS), "one or more of ids, urls, paths .* found vectors"),
        (columns_of(ids=np.array(IDS), embeddings=VECTORS), "found embeddings, ids"),
        (columns_of(ids=np.array(IDS), vectors=VECTORS[:, 0]), r"float32 \[3\]; it must be real"),
        (columns_of(ids=np.array(IDS), vectors=VECTORS[None]), r"float32 \[1, 3, 2\]"),
        (columns_of(ids=np.array(IDS), vectors=VECTORS[:, :0]), r"float32 \[3, 0\]"),
        (columns_of(ids=np.array([], str), vectors=VECTORS[:0]), r"float32 \[0, 2\]"),
        (columns_of(ids=np.array(IDS), vectors=VECTORS * 1j), "complex"),
        (columns_of(ids=np.array(IDS), vectors=VECTORS.astype(str)), "vectors is <U"),
        (
            columns_of(ids=np.array(IDS[:2]), vectors=VECTORS),
            r"ids is <U\d+ \[2\]; it must be \[3\]",
        ),
        (columns_of(ids=NO_TEXTS, vectors=VECTORS), "ids is damaged"),
        (columns_of(ids=np.zeros(3), vectors=VECTORS), r"ids is float64 \[3\]"),
        (columns_of(ids=np.array(IDS), vectors=VECTORS, boxes=VECTORS), r"boxes .*\[3, 4\]"),
    ],
)
def test_a_file_that_is_none_gives_one_sentence(write, said, tmp_path):
    path = tmp_path / "v.npz"
    write(path)
    with pytest.raises(UserError, match=said) as error:
        read_vector_file(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_parquet_file_that_is_none_gives_one_sentence(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    (tmp_path / "text.parquet").write_text("hello hello hello")
    for path, said in (
        (tmp_path / "text.parquet", "cannot be read"),
        (parquet(tmp_path / "a.parquet", ids=IDS, vectors=[[1.0], [1.0, 2.0], [1.0]]), "1 and 2"),
        (parquet(tmp_path / "b.parquet", ids=IDS, vectors=[[1.0], None, [1.0]]), "1 of 3 are null"),
        (parquet(tmp_path / "c.parquet", ids=IDS, vectors=[1.0, 2.0, 3.0]), r"float64 \[3\]"),
        (parquet(tmp_path / "d.parquet", ids=IDS, x0=[1.0, 2, 3], x1=[1.0, 2, 3]), "found ids, x0"),
        (
            parquet(
                tmp_path / "e.parquet",
                ids=pyarrow.array([], pyarrow.string()),
                vectors=pyarrow.array([], pyarrow.list_(pyarrow.float32())),
            ),
            r"\[0, 0\]",
        ),
    ):
        with pytest.raises(UserError, match=said):
            read_vector_file(path)


def test_another_suffix_is_refused_with_what_to_do(tmp_path):
    np.save(tmp_path / "v.npy", VECTORS)
    with pytest.raises(
        UserError, match=r"'\.npy'; allowed are \.npz, \.parquet and \.csv\. .*numpy\.savez"
    ):
        read_vector_file(tmp_path / "v.npy")


def test_a_file_made_to_fill_the_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(columns, "MAX_BYTES", 10_000)
    path = tmp_path / "v.npz"
    np.savez_compressed(path, ids=np.array(IDS), vectors=np.zeros((3, 400_000), np.float32))
    with pytest.raises(UserError, match=r"4,800,\d+ bytes when decompressed, \d+ times"):
        read_vector_file(path)
    npz(path, ids=np.array(IDS), vectors=np.zeros((3, 400_000), np.float32))
    assert read_vector_file(path).vectors.shape == (3, 400_000)


def test_a_run_and_its_archive_are_no_files_of_vectors(run, tmp_path):
    from imagefec.export.build import export_run

    assert not columns.is_vector_file(run)
    assert not columns.is_vector_file(run / "best.npz")
    archive = tmp_path / "small.npz"
    export_run(run, archive, "archive")
    assert not columns.is_vector_file(archive)
    assert columns.is_vector_file(npz(tmp_path / "v.npz", ids=np.array(IDS), vectors=VECTORS))
    (tmp_path / "broken.NPZ").write_bytes(b"PK")
    assert columns.is_vector_file(tmp_path / "broken.NPZ")
    assert not columns.is_vector_file(tmp_path / "gone.zip")


@settings(max_examples=60)
@given(data=st.data())
def test_any_damage_to_a_file_gives_its_vectors_or_one_sentence(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged") / "v.npz"
    vectors = data.draw(
        arrays.arrays(
            data.draw(arrays.scalar_dtypes()),
            arrays.array_shapes(min_dims=0, max_dims=3, max_side=3),
        )
    )
    np.savez(path, ids=np.array(IDS), vectors=vectors)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    with contextlib.suppress(UserError):
        file = read_vector_file(path)
        assert file.vectors.ndim == 2 and len(file.vectors) == len(file.ids) == len(file.usable)
