"""Fetching from a real server that misbehaves: what is stored, what is retried, and resumption."""

# Over 350 lines: one function, every behaviour of one server.

import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import imagefec
from imagefec.data.fetch import retries, scheduler
from imagefec.data.fetch.photo_cache.cache import Cache
from imagefec.data.fetch.report import describe
from imagefec.data.fetch.stage import FetchConfig, fetch_photos
from imagefec.errors import UserError
from imagefec.faces import photo_files

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(imagefec.__file__).parents[1])}
QUICK = FetchConfig(workers=4, timeout_s=0.5, attempts=2, backoff_s=0.01)


def objects_of(cache_dir):
    return sorted(path for path in (cache_dir / "objects").rglob("*") if path.is_file())


def test_each_photo_is_requested_once_and_stored_under_the_hash_of_its_bytes(
    photo_server, csv_of_urls, cache_dir, photo_bytes
):
    urls = [photo_server.url(f"ok/{n},é {n}.jpg") for n in range(20)]
    train = csv_of_urls(urls + urls[:7])
    test = csv_of_urls(urls[5:], "faceexp-comparison-data-test-public.csv")
    report = fetch_photos([train, test], cache_dir, FetchConfig(workers=4))
    assert (report.n_urls, report.n_ok, report.n_fetched) == (20, 20, 20)
    assert (report.n_gone, report.n_failed) == (0, 0)
    assert report.reasons == {} and sum(photo_server.hits.values()) == 20
    with Cache(cache_dir) as cache:
        paths = [cache.photo_path(url) for url in urls]
        assert [cache.reason(url) for url in urls] == [None] * 20
    assert report.n_bytes == sum(path.stat().st_size for path in paths)
    for path in paths:
        assert path.name == hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.parent == cache_dir / "objects" / path.name[:2]
    assert json.loads((cache_dir / "stats.json").read_text()) == report.as_json()
    (agent,) = photo_server.agents
    assert re.fullmatch(r"imagefec/\S+ \(\+https://pypi\.org/project/imagefec\)", agent)


def test_a_second_run_requests_nothing(photo_server, csv_of_urls, cache_dir):
    csv = csv_of_urls(photo_server.url(f"ok/{n}") for n in range(9))
    first = fetch_photos([csv], cache_dir)
    again = fetch_photos([csv], cache_dir)
    assert (again.n_ok, again.n_fetched, again.n_bytes) == (9, 0, first.n_bytes)
    assert set(photo_server.hits.values()) == {1}


def test_photos_lost_or_truncated_on_disk_are_fetched_again(photo_server, csv_of_urls, cache_dir):
    csv = csv_of_urls(photo_server.url(f"ok/{n}") for n in range(6))
    fetch_photos([csv], cache_dir)
    lost, truncated = objects_of(cache_dir)[:2]
    lost.unlink()
    truncated.write_bytes(truncated.read_bytes()[:10])
    assert fetch_photos([csv], cache_dir).n_fetched == 2
    assert all(
        hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in objects_of(cache_dir)
    )


def test_the_same_bytes_under_two_urls_are_one_file(photo_server, csv_of_urls, cache_dir):
    report = fetch_photos([csv_of_urls(photo_server.url(f"same/{n}") for n in range(3))], cache_dir)
    assert report.n_ok == 3 and len(objects_of(cache_dir)) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_every_format_is_recognised_by_its_first_bytes(photo_server, csv_of_urls, cache_dir, kind):
    csv = csv_of_urls([photo_server.url(f"kind/{kind}")])
    assert fetch_photos([csv], cache_dir, QUICK).n_ok == 1


