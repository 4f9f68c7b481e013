"""Fetches on a failing machine: killed at any instant, a full disk, two concurrent fetches."""

import contextlib
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import imagefec
from imagefec import cli
from imagefec.data.fetch import scheduler
from imagefec.data.fetch.download import Attempt
from imagefec.data.fetch.pace import rate_limit
from imagefec.data.fetch.pace.rate_limit import HostResponse
from imagefec.data.fetch.photo_cache.cache import Cache
from imagefec.data.fetch.photo_cache.ledger import Ledger, Outcome
from imagefec.data.fetch.photo_cache.url_names import host_of
from imagefec.data.fetch.scheduler import FetchRun
from imagefec.data.fetch.stage import FetchConfig, fetch_photos
from imagefec.errors import UserError

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(imagefec.__file__).parents[1])}
QUICK = FetchConfig(workers=2, timeout_s=1.0, attempts=2, backoff_s=0.01)
PHOTO_ROWS = "SELECT url, status, reason, n_bytes, sha256, final_url FROM photos ORDER BY url"


def contents(cache_dir):
    """Contents of a cache without times and numbers of attempts."""
    with contextlib.closing(sqlite3.connect(cache_dir / "ledger.sqlite3")) as db:
        rows = db.execute(PHOTO_ROWS).fetchall()
    stats = json.loads((cache_dir / "stats.json").read_text())
    files = {
        str(path.relative_to(cache_dir)): path.read_bytes()
        for path in (cache_dir / "objects").rglob("*")
        if path.is_file()
    }
    return (
        rows,
        files,
        {
            key: stats[key]
            for key in ("n_ok", "n_gone", "n_failed", "n_bytes", "reasons", "triplets")
        },
    )


# Python calls an audit hook for every file opened, renamed and deleted, every connection and more.
# The process is killed at the n-th call.
KILLED = """
import os, signal, sys
from imagefec.data.fetch.stage import FetchConfig, fetch_photos
left = [int(sys.argv[1])]
def count(event, _):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
config = FetchConfig(workers=2, timeout_s=1.0, attempts=2, backoff_s=0.01)
fetch_photos([sys.argv[2]], sys.argv[3], config)
print(10**9 - left[0])
"""


