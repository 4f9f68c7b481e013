"""The page of a map in a real browser, opened as a file."""

import numpy as np
import pytest

from imagefec.analysis.map.page import make_page, notes_on
from imagefec.analysis.map.page_data import page_data
from imagefec.analysis.map.pictures import make_thumbnails
from imagefec.analysis.map.projection import project
from imagefec.analysis.neighbours import neighbours_from_other_photos
from tests.browser.conftest import launched
from tests.browser.test_accessibility import violations

N, D = 300, 4
WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 320, "height": 640}
EVIL = "<img src=x onerror=document.title='evil'>"


def vectors():
    """Unit vectors with repeated rows, so that some distances are equal."""
    found = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
    found[200:220] = found[0:20]
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def urls():
    return [f"http://a.test/{number // 3}.jpg" for number in range(N)]  # three faces of a photo


def write_page(path, n=N, known=None):
    faces = [np.full((32, 32, 3), [number % 250, 200, 90], np.uint8) for number in range(n)]
    ids = [EVIL, *(f"face{number}" for number in range(1, n))]
    known = {"label": [("joy", "fear", "", EVIL)[number % 4] for number in range(n)]}
    projection = project(vectors()[:n], "pca")
    data = page_data(
        ids,
        urls()[:n],
        known,
        projection.points,
        vectors()[:n],
        make_thumbnails(faces, range(n), ids),
        range(n),
    )
    path.write_text(make_page("Map", "facts", notes_on(projection), data), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(playwright_):
    with launched(playwright_) as browser:
        yield browser


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("map") / "map.html")


@pytest.fixture
def open_map(browser, file):
    """Opens the page; fails at the end if it raised an error or requested anything."""
    contexts, errors = [], []

    def opened(path=file, **options):
        context = browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda m: m.type == "error" and errors.append(m.text))
        page.on(
            "request",
            lambda r: (r.url.startswith(("file:", "data:", "blob:"))) or errors.append(r.url),
        )
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]", timeout=60_000)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def click_on(page, face):
    """Clicks on a face's place, which its picture need not be free at."""
    page.evaluate(
        "face => { const {x, y} = imagefec.onScreen(face); const box ="
        "document.getElementById('map').getBoundingClientRect();"
        "window.at = [box.left + x, box.top + y]; }",
        face,
    )
    page.mouse.click(*page.evaluate("window.at"))


def listed(page):
    return page.locator("#nearest button").evaluate_all(
        "all => all.map((button) => button.getAttribute('aria-label'))"
    )


def test_the_nearest_faces_are_those_of_the_index(open_map):
    page = open_map()
    rows = list(range(0, N, 7))
    expected = neighbours_from_other_photos(vectors(), urls(), rows, 12)
    found = page.evaluate("rows => rows.map((row) => imagefec.nearest(row, 12))", rows)
    for mine, theirs in zip(found, expected):
        assert [each["face"] for each in mine] == [row for row, _ in theirs]
        np.testing.assert_allclose(
            [each["distance"] for each in mine], [apart for _, apart in theirs], atol=1e-6
        )


def test_a_click_chooses_a_face_and_lists_its_nearest(open_map):
    page = open_map()
    face = page.evaluate("imagefec.shownPictures(imagefec.pictureSide())[5]")
    click_on(page, face)
    assert page.evaluate("imagefec.state.chosen") == face
    assert page.inner_text("#details").split("\n")[1] == f"face{face}"
    [(nearest, *_)] = neighbours_from_other_photos(vectors(), urls(), [face], 8)
    labels = listed(page)
    assert len(labels) == 8 and f"distance {nearest[1]:.3f}" in labels[0]
    assert "8 nearest faces listed" in page.inner_text("#live")
    page.locator("#k").fill("3")
    assert len(listed(page)) == 3 and page.inner_text("#k-value") == "3"
    page.locator("#nearest button").first.press("Enter")
    assert page.evaluate("imagefec.state.chosen") == nearest[0]
    page.click("#clear")
    assert page.evaluate("imagefec.state.chosen") == -1 and page.is_visible("#hint")


def test_pictures_never_overlap_and_more_appear_when_zoomed_in(open_map):
    page = open_map()
    counts = []
    for _ in range(4):
        side, faces, places = page.evaluate(
            "(() => { const side = imagefec.pictureSide();"
            "const faces = imagefec.shownPictures(side);"
            "return [side, faces, faces.map((face) => [imagefec.onScreen(face).x,"
            "imagefec.onScreen(face).y])]; })()"
        )
        places = np.array(places)
        apart = np.abs(places[:, None] - places[None]).max(axis=-1) + 1e6 * np.eye(len(faces))
        assert apart.min() >= side
        counts.append(len(faces) / N)
        page.click("#in")
        page.wait_for_timeout(50)
    assert 0 < counts[0] < 1


