"""The judging page in a real browser: keys, undo, reload, restart, pictures, accessibility."""

import json
import shutil
import time

import pytest

from tests.browser.conftest import Visitor, launched, visiting
from tests.browser.test_accessibility import PHONE, WIDE, focused, violations
from tests.serving.judging.photos import write_photos
from tests.serving.servers import running_verb


class RaterPage(Visitor):
    """A rater at the page."""

    poll_ms = 10

    def begin(self, url, name="Anna"):
        self.page.goto(url)
        self.wait(lambda: self.page.is_visible("#name"), what="the nickname")
        self.page.fill("#name", name)
        self.page.keyboard.press("Enter")
        return self.wait_for(1)

    def wait_for(self, number, session=60):
        """Waits until the pictures of a trial are shown."""
        said = f"Triplet {(number - 1) % session + 1} of {session}"
        self.wait(lambda: self.page.inner_text("#live") == said, what=said)
        self.page.wait_for_timeout(160)  # the page takes earlier keys for those of the trial before
        return self

    def press(self, key, number, session=60):
        """Presses a key and waits for the trial that follows."""
        self.page.keyboard.press(key)
        return self.wait_for(number, session)

    @property
    def shown(self):
        """The pictures from left to right."""
        return self.page.eval_on_selector_all(
            ".face img", "images => images.map(image => image.src.split('/').pop())"
        )

    @property
    def status(self):
        return self.page.inner_text("#status")

    @property
    def word(self):
        return self.page.inner_text("main")


