"""Chromium with a fake camera, against a real server. Without Chromium these tests fail."""

import contextlib
import shutil
import time

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.video import MARKS, write_video
from tests.serving.models import write_model
from tests.serving.servers import running

FAKE = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
QUIET = [
    "--autoplay-policy=no-user-gesture-required",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


def chromium_path():
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "no chromium; on Debian: apt-get install -y --no-install-recommends chromium"
    return found


@pytest.fixture(scope="session")
def playwright_():
    with sync_playwright() as started:
        yield started


@contextlib.contextmanager
def launched(playwright, *arguments):
    """A browser; playwright's own muting is off, so that audio runs as for a user."""
    browser = playwright.chromium.launch(
        executable_path=chromium_path(),
        chromium_sandbox=False,
        ignore_default_args=["--mute-audio"],
        args=[*QUIET, *arguments],
    )
    try:
        yield browser
    finally:
        browser.close()


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "small.onnx")


@pytest.fixture(scope="session")
def server(model, no_model_files):
    with running(model=model) as server:
        yield server


@pytest.fixture(scope="session")
def two_expressions(playwright_, tmp_path_factory):
    """A browser whose camera shows 8 s of one expression and 8 s of another, again and again."""
    words = ("contentment", "surprise")
    video = write_video(tmp_path_factory.mktemp("video") / "two.y4m", words, seconds=8)
    with launched(playwright_, *FAKE, f"--use-file-for-fake-video-capture={video}") as browser:
        yield browser


class Visitor:
    """A person at the page; waits by polling, since the page's policy forbids eval."""

    poll_ms = 50

    def __init__(self, page):
        self.page, self.errors = page, []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda m: m.type == "error" and self.errors.append(m.text))

    def wait(self, condition, seconds=40, what=""):
        """Waits until condition() is true; returns its value."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := condition():
                return value
            self.page.wait_for_timeout(self.poll_ms)
        raise AssertionError(
            f"{what or condition} did not come; word: {self.word!r}, {self.errors}"
        )

    def open(self, url, start=True):
        self.page.goto(url)
        self.wait(lambda: self.status.startswith("Connected"), what="the connection")
        if start:
            self.page.click("#start")
            self.wait(lambda: self.page.is_enabled("#goal"), what="the camera")
        return self

    def capture(self, kind, name=None):
        if name:
            self.page.fill("#name", name)
        self.page.click(f"#{kind}")
        words = f"Goal {name} captured" if name else "captured"
        self.wait(lambda: words in self.page.inner_text("#live"), what=f"{kind} captured")

    def shown_part(self):
        """Which part of the video the camera shows, by the colour of its corner."""
        colour = self.page.evaluate(
            """() => {
              const video = document.getElementById("video");
              const canvas = new OffscreenCanvas(1, 1);
              const pen = canvas.getContext("2d");
              pen.drawImage(video, 8, 8, 8, 8, 0, 0, 1, 1);
              return [...pen.getImageData(0, 0, 1, 1).data];
            }"""
        )
        return min(
            range(len(MARKS)), key=lambda i: sum(abs(a - b) for a, b in zip(colour, MARKS[i]))
        )

    def wait_for_start_of(self, part):
        """Waits until the video changes to a part, so that all of it is to come."""
        self.wait(lambda: self.shown_part() != part, what="the other part")
        self.wait(lambda: self.shown_part() == part, what=f"part {part}")

    @property
    def tone(self):
        """The tone that is played: {hz, gain}, after mute and volume."""
        return self.page.evaluate("imagefec.played()")

    @property
    def status(self):
        return self.page.inner_text("#status")

    @property
    def word(self):
        return self.page.inner_text("#word")

    @property
    def trouble(self):
        return self.page.inner_text("#trouble") if self.page.is_visible("#trouble") else ""


@contextlib.contextmanager
def visiting(browser, kind=Visitor, **options):
    context = browser.new_context(**options)
    try:
        yield kind(context.new_page())
    finally:
        context.close()
