"""Starts a real `imagefec serve` or `judge` in a process of its own, and speaks HTTP with it."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import urllib.parse

from websockets.sync.client import connect


class Server:
    """A running `imagefec serve` or `judge`."""

    def __init__(self, process, url):
        self.process, self.url = process, url
        self.port = urllib.parse.urlsplit(url).port
        self.host = f"127.0.0.1:{self.port}"

    def request(self, method, path, body=None, headers=()):
        """Sends a request as it is; returns status, headers and body."""
        with contextlib.closing(http.client.HTTPConnection(self.host, timeout=30)) as connection:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            headers = {"Host": self.host, **dict(headers)}
            if body is not None:
                headers.setdefault("Content-Length", str(len(body)))
            for name, value in headers.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()

    def json(self, method, path, body=None, headers=()):
        status, _, data = self.request(method, path, body, headers)
        return status, json.loads(data)

    def connect(self, path="/ws", **options):
        return connect(f"ws://{self.host}{path}", **{"compression": None, **options})

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)


def start(*arguments, model):
    """Starts `imagefec serve`; returns the process, whose first line of stdout is the URL."""
    return start_verb("serve", f"--run={model}", *arguments)


def start_verb(*command):
    """Starts any verb that serves a page."""
    root = str(pathlib.Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "imagefec", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def running(*arguments, model):
    return running_verb("serve", f"--run={model}", *(arguments or ["--port=0"]))


@contextlib.contextmanager
def running_verb(*command):
    process = start_verb(*command)
    try:
        url = process.stdout.readline().strip()
        assert url, process.communicate()[1]
        yield Server(process, url)
    finally:
        process.kill()
        process.communicate()