def answers_of(out):
    return [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def browser(playwright_):
    with launched(playwright_) as browser:
        yield browser


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"), n=8)


@pytest.fixture(scope="module")
def judging(photos, tmp_path_factory, no_model_files):
    """A server with a folder of its own for the whole file; each test has its own raters."""
    out = tmp_path_factory.mktemp("judging") / "out"
    with running_verb("judge", photos, f"--out={out}", "--port=0") as server:
        server.out = out
        yield server


def test_thirty_trials_with_undo_reload_and_a_restarted_server(judging, photos, browser, tmp_path):
    out = shutil.copytree(judging.out, tmp_path / "out")
    (out / "answers.jsonl").write_bytes(b"")
    with visiting(browser, RaterPage) as rater:
        with running_verb("judge", photos, f"--out={out}", "--port=0") as server:
            rater.begin(server.url)
            for number in range(1, 13):
                rater.press("123"[number % 3], number + 1)
            before = rater.shown
            rater.press("u", 12)
            assert rater.page.inner_text("#note") == "Taken back."
            rater.press("Backspace", 11)
            rater.press("1", 12)
            rater.press("2", 13)
            assert rater.shown == before
            rater.page.reload()
            rater.wait_for(13)
            assert rater.shown == before and "Anna · 13 of 60" in rater.status
            server.stop()
        with running_verb("judge", photos, f"--out={out}", f"--port={server.port}"):
            rater.page.reload()
            rater.wait_for(13)
            assert rater.shown == before
            for number in range(13, 31):
                rater.press("3", number + 1)
        errors = [error for error in rater.errors if "ERR_CONNECTION_REFUSED" not in error]
        assert errors == []
    records = answers_of(out)
    assert [each["op"] for each in records[12:16]] == ["undo", "undo", "answer", "answer"]
    standing = records[:10] + records[14:]
    assert [each["number"] for each in standing] == list(range(1, 31))
    kinds = {each["number"]: each["kind"] for each in standing}
    assert [n for n in kinds if kinds[n] == "repeat"] == [10, 20, 30]
    assert [n for n in kinds if kinds[n] == "catch"] == [8, 23]
    assert [each["choice"] for each in standing[:10]] == [n % 3 for n in range(1, 11)]
    assert all(100 < each["ms"] < 20_000 for each in standing)


def test_faces_appear_together_when_all_three_are_decoded_and_time_starts_then(judging, browser):
    with visiting(browser, RaterPage) as rater:
        asked = []

        def hold_the_third(route):
            asked.append(route)
            if len(asked) != 3:
                route.continue_()

        rater.page.route("**/picture/*", hold_the_third)
        rater.page.goto(judging.url)
        rater.page.fill("#name", "Late")
        began_s = time.monotonic()
        rater.page.keyboard.press("Enter")
        rater.wait(lambda: len(asked) >= 3)
        rater.page.wait_for_timeout(600)
        assert rater.shown == [] and rater.page.inner_text("#live") == ""
        rater.page.keyboard.press("1")  # for nothing that can be seen
        asked[2].continue_()
        rater.wait_for(1)
        assert len(rater.shown) == 3
        rater.press("2", 2)
        seconds = time.monotonic() - began_s
    mine = [each for each in answers_of(judging.out) if each["rater"] == "Late"]
    assert [each["choice"] for each in mine] == [1]
    assert 150 <= mine[0]["ms"] < 1000 * seconds - 550  # the wait is not in it


def test_pictures_of_the_next_trials_are_there_before_they_are_needed(judging, browser):
    with visiting(browser, RaterPage) as rater:
        asked, states = [], []
        rater.page.on("requestfinished", lambda request: asked.append(request.url.split("/")[-1]))
        rater.page.on("response", lambda r: r.url.endswith("/state") and states.append(r.json()))
        rater.begin(judging.url, "Quick")
        trials = states[0]["trials"]
        assert len(trials) == 3 and rater.shown == trials[0]["faces"]
        rater.wait(lambda: {face for trial in trials for face in trial["faces"]} <= set(asked))
        rater.press("1", 2)
        assert rater.shown == trials[1]["faces"]


def test_an_answer_waits_for_a_server_that_went_away(judging, photos, browser, tmp_path):
    out = shutil.copytree(judging.out, tmp_path / "out")
    (out / "answers.jsonl").write_bytes(b"")
    with visiting(browser, RaterPage) as rater:
        with running_verb("judge", photos, f"--out={out}", "--port=0") as server:
            rater.begin(server.url)
            rater.press("1", 2)
            server.process.kill()
            server.process.wait()
        rater.page.keyboard.press("2")
        rater.wait(lambda: rater.page.is_visible("#trouble"))
        assert "Your answer waits here" in rater.page.inner_text("#trouble")
        rater.page.keyboard.press("3")  # is not taken for another answer
        with running_verb("judge", photos, f"--out={out}", f"--port={server.port}"):
            rater.wait_for(3)
            assert rater.page.is_hidden("#trouble")
    assert [each["choice"] for each in answers_of(out)] == [0, 1]


def test_two_windows_of_one_rater_do_not_answer_a_trial_twice(judging, browser):
    with visiting(browser, RaterPage) as first, visiting(browser, RaterPage) as second:
        first.begin(judging.url, "Twin")
        second.begin(judging.url, "Twin")
        first.press("1", 2)
        second.press("3", 2)
        assert second.page.inner_text("#note") == "Answered in another window."
        assert second.shown == first.shown
        second.press("2", 3)
    mine = [each for each in answers_of(judging.out) if each["rater"] == "Twin"]
    assert [(each["number"], each["choice"]) for each in mine] == [(1, 0), (2, 1)]


def test_a_session_ends_with_thanks_and_goes_on(judging, photos, browser, tmp_path):
    out = shutil.copytree(judging.out, tmp_path / "out")
    (out / "answers.jsonl").write_bytes(b"")
    with (
        running_verb("judge", photos, f"--out={out}", "--port=0", "--session=3") as server,
        visiting(browser, RaterPage) as rater,
    ):
        rater.page.goto(server.url)
        rater.page.fill("#name", "王 <b>x")
        rater.page.keyboard.press("Enter")
        for number in range(1, 4):
            rater.wait_for(number, 3)
            rater.page.keyboard.press("2")
        rater.wait(lambda: rater.page.is_visible("#rest"))
        assert "Thank you, 王 <b>x" in rater.word and "judged 3 triplets" in rater.word
        assert focused(rater) == "go-on"
        rater.press("u", 3, 3)  # the last answer can still be taken back
        rater.page.keyboard.press("1")
        rater.wait(lambda: rater.page.is_visible("#rest"))
        rater.page.keyboard.press("Enter")
        rater.wait_for(4, 3)
        rater.press("1", 5, 3)
        rater.page.keyboard.press("p")
        rater.page.click("#other")
        assert rater.page.input_value("#name") == "" and focused(rater) == "name"


def test_a_nickname_that_cannot_be_used_is_said_plainly(judging, browser):
    with visiting(browser, RaterPage) as rater:
        rater.page.goto(judging.url)
        rater.page.fill("#name", "=1+1")
        rater.page.keyboard.press("Enter")
        rater.wait(lambda: "Please change it: the nickname" in rater.page.inner_text("#join-note"))
        assert rater.page.get_attribute("#name", "aria-invalid") == "true"


@pytest.mark.parametrize(
    ("theme", "size"), [("dark", PHONE), ("light", WIDE)], ids=["dark phone", "light wide"]
)
def test_axe_finds_no_violation_and_all_fits_the_screen(judging, browser, theme, size):
    options = {"color_scheme": theme, "viewport": size, "reduced_motion": "reduce"}
    with visiting(browser, RaterPage, **options) as rater:
        page = rater.page
        page.goto(judging.url)
        rater.wait(lambda: page.is_visible("#name"))
        assert violations(page) == []
        rater.begin(judging.url, f"W{theme}{size['width']}" + "W" * 28)
        assert violations(page) == []
        boxes = [box.bounding_box() for box in page.query_selector_all(".face")]
        assert len({(box["width"], box["height"]) for box in boxes}) == 1
        assert boxes[0]["width"] == boxes[0]["height"] > 130
        undo = page.query_selector("#undo").bounding_box()
        assert undo["y"] + undo["height"] <= size["height"]  # nothing is below the screen's end
        assert boxes[2]["x"] + boxes[2]["width"] <= size["width"]
        rater.press("1", 2)
        page.keyboard.press("p")
        assert violations(page) == []
        widths = page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert widths[0] <= widths[1] == size["width"]


def test_the_page_is_used_with_tab_and_enter_alone(judging, browser):
    with visiting(browser, RaterPage) as rater:
        rater.begin(judging.url, "Tabulator")
        for number in (1, 2, 3):
            assert rater.page.get_by_role("button", name=f"Face {number}", exact=True).is_visible()
        rater.page.keyboard.press("Tab")
        rater.page.keyboard.press("Tab")
        rater.press("Enter", 2)
        rater.press("Enter", 3)  # the focus is still on the second face
        mine = [each for each in answers_of(judging.out) if each["rater"] == "Tabulator"]
        assert [each["choice"] for each in mine] == [1, 1]
        for expected in ("button", "undo", "pause"):
            rater.page.keyboard.press("Tab")
            assert focused(rater) == expected


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_said_of_labels(judging, browser):
    with visiting(browser, RaterPage) as rater:
        requested, bodies = [], []
        rater.page.on("request", lambda request: requested.append(request.url))
        rater.page.on("response", lambda r: r.url.endswith("/state") and bodies.append(r.text()))
        rater.begin(judging.url, "Privacy")
        assert all(url.startswith(judging.url) for url in requested) and rater.errors == []
        assert not any(word in body for body in bodies for word in ("anger", "surprise", "catch"))
