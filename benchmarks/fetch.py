"""Speed, memory and lost photos of `imagefec fetch`, against a local server.

    python benchmarks/fetch.py speed      # photos of 150 KB, without a limit
    python benchmarks/fetch.py limit      # a token bucket that answers 429 + Retry-After
    python benchmarks/fetch.py urls       # one URL in twelve always gets 429 + Retry-After
    python benchmarks/fetch.py memory     # csv files of growing length, small photos

Each prints a Markdown table. The client is the command line itself (`python -m imagefec fetch …
--json`), and the figures are those of its report. The time runs from the first line of the csv to
the last count of the yield and includes checks and ledger. The server is another process with
precomputed responses, so that it uses little of the machine that both share.
"""

import argparse
import contextlib
import io
import json
import pathlib
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import NoReturn

import numpy as np
from PIL import Image

from imagefec.data.fec_csv import FaceRef, Row, write_rows
from imagefec.fec import TripletType, csv_file_name
from imagefec.maths.geometry import Box

SIZES = {  # photos, by case
    "speed": [6000] * 3,
    "limit": [6000],
    "urls": [468] * 3,
    "memory": [5000, 20_000, 50_000],
}
CSV_NAME = csv_file_name("train")
PEAK = re.compile(r"VmHWM:\s*(\d+) kB")
NUMBER = re.compile(rb"GET /(\d+)\.jpg HTTP/1\.1\r\n")


def main() -> None:
    arguments = _arguments()
    if arguments.CASE == "serve":
        serve(arguments.kilobytes, arguments.rate, arguments.capacity, arguments.refuse_one_in)
    small = arguments.CASE == "memory"
    sizes = arguments.photos or SIZES[arguments.CASE]
    rate = arguments.rate if arguments.CASE == "limit" else 0.0
    one_in = arguments.refuse_one_in if arguments.CASE == "urls" else 0
    _row("photos", "KB each", "seconds", "images/s", "429s", "lost", "peak memory, MB", head=True)
    for n in sizes:
        kilobytes = 2 if small else arguments.kilobytes
        with (
            server(kilobytes, rate, arguments.capacity, one_in) as port,
            tempfile.TemporaryDirectory(dir=arguments.folder) as folder,
        ):
            csv = write_csv(pathlib.Path(folder) / CSV_NAME, port, n)
            report, peak_mb = fetch(csv, pathlib.Path(folder) / "cache", arguments.workers)
        n_throttled = sum(facts.get("n_throttled", 0) for facts in report["hosts"].values())
        _row(
            n,
            f"{report['n_bytes'] / max(report['n_ok'], 1) / 1e3:.0f}",
            f"{report['seconds']:.1f}",
            f"{report['images_per_s']:.0f}",
            n_throttled,
            n - report["n_ok"],
            f"{peak_mb:.0f}",
        )


def fetch(csv: pathlib.Path, cache: pathlib.Path, workers: int) -> tuple[dict, float]:
    """Runs the command as a user does; returns its report and its peak resident memory in MB."""
    command = [
        sys.executable,
        "-m",
        "imagefec",
        "fetch",
        csv,
        f"--cache={cache}",
        f"--workers={workers}",
        "--json",
    ]
    peak_kb = 0
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output)
        # From /proc: what wait4 reports would include this process's own memory.
        while process.poll() is None:
            with contextlib.suppress(OSError, TypeError):
                peak_kb = int(
                    PEAK.search(pathlib.Path(f"/proc/{process.pid}/status").read_text())[1]
                )
            time.sleep(0.05)
        if process.returncode:
            sys.exit(f"the fetch ended with {process.returncode}")
        output.seek(0)
        return json.load(output), peak_kb / 1024


def write_csv(path: pathlib.Path, port: int, n: int) -> pathlib.Path:
    """Writes as many rows as photos; each photo is in three rows."""

    def face(number: int) -> FaceRef:
        return FaceRef(f"http://127.0.0.1:{port}/{number % n}.jpg", Box(0.1, 0.9, 0.1, 0.9))

    write_rows(
        path,
        (
            Row(k + 1, (face(k), face(k + 1), face(k + 2)), TripletType(k % 3), ("a",), (k % 3,))
            for k in range(n)
        ),
    )
    return path


