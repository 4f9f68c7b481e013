"""Atomic writes and locks, tested with processes that are really killed."""

import errno
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

import imagefec
from imagefec import files
from imagefec.errors import UserError

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(pathlib.Path(imagefec.__file__).parents[1])}


def python(code, *arguments):
    """Starts an interpreter."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=ENVIRONMENT, stdin=pipe, stdout=pipe, text=True)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_by_what_was_written(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    files.write_text(path, "größer\r\n")
    assert path.read_bytes() == "größer\r\n".encode()
    files.write_bytes(path, b"\x00", durable=False)
    assert path.read_bytes() == b"\x00" and names(tmp_path) == ["a.json"]


def test_an_error_in_the_block_leaves_the_old_file_unchanged(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), files.atomic_open(path, "w", encoding="ascii") as file:
        file.write("half ü")
    assert path.read_text() == "old" and names(tmp_path) == ["a"]


def test_a_killed_writer_leaves_the_old_file_and_a_temporary_one_that_can_be_deleted(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    code = (
        "import os, sys\nfrom imagefec import files\n"
        "with files.atomic_open(sys.argv[1]) as file:\n"
        "    file.write(b'half')\n    file.flush()\n    os.kill(os.getpid(), 9)\n"
    )
    assert python(code, path).wait() == -9
    assert path.read_text() == "old" and len(names(tmp_path)) == 2
    files.remove_temporary_files(tmp_path)
    assert names(tmp_path) == ["a"]


def test_temporary_files_of_subfolders_are_deleted_on_request(tmp_path):
    for folder in (tmp_path, tmp_path / "ab", tmp_path / "other"):
        folder.mkdir(exist_ok=True)
        (folder / ".x.png.17.tmp").touch()
    files.remove_temporary_files(tmp_path, "??")
    assert [path.parent.name for path in tmp_path.rglob("*.tmp")] == ["other"]


@pytest.mark.skipif(not pathlib.Path("/proc/self/fd").is_dir(), reason="there is no /proc")
def test_temporary_files_of_living_processes_and_other_programs_stay(tmp_path):
    code = (
        "import os, sys\nfile = open(f'{sys.argv[1]}/.a.npz.{os.getpid()}-0a1b2c3d.tmp', 'w')\n"
        "print('open', flush=True)\ninput()\n"
    )
    writing = python(code, tmp_path)
    assert writing.stdout.readline() == "open\n"
    ended = python("")
    ended.wait()
    (tmp_path / f".b.npz.{ended.pid}-0a1b2c3d.tmp").touch()
    (tmp_path / f".c.npz.{os.getpid()}-0a1b2c3d.tmp").touch()
    for name in (".notes.tmp", "d.npz.1.tmp", ".e.npz.x.tmp"):
        (tmp_path / name).touch()
    files.remove_temporary_files(tmp_path)
    assert names(tmp_path) == [
        f".a.npz.{writing.pid}-0a1b2c3d.tmp",
        ".e.npz.x.tmp",
        ".notes.tmp",
        "d.npz.1.tmp",
    ]
    writing.communicate("\n")


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.write_text(tmp_path / "none" / "a", "")


def test_files_that_are_written_together_all_appear_or_none(tmp_path):
    (tmp_path / "a").write_text("old")

    def write_one_of_two():
        with files.written_together(tmp_path, ("a", "b")) as new:
            files.write_text(new / "a", "new")
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        write_one_of_two()
    assert names(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"
    with files.written_together(tmp_path, ("b", "c", "a")) as new:
        for name in ("a", "b"):
            files.write_text(new / name, "new")
        assert names(tmp_path) == [new.name, "a"]
    assert names(tmp_path) == ["a", "b"] and (tmp_path / "a").read_text() == "new"


def test_files_that_are_written_together_move_in_their_order(tmp_path, monkeypatch):
    moved, replace = [], pathlib.Path.replace

    def noted(path, to):
        moved.append(to)
        return replace(path, to)

    with files.written_together(tmp_path, ("b", "x", "a")) as new:
        (new / "a").touch()
        (new / "b").touch()
        monkeypatch.setattr(pathlib.Path, "replace", noted)
    assert moved == [tmp_path / "b", tmp_path / "a"]


def test_what_a_killed_writer_of_several_files_left_is_deleted_by_the_next(tmp_path):
    code = (
        "import os, pathlib, sys\nfrom imagefec import files\n"
        "with files.written_together(pathlib.Path(sys.argv[1]), ('a', 'b')) as new:\n"
        "    files.write_text(new / 'a', 'half')\n    os.kill(os.getpid(), 9)\n"
    )
    assert python(code, tmp_path).wait() == -9
    assert not (tmp_path / "a").exists() and len(names(tmp_path)) == 1
    with files.written_together(tmp_path, ("a", "b")) as new:
        files.write_text(new / "b", "")
    assert names(tmp_path) == ["b"]


HOLD = (
    "import pathlib, sys\nfrom imagefec import files\n"
    "with files.file_lock(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    input()\n"
)


def test_a_lock_names_its_holder_and_is_freed_by_kill_9(tmp_path):
    path = tmp_path / "lock"
    holder = python(HOLD, path)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(files.LockedError) as refused, files.file_lock(path):
        pass
    assert refused.value.holder == str(holder.pid)
    holder.kill()
    holder.wait()
    with files.file_lock(path):
        assert path.read_text() == str(os.getpid())


def test_a_waiting_process_gets_the_lock_when_it_is_freed(tmp_path):
    path, done = tmp_path / "lock", tmp_path / "done"
    code = (
        "import pathlib, sys\nfrom imagefec import files\n"
        "with files.file_lock(pathlib.Path(sys.argv[1]), wait=True):\n"
        "    pathlib.Path(sys.argv[2]).touch()\n"
    )
    with files.file_lock(path):
        waiting = python(code, path, done)
        time.sleep(0.5)
        assert not done.exists()
    assert waiting.wait(timeout=60) == 0 and done.exists()


def test_a_folder_lock_makes_the_folder_and_deletes_temporary_files(tmp_path):
    folder = tmp_path / "a" / "b"
    with files.folder_lock(folder, "report", "--out"):
        assert names(folder) == [".lock"]
        (folder / ".x.17.tmp").touch()
    with files.folder_lock(folder, "report", "--out"):
        assert names(folder) == [".lock"]


def test_a_folder_in_use_is_refused_with_the_process_that_uses_it(tmp_path):
    holder = python(HOLD, tmp_path / ".lock")
    assert holder.stdout.readline() == "held\n"
    (tmp_path / ".x.17.tmp").touch()
    with (
        pytest.raises(UserError, match=f"another report.*process {holder.pid}.*another --out"),
        files.folder_lock(tmp_path, "report", "--out"),
    ):
        pass
    assert (tmp_path / ".x.17.tmp").exists()  # it may be the holder's
    holder.communicate("\n")


@pytest.fixture(scope="module")
def without_flock(tmp_path_factory):
    """The environment of a process whose flock fails as on a file system without locks."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    folder = tmp_path_factory.mktemp("preload")
    (folder / "flock.c").write_text(
        "#include <errno.h>\n#include <stdlib.h>\n"
        'int flock(int fd, int how) { errno = atoi(getenv("FLOCK_ERRNO")); return -1; }\n'
    )
    library = folder / "flock.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, folder / "flock.c"], check=True)
    return {**ENVIRONMENT, "LD_PRELOAD": str(library)}


