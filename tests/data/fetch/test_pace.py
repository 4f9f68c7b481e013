"""Fetching from hosts that limit, refuse and fall silent: nothing is lost, and no host holds up another."""

import hashlib
import json
import os
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from imagefec.data.fetch import local_import, rate_limit
from imagefec.data.fetch.download import refuses_ai
from imagefec.data.fetch.stage import Cache, fetch_photos
from imagefec.errors import UserError

QUICK = {"timeout_s": 0.5, "attempts": 2, "backoff_s": 0.01}
TEST_CSV = "faceexp-comparison-data-test-public.csv"


@pytest.fixture
def cache_dir(tmp_path):
    return tmp_path / "cache"


def test_a_rate_limit_loses_no_photo_and_costs_no_attempt(photo_server, csv_of_urls, cache_dir):
    csv = csv_of_urls(photo_server.url(f"bucket/{n}") for n in range(150))  # 50 at once, 50/s
    report = fetch_photos([csv], cache_dir, **QUICK | {"attempts": 1})
    assert (report.n_ok, report.n_failed, report.n_gone) == (150, 0, 0)
    (facts,) = report.hosts.values()
    assert facts["n_throttled"] == sum(photo_server.hits.values()) - 150 > 0
    assert not facts["given_up"]


def test_a_host_that_refuses_for_ever_is_given_up_and_asked_again_by_the_next_run(
    photo_server, csv_of_urls, cache_dir
):
    csv = csv_of_urls([photo_server.url(f"tomorrow/{n}") for n in range(30)])
    start = time.monotonic()
    report = fetch_photos([csv], cache_dir, **QUICK)
    assert time.monotonic() - start < 10
    assert report.reasons == {"rate limited": 30} and report.n_failed == 30
    assert sum(photo_server.hits.values()) <= rate_limit.FIRST_WINDOW
    (facts,) = report.hosts.values()
    assert facts["given_up"]
    fetch_photos([csv], cache_dir, **QUICK)
    assert sum(photo_server.hits.values()) > rate_limit.FIRST_WINDOW


def test_a_host_that_is_waited_for_does_not_hold_up_another(
    photo_server, other_server, csv_of_urls, cache_dir
):
    slow = [photo_server.url(f"later/{n}") for n in range(40)]  # each refused once, for a second
    csv = csv_of_urls(slow + [other_server.url(f"ok/{n}") for n in range(200)])
    done_at = {}

    def watch():
        while len(other_server.hits) < 200:
            time.sleep(0.01)
        done_at["others"] = time.monotonic()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start = time.monotonic()
    report = fetch_photos([csv], cache_dir, give_up_s=4.0, workers=4, **QUICK)
    watcher.join(timeout=5)
    assert done_at["others"] - start < 0.8 * (time.monotonic() - start)
    assert report.hosts[f"127.0.0.1:{other_server.server_port}"]["ok"] == 200


def test_a_host_that_never_answers_is_left_alone_and_then_given_up(
    photo_server, csv_of_urls, cache_dir, monkeypatch
):
    monkeypatch.setattr(rate_limit, "FIRST_REST_S", 0.2)
    csv = csv_of_urls(photo_server.url(f"reset/{n}") for n in range(60))
    report = fetch_photos([csv], cache_dir, give_up_s=1.5, workers=4, **QUICK | {"attempts": 9})
    assert report.n_failed == 60
    assert set(report.reasons) <= {"host does not answer", "connection broken"}
    assert report.reasons["host does not answer"] > 40
    assert sum(photo_server.hits.values()) < 60


def test_urls_that_fail_for_good_do_not_make_their_host_seem_down(
    photo_server, csv_of_urls, cache_dir
):
    csv = csv_of_urls(
        photo_server.url(f"status/500/{n}" if n % 8 == 3 else f"ok/{n}") for n in range(400)
    )
    start = time.monotonic()
    report = fetch_photos([csv], cache_dir, **QUICK | {"attempts": 4})
    assert (report.n_ok, report.reasons) == (350, {"http 500": 50})
    assert time.monotonic() - start < 2 * rate_limit.FIRST_REST_S


def test_the_users_ceiling_is_kept(photo_server, csv_of_urls, cache_dir):
    csv = csv_of_urls(photo_server.url(f"ok/{n}") for n in range(30))
    start = time.monotonic()
    assert fetch_photos([csv], cache_dir, max_rate_per_host=20.0, **QUICK).n_ok == 30
    assert time.monotonic() - start > 29 / 20 - 0.1


def test_one_picture_for_many_urls_is_a_placeholder_unless_believed(
    photo_server, csv_of_urls, cache_dir, tmp_path
):
    csv = csv_of_urls(
        [photo_server.url(f"same/{n}") for n in range(8)]
        + [photo_server.url(f"ok/{n}") for n in range(4)]
    )
    report = fetch_photos([csv], cache_dir, **QUICK)
    assert (report.n_ok, report.n_gone, report.reasons) == (4, 8, {"placeholder picture": 8})
    with Cache(cache_dir) as cache:
        assert cache.photo_path(photo_server.url("same/3")) is None
    assert fetch_photos([csv], tmp_path / "believed", placeholder_urls=0, **QUICK).n_ok == 12


def test_noai_is_respected_unless_switched_off(photo_server, csv_of_urls, cache_dir, tmp_path):
    csv = csv_of_urls([photo_server.url("no_ai/")])
    assert fetch_photos([csv], cache_dir, **QUICK).reasons == {"refused by x-robots-tag": 1}
    assert (
        fetch_photos([csv], cache_dir, retry_failed=True, ignore_x_robots_tag=True, **QUICK).n_ok
        == 1
    )


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
def test_x_robots_tags_are_read_by_whom_they_are_for(headers, refused):
    assert refuses_ai(headers) is refused


