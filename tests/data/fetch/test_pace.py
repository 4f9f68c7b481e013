"""Fetches from hosts that limit the rate, refuse or do not answer; imports; the report."""

import hashlib
import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from imagefec.data.fetch import local_import
from imagefec.data.fetch.download import refuses_ai
from imagefec.data.fetch.pace import rate_limit
from imagefec.data.fetch.photo_cache.cache import Cache
from imagefec.data.fetch.report import describe
from imagefec.data.fetch.stage import FetchConfig, fetch_photos
from imagefec.errors import UserError

QUICK = FetchConfig(timeout_s=0.5, attempts=2, backoff_s=0.01)
TEST_CSV = "faceexp-comparison-data-test-public.csv"


def test_a_rate_limit_loses_no_photo_and_costs_no_attempt(photo_server, csv_of_urls, cache_dir):
    photo_server.limit = photo_server.tokens = 10.0  # at once, and per second: a slow machine's too
    csv = csv_of_urls(photo_server.url(f"bucket/{n}") for n in range(60))
    report = fetch_photos([csv], cache_dir, replace(QUICK, attempts=1))
    assert (report.n_ok, report.n_failed, report.n_gone) == (60, 0, 0)
    (facts,) = report.hosts.values()
    assert facts["n_throttled"] == sum(photo_server.hits.values()) - 60 > 0
    assert not facts["given_up"] and not facts["at_any_rate"]


def test_urls_that_are_refused_once_do_not_slow_the_others(photo_server, csv_of_urls, cache_dir):
    csv = csv_of_urls(photo_server.url(f"one_in_twelve/{n}/1") for n in range(240))
    report = fetch_photos([csv], cache_dir, replace(QUICK, attempts=1))
    assert (report.n_ok, report.n_failed) == (240, 0)
    assert sum(photo_server.hits.values()) == 240 + 20  # none is requested more often than needed
    for times in photo_server.times.values():
        if len(times) == 2:
            assert times[1] - times[0] >= 1.0  # Retry-After; a busy machine makes it longer
    (facts,) = report.hosts.values()
    assert facts["at_any_rate"] and not facts["given_up"]
    assert facts["rate_per_s"] is None  # no longer limited
    assert "refused some requests at any rate" in describe(report)


@pytest.mark.slow
def test_urls_that_are_always_refused_do_not_slow_the_others(photo_server, csv_of_urls, cache_dir):
    csv = csv_of_urls(photo_server.url(f"one_in_twelve/{n}/99") for n in range(468))
    report = fetch_photos([csv], cache_dir)
    assert (report.n_ok, report.reasons) == (429, {"rate limited": 39})
    refused = [n for n in photo_server.hits.values() if n > 1]
    assert refused == [rate_limit.MIN_REFUSALS] * 39
    assert next(iter(report.hosts.values()))["at_any_rate"]


def test_a_host_that_always_refuses_is_given_up_until_the_next_run(
    photo_server, csv_of_urls, cache_dir
):
    csv = csv_of_urls([photo_server.url(f"tomorrow/{n}") for n in range(30)])
    report = fetch_photos([csv], cache_dir, QUICK)
    assert report.reasons == {"rate limited": 30} and report.n_failed == 30
    assert sum(photo_server.hits.values()) == 1  # a new host gets one request until it has answered
    (facts,) = report.hosts.values()
    assert facts["given_up"]
    fetch_photos([csv], cache_dir, QUICK)
    assert sum(photo_server.hits.values()) == 2