@contextlib.contextmanager
def server(kilobytes: int, rate: float, capacity: float, one_in: int) -> Iterator[int]:
    """Runs the server in another process and yields its port."""
    process = subprocess.Popen(
        [
            sys.executable,
            __file__,
            "serve",
            f"--kilobytes={kilobytes}",
            f"--rate={rate}",
            f"--capacity={capacity}",
            f"--refuse_one_in={one_in}",
        ],
        stdout=subprocess.PIPE,
    )
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def serve(kilobytes: int, rate: float, capacity: float, one_in: int) -> NoReturn:
    """Answers /N.jpg indefinitely, with different bytes for each N; prints its port first.

    Args:
      kilobytes: size of a photo.
      rate: tokens/s of the bucket, one token per request; 0 for no limit.
      capacity: tokens of the bucket.
      one_in: number of URLs of which one is always refused; 0 for none.
    """
    photo = photo_of(kilobytes * 1000)
    # A comment with N gives each photo its own bytes and hash without another encoding.
    start, rest = photo[:2], photo[2:]
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
        % (len(photo) + 12)
        + start
        + b"\xff\xfe\x00\x0a%08d"
    )
    refusal = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
    bucket = TokenBucket(rate, capacity)
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)
    ready = selectors.DefaultSelector()
    ready.register(listener, selectors.EVENT_READ)
    unsent: dict[socket.socket, memoryview] = {}
    while True:
        for key, _ in ready.select():
            sock = key.fileobj
            if sock is listener:
                ready.register(_accept(listener), selectors.EVENT_READ)
                continue
            try:
                if left := unsent.pop(sock, None):
                    left = left[sock.send(left) :]
                else:
                    asked = NUMBER.match(sock.recv(4096))
                    if asked is None:
                        raise ConnectionError
                    number = int(asked[1])
                    refused = one_in and number % one_in == one_in // 2
                    is_served = not refused and bucket.take()
                    answer = [head % number, rest] if is_served else [refusal]
                    n_sent = sock.sendmsg(answer)
                    n_all = sum(map(len, answer))
                    left = memoryview(b"".join(answer))[n_sent:] if n_sent < n_all else b""
            except BlockingIOError:
                continue
            except ConnectionError:
                ready.unregister(sock)
                sock.close()
                continue
            if left:
                unsent[sock] = left
            ready.modify(sock, selectors.EVENT_WRITE if left else selectors.EVENT_READ)


class TokenBucket:
    """Permits `rate` requests/s on average and `capacity` at once; a rate of 0 permits all."""

    def __init__(self, rate: float, capacity: float) -> None:
        self._rate, self._capacity = rate, capacity
        self._tokens, self._filled_at = capacity, time.monotonic()

    def take(self) -> bool:
        """Takes a token; False if there is none."""
        if not self._rate:
            return True
        now = time.monotonic()
        refilled = self._tokens + (now - self._filled_at) * self._rate
        self._tokens, self._filled_at = min(self._capacity, refilled), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def photo_of(n_bytes: int) -> bytes:
    """A JPEG of about that many bytes: noise of a suitable width."""

    def of_width(width: int) -> bytes:
        file = io.BytesIO()
        pixels = np.random.default_rng(0).integers(0, 255, (width * 3 // 4, width, 3), np.uint8)
        Image.fromarray(pixels).save(file, "JPEG", quality=85)
        return file.getvalue()

    width = 64
    for _ in range(4):
        width = max(8, round(width * (n_bytes / len(of_width(width))) ** 0.5))
    return of_width(width)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("CASE", choices=(*SIZES, "serve"))
    parser.add_argument(
        "--photos", type=int, nargs="+", help="number of photos, one run each (default: the case's)"
    )
    parser.add_argument(
        "--kilobytes",
        type=int,
        default=150,
        help="size of a photo in speed and limit (default: %(default)s)",
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=100.0,
        help="requests/s of the token bucket (default: %(default)s)",
    )
    parser.add_argument(
        "--capacity", type=float, default=100.0, help="tokens of the bucket (default: %(default)s)"
    )
    parser.add_argument(
        "--refuse_one_in",
        type=int,
        default=12,
        help="number of URLs of which urls refuses one (default: %(default)s)",
    )
    parser.add_argument(
        "--workers", type=int, default=16, help="workers of the fetch (default: %(default)s)"
    )
    parser.add_argument(
        "--folder",
        help="where caches are written and deleted (default: the system's temporary folder)",
    )
    return parser.parse_args()


def _accept(listener: socket.socket) -> socket.socket:
    sock, _ = listener.accept()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    return sock


def _row(*cells: object, head: bool = False) -> None:
    print(
        "| " + " | ".join(map(str, cells)) + " |" + (("\n|" + "---|" * len(cells)) if head else ""),
        flush=True,
    )


if __name__ == "__main__":
    main()
