"""Cached folders: complete or absent, built once, rebuilt if damaged or from another source."""

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

from imagefec.data.store.cached import ABOUT, build_cached, fingerprint
from imagefec.data.store.face_store import FaceStore, FaceStoreWriter
from imagefec.errors import UserError

CHECKOUT = Path(__file__).parents[3]
ABOUT_FACES = {"dataset": "faces", "n": 5}


def write(folder: Path, n: int = 5) -> None:
    """Writes a face store; the pixels of face i are (10 i, 10 i + 1, 10 i + 2)."""
    bgr = [np.full((8, 8, 3), [10 * i + 2, 10 * i + 1, 10 * i], np.uint8) for i in range(n)]
    with FaceStoreWriter(folder, 8) as store:
        store.add(
            [cv2.imencode(".png", image)[1].tobytes() for image in bgr],
            [(f"id{i}", f"http://host/{i}.jpg") for i in range(n)],
        )


def cached(folder: Path, made_from: dict = ABOUT_FACES, build=write) -> FaceStore:
    return build_cached(
        folder, "train_8px", made_from, build, lambda path: FaceStore.open(path, size=8)
    )


def folder_of(folder: Path) -> Path:
    (found,) = folder.glob("train_8px-*")
    return found


def test_a_folder_is_built_once(tmp_path):
    first = cached(tmp_path)
    again = cached(tmp_path, build=None)
    np.testing.assert_array_equal(first.faces, again.faces)
    assert json.loads((folder_of(tmp_path) / ABOUT).read_text()) == ABOUT_FACES


def test_a_folder_from_another_source_is_rebuilt_and_the_old_one_deleted(tmp_path):
    old = cached(tmp_path)
    new = cached(tmp_path, {"dataset": "faces", "n": 3}, lambda folder: write(folder, 3))
    assert (len(old), len(new)) == (5, 3)
    assert json.loads((folder_of(tmp_path) / ABOUT).read_text())["n"] == 3
    assert old.faces[4, 0, 0].tolist() == [40, 41, 42]  # a mapped file stays readable


def damage_in(name, change):
    return lambda folder: change(folder / name)


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
        "truncated",
        "header only",
        "size",
        "dtype",
        "pickle",
        "no faces",
        "one name fewer",
        "truncated name",
        "no text",
        "no names",
        "of another",
        "no about",
    ],
)
def test_a_damaged_folder_is_rebuilt(tmp_path, damage, caplog):
    expected = np.array(cached(tmp_path).faces)
    damage(folder_of(tmp_path))
    np.testing.assert_array_equal(cached(tmp_path).faces, expected)
    assert [("damaged" in record.message) for record in caplog.records] == [True]
    cached(tmp_path, build=None)


def test_an_error_in_a_build_leaves_nothing(tmp_path):
    def fail(folder):
        write(folder)
        raise UserError("the dataset is damaged")

    with pytest.raises(UserError, match="the dataset is damaged"):
        cached(tmp_path, build=fail)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


SLOW_BUILDER = """
import sys, time
from pathlib import Path
from tests.data.store import test_cached as t
def slow(folder):
    t.write(folder, 4)
    print("half", flush=True)
    time.sleep(60)
t.cached(Path(sys.argv[1]), build=slow)
"""


def test_the_partial_folder_of_a_killed_process_is_not_read(tmp_path):
    builder = subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILDER, str(tmp_path)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert builder.stdout.readline() == "half\n"
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    assert [path.suffix for path in tmp_path.glob("train_8px-*")] == [".part"]
    assert len(cached(tmp_path)) == 5
    assert folder_of(tmp_path).suffix == ""


def _build_and_count(folder, started, queue):
    def slowly(part):
        queue.put("built")
        time.sleep(0.3)
        write(part)

    started.wait()
    store = cached(folder, build=slowly)
    queue.put(int(store.faces.sum()))


def test_one_of_several_processes_builds_the_folder_that_all_require(tmp_path):
    context = multiprocessing.get_context("spawn")
    started, queue = context.Barrier(4), context.Queue()
    builders = [
        context.Process(target=_build_and_count, args=(tmp_path, started, queue)) for _ in range(4)
    ]
    for builder in builders:
        builder.start()
    messages = [queue.get(timeout=60) for _ in range(5)]
    for builder in builders:
        builder.join()
    assert messages.count("built") == 1
    expected = sum((10 * row + c) * 64 for row in range(5) for c in range(3))
    assert [text for text in messages if text != "built"] == [expected] * 4


def test_a_store_that_cannot_be_cached_is_built_for_one_run_with_a_warning(
    tmp_path, monkeypatch, caplog
):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "file").touch()
    store = cached(tmp_path / "file" / "stores")
    assert store.faces[4, 0, 0].tolist() == [40, 41, 42]
    (record,) = caplog.records
    assert "cannot be cached (Not a directory)" in record.message
    assert list((tmp_path / "tmp").iterdir()) == []


def test_two_folders_without_room_are_an_error_that_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    with pytest.raises(
        UserError, match=r"cannot be built: Not a directory\. The temporary folder .*TMPDIR"
    ):
        cached(tmp_path / "file" / "stores")


FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.data.store import test_cached as t
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))  # a store of five faces is larger
try:
    t.cached(Path(sys.argv[1]))
except t.UserError as error:
    print(error)
"""


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert "cannot be built: File too large. The temporary folder" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_fingerprint_depends_on_names_sizes_and_contents(tmp_path):
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