def test_the_yield_counts_triplets_whose_three_photos_are_there(
    photo_server, csv_of_urls, cache_dir
):
    train = csv_of_urls(
        [photo_server.url(f"ok/{n}") for n in range(5)] + [photo_server.url("status/404/x")]
    )
    test = csv_of_urls([photo_server.url(f"ok/{n}") for n in (1, 2, 2)], TEST_CSV)
    report = fetch_photos([train, test], cache_dir, **QUICK)
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


def test_photos_had_already_are_taken_by_name_and_not_asked_for(
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
    report = fetch_photos([csv], cache_dir, from_dir=mine, **QUICK)
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


def test_two_files_of_one_name_are_not_guessed_between(
    photo_server, csv_of_urls, cache_dir, tmp_path, photo_bytes
):
    for folder in ("one", "two"):
        (tmp_path / "mine" / folder).mkdir(parents=True)
        (tmp_path / "mine" / folder / "x.jpg").write_bytes(photo_bytes(folder))
    report = fetch_photos(
        [csv_of_urls([photo_server.url("ok/x.jpg")])],
        cache_dir,
        from_dir=tmp_path / "mine",
        **QUICK,
    )
    assert (report.n_imported, report.n_ambiguous, report.n_fetched) == (0, 1, 1)


def test_in_a_mirror_of_the_host_the_folders_tell_files_of_one_name_apart(
    photo_server, csv_of_urls, cache_dir, tmp_path, photo_bytes, monkeypatch
):
    monkeypatch.setattr(
        local_import, "_PAGE", 1
    )  # what one page takes must not make a name of the next seem unique
    for name in ("mine/train/x.jpg", "mine/test/x.jpg", "mine/other/train/y.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(photo_bytes(name))
    urls = [
        photo_server.url(f"ok/{name}")
        for name in ("train/x.jpg", "test/x.jpg", "train/y.jpg", "test/y.jpg")
    ]
    report = fetch_photos([csv_of_urls(urls)], cache_dir, from_dir=tmp_path / "mine", **QUICK)
    # y.jpg is one file and two urls, of which one has its folder; for the other it is not guessed.
    assert (report.n_imported, report.n_ambiguous, report.n_fetched) == (3, 1, 1)
    with Cache(cache_dir) as cache:
        assert cache.photo_path(urls[1]).read_bytes() == photo_bytes("mine/test/x.jpg")
        assert cache.photo_path(urls[3]).read_bytes() == photo_bytes("test/y.jpg")


def test_a_name_that_fitted_several_urls_is_not_taken_later_for_the_one_that_is_left(
    photo_server, csv_of_urls, cache_dir, tmp_path, photo_bytes
):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.jpg").write_bytes(photo_bytes("x"))
    csv = csv_of_urls([photo_server.url("ok/1/x.jpg"), photo_server.url("status/500/x.jpg")])
    for _ in range(2):
        report = fetch_photos([csv], cache_dir, from_dir=tmp_path / "mine", **QUICK)
        assert (report.n_ok, report.n_failed, report.n_imported) == (1, 1, 0)


def test_a_folder_with_names_that_are_no_text_and_links_in_a_ring_is_searched_all_the_same(
    photo_server, csv_of_urls, cache_dir, tmp_path, photo_bytes
):
    mine = tmp_path / "mine"
    for name in (b"caf\xe9", b"b\xe9"):
        (Path(os.fsdecode(bytes(mine) + b"/" + name))).mkdir(parents=True)
    (mine / os.fsdecode(b"caf\xe9") / "x.jpg").write_bytes(photo_bytes("x"))
    (mine / os.fsdecode(b"caf\xe9") / os.fsdecode(b"\xff.jpg")).write_bytes(photo_bytes("y"))
    (mine / "ring").symlink_to(mine)
    report = fetch_photos(
        [csv_of_urls([photo_server.url("ok/x.jpg")])], cache_dir, from_dir=mine, **QUICK
    )
    assert (report.n_imported, report.n_ambiguous) == (1, 0)


def test_a_folder_that_is_not_there_is_told_before_anything_is_asked(
    photo_server, csv_of_urls, cache_dir, tmp_path
):
    with pytest.raises(UserError, match=r"--from_dir=.*no such folder"):
        fetch_photos(
            [csv_of_urls([photo_server.url("ok/x")])], cache_dir, from_dir=tmp_path / "absent"
        )
    assert not photo_server.hits


def test_csv_files_that_change_between_runs_cost_only_what_is_new(
    photo_server, csv_of_urls, cache_dir
):
    first = csv_of_urls([photo_server.url(f"ok/{n}") for n in range(6)])
    fetch_photos([first], cache_dir)
    second = csv_of_urls([photo_server.url(f"ok/{n}") for n in range(3, 9)])
    report = fetch_photos([second], cache_dir)
    assert (report.n_urls, report.n_ok, report.n_fetched) == (6, 6, 3)
    assert set(photo_server.hits.values()) == {1}


def test_progress_tells_which_host_is_waited_for(photo_server, csv_of_urls, cache_dir):
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
    fetch_photos([csv], cache_dir, progress=Bar(), **QUICK)
    assert "waiting" not in shown[-1]
    assert shown[-1]["ok"] == 15
