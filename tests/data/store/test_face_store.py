"""Banks of faces and what keeps them: whole or not there, made once, made again where they are damaged."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from imagefec.data.store.cached import ABOUT, fingerprint, keep
from imagefec.data.store.face_store import FaceRows, FaceStore, FaceStoreWriter
from imagefec.errors import UserError

CHECKOUT = Path(__file__).parents[3]
ABOUT_FACES = {"dataset": "faces", "n": 5}


def png(value: int, size: int = 8) -> bytes:
    """A picture whose pixels are (value, value + 1, value + 2), red first."""
    bgr = np.full((size, size, 3), [value + 2, value + 1, value], np.uint8)
    return cv2.imencode(".png", bgr)[1].tobytes()


def write(folder: Path, n: int = 5, size: int = 8) -> None:
    with FaceStoreWriter(folder, size) as bank:
        for start in range(0, n, 2):
            rows = range(start, min(n, start + 2))
            bank.add(
                [png(10 * row) for row in rows],
                [(f"id{row}", f"http://host/ü{row},\u2028.jpg", "ann") for row in rows],
            )


def read(folder: Path) -> FaceStore:
    return FaceStore.open(folder, 8)


def kept(folder: Path, made_from: dict = ABOUT_FACES, make=write) -> FaceStore:
    return keep(folder, "train_8px", made_from, make, read)


def folder_of(folder: Path) -> Path:
    (found,) = folder.glob("train_8px-*")
    return found


def test_a_bank_holds_each_face_red_first_with_its_names(tmp_path):
    write(tmp_path)
    bank = read(tmp_path)
    assert bank.faces.shape == (5, 8, 8, 3)
    assert [face[3, 4].tolist() for face in bank.faces] == [
        [10 * row, 10 * row + 1, 10 * row + 2] for row in range(5)
    ]
    assert bank.face_ids == ["id0", "id1", "id2", "id3", "id4"]
    assert bank.urls[4] == "http://host/ü4,\u2028.jpg"
    assert bank.identities == ["ann"] * 5
    assert bank.rows_of(["id3", "nobody", "id0"]).tolist() == [3, -1, 0]


def test_the_file_is_what_numpy_itself_would_have_written(tmp_path):
    write(tmp_path)
    np.save(tmp_path / "by_numpy.npy", read(tmp_path).faces)
    assert (tmp_path / "faces.npy").read_bytes() == (tmp_path / "by_numpy.npy").read_bytes()


def test_a_damaged_picture_is_named(tmp_path):
    with (
        pytest.raises(UserError, match="face id7 is damaged"),
        FaceStoreWriter(tmp_path, 8) as bank,
    ):
        bank.add([b"no picture"], [("id7", "")])


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        slice(1, 3),
        np.array([2, 0, 2]),
        [1],
        np.array([True, False, True, False]),
        (slice(None), 2),
        (1, slice(None), 0),
        (slice(0, 2), slice(1, 3), 0, 1),
    ],
    ids=str,
)
def test_rows_in_another_order_are_read_like_an_array(key):
    faces = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8)
    rows = np.array([5, 0, 3, 3])
    view = FaceRows(faces, rows)
    np.testing.assert_array_equal(view[key], faces[rows][key])
    np.testing.assert_array_equal(
        np.concatenate([view, faces]), np.concatenate([faces[rows], faces])
    )
    np.testing.assert_array_equal(np.stack(list(view)), faces[rows])
    assert (view.shape, view.dtype, view.ndim, view.nbytes, len(view)) == (
        (4, 4, 4, 3),
        np.uint8,
        4,
        4 * 48,
        4,
    )


def test_a_part_in_order_stays_mapped_and_another_is_read_by_row(tmp_path):
    write(tmp_path)
    bank = read(tmp_path)
    assert bank.part(np.arange(5)) is bank
    middle, mixed = bank.part(np.arange(1, 4)), bank.part(np.array([4, 0]))
    assert np.shares_memory(middle.faces, bank.faces)
    assert middle.face_ids == ["id1", "id2", "id3"]
    assert isinstance(mixed.faces, FaceRows)
    assert mixed.face_ids == ["id4", "id0"]
    np.testing.assert_array_equal(mixed.faces[:], bank.faces[[4, 0]])


def test_what_is_kept_is_made_once(tmp_path):
    first = kept(tmp_path)
    again = kept(tmp_path, make=None)
    np.testing.assert_array_equal(first.faces, again.faces)
    assert json.loads((folder_of(tmp_path) / ABOUT).read_text()) == ABOUT_FACES


def test_what_was_made_from_something_else_is_made_anew_and_the_old_deleted(tmp_path):
    old = kept(tmp_path)
    new = kept(tmp_path, {"dataset": "faces", "n": 3}, lambda folder: write(folder, 3))
    assert (len(old), len(new)) == (5, 3)
    assert json.loads((folder_of(tmp_path) / ABOUT).read_text())["n"] == 3
    assert old.faces[4, 0, 0].tolist() == [40, 41, 42]  # who has it open keeps it


def damage_in(name, change):
    def damage(folder):
        path = folder / name
        change(path)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        damage_in("faces.npy", lambda path: os.truncate(path, path.stat().st_size - 1)),
        damage_in("faces.npy", lambda path: os.truncate(path, 60)),
        damage_in("faces.npy", lambda path: np.save(path, np.zeros((5, 9, 9, 3), np.uint8))),
        damage_in("faces.npy", lambda path: np.save(path, np.zeros((5, 8, 8, 3), np.float32))),
        damage_in("faces.npy", lambda path: np.save(path, np.array([{}]), allow_pickle=True)),
        damage_in("faces.npy", lambda path: path.unlink()),
        damage_in(
            "names.jsonl", lambda path: path.write_text("".join(path.open().readlines()[:-1]))
        ),
        damage_in("names.jsonl", lambda path: os.truncate(path, path.stat().st_size - 3)),
        damage_in("names.jsonl", lambda path: path.write_bytes(b"\xff" * 9)),
        damage_in("names.jsonl", lambda path: path.unlink()),
        damage_in(ABOUT, lambda path: path.write_text("{}")),
        damage_in(ABOUT, lambda path: path.unlink()),
    ],
    ids=[
        "cut",
        "head only",
        "size",
        "dtype",
        "pickle",
        "no faces",
        "a name less",
        "cut name",
        "no text",
        "no names",
        "of another",
        "no about",
    ],
)
def test_a_damaged_bank_is_made_again(tmp_path, damage, caplog):
    whole = np.array(kept(tmp_path).faces)
    damage(folder_of(tmp_path))
    np.testing.assert_array_equal(kept(tmp_path).faces, whole)
    assert [("damaged" in record.message) for record in caplog.records] == [True]
    kept(tmp_path, make=None)


def test_an_error_while_making_leaves_nothing(tmp_path):
    def fail(folder):
        write(folder)
        raise UserError("the dataset is damaged")

    with pytest.raises(UserError, match="the dataset is damaged"):
        kept(tmp_path, make=fail)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


SLOW_MAKER = """
import sys, time
from pathlib import Path
from tests.data.store import test_face_store as t
def slow(folder):
    t.write(folder, 4)
    print("half", flush=True)
    time.sleep(60)