# way -> (status, reason, requests with attempts=2)
ENDINGS = {
    "status/404/x": ("gone", "http 404", 1),
    "status/410/x": ("gone", "http 410", 1),
    "status/403/x": ("gone", "http 403", 1),
    "status/400/x": ("failed", "http 400", 1),
    "status/500/x": ("failed", "http 500", 2),
    "status/503/x": ("failed", "http 503", 2),
    "truncated/x": ("failed", "truncated body", 2),
    "short_length/x": ("failed", "truncated image", 2),
    "gzip_bomb/x": ("gone", "larger than 30000 bytes", 1),
    "chunked/truncated": ("failed", "truncated body", 2),
    "html/x": ("gone", "not an image: text/html", 1),
    "odd_type/x": ("gone", "not an image: odd content type", 1),
    "empty/x": ("failed", "empty body", 2),
    "loop/x": ("gone", "too many redirects", 6),
    "to_file/x": ("gone", "bad url", 1),
    "silent/x": ("failed", "timed out", 2),
    "reset/x": ("failed", "connection broken", 2),
    "nonsense/x": ("failed", "connection broken", 2),
    "huge/x": ("gone", "larger than 30000 bytes", 1),
    "endless/x": ("gone", "larger than 30000 bytes", 1),
    "bomb/x": ("gone", "more than 100000000 pixels", 1),
    "truncated_image/JPEG": ("failed", "truncated image", 2),
    "truncated_image/PNG": ("failed", "truncated image", 2),
    "unavailable/x": ("gone", "placeholder picture", 1),
    "no_ai/": ("gone", "refused by x-robots-tag", 1),
    "no_ai/imagefec: ": ("gone", "refused by x-robots-tag", 1),
    "other_bot/x": ("ok", None, 1),
    "with_video/x": ("ok", None, 1),
    "recovers/x": ("ok", None, 2),
    "truncated_once/x": ("ok", None, 2),
    "chunked/complete": ("ok", None, 1),
}


def test_every_fault_of_a_server_gives_its_status_and_reason(photo_server, csv_of_urls, cache_dir):
    csv = csv_of_urls(photo_server.url(way) for way in ENDINGS)
    report = fetch_photos([csv], cache_dir, replace(QUICK, max_bytes=30_000))
    with Cache(cache_dir) as cache:
        reasons = {way: cache.reason(photo_server.url(way)) for way in ENDINGS}
        stored = {way for way in ENDINGS if cache.photo_path(photo_server.url(way))}
    assert reasons == {way: reason for way, (_, reason, _) in ENDINGS.items()}
    assert stored == {way for way, (status, _, _) in ENDINGS.items() if status == "ok"}
    assert {way: photo_server.hits[f"/{way}".replace(" ", "%20")] for way in ENDINGS} == {
        way: n_requests for way, (_, _, n_requests) in ENDINGS.items()
    }
    statuses = [status for status, _, _ in ENDINGS.values()]
    assert (report.n_ok, report.n_gone, report.n_failed) == tuple(
        statuses.count(status) for status in ("ok", "gone", "failed")
    )
    assert sum(report.reasons.values()) == report.n_gone + report.n_failed
    assert report.reasons["larger than 30000 bytes"] == 3
    assert not list((cache_dir / "parts").iterdir())


def test_failed_urls_are_retried_by_the_next_run_and_gone_ones_only_on_request(
    photo_server, csv_of_urls, cache_dir
):
    csv = csv_of_urls(photo_server.url(way) for way in ("status/404/x", "recovers/x", "html/x"))
    once = replace(QUICK, attempts=1)
    first = fetch_photos([csv], cache_dir, once)
    assert first.reasons == {"http 404": 1, "http 503": 1, "not an image: text/html": 1}
    second = fetch_photos([csv], cache_dir, once)
    assert (second.n_ok, second.n_gone, second.n_failed, second.n_fetched) == (1, 2, 0, 1)
    assert photo_server.hits["/status/404/x"] == 1
    fetch_photos([csv], cache_dir, replace(once, retry_failed=True))
    assert photo_server.hits == {"/status/404/x": 2, "/recovers/x": 2, "/html/x": 2}


@pytest.mark.parametrize(("way", "least_s"), [("later", 1.0), ("busy", 1.0), ("dated", 0.9)])
def test_retry_after_is_honoured(photo_server, csv_of_urls, cache_dir, way, least_s):
    # In seconds with a 429, with a 503, and as a date, which has no fraction of a second.
    report = fetch_photos([csv_of_urls([photo_server.url(f"{way}/x")])], cache_dir, QUICK)
    first, second = photo_server.times[f"/{way}/x"]
    assert report.n_ok == 1 and second - first >= least_s


