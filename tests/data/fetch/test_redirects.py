"""Where redirects may lead: public addresses, and hosts that the csv files name."""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from imagefec.data.fetch.network.addresses import is_loopback, is_public, literal_address
from imagefec.data.fetch.photo_cache.cache import Cache
from imagefec.data.fetch.stage import FetchConfig, fetch_photos
from tests.data.fetch.raw_server import (
    ENVIRONMENT,
    redirect_to,
    run_in_own_network,
    send_photo,
    serving,
)

QUICK = FetchConfig(workers=4, timeout_s=2.0, attempts=2, backoff_s=0.01)
REFUSED = "redirect to a private address"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),  # the metadata service of clouds
        ("100.100.100.200", False),  # the same of another cloud, in the carriers' network
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("::127.0.0.1", False),
        ("64:ff9b::a9fe:a9fe", False),  # NAT64 of 169.254.169.254
        ("64:ff9b::808:808", True),
        ("64:ff9b:1::1", False),
        ("2002:7f00:1::", False),  # 6to4 of 127.0.0.1
        ("2001:0:0:0:0:0:80ff:fffe", False),  # Teredo of 127.0.0.1
    ],
)
def test_public_addresses_are_told_from_others(address, public):
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("a.LOCALHOST.", "127.0.0.1"),
        ("[::ffff:7f00:1]", "::ffff:7f00:1"),
        ("fe80::1%eth0", "fe80::1"),
        ("example.com", None),
        ("", None),
        ("1.2.3.4.example", None),
        ("a\0b", None),
    ],
)
def test_a_host_that_spells_out_an_address_is_recognised(host, address):
    assert literal_address(host) == address
    assert is_loopback(host) is (address in ("127.0.0.1", "::ffff:7f00:1"))


# Each leads to port PORT of this machine.
SPELLINGS = (
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "localhost",
    "[::ffff:127.0.0.1]",
    "0.0.0.0",
    "user:password@127.0.0.1",
)


def test_redirects_to_private_addresses_are_refused_however_they_are_written(
    csv_of_urls, cache_dir
):
    with serving(send_photo) as private, contextlib.ExitStack() as servers:
        targets = [f"http://{spelling}:{private.port}/secret" for spelling in SPELLINGS]
        targets += ["http://169.254.169.254/latest/meta-data", "https://10.255.255.1/", "//127.1:1"]
        urls = [servers.enter_context(serving(redirect_to(target))).url() for target in targets]
        report = fetch_photos([csv_of_urls(urls)], cache_dir, QUICK)
        assert report.reasons == {REFUSED: len(targets)}
        assert private.paths == []
        # The answer depends on the flag, so the next fetch asks again.
        allowed = [url for url, target in zip(urls, targets) if str(private.port) in target]
        report = fetch_photos(
            [csv_of_urls(allowed)], cache_dir, replace(QUICK, allow_private_redirects=True)
        )
        assert report.n_ok == len(allowed) == len(private.paths)


def test_a_redirect_to_a_host_that_the_csv_names_is_followed(csv_of_urls, cache_dir):
    with serving(send_photo) as named, serving(send_photo) as other_port:
        first, second = redirect_to(named.url("moved")), redirect_to(other_port.url())
        with serving(first) as one, serving(second) as two:
            csv = csv_of_urls([named.url("own"), one.url(), two.url()])
            report = fetch_photos([csv], cache_dir, QUICK)
    assert report.n_ok == 2 and report.reasons == {REFUSED: 1}
    assert other_port.paths == []


@pytest.mark.parametrize(
    "target",
    ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:image/png,x", "http://[::1"],
)
def test_redirects_to_what_is_not_the_web_are_refused(csv_of_urls, cache_dir, target):
    with serving(redirect_to(target)) as server:
        report = fetch_photos([csv_of_urls([server.url()])], cache_dir, QUICK)
    assert report.reasons == {"bad url": 1}