t.kept(Path(sys.argv[1]), make=slow)
"""


def test_a_maker_that_is_killed_leaves_nothing_that_is_read(tmp_path):
    maker = subprocess.Popen(
        [sys.executable, "-c", SLOW_MAKER, str(tmp_path)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert maker.stdout.readline() == "half\n"
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    assert [path.suffix for path in tmp_path.glob("train_8px-*")] == [".part"]
    assert len(kept(tmp_path)) == 5
    assert folder_of(tmp_path).suffix == ""


def _make_and_count(folder, started, queue):
    def slowly(part):
        queue.put("made")
        time.sleep(0.3)
        write(part)

    started.wait()
    bank = kept(folder, make=slowly)
    queue.put(int(bank.faces.sum()))


def test_of_processes_that_want_the_same_at_once_one_makes_it(tmp_path):
    context = multiprocessing.get_context("spawn")
    started, queue = context.Barrier(4), context.Queue()
    makers = [
        context.Process(target=_make_and_count, args=(tmp_path, started, queue)) for _ in range(4)
    ]
    for maker in makers:
        maker.start()
    said = [queue.get(timeout=60) for _ in range(5)]
    for maker in makers:
        maker.join()
    assert said.count("made") == 1
    expected = sum((10 * row + c) * 64 for row in range(5) for c in range(3))
    assert [text for text in said if text != "made"] == [expected] * 4


def test_where_nothing_can_be_kept_it_is_made_for_this_run_and_said_once(
    tmp_path, monkeypatch, caplog
):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "file").touch()
    bank = kept(tmp_path / "file" / "banks")
    assert bank.faces[4, 0, 0].tolist() == [40, 41, 42]
    (record,) = caplog.records
    assert "cannot be kept (Not a directory)" in record.message
    assert list((tmp_path / "tmp").iterdir()) == []


def test_no_room_anywhere_is_an_error_that_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot be made: Not a directory; nor can it .*TMPDIR"):
        kept(tmp_path / "file" / "banks")


FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.data.store import test_face_store as t
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))  # a bank of five faces is larger
try:
    t.kept(Path(sys.argv[1]))
except t.UserError as error:
    print(error)
"""


def test_a_disk_that_takes_no_more_is_an_error_and_leaves_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert "cannot be made: File too large; nor can it in a temporary place" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_fingerprint_tells_files_apart_by_name_size_and_what_they_hold(tmp_path):
    def of(name, data):
        (tmp_path / name).write_bytes(data)
        return fingerprint([tmp_path / name])

    large = bytearray(1 << 20)
    prints = [of("a", b"one"), of("a", b"two"), of("a", b"one "), of("b", b"one"), of("c", large)]
    for place in (0, 1 << 19, -1):
        large[place] ^= 1
        prints.append(of("c", large))
    assert len(set(prints)) == len(prints)
    assert of("a", b"one") == prints[0]