def test_a_host_in_back_off_does_not_delay_another(
    photo_server, other_server, csv_of_urls, cache_dir
):
    # The first host refuses until the second has been asked for all its photos. If it delayed the
    # second, it would be given up.
    refused = [photo_server.url(f"until_gate/{n}") for n in range(6)]
    csv = csv_of_urls(refused + [other_server.url(f"ok/{n}") for n in range(200)])

    def open_gate():
        while len(other_server.hits) < 200:
            time.sleep(0.01)
        photo_server.gate.set()

    threading.Thread(target=open_gate, daemon=True).start()
    report = fetch_photos([csv], cache_dir, replace(QUICK, workers=4, give_up_s=8.0))
    assert report.n_ok == 206
    assert report.hosts[f"127.0.0.1:{photo_server.server_port}"]["n_throttled"] > 0


def test_a_host_that_never_answers_gets_cool_downs_and_is_then_given_up(
    photo_server, csv_of_urls, cache_dir, monkeypatch
):
    monkeypatch.setattr(rate_limit, "FIRST_COOLDOWN_S", 0.2)
    csv = csv_of_urls(photo_server.url(f"reset/{n}") for n in range(60))
    report = fetch_photos([csv], cache_dir, replace(QUICK, give_up_s=1.5, workers=4, attempts=9))
    assert report.n_failed == 60
    assert set(report.reasons) <= {"host does not answer", "connection broken"}
    assert report.reasons["host does not answer"] > 40
    assert sum(photo_server.hits.values()) < 60


def test_urls_that_always_fail_do_not_make_their_host_seem_down(
    photo_server, csv_of_urls, cache_dir, monkeypatch
):
    # An open circuit breaker would give up the host at once.
    monkeypatch.setattr(rate_limit, "FIRST_COOLDOWN_S", rate_limit.MAX_COOLDOWN_S)
    csv = csv_of_urls(
        photo_server.url(f"status/500/{n}" if n % 8 == 3 else f"ok/{n}") for n in range(400)
    )
    report = fetch_photos([csv], cache_dir, replace(QUICK, attempts=4, give_up_s=100.0))
    assert (report.n_ok, report.reasons) == (350, {"http 500": 50})


def test_the_users_rate_limit_holds(photo_server, csv_of_urls, cache_dir):
    csv = csv_of_urls(photo_server.url(f"ok/{n}") for n in range(30))
    assert fetch_photos([csv], cache_dir, replace(QUICK, max_rate_per_host=20.0)).n_ok == 30
    times = sorted(time for of_path in photo_server.times.values() for time in of_path)
    # A lower bound only: a busy machine cannot break it.
    assert times[-1] - times[0] > 28 / 20 - 0.1


def test_one_image_for_many_urls_is_a_placeholder_unless_the_check_is_off(
    photo_server, csv_of_urls, cache_dir, tmp_path
):
    csv = csv_of_urls(
        [photo_server.url(f"same/{n}") for n in range(8)]
        + [photo_server.url(f"ok/{n}") for n in range(4)]
    )
    report = fetch_photos([csv], cache_dir, QUICK)
    assert (report.n_ok, report.n_gone, report.reasons) == (4, 8, {"placeholder picture": 8})
    with Cache(cache_dir) as cache:
        assert cache.photo_path(photo_server.url("same/3")) is None
    assert (
        fetch_photos([csv], tmp_path / "unchecked", replace(QUICK, placeholder_urls=0)).n_ok == 12
    )


def test_noai_is_respected_unless_switched_off(photo_server, csv_of_urls, cache_dir, tmp_path):
    csv = csv_of_urls([photo_server.url("no_ai/")])
    assert fetch_photos([csv], cache_dir, QUICK).reasons == {"refused by x-robots-tag": 1}
    config = replace(QUICK, retry_failed=True, ignore_x_robots_tag=True)
    assert fetch_photos([csv], cache_dir, config).n_ok == 1


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ([], False),
        (["noindex, nofollow"], False),
        (["noai"], True),
        (["NoIndex, NoImageAI"], True),
        (["otherbot: noai"], False),
        (["otherbot: noindex, noai"], False),
        (["imagefec: noai"], True),
        (["*: noimageai"], True),
        (["otherbot: noai", "noimageai"], True),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], True),
        (["max-image-preview: large"], False),
        (["noaiplease"], False),
    ],
)
def test_x_robots_tags_apply_to_the_robot_they_address(headers, refused):
    assert refuses_ai(headers) is refused