def test_the_wait_between_attempts_doubles(photo_server, csv_of_urls, cache_dir, monkeypatch):
    delays = []

    class Queues(scheduler.HostQueues):
        def put(self, tasks, delay_s=0.0):
            delays.append(delay_s)
            super().put(tasks, delay_s)

    monkeypatch.setattr(scheduler, "HostQueues", Queues)
    monkeypatch.setattr(retries.random, "uniform", lambda low, high: (low + high) / 2)
    csv = csv_of_urls([photo_server.url("status/500/x")])
    fetch_photos([csv], cache_dir, replace(QUICK, attempts=4))
    assert delays == pytest.approx([0, 0.01, 0.02, 0.04])


def test_a_server_that_sends_byte_by_byte_times_out(photo_server, csv_of_urls, cache_dir):
    # The complete body would take a minute and end as "truncated body".
    csv = csv_of_urls([photo_server.url("drip/x")])
    report = fetch_photos([csv], cache_dir, replace(QUICK, attempts=1, timeout_s=0.1))
    assert report.reasons == {"timed out": 1}


def test_redirects_are_followed_and_the_final_url_is_recorded(photo_server, csv_of_urls, cache_dir):
    assert fetch_photos([csv_of_urls([photo_server.url("moved/x")])], cache_dir, QUICK).n_ok == 1
    with sqlite3.connect(cache_dir / "ledger.sqlite3") as db:
        assert db.execute("SELECT final_url FROM photos").fetchall() == [
            (photo_server.url("ok/x"),)
        ]


def test_urls_of_missing_hosts_fail_with_reasons(csv_of_urls, cache_dir):
    urls = [
        "http://127.0.0.1:1/x.jpg",
        "http://nowhere.invalid/x.jpg",
        "http://[::1/x.jpg",
        "http://a:b:c/x",
    ]
    report = fetch_photos([csv_of_urls(urls)], cache_dir, QUICK)
    assert report.reasons == {"bad url": 2, "host not found": 1, "no connection": 1}


def test_file_urls_are_copied_and_refused_with_reasons(
    csv_of_urls, cache_dir, tmp_path, photo_bytes
):
    good, text, big = tmp_path / "a, ü.jpg", tmp_path / "text.jpg", tmp_path / "big.jpg"
    good.write_bytes(photo_bytes("good"))
    text.write_text("no picture at all, only words")
    big.write_bytes(photo_bytes("big") + bytes(20_000))
    os.mkfifo(tmp_path / "pipe.jpg")
    names = [good, text, big, tmp_path / "none.jpg", tmp_path / "pipe.jpg", tmp_path]
    report = fetch_photos(
        [csv_of_urls(path.as_uri() for path in names)], cache_dir, replace(QUICK, max_bytes=20_000)
    )
    assert report.n_ok == 1 and report.reasons == {
        "not an image: a file": 1,
        "larger than 20000 bytes": 1,
        "no such file": 1,
        "not a file": 1,
        "file cannot be read": 1,
    }
    with Cache(cache_dir) as cache:
        assert cache.photo_path(good.as_uri()).read_bytes() == good.read_bytes()


def test_a_killed_fetch_resumes(photo_server, csv_of_urls, cache_dir):
    urls = [photo_server.url(f"slow/{n}") for n in range(300)]
    csv = csv_of_urls(urls)
    program = (
        "from imagefec.data.fetch.stage import FetchConfig, fetch_photos\n"
        f"fetch_photos([{str(csv)!r}], {str(cache_dir)!r}, FetchConfig(workers=4))"
    )
    child = subprocess.Popen([sys.executable, "-c", program], env=ENVIRONMENT)
    deadline = time.monotonic() + 20
    while sum(photo_server.hits.values()) < 100 and time.monotonic() < deadline:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    time.sleep(0.1)  # until the server has finished the killed client's requests
    n_before = sum(photo_server.hits.values())
    with sqlite3.connect(cache_dir / "ledger.sqlite3") as db:
        done = [url for (url,) in db.execute("SELECT url FROM photos WHERE status = 'ok'")]
    assert 80 <= len(done) < 300  # killed before its end; finished photos are in the ledger
    (cache_dir / "parts" / "1.part").write_bytes(b"half a photo")

    report = fetch_photos([csv], cache_dir, FetchConfig(workers=4))
    assert (report.n_ok, report.n_fetched) == (300, 300 - len(done))
    assert all(photo_server.hits[url.removeprefix(photo_server.url("")[:-1])] == 1 for url in done)
    assert sum(photo_server.hits.values()) == n_before + 300 - len(done)
    assert n_before - len(done) <= 2 * 4  # only what was in flight is requested twice
    assert not list((cache_dir / "parts").iterdir())
    assert all(
        hashlib.sha256(path.read_bytes()).hexdigest() == path.name for path in objects_of(cache_dir)
    )


