"""A real HTTP server on loopback that misbehaves on request, csv files for it, and a small disk."""

# Over 350 lines: one server, with all its ways to misbehave.
import collections
import contextlib
import email.utils
import errno
import gzip
import http.server
import io
import itertools
import os
import socket
import struct
import subprocess
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from imagefec.data.fec_csv import FaceRef, Row, write_rows
from imagefec.fec import TripletType
from imagefec.maths.geometry import Box


def photo_bytes(name, kind="JPEG"):
    """A small photo; its bytes depend on the name."""
    pixels = np.random.default_rng(list(name.encode())).integers(0, 255, (24, 20, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


ZIPPED_ZEROS = gzip.compress(bytes(10_000_000)) * 10  # 100 MB in 100 kB


@pytest.fixture
def full_disk(monkeypatch):
    """A block in which the disk is full after a number of files that are forced to it."""

    @contextlib.contextmanager
    def full(n_files):
        left = itertools.count(n_files, -1)

        def fsync(descriptor):
            if next(left) <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fsync)
            yield

    return full


class PhotoServer(http.server.ThreadingHTTPServer):
    """Answers /WAY/NAME with the method way_WAY; `hits` and `times` record the requests by path."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hits = collections.Counter()
        self.retry_dates = {}  # of /dated/
        self.times = collections.defaultdict(list)
        self.agents = set()
        self.gate = threading.Event()  # /held/ waits for it
        # Of /bucket/.
        self.lock, self.filled_at = threading.Lock(), time.monotonic()
        self.limit = self.tokens = 50.0

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def handle_error(self, request, client_address):
        pass  # clients that disconnect are part of the tests


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.hits[self.path] += 1
        self.server.times[self.path].append(time.monotonic())
        self.server.agents.add(self.headers["User-Agent"])
        way, _, name = self.path[1:].partition("/")
        getattr(self, f"way_{way}")(name)

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for key, value in (
            {"Content_Length": len(body), "Content_Type": "image/jpeg"} | headers
        ).items():
            self.send_header(key.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def first_time(self):
        return self.server.hits[self.path] == 1

    def way_ok(self, name):
        self.answer(200, photo_bytes(name))

    def way_slow(self, name):
        time.sleep(0.02)
        self.answer(200, photo_bytes(name))

    def way_held(self, name):
        self.server.gate.wait(10)
        self.answer(200, photo_bytes(name))

    def way_same(self, name):
        self.answer(200, photo_bytes("same"))

    def way_kind(self, name):
        self.answer(200, photo_bytes(name, name), Content_Type="application/octet-stream")

    def way_status(self, name):
        self.answer(int(name.split("/")[0]), b"no such photo", Content_Type="text/plain")

    def way_recovers(self, name):
        self.answer(503) if self.first_time() else self.way_ok(name)

    def way_later(self, name):
        self.answer(429, Retry_After=1) if self.first_time() else self.way_ok(name)

    def way_busy(self, name):
        self.answer(503, Retry_After=1) if self.first_time() else self.way_ok(name)

    def way_dated(self, name):
        """Refuses until a date, which has no fraction of a second."""
        self.server.retry_dates.setdefault(self.path, time.time() + 2)
        date = email.utils.formatdate(self.server.retry_dates[self.path], usegmt=True)
        self.answer(429, Retry_After=date) if self.first_time() else self.way_ok(name)

    def way_never(self, name):
        self.answer(429)

    def way_until_gate(self, name):
        self.way_ok(name) if self.server.gate.is_set() else self.answer(429, Retry_After=1)

    def way_bucket(self, name):
        """A token bucket for all paths, of capacity `limit`, filled at `limit` per second."""
        with self.server.lock:
            now = time.monotonic()
            self.server.tokens = min(
                self.server.limit,
                self.server.tokens + (now - self.server.filled_at) * self.server.limit,
            )
            self.server.filled_at = now
            served = self.server.tokens >= 1
            self.server.tokens -= served
        self.way_ok(name) if served else self.answer(429, Retry_After=1)

    def way_one_in_twelve(self, name):
        """Refuses /one_in_twelve/N/TIMES the first TIMES times if N is 5, 17, 29, ..."""
        number, times = map(int, name.split("/"))
        refused = number % 12 == 5 and self.server.hits[self.path] <= times
        self.answer(429, Retry_After=1) if refused else self.way_ok(name)

    def way_no_ai(self, name):
        self.answer(200, photo_bytes(name), X_Robots_Tag=f"{name}noai, noimageai")

    def way_other_bot(self, name):
        self.answer(200, photo_bytes(name), X_Robots_Tag="otherbot: noai")

    def way_bomb(self, name):
        png = bytearray(photo_bytes(name, "PNG"))
        png[16:24] = struct.pack(">II", 50_000, 50_000)
        png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
        self.answer(200, bytes(png))

    def way_truncated_image(self, name):
        self.answer(200, photo_bytes(name, name)[:-40])

    def way_with_video(self, name):
        self.answer(200, photo_bytes(name) + bytes(20_000))

    def way_unavailable(self, name):
        self.answer(302, Location="/ok/images/photo_unavailable.png")

    def way_tomorrow(self, name):
        self.answer(429, Retry_After=86_400)

    def way_truncated(self, name):
        self.answer(200, photo_bytes(name), Content_Length=len(photo_bytes(name)) + 100)
        self.close_connection = True

    def way_short_length(self, name):
        """Sends more than its Content-Length."""
        self.answer(200, photo_bytes(name), Content_Length=len(photo_bytes(name)) - 100)

    def way_gzip_bomb(self, name):
        self.answer(200, gzip.compress(photo_bytes(name)) + ZIPPED_ZEROS, Content_Encoding="gzip")

    def way_truncated_once(self, name):
        self.way_truncated(name) if self.first_time() else self.way_ok(name)

    def way_chunked(self, name):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        body = photo_bytes(name)
        for part in (body[:5], body[5:]):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        if name != "truncated":
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = name == "truncated"

    def way_html(self, name):
        self.answer(
            200, b"<!doctype html>" + b"gone " * 50, Content_Type="Text/HTML; charset=utf-8"
        )

    def way_odd_type(self, name):
        self.answer(200, b"nothing to see here, really", Content_Type="\x1b[31m" + "x" * 300)

    def way_empty(self, name):
        self.answer(200)

    def way_moved(self, name):
        self.answer(302, Location=f"../ok/{name}")

    def way_loop(self, name):
        self.answer(302, Location=self.path)

    def way_to_file(self, name):
        self.answer(302, Location="file:///etc/hostname")

    def way_silent(self, name):
        self.server.gate.wait(5)
        self.close_connection = True

    def way_drip(self, name):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        for byte in photo_bytes(name):
            self.wfile.write(bytes([byte]))
            if self.server.gate.wait(0.05):
                break
        self.close_connection = True

    def way_reset(self, name):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def way_nonsense(self, name):
        self.wfile.write(b"\0\1\2 what is this\r\n\r\n")
        self.close_connection = True

    def way_endless(self, name):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(photo_bytes(name))
        while not self.server.gate.is_set():
            self.wfile.write(bytes(4096))
        self.close_connection = True

    def way_huge(self, name):
        self.send_response(200)
        self.send_header("Content-Length", str(10**12))
        self.end_headers()
        self.close_connection = True


@pytest.fixture
def photo_server():
    with running_server() as server:
        yield server


@pytest.fixture
def other_server():
    """A second host."""
    with running_server() as server:
        yield server


@contextlib.contextmanager
def running_server():
    server = PhotoServer()
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield server
    finally:
        server.gate.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def csv_of_urls(tmp_path):
    """Writes a csv file with the URLs, three per row; the last URL is repeated to fill its row."""

    def write(urls, name="faceexp-comparison-data-train-public.csv"):
        urls = list(urls)
        urls += urls[-1:] * (-len(urls) % 3)
        faces = [FaceRef(url, Box(0.1, 0.9, 0.1, 0.9)) for url in urls]
        rows = [
            Row(n // 3 + 1, tuple(faces[n : n + 3]), TripletType.ONE_CLASS, ("a",), (2,))
            for n in range(0, len(faces), 3)
        ]
        write_rows(tmp_path / name, rows)
        return tmp_path / name

    return write


@pytest.fixture(name="photo_bytes")
def photo_bytes_fixture():
    return photo_bytes


class SmallDisk:
    """A file system in memory, of 1 MB until it is resized."""

    def __init__(self, path):
        self.path = path

    def mount(self, options):
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", self.path],
            check=True,
            capture_output=True,
        )

    def resize(self, size):
        self.mount(f"remount,size={size}")


@pytest.fixture
def small_disk(tmp_path):
    disk = SmallDisk(tmp_path / "disk")
    disk.path.mkdir()
    try:
        disk.mount("size=1m")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no permission to mount a small disk")
    yield disk
    subprocess.run(["umount", disk.path], check=True)
