"""Servers whose bytes a test chooses, and a network of one's own; for tests of fetch."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import imagefec
from tests.data.conftest import photo_bytes

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(imagefec.__file__).parents[1])}


class RawServer:
    """Answers each request by calling `answer(connection, path, server)`; one per connection.

    Attributes:
      paths: of the requests, in order; a proxy's are complete URLs or HOST:PORT.
      requests: their bytes.
      stop: event that ends all answers; `pause` waits for it.
    """

    def __init__(self, answer, host="127.0.0.1", tls=None):
        self._answer, self._tls = answer, tls
        self._socket = socket.create_server((host, 0), backlog=256)
        self.host, self.port = self._socket.getsockname()
        self.paths, self.requests, self.stop = [], [], threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path="x"):
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{self.host}:{self.port}/{path}"

    def pause(self, seconds):
        """Waits; raises BrokenPipeError once the server is stopped."""
        if self.stop.wait(seconds):
            raise BrokenPipeError

    def drip(self, connection, data, wait_s=0.05):
        """Sends byte by byte."""
        for byte in data:
            connection.sendall(bytes([byte]))
            self.pause(wait_s)

    def close(self):
        self.stop.set()
        self._socket.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            request = b""
            while b"\r\n\r\n" not in request:
                if not (data := connection.recv(65536)):
                    return
                request += data
            self.requests.append(request)
            self.paths.append(request.split()[1].decode())
            self._answer(connection, self.paths[-1], self)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def serving(answer, **options):
    server = RawServer(answer, **options)
    try:
        yield server
    finally:
        server.close()


def photo_response(name="x", head=b""):
    """The bytes of a complete answer with a photo."""
    body = photo_bytes(name)
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nConnection: close\r\n%s"
        b"Content-Length: %d\r\n\r\n%s" % (head, len(body), body)
    )


def send_photo(connection, path, server):
    connection.sendall(photo_response(path))


def redirect_to(url):
    """An answer that redirects to a URL."""

    def answer(connection, path, server):
        connection.sendall(
            b"HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n"
            % url.encode()
        )

    return answer


def run_in_own_network(program, tmp_path, setup="", hosts=(), name_server=None):
    """Runs a Python program in a network that consists of this machine; returns its output.

    Args:
      program: text.
      tmp_path: folder for temporary files.
      setup: shell commands, such as `ip` commands, run before it.
      hosts: (name, address) of the names that exist.
      name_server: address asked for other names; None for none.
    """
    if not (shutil.which("unshare") and shutil.which("ip")):
        pytest.skip("no unshare or ip")
    (tmp_path / "hosts").write_text("".join(f"{address} {name}\n" for name, address in hosts))
    (tmp_path / "resolv").write_text(f"nameserver {name_server}\n" if name_server else "")
    (tmp_path / "program.py").write_text(program)
    script = f"""
        set -e
        ip link set lo up
        {setup}
        mount --bind {tmp_path}/hosts /etc/hosts
        mount --bind {tmp_path}/resolv /etc/resolv.conf
        exec {sys.executable} {tmp_path}/program.py
    """
    unshare = ["unshare", "--net", "--mount", "--map-root-user", "--user"]
    probe = subprocess.run(
        [*unshare, "sh", "-c", "mount --bind /etc/hosts /etc/hosts"],
        capture_output=True,
        check=False,
    )
    if probe.returncode:
        pytest.skip("no permission to make a network")
    done = subprocess.run(
        [*unshare, "sh", "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
