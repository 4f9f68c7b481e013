"""Hosts that keep a fetch waiting: every attempt ends at its deadline, and no host delays others.

Each slow answer would end as a complete photo after some seconds. No time is measured: an attempt
without a deadline would book that photo as ok.
"""

import _thread
import contextlib
import itertools
import socket
import threading
import time
from dataclasses import replace

import pytest

from imagefec.data.fetch.stage import FetchConfig, fetch_photos
from tests.data.conftest import photo_bytes
from tests.data.fetch.raw_server import photo_response, run_in_own_network, send_photo, serving

QUICK = FetchConfig(workers=4, timeout_s=0.3, attempts=1, backoff_s=0.01)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LASTS_S = 8  # longer than ten times timeout_s


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def drip_status_line(connection, path, server):
    server.drip(connection, b"HTTP/1.1 200 " + b"O" * 150)
    connection.sendall(b"\r\n" + photo_response().split(b"\r\n", 1)[1])


def drip_headers(connection, path, server):
    head, body = photo_response(head=b"X-Filler: " + b"x" * 150 + b"\r\n").split(b"\r\n\r\n")[:2]
    server.drip(connection, head + b"\r\n\r\n")
    connection.sendall(body)


def slowly(part):
    def answer(connection, path, server):
        for _ in range(LASTS_S * 10):
            connection.sendall(part)
            server.pause(0.1)
        connection.sendall(photo_response())

    return answer


def drip_body(connection, path, server):
    head, body = photo_response()[:-150], photo_response()[-150:]
    connection.sendall(head)
    server.drip(connection, body)


def drip_chunk_sizes(connection, path, server):
    body = photo_bytes("x")
    connection.sendall(CHUNKED + chunk(body[:-150]))
    for byte in body[-150:]:
        server.drip(connection, chunk(bytes([byte])), 0.01)
    connection.sendall(b"0\r\n\r\n")


def slow_trailers(connection, path, server):
    connection.sendall(CHUNKED + chunk(photo_bytes("x")) + b"0\r\n")
    for _ in range(LASTS_S * 10):
        connection.sendall(b"X-Trailer: x\r\n")
        server.pause(0.1)
    connection.sendall(b"\r\n")


def slow_redirects(connection, path, server):
    server.pause(0.25)
    n = int(path.rpartition("/")[2] or 0)
    if n == 4:
        connection.sendall(photo_response())
    else:
        location = server.url(str(n + 1)).encode()
        connection.sendall(
            b"HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n" % location
        )