def test_a_second_fetch_on_the_same_cache_is_refused(photo_server, csv_of_urls, cache_dir):
    csv = csv_of_urls([photo_server.url("held/x")])
    first = threading.Thread(target=fetch_photos, args=([csv], cache_dir))
    first.start()
    while not photo_server.hits:
        time.sleep(0.005)
    with pytest.raises(UserError, match=rf"another fetch \(process {os.getpid()}\)") as refusal:
        fetch_photos([csv], cache_dir)
    assert str(cache_dir) in str(refusal.value)
    photo_server.gate.set()
    first.join()
    assert fetch_photos([csv], cache_dir).n_ok == 1


def test_a_photo_above_the_file_size_limit_is_an_error(
    csv_of_urls, cache_dir, tmp_path, photo_bytes
):
    (tmp_path / "big.jpg").write_bytes(photo_bytes("big") + bytes(2_000_000))
    csv = csv_of_urls([(tmp_path / "big.jpg").as_uri()])
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "from imagefec.data.fetch.stage import fetch_photos\n"
        f"fetch_photos([{str(csv)!r}], {str(cache_dir)!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert "UserError" in done.stderr and "cannot be written (File too large)" in done.stderr
    assert not list((cache_dir / "parts").iterdir())


def test_a_cache_that_cannot_be_made_is_an_error(csv_of_urls, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        fetch_photos([csv_of_urls(["http://127.0.0.1:1/x"])], tmp_path / "file" / "cache")


def test_a_damaged_or_foreign_ledger_is_an_error(csv_of_urls, cache_dir):
    csv = csv_of_urls(["http://127.0.0.1:1/x"])
    cache_dir.mkdir()
    (cache_dir / "ledger.sqlite3").write_bytes(b"no database at all " * 100)
    for use in (lambda: fetch_photos([csv], cache_dir), lambda: Cache(cache_dir)):
        with pytest.raises(UserError, match="damaged ledger"):
            use()
    (cache_dir / "ledger.sqlite3").unlink()
    with sqlite3.connect(cache_dir / "ledger.sqlite3") as db:
        db.execute("PRAGMA user_version=99")
    for use in (lambda: fetch_photos([csv], cache_dir), lambda: Cache(cache_dir)):
        with pytest.raises(UserError, match="version 99"):
            use()


def test_a_folder_without_a_ledger_is_not_a_cache(tmp_path):
    with pytest.raises(UserError, match="is not a photo cache"):
        Cache(tmp_path)


def test_the_cache_reports_unknown_urls_and_missing_files(photo_server, csv_of_urls, cache_dir):
    fetch_photos([csv_of_urls([photo_server.url("ok/x")])], cache_dir)
    with Cache(cache_dir) as cache:
        assert (
            cache.photo_path("http://a/b") is None and cache.reason("http://a/b") == "not fetched"
        )
        cache.photo_path(photo_server.url("ok/x")).unlink()
        assert cache.photo_path(photo_server.url("ok/x")) is None
        assert cache.reason(photo_server.url("ok/x")) == "file missing from the cache"


def test_bad_rows_stop_the_fetch_unless_skipped(photo_server, csv_of_urls, cache_dir):
    csv = csv_of_urls([photo_server.url("ok/x")])
    csv.write_text(csv.read_text() + "a,b,c\n")
    with pytest.raises(UserError, match="line 2: found 3 columns"):
        fetch_photos([csv], cache_dir)
    assert not photo_server.hits
    report = fetch_photos([csv], cache_dir, FetchConfig(skip_bad_rows=True))
    assert (report.n_ok, report.n_rows_refused) == (1, 1)
    assert report.rows_refused == {"wrong number of columns": 1}
    assert "1 bad rows of the csv files skipped, each a lost triplet: 1 wrong" in describe(report)


def test_the_report_says_how_many_triplets_each_reason_costs(photo_server, csv_of_urls, cache_dir):
    ok, gone = [photo_server.url(f"ok/{n}") for n in range(4)], photo_server.url("status/404/x")
    html = photo_server.url("html/x")
    csv = csv_of_urls([*ok[:3], ok[0], ok[1], gone, gone, gone, html, ok[2], ok[3], html])
    report = fetch_photos([csv], cache_dir, QUICK)
    assert report.reasons == {"http 404": 1, "not an image: text/html": 1}
    assert report.triplets_lost == {"http 404": 2, "not an image: text/html": 2}
    assert report.triplets["train"]["whole"] == 1
    assert "lost      1: http 404 (2 triplets)" in describe(report)


def test_a_csv_file_given_twice_counts_once(photo_server, csv_of_urls, cache_dir, tmp_path):
    csv = csv_of_urls([photo_server.url("ok/x")])
    (tmp_path / "link").symlink_to(tmp_path)
    report = fetch_photos([csv, csv, tmp_path / "link" / csv.name], cache_dir, QUICK)
    assert report.triplets["train"]["n_triplets"] == 1


def test_urls_of_every_spelling_are_requested_as_browsers_do(photo_server, csv_of_urls, cache_dir):
    long_name = "x" * 10_000
    paths = {
        "ok/a b.jpg": "/ok/a%20b.jpg",
        "ok/caf\u00e9.jpg": "/ok/caf%C3%A9.jpg",
        "ok/caf%C3%A9.jpg": "/ok/caf%C3%A9.jpg",
        "ok/100%.jpg": "/ok/100%25.jpg",
        "ok/a.jpg?x=\u00e9&y": "/ok/a.jpg?x=%C3%A9&y",
        "ok/a.jpg#part": "/ok/a.jpg",
        "ok/\u202egpj.a": "/ok/%E2%80%AEgpj.a",
        f"ok/{long_name}": f"/ok/{long_name}",
    }
    login = photo_server.url("ok/login.jpg").replace("//", "//user:password@")
    capitals = photo_server.url("ok/c.jpg").replace("http://127.0.0.1", "HTTP://LocalHost")
    csv = csv_of_urls([*map(photo_server.url, paths), login, capitals])
    report = fetch_photos([csv], cache_dir, QUICK)
    assert report.n_ok == len(paths) + 2
    assert set(photo_server.hits) == {*paths.values(), "/ok/login.jpg", "/ok/c.jpg"}
    assert not any("password" in host for host in report.hosts)


def test_international_host_names_are_looked_up_in_their_ascii_form(csv_of_urls, cache_dir):
    urls = ["http://b\u00fccher.invalid/x", f"http://{'a' * 64}.invalid/x", "http://a..invalid/x"]
    report = fetch_photos([csv_of_urls(urls)], cache_dir, QUICK)
    assert report.reasons == {"host not found": 1, "bad url": 2}


def test_progress_gets_every_url_once(photo_server, csv_of_urls, cache_dir):
    class Bar:
        total, n, shown = None, 0, None

        def update(self, n):
            self.n += n

        def set_postfix(self, **counts):
            self.shown = counts

    csv = csv_of_urls(
        [photo_server.url(f"ok/{n}") for n in range(5)] + [photo_server.url("status/404/x")]
    )
    for _ in range(2):
        bar = Bar()
        fetch_photos([csv], cache_dir, QUICK, progress=bar)
        assert (bar.total, bar.n, bar.shown) == (6, 6, {"ok": 5, "gone": 1, "failed": 0})


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"attempts": 0},
        {"timeout_s": 0},
        {"give_up_s": 0},
        {"backoff_s": -1},
        {"placeholder_urls": -1},
        {"max_bytes": 0},
        {"max_pixels": 0},
        {"max_pixels": photo_files.MAX_PIXELS + 1},  # crop could not read them
        {"max_rate_per_host": 0},
        {"max_rate_per_host": 1e-9},  # one request in 30 years
        {"max_rate_per_host": float("nan")},
        {"workers": 10**9},
        {"workers": True},
        {"workers": 2.5},
        {"workers": "16"},
        {"timeout_s": float("inf")},
        {"timeout_s": None},
    ],
)
def test_numbers_out_of_range_are_a_callers_bug(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FetchConfig(**wrong)


def test_a_fetch_without_csv_files_is_a_callers_bug(cache_dir):
    with pytest.raises(ValueError, match="at least one csv file"):
        fetch_photos([], cache_dir)
