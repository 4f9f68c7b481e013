"""Crops that are killed: they resume and end with the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imagefec.data.crop import worker


def test_a_killed_crop_resumes_and_leaves_no_process(many):
    script = many.root / "crop_it.py"
    script.write_text(
        "import sys, time\n"
        "from imagefec.data.crop.stage import crop_faces\n"
        "class Slow:\n"
        "    def update(self, n): print('done', n, flush=True); time.sleep(30 if n else 0)\n"
        "    def set_postfix(self, **counts): pass\n"
        "if __name__ == '__main__':\n"
        f"    crop_faces([{str(many.path)!r}], {str(many.cache)!r}, {str(many.faces)!r},\n"
        "               workers=2, progress=Slow())\n"
    )
    env = os.environ | {"PYTHONPATH": str(Path(worker.__file__).parents[3])}
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=env, text=True)
    try:
        assert process.stdout.readline().startswith("done")  # the first batch is in the manifest
        workers = _children(process.pid)
        assert len(workers) >= 2
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert not (many.faces / "report.json").exists()
    n_listed = len((many.faces / "faces.csv").read_text().splitlines()) - 1
    assert 0 < n_listed < 60
    deadline = time.monotonic() + 10
    while any(_is_alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_is_alive(pid) for pid in workers)

    many.crop(many.path)
    many.crop(many.path, faces_dir=many.root / "complete")
    assert many.contents(many.faces) == many.contents(many.root / "complete")


def test_a_crop_killed_several_times_ends_with_the_same_bytes(many):
    listed = many.exclude(many.refs[4].url, many.refs[9].face_id, many.refs[20].face_id)
    script = many.root / "crop_it.py"
    script.write_text(
        "import os, signal, sys\n"
        "from imagefec.data.crop.stage import crop_faces\n"
        "class Killed:\n"
        "    left = int(sys.argv[1])\n"
        "    def update(self, n):\n"
        "        self.left -= n\n"
        "        if self.left < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    def set_postfix(self, **counts): pass\n"
        "if __name__ == '__main__':\n"
        f"    crop_faces([{str(many.path)!r}], {str(many.cache)!r}, {str(many.faces)!r},\n"
        f"               workers=int(sys.argv[2]), progress=Killed(), exclude={str(listed)!r})\n"
    )
    env = os.environ | {"PYTHONPATH": str(Path(worker.__file__).parents[3])}
    for left, workers in ((0, 1), (3, 2), (17, 1), (30, 2), (45, 1)):
        done = subprocess.run([sys.executable, script, str(left), str(workers)], env=env)
        assert done.returncode == -signal.SIGKILL
    many.crop(many.path, exclude=listed)
    many.crop(many.path, exclude=listed, faces_dir=many.root / "complete")
    assert many.contents(many.faces) == many.contents(many.root / "complete")


def test_a_crop_killed_at_any_instant_ends_with_the_same_bytes(many):
    # Python calls an audit hook for every file opened, renamed and deleted. The process is killed
    # at the n-th call.
    script = many.root / "crop_it.py"
    script.write_text(
        "import os, signal, sys\n"
        "from imagefec.data.crop.stage import crop_faces\n"
        "left = [int(sys.argv[1])]\n"
        "def count(event, _):\n"
        "    left[0] -= 1\n"
        "    if left[0] == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(count)\n"
        f"crop_faces([{str(many.path)!r}], {str(many.cache)!r}, sys.argv[2], workers=1)\n"
        "print(10**9 - left[0])\n"
    )
    env = os.environ | {"PYTHONPATH": str(Path(worker.__file__).parents[3])}

    def start(n):
        return subprocess.Popen(
            [sys.executable, script, str(n), many.root / str(n)], env=env, stdout=subprocess.PIPE
        )

    complete = start(10**9)
    n_events = int(complete.communicate()[0])
    assert n_events > 60
    # Evenly, and at some of the last, which sort the manifest and write the report.
    for n, child in [
        (n, start(n))
        for n in {*range(1, n_events, n_events // 6), *range(n_events - 6, n_events, 2)}
    ]:
        assert child.wait() == -signal.SIGKILL, n
        child.stdout.close()
        many.crop(many.path, faces_dir=many.root / str(n))
        assert many.contents(many.root / str(n)) == many.contents(many.root / str(10**9)), (
            f"killed at event {n} of {n_events}"
        )


def test_a_crop_killed_while_it_deletes_leaves_no_excluded_face_when_run_again(many):
    many.crop(many.path)
    listed = many.exclude(*(ref.face_id for ref in many.refs[:12]))
    script = many.root / "exclude_it.py"
    script.write_text(
        "import os, signal\n"
        "from imagefec.data.crop import face_folder, stage\n"
        "delete, done = face_folder.delete_face, []\n"
        "def delete_and_die(faces_dir, face_id):\n"
        "    delete(faces_dir, face_id)\n"
        "    done.append(face_id)\n"
        "    if len(done) == 5: os.kill(os.getpid(), signal.SIGKILL)\n"
        "face_folder.delete_face = delete_and_die\n"
        f"stage.crop_faces([{str(many.path)!r}], {str(many.cache)!r}, {str(many.faces)!r},\n"
        f"                 workers=1, exclude={str(listed)!r})\n"
    )
    env = os.environ | {"PYTHONPATH": str(Path(worker.__file__).parents[3])}
    assert subprocess.run([sys.executable, script], env=env).returncode == -signal.SIGKILL
    assert not (many.faces / "report.json").exists()
    many.crop(many.path, exclude=listed)
    assert many.contents(many.faces) == many.contents_after("complete", exclude=listed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_crop_prints_one_line_leaves_no_process_and_resumes(many, number):
    crop = subprocess.Popen(
        [
            *(sys.executable, "-m", "imagefec", "crop", many.path, f"--cache={many.cache}"),
            *(f"--faces={many.faces}", "--detector=haar", "--workers=2"),
        ],
        cwd=Path(worker.__file__).parents[3],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(_children(crop.pid)) < 3 and time.monotonic() < deadline:  # and a resource tracker
        time.sleep(0.01)
    workers = _children(crop.pid)
    os.killpg(crop.pid, number)  # while Python starts in the workers
    _, error = crop.communicate(timeout=60)
    assert crop.returncode == 128 + number, error
    assert error.count("\n") <= 3 and "stopped; rerun the same command" in error, error
    while any(map(_is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(_is_alive, workers))
    assert not list(many.faces.rglob("*.tmp"))
    many.crop(many.path, detector="haar")
    many.crop(many.path, detector="haar", faces_dir=many.root / "complete")
    assert many.contents(many.faces) == many.contents(many.root / "complete")


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