def test_wheel_drag_keys_and_buttons_move_the_map(open_map):
    page = open_map()
    box = page.locator("#map").bounding_box()
    camera = lambda: page.evaluate("({...imagefec.camera})")  # noqa: E731
    before = camera()
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    map_x = (300 - before["width"] / 2) / before["scale"] + before["x"]
    page.mouse.wheel(0, -240)
    page.wait_for_function("scale => imagefec.camera.scale > scale * 1.5", arg=before["scale"])
    after = camera()
    # The place below the pointer stays there.
    assert (map_x - after["x"]) * after["scale"] + after["width"] / 2 == pytest.approx(
        300, abs=1.5
    )  # pixels
    page.mouse.down()
    page.mouse.move(box["x"] + 350, box["y"] + 240, steps=4)
    page.mouse.up()
    assert camera()["x"] == pytest.approx(after["x"] - 50 / after["scale"])
    assert camera()["y"] == pytest.approx(after["y"] + 40 / after["scale"])
    assert page.evaluate("imagefec.state.chosen") == -1  # a drag is no click
    page.focus("#map")
    page.keyboard.press("ArrowRight")
    assert camera()["x"] == pytest.approx(after["x"] + 20 / after["scale"])
    page.keyboard.press("+")
    assert camera()["scale"] == pytest.approx(after["scale"] * 1.5)
    page.keyboard.press("0")
    assert camera()["scale"] == pytest.approx(before["scale"]) and camera()["x"] == 0


def test_two_fingers_zoom(open_map):
    page = open_map(has_touch=True)
    before = page.evaluate("imagefec.camera.scale")
    session = page.context.new_cdp_session(page)
    box = page.locator("#map").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind, apart):
        points = [{"x": middle[0] + side * apart, "y": middle[1], "id": side} for side in (-1, 1)]
        session.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": points if kind != "touchEnd" else []},
        )

    touch("touchStart", 50)
    for apart in range(50, 105, 5):
        touch("touchMove", apart)
    touch("touchEnd", 0)
    assert page.evaluate("imagefec.camera.scale") == pytest.approx(2 * before, rel=0.2)


def test_the_map_is_used_with_the_keyboard_alone(open_map):
    page = open_map()
    page.focus("#map")
    page.keyboard.press("Shift+ArrowRight")
    focus = page.evaluate("imagefec.state.focus")
    assert focus >= 0 and page.is_visible("#tip")
    page.keyboard.press("ArrowRight")  # hides it
    assert page.is_hidden("#tip")
    assert page.inner_text("#live").startswith(f"face{focus}" if focus else EVIL)
    page.keyboard.press("Shift+ArrowLeft")
    at = [
        page.evaluate("face => imagefec.onScreen(face).x", face)
        for face in (focus, page.evaluate("imagefec.state.focus"))
    ]
    assert at[1] < at[0]
    page.keyboard.press("Enter")
    assert page.evaluate("imagefec.state.chosen") >= 0 and len(listed(page)) == 8
    page.keyboard.press("b")
    assert page.get_attribute("#blur", "aria-pressed") == "true"
    page.keyboard.press("Escape")
    assert page.evaluate("imagefec.state.chosen") == -1


def test_find_goes_to_the_face_of_a_name(open_map):
    page = open_map()
    page.fill("#find", "FACE123")
    page.press("#find", "Enter")
    assert page.evaluate("imagefec.state.chosen") == 123
    page.fill("#find", "face29")  # and again: the next one
    for expected in (290, 291):
        page.press("#find", "Enter")
        assert page.evaluate("imagefec.state.chosen") == expected
    page.fill("#find", "nobody")
    page.press("#find", "Enter")
    assert page.inner_text("#live") == "No face with nobody"


def test_a_blurred_face_has_no_detail_and_dots_show_no_face(open_map):
    page = open_map()
    page.click("#blur")
    assert page.get_attribute("#blur", "aria-pressed") == "true"
    page.click("#dots")
    assert page.evaluate("imagefec.shownPictures(imagefec.pictureSide()).length") == 0


def test_the_legend_counts_each_label_and_fades_the_others(open_map):
    page = open_map()
    items = page.locator("#legend button").all_inner_texts()
    assert sorted(items) == sorted(["joy 75", "fear 75", f"{EVIL} 75", "not known 75"])
    page.get_by_role("button", name="joy 75").click()
    assert page.evaluate("imagefec.state.only") >= 0
    page.select_option("#colour", "-1")
    assert page.is_hidden("#legend")


def test_names_are_shown_as_text(open_map):
    page = open_map()
    page.fill("#find", "<img")
    page.press("#find", "Enter")
    assert page.evaluate("imagefec.state.chosen") == 0
    assert EVIL in page.inner_text("#details")
    assert page.locator("img").count() == 0 and page.title() == "Map"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_axe_finds_no_violation_and_nothing_is_too_wide(open_map, theme, size):
    page = open_map(color_scheme=theme, viewport=size)
    assert violations(page) == []
    page.fill("#find", "face12")
    page.press("#find", "Enter")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_map_of_a_few_faces_of_one_photo_says_that_there_is_no_neighbour(open_map, n, tmp_path):
    page = open_map(write_page(tmp_path / "few.html", n))
    page.focus("#map")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    assert page.evaluate("imagefec.state.chosen") >= 0
    assert page.is_visible("#none") and listed(page) == []