@pytest.mark.parametrize("name", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_a_lock_works_on_a_file_system_without_locks(name, without_flock, tmp_path):
    environment = {**without_flock, "FLOCK_ERRNO": str(getattr(errno, name))}
    pipe, path = subprocess.PIPE, tmp_path / "lock"

    def hold(**options):
        command = [sys.executable, "-c", HOLD, path]
        return subprocess.Popen(
            command, env=environment, stdin=pipe, stdout=pipe, text=True, **options
        )

    first = hold()
    assert first.stdout.readline() == "held\n"
    second = hold(stderr=pipe)
    said = second.communicate()[1]
    assert second.returncode == 1 and said.strip().endswith(f"LockedError: {first.pid}")
    first.kill()
    first.communicate()
    third = hold()
    assert third.stdout.readline() == "held\n"  # the lock of a killed process is free
    third.communicate("\n")
    assert third.returncode == 0 and names(tmp_path) == ["lock"]


@pytest.mark.parametrize("name", ["file", "file/below/it"])
def test_a_file_in_the_place_of_a_folder_is_named(name, tmp_path):
    (tmp_path / "file").touch()
    for check in (files.make_folder, files.check_folder):
        with pytest.raises(NotADirectoryError, match="this is a file, not a folder") as refused:
            check(tmp_path / name)
        assert refused.value.filename == str(tmp_path / "file")
    assert names(tmp_path) == ["file"]
    files.check_folder(tmp_path / "new" / "newer")
    assert names(tmp_path) == ["file"]
    files.make_folder(tmp_path / "new" / "newer")
    files.make_folder(tmp_path / "new" / "newer")
    assert names(tmp_path / "new") == ["newer"]
