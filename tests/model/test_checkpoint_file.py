"""Checkpoint files that are not what they claim to be: refused before any array is read."""

import contextlib
import io
import json
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagefec.errors import UserError
from imagefec.model import checkpoint_file

ARRAYS = {
    "weights/0.Stem": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7,
    "weights/1.Dense/0": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "state/1.BatchNorm/0": np.full(3, 0.5, np.float32),
}
OTHERS = {"slots/0": np.ones(4, np.float32), "rng": np.array([1, 2], np.uint32)}
META = {"step": 3, "history": {"_values": {"eval": {"metrics/tpa": [[1, 0.25], [3, 0.5]]}}}}


@pytest.fixture
def path(tmp_path):
    checkpoint_file.save(tmp_path / "model.npz", {**ARRAYS, **OTHERS}, META)
    return tmp_path / "model.npz"


def npy(header, data=b"", version=b"\x01\x00"):
    """A .npy file with any header."""
    text = header.encode() + b"\n"
    length = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text + data


def header(descr="'<f4'", shape="(3,)", fortran="False"):
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


def with_member(path, content, name="weights/0.Stem.npy", **options):
    """Writes a checkpoint whose member `name` is replaced; the others stay."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for other, data in members.items():
            if other == name:
                archive.writestr(name, content, **options)
            else:
                archive.writestr(other, data)


def refusal(path, expected=ARRAYS):
    with pytest.raises(UserError) as error:
        checkpoint_file.load(path, expected)
    text = str(error.value)
    assert str(path) in text and "\n" not in text
    return text


HEADERS = {
    "10^14 values": header(shape="(100000000000000,)"),
    "10^30 values": header(shape="(1000000000000000000000000000000,)"),
    "a shape of booleans": header(shape="(True, True)"),
    "a negative shape": header(shape="(-3,)"),
    "a shape of fractions": header(shape="(3.0,)"),
    "a hundred axes": header(shape=f"({'1, ' * 100})"),
    "strings": header("'<U4'"),
    "Python objects": header("'|O'"),
    "raw bytes": header("'|V4'"),
    "dates": header("'<M8[s]'"),
    "complex numbers": header("'<c8'"),
    "an unknown float": header("'<f1'"),
    "a structure": header("[('a', '<f4'), ('b', '<i4')]"),
    "a nested structure": header("[" * 60 + "]" * 60),
    "a call": header(shape="__import__('os').abort()"),
    "deep brackets": "(" * 3000 + ")" * 3000,
    "no dictionary": "[1, 2]",
    "no header": "",
    "an extra key": header().replace("}", "'more': 1, }"),
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_that_is_not_of_numbers_is_refused(path, what):
    with_member(path, npy(HEADERS[what], b"\0" * 12))
    assert "not a checkpoint of Image FEC, or a broken one" in refusal(path)


def test_a_cut_header_and_another_magic_are_refused(path):
    complete = npy(header(), b"\0" * 12)
    for content in (b"", complete[:7], complete[:9], complete[:30], b"GIF89a" + complete[6:]):
        with_member(path, content)
        assert "broken one" in refusal(path)
    with_member(path, npy(header(), b"\0" * 12, version=b"\x09\x00"))
    assert "is not an array" in refusal(path)


def test_a_header_of_a_later_version_of_numpys_format_is_read(path):
    values = ARRAYS["weights/0.Stem"]
    file = io.BytesIO()
    np.lib.format.write_array(file, values, version=(2, 0))
    with_member(path, file.getvalue())
    arrays, _ = checkpoint_file.load(path, ARRAYS)
    np.testing.assert_array_equal(arrays["weights/0.Stem"], values)


def test_an_array_in_fortran_order_is_read_as_it_is(path):
    values = np.asfortranarray(ARRAYS["weights/0.Stem"])
    file = io.BytesIO()
    np.lib.format.write_array(file, values)
    assert b"'fortran_order': True" in file.getvalue()
    with_member(path, file.getvalue())
    np.testing.assert_array_equal(
        checkpoint_file.load(path, ARRAYS)[0]["weights/0.Stem"], ARRAYS["weights/0.Stem"]
    )


def test_a_compressed_array_is_refused_before_it_is_unpacked(path):
    zeros = npy(header(shape="(75000000,)"), bytes(300_000_000))
    with_member(path, zeros, compress_type=zipfile.ZIP_DEFLATED)
    del zeros
    assert path.stat().st_size < 500_000
    tracemalloc.start()
    try:
        assert "is compressed or encrypted" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_compressions_are_refused(path, method):
    with_member(path, npy(header(), b"\0" * 12), compress_type=method)
    assert "is compressed or encrypted" in refusal(path)


def patched(path, offset, flag):
    """Sets bytes in every entry of the zip file's directory."""
    data = bytearray(path.read_bytes())
    start = 0
    while (start := data.find(b"PK\x01\x02", start)) >= 0:
        data[start + offset : start + offset + len(flag)] = flag
        start += 4
    path.write_bytes(data)


def test_an_encrypted_member_is_refused(path):
    patched(path, 8, b"\x01\x00")
    assert "is compressed or encrypted" in refusal(path)


def test_members_that_claim_more_bytes_than_the_file_has_are_refused(path):
    patched(path, 20, struct.pack("<II", 2**31, 2**31))
    assert "larger than the file" in refusal(path)