def test_the_report_counts_triplets_with_all_three_photos(photo_server, csv_of_urls, cache_dir):
    train = csv_of_urls(
        [photo_server.url(f"ok/{n}") for n in range(5)] + [photo_server.url("status/404/x")]
    )
    test = csv_of_urls([photo_server.url(f"ok/{n}") for n in (1, 2, 2)], TEST_CSV)
    report = fetch_photos([train, test], cache_dir, QUICK)
    none = {"n_triplets": 0, "whole": 0}
    assert report.triplets == {
        "train": {
            "n_triplets": 2,
            "whole": 1,
            "by_type": {
                "one_class": {"n_triplets": 2, "whole": 1},
                "two_class": none,
                "three_class": none,
            },
        },
        "test": {
            "n_triplets": 1,
            "whole": 1,
            "by_type": {
                "one_class": {"n_triplets": 1, "whole": 1},
                "two_class": none,
                "three_class": none,
            },
        },
    }
    assert json.loads((cache_dir / "stats.json").read_text()) == report.as_json()


def test_photos_that_the_user_has_are_imported_by_name_and_not_requested(
    photo_server, csv_of_urls, cache_dir, tmp_path, photo_bytes
):
    plain, hashed, quoted, absent, broken = (
        photo_server.url(f"ok/{name}")
        for name in ("a b.jpg", "h.jpg", "q.jpg?x=1", "absent.jpg", "broken.jpg")
    )
    twice = [photo_server.url("ok/1/image.jpg"), photo_server.url("ok/2/image.jpg")]
    mine = tmp_path / "mine"
    (mine / "deep").mkdir(parents=True)
    (mine / "deep" / "a b.jpg").write_bytes(photo_bytes("a"))
    (mine / f"{hashlib.sha256(hashed.encode()).hexdigest()}.jpeg").write_bytes(photo_bytes("h"))
    (mine / quote(quoted, safe="")).write_bytes(photo_bytes("q"))
    (mine / "broken.jpg").write_bytes(b"<html>")
    (mine / "image.jpg").write_bytes(photo_bytes("i"))
    csv = csv_of_urls([plain, hashed, quoted, absent, broken, *twice])
    report = fetch_photos([csv], cache_dir, QUICK, from_dir=mine)
    assert (report.n_ok, report.n_imported, report.n_ambiguous, report.n_fetched) == (7, 3, 2, 4)
    assert set(photo_server.hits) == {
        "/ok/absent.jpg",
        "/ok/broken.jpg",
        "/ok/1/image.jpg",
        "/ok/2/image.jpg",
    }
    with Cache(cache_dir) as cache:
        assert cache.photo_path(plain).read_bytes() == photo_bytes("a")
        assert cache.photo_path(quoted).read_bytes() == photo_bytes("q")


def test_a_name_shared_by_two_files_is_ambiguous(
    photo_server, csv_of_urls, cache_dir, tmp_path, photo_bytes
):
    for folder in ("one", "two"):
        (tmp_path / "mine" / folder).mkdir(parents=True)
        (tmp_path / "mine" / folder / "x.jpg").write_bytes(photo_bytes(folder))
    report = fetch_photos(
        [csv_of_urls([photo_server.url("ok/x.jpg")])],
        cache_dir,
        QUICK,
        from_dir=tmp_path / "mine",
    )
    assert (report.n_imported, report.n_ambiguous, report.n_fetched) == (0, 1, 1)