def test_redirects_in_utf_8_are_followed(csv_of_urls, cache_dir):
    with serving(send_photo) as named, serving(redirect_to(named.url("caf\u00e9"))) as server:
        csv = csv_of_urls([named.url("own"), server.url()])
        assert fetch_photos([csv], cache_dir, QUICK).n_ok == 2
    assert set(named.paths) == {"/own", "/caf%C3%A9"}


def test_names_that_resolve_to_private_addresses_are_refused(cache_dir, tmp_path):
    program = f"""
import json
from imagefec.data.fec_csv import FaceRef, Row, write_rows
from imagefec.data.fetch.stage import FetchConfig, fetch_photos
from imagefec.fec import TripletType
from imagefec.maths.geometry import Box
from tests.data.fetch.raw_server import RawServer, redirect_to, send_photo

secret, photos = RawServer(send_photo), RawServer(send_photo, host="8.9.9.9")
ways = ["private.example", "mixed.example", "public.example"]
ports = [secret.port, photos.port, photos.port]
hosts = [RawServer(redirect_to(f"http://{{way}}:{{port}}/x"), host="8.9.9.8")
         for way, port in zip(ways, ports)]
box = Box(0.1, 0.9, 0.1, 0.9)
faces = tuple(FaceRef(host.url(way), box) for host, way in zip(hosts, ways))
csv = {str(tmp_path / "a.csv")!r}
write_rows(csv, [Row(1, faces, TripletType.ONE_CLASS, ("a",), (2,))])
report = fetch_photos([csv], {str(cache_dir)!r}, FetchConfig(timeout_s=5.0, attempts=1))
print(json.dumps([report.n_ok, report.reasons, secret.paths, photos.paths]))
"""
    found = run_in_own_network(
        program,
        tmp_path,
        setup="ip address add 8.9.9.9/32 dev lo; ip address add 8.9.9.8/32 dev lo",
        hosts=[
            ("private.example", "127.0.0.1"),
            ("mixed.example", "10.0.0.1"),
            ("mixed.example", "8.9.9.9"),
            ("public.example", "8.9.9.9"),
        ],
    )
    # A name with a private and a public address is requested at the public one.
    assert json.loads(found) == [2, {REFUSED: 1}, [], ["/x", "/x"]]


def test_the_command_line_says_why_and_has_a_flag(csv_of_urls, cache_dir):
    with serving(send_photo) as private, serving(redirect_to(private.url())) as server:
        csv = csv_of_urls([server.url()])
        command = [sys.executable, "-m", "imagefec", "fetch", csv, f"--cache={cache_dir}"]
        runs = [
            subprocess.run(
                [*command, *flags], env=ENVIRONMENT, capture_output=True, text=True, check=False
            )
            for flags in ([], ["--allow_private_redirects"])
        ]
    assert [run.returncode for run in runs] == [0, 0]
    assert f"lost      1: {REFUSED}" in runs[0].stderr
    assert "photos    1 of 1 (100.0%)" in runs[1].stderr


def test_a_file_url_of_the_csv_gives_photos_only(csv_of_urls, cache_dir, tmp_path, photo_bytes):
    (tmp_path / "secret.txt").write_text("root:x:0:0")
    (tmp_path / "photo.jpg").write_bytes(photo_bytes("x"))
    (tmp_path / "link.jpg").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fifo.jpg")
    names = ["secret.txt", "photo.jpg", "link.jpg", "fifo.jpg"]
    urls = [(tmp_path / name).as_uri() for name in names] + [
        "file:///dev/zero",
        "file:///proc/self/mem",
    ]
    report = fetch_photos([csv_of_urls(urls)], cache_dir, QUICK)
    assert report.n_ok == 1 and sum(report.reasons.values()) == len(urls) - 1
    with Cache(cache_dir) as cache:
        assert cache.photo_path(urls[1]).read_bytes() == photo_bytes("x")
    assert len([path for path in (cache_dir / "objects").rglob("*") if path.is_file()]) == 1