def test_a_fetch_killed_at_any_instant_ends_with_the_same_bytes(
    photo_server, csv_of_urls, tmp_path
):
    csv = csv_of_urls(
        [photo_server.url(f"ok/{n}") for n in range(10)]
        + [
            photo_server.url(way)
            for way in ("status/404/x", "html/x", "recovers/x", "unavailable/x")
        ]
    )

    def start(n, cache_dir):
        return subprocess.Popen(
            [sys.executable, "-c", KILLED, str(n), csv, cache_dir],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
        )

    complete = start(10**9, tmp_path / "complete")
    n_events = int(complete.communicate()[0])
    assert complete.returncode == 0 and n_events > 100
    instants = [1, 2, *(n_events * k // 12 for k in range(1, 12))]
    for n, child in [(n, start(n, tmp_path / str(n))) for n in instants]:
        assert child.wait() == -signal.SIGKILL, n
        child.stdout.close()
        fetch_photos([csv], tmp_path / str(n), QUICK)
        assert contents(tmp_path / str(n)) == contents(tmp_path / "complete"), (
            f"killed at event {n} of {n_events}"
        )
        assert not list((tmp_path / str(n) / "parts").iterdir())


def test_a_full_disk_is_an_error_and_the_fetch_resumes_after_space_is_freed(
    photo_server, csv_of_urls, tmp_path, small_disk
):
    csv = csv_of_urls(photo_server.url(f"ok/{n}") for n in range(900))
    command = [sys.executable, "-m", "imagefec", "fetch", csv, f"--cache={small_disk.path}"]
    full = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert full.returncode == 2 and "Traceback" not in full.stderr
    assert re.search(
        r"cannot be written .*(No space left|disk is full|disk I/O).*same command", full.stderr
    )
    assert 0 < len(photo_server.hits) < 900
    small_disk.resize("64m")
    report = fetch_photos([csv], small_disk.path, QUICK)
    assert report.n_ok == 900 and report.n_fetched < 900
    fetch_photos([csv], tmp_path / "complete", QUICK)
    assert contents(small_disk.path) == contents(tmp_path / "complete")


def test_a_ledger_above_the_file_size_limit_is_an_error_and_nothing_is_lost(
    photo_server, csv_of_urls, cache_dir
):
    csv = csv_of_urls(photo_server.url(f"ok/{n}") for n in range(200))
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "from imagefec import cli\n"
        f"raise SystemExit(cli.main(['fetch', {str(csv)!r}, '--cache={cache_dir}']))"
    )
    full = subprocess.run(
        [sys.executable, "-c", program],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert full.returncode == 2 and "Traceback" not in full.stderr
    assert re.search(r"cannot be written .*same command", full.stderr)
    report = fetch_photos([csv], cache_dir, QUICK)
    assert report.n_ok == 200
    with Cache(cache_dir) as cache:
        assert cache.photo_path(photo_server.url("ok/199"))


@pytest.mark.parametrize("seed", range(3))
def test_a_fetch_stopped_at_random_instants_exits_quietly_and_ends_with_the_same_bytes(
    photo_server, csv_of_urls, tmp_path, seed
):
    csv = csv_of_urls(photo_server.url(f"slow/{n}") for n in range(120))
    fetch_photos([csv], tmp_path / "complete", QUICK)
    random_s = random.Random(seed).uniform
    command = [sys.executable, "-m", "imagefec", "fetch", csv, f"--cache={tmp_path / 'cache'}"]
    for signals in ([signal.SIGTERM], [signal.SIGINT, signal.SIGINT], [signal.SIGHUP]):
        n_before = sum(photo_server.hits.values())
        with subprocess.Popen(
            command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child:
            while sum(photo_server.hits.values()) == n_before and child.poll() is None:
                time.sleep(0.001)
            for number in signals:
                time.sleep(random_s(0.0, 0.1))
                child.send_signal(number)
            _, stderr = child.communicate()
        # A signal that comes while Python exits ends it by that signal, which shells show the same.
        assert child.returncode in (0, 128 + signals[0], -signals[0])
        assert "Traceback" not in stderr and "Exception" not in stderr
    fetch_photos([csv], tmp_path / "cache", QUICK)
    assert contents(tmp_path / "cache") == contents(tmp_path / "complete")
    assert not list((tmp_path / "cache" / "parts").iterdir())
    assert not list((tmp_path / "cache").glob("*.tmp")) + list((tmp_path / "cache").glob(".*.tmp"))


def test_a_ledger_damaged_in_its_middle_is_an_error(photo_server, csv_of_urls, cache_dir):
    csv = csv_of_urls(photo_server.url(f"ok/{n}") for n in range(300))
    fetch_photos([csv], cache_dir, QUICK)
    path = cache_dir / "ledger.sqlite3"
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 5] = b"\xff" * 4096 * 4
    path.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", "imagefec", "fetch", csv, f"--cache={cache_dir}"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"{path}: damaged ledger" in done.stderr


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_ledger_of_arbitrary_bytes_is_read_or_an_error(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "fuzzed"
    url = "http://a.example/x"
    if not folder.exists():
        folder.mkdir()
        with contextlib.closing(Ledger(folder)) as ledger:
            ledger.record([Outcome(url, "gone", "http 404")])
        (folder / "good").write_bytes((folder / "ledger.sqlite3").read_bytes())
    content = bytearray((folder / "good").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "ledger.sqlite3").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(UserError), Cache(folder) as cache:
        cache.reason(url)


def test_a_cache_without_write_permission_is_an_error_and_can_be_read(
    photo_server, csv_of_urls, small_disk
):
    csv = csv_of_urls([photo_server.url("ok/x")])
    fetch_photos([csv], small_disk.path, QUICK)
    small_disk.mount("remount,ro")
    with pytest.raises(UserError, match=r"cannot be written \(Read-only file system\)"):
        fetch_photos([csv], small_disk.path, QUICK)
    with Cache(small_disk.path) as cache:
        assert cache.photo_path(photo_server.url("ok/x"))


def test_a_process_that_may_start_few_threads_fetches_all(photo_server, csv_of_urls, cache_dir):
    csv = csv_of_urls(photo_server.url(f"ok/{n}") for n in range(60))
    program = (
        "import threading\n"
        "from imagefec.data.fetch.stage import FetchConfig, fetch_photos\n"
        "start, left = threading.Thread.start, [3]\n"
        "def limited(thread):\n"
        "    left[0] -= 1\n"
        "    if left[0] < 0:\n"
        '        raise RuntimeError("can\'t start new thread")\n'  # as the system does
        "    start(thread)\n"
        "threading.Thread.start = limited\n"
        f"report = fetch_photos([{str(csv)!r}], {str(cache_dir)!r}, FetchConfig(workers=16))\n"
        "assert report.n_ok == 60\n"
    )
    subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, check=True)


@pytest.mark.parametrize(
    "flag",
    [
        "--workers=1000000000",
        "--workers=0",
        "--workers=-1",
        "--workers=1.5",
        "--workers=many",
        "--max_rate_per_host=1e-9",
        "--max_rate_per_host=0",
        "--max_rate_per_host=nan",
        "--max_rate_per_host=inf",
        "--max_rate_per_host=-1",
        "--cache=",
        "--from_dir=",
    ],
)
def test_a_flag_out_of_range_is_refused_by_name(csv_of_urls, cache_dir, flag, capsys):
    csv = csv_of_urls(["http://127.0.0.1:1/x"])
    with pytest.raises(SystemExit) as stopped:
        cli.main(["fetch", str(csv), f"--cache={cache_dir}", flag])
    assert stopped.value.code == 2
    assert f"argument {flag.partition('=')[0]}: " in capsys.readouterr().err


def test_a_second_process_on_the_same_cache_exits_with_2_and_one_sentence(
    photo_server, csv_of_urls, cache_dir
):
    csv = csv_of_urls([photo_server.url("held/x")])
    command = [sys.executable, "-m", "imagefec", "fetch", csv, f"--cache={cache_dir}"]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as first:
        while not photo_server.hits and first.poll() is None:
            time.sleep(0.01)
        second = subprocess.run(
            command, env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        assert (second.returncode, second.stdout) == (2, "")
        assert (
            f"another fetch (process {first.pid}) is writing to this folder" in second.stderr
            and "Traceback" not in second.stderr
        )
        photo_server.gate.set()
        out, _ = first.communicate()
        assert first.returncode == 0 and out.decode().splitlines()[-1] == str(cache_dir)


def test_a_url_always_refused_by_a_host_that_serves_others_ends_as_failed(
    photo_server, csv_of_urls, cache_dir, monkeypatch
):
    monkeypatch.setattr(rate_limit, "MAX_REFUSALS", 2)
    csv = csv_of_urls(
        [photo_server.url("never/x")] + [photo_server.url(f"ok/{n}") for n in range(12)]
    )
    report = fetch_photos([csv], cache_dir, replace(QUICK, attempts=1))
    assert (report.n_ok, report.n_failed, report.reasons) == (12, 1, {"rate limited": 1})
    (facts,) = report.hosts.values()
    assert not facts["given_up"]
    assert 2 <= photo_server.hits["/never/x"] <= 4


def test_a_placeholder_of_an_earlier_fetch_is_recognised(photo_server, csv_of_urls, cache_dir):
    fetch_photos([csv_of_urls(photo_server.url(f"same/{n}") for n in range(8))], cache_dir, QUICK)
    csv = csv_of_urls([photo_server.url("same/new"), photo_server.url("ok/new")])
    report = fetch_photos([csv], cache_dir, QUICK)
    assert (report.n_ok, report.reasons) == (1, {"placeholder picture": 1})


def test_progress_shows_the_remaining_back_off_of_a_host(photo_server, csv_of_urls, cache_dir):
    shown = []

    class Bar:
        total = None

        def update(self, n):
            pass

        def set_postfix(self, **counts):
            shown.append(counts)

    fetch_photos([csv_of_urls([photo_server.url("later/x")])], cache_dir, QUICK, progress=Bar())
    waits = [counts["waiting"] for counts in shown if "waiting" in counts]
    assert waits and all(re.fullmatch(r"[01] s for 127\.0\.0\.1:\d+", wait) for wait in waits)
    assert shown[-1] == {"ok": 1, "gone": 0, "failed": 0}


def test_the_urls_of_a_host_given_up_fail_page_by_page(cache_dir):
    cache_dir.mkdir()
    urls = [f"http://a/{n}" for n in range(10 * scheduler.PAGE_SIZE)]

    def refuse(url):
        return Attempt(HostResponse.THROTTLED, reason="http 429", retry_after_s=86_400.0)

    with contextlib.closing(Ledger(cache_dir)) as ledger:
        ledger.add_pending((url, host_of(url), "", "") for url in urls)
        pages = list(FetchRun(ledger, refuse, replace(QUICK, give_up_s=60.0)).outcomes())
    assert sorted(outcome.url for page in pages for outcome in page) == sorted(urls)
    assert max(map(len, pages)) <= 2 * scheduler.PAGE_SIZE
