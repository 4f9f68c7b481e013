"""Pools of worker processes: quiet at ctrl-C, gone with their parent, errors in one sentence."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from imagefec import workers
from imagefec.errors import UserError

CHECKOUT = pathlib.Path(workers.__file__).parents[1]
FLAGS = ["--faces=900", "--identities=10", "--triplets=60", "--url_root=http://x"]
CPUS = [] if not hasattr(os, "sched_getaffinity") else sorted(os.sched_getaffinity(0))


def processes_of(group):
    """Living processes of a process group."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def start_draw(folder):
    """Starts `imagefec draw` in its own process group, with a worker per core."""
    return subprocess.Popen(
        [sys.executable, "-m", "imagefec", "draw", folder, *FLAGS],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def bytes_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.skipif(len(CPUS) < 2, reason="one core: draw starts no workers")
def test_a_stopped_draw_prints_one_line_leaves_no_process_and_resumes_with_the_same_bytes(tmp_path):
    out = tmp_path / "out"
    stops = [
        (signal.SIGINT, os.killpg, 1, 130),
        (signal.SIGINT, os.killpg, 3, None),
        (signal.SIGTERM, os.kill, 1, 143),
        (signal.SIGKILL, os.kill, 1, -9),
    ]
    for number, send, times, code in stops:
        draw = start_draw(out)
        if times == 1 and send is os.killpg:  # while Python starts in the workers
            wait_until((out / "settings.json").exists)
            wait_until(lambda group=draw.pid: len(processes_of(group)) > 2)
        else:
            before = {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
            wait_until(
                lambda before=before: any(
                    before.get(path) != path.stat().st_mtime_ns
                    for path in out.glob("images/*/*.jpg")
                )
            )
        for _ in range(times):
            send(draw.pid, number)
            time.sleep(0.05)
        _, error = draw.communicate(timeout=60)
        assert "Traceback" not in error and error.count("\n") <= 3, error
        # A third ctrl-C may come while Python ends, which then ends by the signal.
        assert draw.returncode in ((code,) if code else (130, -signal.SIGINT)), error
        wait_until(lambda group=draw.pid: not processes_of(group))
        if number != signal.SIGKILL:
            assert not list(out.rglob("*.tmp"))
    assert start_draw(out).wait() == start_draw(tmp_path / "whole").wait() == 0
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


def test_a_worker_that_is_killed_is_a_user_error_that_says_how_to_go_on():
    with (
        pytest.raises(UserError, match=r"a worker process of drawing ended early.*--workers"),
        workers.worker_pool(1, "drawing") as pool,
    ):
        pool.submit(os._exit, 9).result()


def test_an_error_in_the_block_ends_work_that_would_go_on(tmp_path):
    start = time.monotonic()
    with contextlib.suppress(ZeroDivisionError), workers.worker_pool(1, "sleep") as pool:
        sleeping = pool.submit(time.sleep, 600)
        pool.submit(time.sleep, 600)
        wait_until(sleeping.running)
        raise ZeroDivisionError
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True])
def test_a_number_of_workers_that_is_none_is_a_callers_bug(wrong):
    with pytest.raises(ValueError, match=r"^workers must be None or an integer of 1"):
        workers.checked_workers(wrong)


def test_a_number_of_workers_that_no_machine_has_is_refused():
    assert workers.checked_workers(None) is None
    assert workers.checked_workers(1024) == 1024
    with pytest.raises(UserError, match=r"--workers is 1025; allowed are 1 to 1024"):
        workers.checked_workers(1025)


def test_no_thread_of_a_pool_outlives_a_block_that_fails():
    before = set(threading.enumerate())
    with contextlib.suppress(ValueError), workers.worker_pool(2, "work") as pool:
        pool.submit(time.sleep, 60)
        assert set(threading.enumerate()) > before
        raise ValueError("stopped")
    assert set(threading.enumerate()) <= before