SLOW = {
    "status line": drip_status_line,
    "headers": drip_headers,
    "100": slowly(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "102": slowly(b"HTTP/1.1 102 Processing\r\nX-Left: 1\r\n\r\n"),
    "103": slowly(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    "body": drip_body,
    "chunk sizes": drip_chunk_sizes,
    "trailers": slow_trailers,
    "redirects": slow_redirects,
}


def test_every_way_of_answering_slowly_ends_at_the_deadline(csv_of_urls, cache_dir):
    with contextlib.ExitStack() as servers:
        urls = [servers.enter_context(serving(answer)).url("0") for answer in SLOW.values()]
        report = fetch_photos([csv_of_urls(urls)], cache_dir, replace(QUICK, workers=9))
    assert report.reasons == {"timed out": len(SLOW)}
    assert not list((cache_dir / "parts").iterdir())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fetch-")]


def flood(start, part, n=100_000):
    def answer(connection, path, server):
        connection.sendall(start)
        for _ in range(n):
            connection.sendall(part)

    return answer


FLOODS = {
    "interim responses": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers": flood(b"HTTP/1.1 200 OK\r\n", b"X-Filler: x\r\n"),
    "one header": flood(b"HTTP/1.1 200 OK\r\nX-Filler: ", b"x" * 1000),
    "the status line": flood(b"HTTP/1.1 200 ", b"x" * 1000),
    "a chunk's size": flood(CHUNKED, b"0" * 1000),
    "a trailer": flood(CHUNKED + chunk(photo_bytes("x")) + b"0\r\n", b"x" * 1000),
}


def test_floods_of_headers_are_cut_off(csv_of_urls, cache_dir):
    with contextlib.ExitStack() as servers:
        urls = [servers.enter_context(serving(answer)).url() for answer in FLOODS.values()]
        report = fetch_photos([csv_of_urls(urls)], cache_dir, replace(QUICK, timeout_s=2.0))
    assert report.n_ok == 0 and report.reasons == {"connection broken": len(FLOODS)}


def test_interim_responses_are_skipped(csv_of_urls, cache_dir):
    hints = b"HTTP/1.1 102 Processing\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    continued = b"HTTP/1.1 100 Continue\r\n\r\n" * 3

    def answer(connection, path, server):
        connection.sendall((hints if path == "/hints" else continued) + photo_response(path))

    with serving(answer) as server:
        csv = csv_of_urls([server.url("hints"), server.url("continued")])
        assert fetch_photos([csv], cache_dir, QUICK).n_ok == 2


def test_switching_protocols_is_a_final_response(csv_of_urls, cache_dir):
    def answer(connection, path, server):
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + photo_response())

    with serving(answer) as server:
        report = fetch_photos([csv_of_urls([server.url()])], cache_dir, QUICK)
    assert report.reasons == {"http 101": 1}


def test_a_tls_handshake_that_drips_and_a_connection_that_is_not_accepted_time_out(
    csv_of_urls, cache_dir
):
    stop = threading.Event()

    def drip_record(listener):
        connection, _ = listener.accept()
        with contextlib.suppress(OSError):
            connection.sendall(b"\x16\x03\x03\x40\x00")  # a handshake record of 16 KiB
            while not stop.wait(0.05):
                connection.sendall(b"\2")

    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    with socket.create_server(("127.0.0.1", 0)) as listener, full, contextlib.ExitStack() as held:
        threading.Thread(target=drip_record, args=(listener,), daemon=True).start()
        for _ in range(3):
            client = held.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        urls = [
            f"{scheme}://127.0.0.1:{sock.getsockname()[1]}/x"
            for scheme, sock in (("https", listener), ("http", full))
        ]
        report = fetch_photos([csv_of_urls(urls)], cache_dir, QUICK)
        stop.set()
    assert report.reasons == {"timed out": 2}


def test_a_name_server_that_does_not_answer_times_out(csv_of_urls, cache_dir, tmp_path):
    csv = csv_of_urls(["http://photos.example/x.jpg"])
    program = f"""
import socket
from imagefec.data.fetch.stage import FetchConfig, fetch_photos
name_server = socket.socket(type=socket.SOCK_DGRAM)
name_server.bind(("127.0.0.9", 53))
config = FetchConfig(timeout_s=0.3, attempts=1)
print(fetch_photos([{str(csv)!r}], {str(cache_dir)!r}, config).reasons)
"""
    found = run_in_own_network(program, tmp_path, name_server="127.0.0.9")
    assert found.strip() == "{'timed out': 1}"


@pytest.mark.parametrize(("workers", "n_slow"), [(16, 4), (2, 4), (4, 12)])
def test_slow_hosts_do_not_delay_a_healthy_one(csv_of_urls, cache_dir, workers, n_slow):
    # The slow hosts send headers without end until the healthy one has had all its requests, which
    # must happen before their deadline of 20 s.
    all_served = threading.Event()
    n_served = itertools.count(1)

    def slow(connection, path, server):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Filler: ")
        end = time.monotonic() + 30
        while not all_served.wait(0.1) and time.monotonic() < end:
            connection.sendall(b"x")
        connection.sendall(b"\r\n" + photo_response(server.url(path)).split(b"\r\n", 1)[1])

    def healthy(connection, path, server):
        send_photo(connection, path, server)
        if next(n_served) == 60:
            all_served.set()

    with contextlib.ExitStack() as servers:
        hosts = [servers.enter_context(serving(slow)) for _ in range(n_slow)]
        urls = [host.url(f"{n}") for host in hosts for n in range(3)]
        quick = servers.enter_context(serving(healthy))
        urls += [quick.url(f"{n}") for n in range(60)]
        config = FetchConfig(workers=workers, timeout_s=10.0, attempts=1, backoff_s=0.01)
        report = fetch_photos([csv_of_urls(urls)], cache_dir, config)
    assert (report.n_ok, report.reasons) == (60 + 3 * n_slow, {})


def test_a_host_that_becomes_slow_with_all_workers_does_not_delay_another(csv_of_urls, cache_dir):
    all_served = threading.Event()
    n_slow, n_served = itertools.count(1), itertools.count(1)

    def becomes_slow(connection, path, server):
        if next(n_slow) > 40:
            all_served.wait(30)
        send_photo(connection, server.url(path), server)

    def healthy(connection, path, server):
        if next(n_slow) < 60:
            server.pause(1.0)
        send_photo(connection, path, server)
        if next(n_served) == 60:
            all_served.set()

    with serving(becomes_slow) as first, serving(healthy) as second:
        urls = [first.url(f"{n}") for n in range(120)] + [second.url(f"{n}") for n in range(60)]
        config = FetchConfig(workers=4, timeout_s=10.0, attempts=1)
        report = fetch_photos([csv_of_urls(urls)], cache_dir, config)
    assert (report.n_ok, report.reasons) == (180, {})


def test_an_interrupted_fetch_ends_its_threads_and_leaves_no_parts(csv_of_urls, cache_dir):
    def answer(connection, path, server):
        connection.sendall(photo_response()[:-20])
        server.pause(0.2)  # until the part is written
        _thread.interrupt_main()
        server.pause(60)

    with serving(answer) as slow, serving(send_photo) as healthy:
        csv = csv_of_urls([healthy.url(f"{n}") for n in range(9)] + [slow.url()])
        with pytest.raises(KeyboardInterrupt):
            fetch_photos([csv], cache_dir, FetchConfig(workers=4))
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("fetch-")]
        assert not list((cache_dir / "parts").iterdir())
        slow.stop.set()
        report = fetch_photos([csv], cache_dir, QUICK)
    assert report.n_ok == 9 and report.n_failed == 1