def test_repeated_absolute_and_foreign_members_are_refused(path):
    for name, found in (
        ("weights/0.Stem.npy", "is there twice"),
        ("/etc/x.npy", "not the name of an array"),
        ("evil.pkl", "not the name of an array"),
        ("folder/", "not the name of an array"),
    ):
        before = path.read_bytes()
        duplicate = (
            pytest.warns(UserWarning, match="Duplicate")
            if "Stem" in name
            else contextlib.nullcontext()
        )
        with duplicate, zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, npy(header(), b"\0" * 12))
        assert found in refusal(path)
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("meta", "found"),
    [
        (b"null", "not an object but null"),
        (b'"text"', "not an object but"),
        (b"[1]", "not an object but"),
        (b"", "Expecting value"),
        (b"{", "Expecting"),
        (b"\xff\xfe{}", "utf-8"),
        (b'{"a": ' * 5000 + b"1" + b"}" * 5000, "nested deeper"),
        (b'{"a": ' * 40 + b"1" + b"}" * 40, "nested deeper"),
        (b'{"step": 1, "step": 2}', "is there twice"),
        (b'{"step": ' + b"9" * 5000 + b"}", "4300 digits"),
    ],
)
def test_meta_that_is_no_object_is_refused(path, meta, found):
    with_member(path, meta, "meta.json")
    assert found in refusal(path)
    with pytest.raises(UserError, match="broken one"):
        checkpoint_file.load_meta(path)


def test_meta_beyond_the_limit_is_refused_unread(path, monkeypatch):
    monkeypatch.setattr(checkpoint_file, "MAX_META_BYTES", 10_000)
    with_member(path, json.dumps({"step": 1, "more": "x" * 20_000}), "meta.json")
    assert "meta.json has 20" in refusal(path)


def test_arrays_other_than_the_expected_ones_are_named(path):
    other = {**ARRAYS, "weights/1.Dense/0": np.ones((3, 5), np.float32)}
    assert "array weights/1.Dense/0 is of shape [3, 4]; the model requires shape [3, 5]" in (
        refusal(path, other)
    )
    other = {**ARRAYS, "weights/1.Dense/0": np.ones((3, 4), np.int32)}
    assert "array weights/1.Dense/0 is of type float32; the model requires int32" in (
        refusal(path, other)
    )
    assert "array state/9 is missing" in refusal(path, {**ARRAYS, "state/9": np.ones(1)})
    less = {name: array for name, array in ARRAYS.items() if name != "weights/0.Stem"}
    assert "array weights/0.Stem of shape [2, 3, 4] has no place" in refusal(path, less)


def test_only_expected_arrays_are_read(path):
    arrays, meta = checkpoint_file.load(path, ARRAYS)
    assert list(arrays) == list(ARRAYS) and meta == META
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].flags.writeable


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([1, np.nan, 2], "<f4"), ([np.inf, -np.inf, 0], "<f2"), ([1, 1e300, np.nan], "<f8")],
)
def test_nan_and_infinity_are_refused_by_name(tmp_path, values, dtype):
    arrays = {"weights/a": np.ones(2, np.float32), "weights/b": np.array(values, dtype)}
    checkpoint_file.save(tmp_path / "model.npz", arrays, {})
    n = 3 - sum(abs(value) < 1e30 for value in values)  # 1e300 is infinite as float32
    with pytest.raises(UserError) as error:
        checkpoint_file.load(tmp_path / "model.npz")
    assert f"1 of 2 arrays hold NaN or infinity: weights/b ({n} of 3 values)." in str(error.value)
    found, _ = checkpoint_file.load(tmp_path / "model.npz", finite=False)
    np.testing.assert_array_equal(found["weights/b"], arrays["weights/b"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "model.npz")
    assert "cannot be read: it is not a file" in refusal(tmp_path / "model.npz")
    assert "cannot be read" in refusal("/dev/zero")


def load_changed(folder, complete, start, replacement):
    """The arrays of a checkpoint with changed bytes, or None if it is refused."""
    path = folder / "changed.npz"
    path.write_bytes(complete[:start] + replacement + complete[start + len(replacement) :])
    try:
        arrays, meta = checkpoint_file.load(path, ARRAYS)
    except UserError as error:
        refused = str(error)
    else:
        return arrays, meta
    assert str(path) in refused and "\n" not in refused
    return None


def check_any_change(tmp_path_factory, start, replacement):
    folder = tmp_path_factory.mktemp("fuzz")
    checkpoint_file.save(folder / "model.npz", {**ARRAYS, **OTHERS}, META)
    complete = (folder / "model.npz").read_bytes()
    found = load_changed(folder, complete, start % len(complete), replacement)
    if found is not None:  # the change is where nothing is read, such as a time stamp
        assert found[1] == META
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found[0][name], array)


CHANGES = (st.integers(0, 10_000), st.binary(min_size=1, max_size=24))
FUZZ = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


@settings(max_examples=150, **FUZZ)
@given(*CHANGES)
def test_changed_bytes_give_the_same_arrays_or_a_refusal(tmp_path_factory, start, replacement):
    check_any_change(tmp_path_factory, start, replacement)


@pytest.mark.slow
@settings(max_examples=20_000, **{**FUZZ, "derandomize": False})
@given(*CHANGES)
def test_many_changed_bytes_give_the_same_arrays_or_a_refusal(tmp_path_factory, start, replacement):
    check_any_change(tmp_path_factory, start, replacement)