def test_folder_names_distinguish_files_of_one_name(
    photo_server, csv_of_urls, cache_dir, tmp_path, photo_bytes, monkeypatch
):
    # An import on one page must not make a name on the next seem unique.
    monkeypatch.setattr(local_import, "_PAGE_SIZE", 1)
    for name in ("mine/train/x.jpg", "mine/test/x.jpg", "mine/other/train/y.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(photo_bytes(name))
    urls = [
        photo_server.url(f"ok/{name}")
        for name in ("train/x.jpg", "test/x.jpg", "train/y.jpg", "test/y.jpg")
    ]
    report = fetch_photos([csv_of_urls(urls)], cache_dir, QUICK, from_dir=tmp_path / "mine")
    # y.jpg is one file and two URLs: it is imported for the one with its folder, not for the other.
    assert (report.n_imported, report.n_ambiguous, report.n_fetched) == (3, 1, 1)
    with Cache(cache_dir) as cache:
        assert cache.photo_path(urls[1]).read_bytes() == photo_bytes("mine/test/x.jpg")
        assert cache.photo_path(urls[3]).read_bytes() == photo_bytes("test/y.jpg")


def test_a_name_shared_by_several_urls_stays_ambiguous_in_later_runs(
    photo_server, csv_of_urls, cache_dir, tmp_path, photo_bytes
):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.jpg").write_bytes(photo_bytes("x"))
    csv = csv_of_urls([photo_server.url("ok/1/x.jpg"), photo_server.url("status/500/x.jpg")])
    for _ in range(2):
        report = fetch_photos([csv], cache_dir, QUICK, from_dir=tmp_path / "mine")
        assert (report.n_ok, report.n_failed, report.n_imported) == (1, 1, 0)


def test_a_folder_with_names_that_are_not_text_and_circular_links_is_searched(
    photo_server, csv_of_urls, cache_dir, tmp_path, photo_bytes
):
    mine = tmp_path / "mine"
    for name in (b"caf\xe9", b"b\xe9"):
        (Path(os.fsdecode(bytes(mine) + b"/" + name))).mkdir(parents=True)
    (mine / os.fsdecode(b"caf\xe9") / "x.jpg").write_bytes(photo_bytes("x"))
    (mine / os.fsdecode(b"caf\xe9") / os.fsdecode(b"\xff.jpg")).write_bytes(photo_bytes("y"))
    (mine / "ring").symlink_to(mine)
    report = fetch_photos(
        [csv_of_urls([photo_server.url("ok/x.jpg")])], cache_dir, QUICK, from_dir=mine
    )
    assert (report.n_imported, report.n_ambiguous) == (1, 0)


def test_a_missing_folder_is_an_error_before_any_request(
    photo_server, csv_of_urls, cache_dir, tmp_path
):
    with pytest.raises(UserError, match=r"--from_dir=.*no such folder"):
        fetch_photos(
            [csv_of_urls([photo_server.url("ok/x")])], cache_dir, from_dir=tmp_path / "absent"
        )
    assert not photo_server.hits


def test_a_changed_csv_file_costs_requests_for_its_new_urls_only(
    photo_server, csv_of_urls, cache_dir
):
    first = csv_of_urls([photo_server.url(f"ok/{n}") for n in range(6)])
    fetch_photos([first], cache_dir)
    second = csv_of_urls([photo_server.url(f"ok/{n}") for n in range(3, 9)])
    report = fetch_photos([second], cache_dir)
    assert (report.n_urls, report.n_ok, report.n_fetched) == (6, 6, 3)
    assert set(photo_server.hits.values()) == {1}


def test_progress_ends_without_waiting_hosts(photo_server, csv_of_urls, cache_dir):
    shown = []

    class Bar:
        total = None

        def update(self, n):
            pass

        def set_postfix(self, **counts):
            shown.append(counts)

    csv = csv_of_urls(
        [photo_server.url(f"later/{n}") for n in range(3)]
        + [photo_server.url(f"ok/{n}") for n in range(12)]
    )
    fetch_photos([csv], cache_dir, QUICK, progress=Bar())
    assert "waiting" not in shown[-1]
    assert shown[-1]["ok"] == 15
