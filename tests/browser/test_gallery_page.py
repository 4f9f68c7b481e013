"""The gallery's page, opened from a file: walking, searching, omitting, and who can use it."""

# Over 350 lines: its tests share a browser and pages, which take long to make.

from dataclasses import replace

import numpy as np
import pytest

from imagefec.analysis.neighbours import neighbours_from_other_photos
from imagefec.data.annotations import Annotations
from imagefec.data.exclusion import Exclusion
from tests.analysis.gallery.walkable import EVIL, gallery_faces, labels, ties, write_page
from tests.browser.conftest import launched, visiting
from tests.browser.test_accessibility import violations

NAMES = [EVIL, "Ångström 面 😀", "photos/two, faces.png#1", "x" * 150, "100 % & more=?#face=1"]
WALK_ALL = """async () => {
  const found = [];
  const links = [...document.querySelectorAll("#grid a")];
  const all = links.map((link) => [Number(link.dataset.face), link.hash]);
  for (const [face, link] of all) {
    const arrived = new Promise((done) => addEventListener("hashchange", done, { once: true }));
    location.hash = link;
    await arrived;
    const near = [...document.querySelectorAll("#near a")].map(
      (near) => [Number(near.dataset.face), near.querySelector(".below").textContent]);
    found.push([face, near]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser(playwright_):
    with launched(playwright_) as browser:
        yield browser


@pytest.fixture(scope="module")
def data():
    ids = [*NAMES, *(f"face {row}" for row in range(len(NAMES), 24))]
    urls = [f"https://photos.example/{row // 2}.jpg" for row in range(24)]
    urls[2] = "file:///home/me/two.png"
    urls[0] = urls[1] = "javascript:document.title='evil'"
    return gallery_faces(ties(), ids, urls, labels())


@pytest.fixture(scope="module")
def url(data, tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("page") / "gallery.html", data)


class Visit:
    """A visitor of the page; the errors of its console are kept."""

    def __init__(self, page):
        self.page, self.errors, self.requests = page, [], []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda m: m.type == "error" and self.errors.append(m.text))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, url):
        self.page.goto(url)
        return self

    def near(self):
        return faces_of(self.page, "#near a")

    def grid(self):
        return faces_of(self.page, "#grid a")

    def name(self):
        return self.page.inner_text("#query-name") if self.page.is_visible("#walk") else None

    def wait_for(self, name):
        self.page.locator("#query-name", has_text=name).wait_for()

    def slide(self, slider, value):
        self.page.locator(f"#{slider}").fill(str(value))

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def focused(self):
        return self.page.evaluate(
            "document.activeElement.dataset.face ?? document.activeElement.id"
        )


def faces_of(page, selector):
    return [int(a.get_attribute("data-face")) for a in page.locator(selector).all()]


@pytest.fixture
def visit(browser, url):
    with visiting(browser, Visit) as visit:
        yield visit.open(url)
        assert visit.errors == []
        assert [each for each in visit.requests if not each.startswith(("data:", "blob:"))] == [url]


def nearest(data, query, k, limit=None, without=()):
    rows = np.array([row for row in range(24) if row not in without])
    found = neighbours_from_other_photos(data.embed(), data.urls, [query], k, limit, rows)
    return found[0]


def test_the_neighbours_of_every_face_are_those_of_python(visit, data):
    visit.slide("k", 12)
    for query, found in visit.page.evaluate(WALK_ALL):
        expected = [[row, f"{distance:.3f}"] for row, distance in nearest(data, query, 12)]
        assert found == expected


def test_a_face_that_is_opened_becomes_the_query_and_back_returns(visit, data):
    strip = visit.page.locator("section").nth(1)
    first = int(strip.locator("li a").first.get_attribute("data-face"))
    strip.locator("li a").first.click()
    visit.wait_for(data.face_ids[first])
    assert visit.near() == [row for row, _ in nearest(data, first, 3)]
    assert not visit.page.is_visible("#queries")
    second = visit.near()[1]
    visit.page.click(f"#near a[data-face='{second}']")
    visit.wait_for(data.face_ids[second])
    assert faces_of(visit.page, "#trail a") == [first, second]
    assert visit.page.is_disabled("#forward")
    visit.page.go_back()
    visit.wait_for(data.face_ids[first])
    assert faces_of(visit.page, "#trail a") == [first, second]  # the way forward is still there
    visit.page.click("#forward")
    visit.wait_for(data.face_ids[second])
    visit.page.click("#trail a >> nth=0")
    visit.wait_for(data.face_ids[first])
    visit.page.click("#back")
    visit.page.wait_for_selector("#walk", state="hidden")
    assert visit.page.is_visible("#queries")
    visit.page.go_forward()
    visit.page.click("#grid a[data-face='9']")
    visit.wait_for("face 9")
    assert faces_of(visit.page, "#trail a") == [first, 9]


@pytest.mark.parametrize("row", [0, 1, 2, 4, 7])
def test_an_address_that_names_a_face_opens_it(visit, url, data, row):
    link = visit.page.get_attribute(f"#grid a[data-face='{row}']", "href")
    visit.page.goto("about:blank")
    visit.requests.clear()
    visit.open(url + link)
    visit.requests[:] = [url]  # of the page, with the name after #
    assert visit.name() == data.face_ids[row]
    assert visit.near() == [near for near, _ in nearest(data, row, 3)]
    visit.page.reload()
    assert visit.name() == data.face_ids[row] and visit.page.is_disabled("#back")
    visit.requests[:] = [url]


@pytest.mark.parametrize("link", ["#face=nobody", "#face=%E0%A4%A", "#number=99"])
def test_an_address_of_no_face_shows_the_queries_and_says_so(visit, link):
    visit.page.evaluate("link => { location.hash = link }", link)
    visit.page.locator("#note", has_text="not in this page").wait_for()
    assert visit.page.is_visible("#queries") and visit.name() is None


def test_the_sliders_set_how_many_neighbours_are_shown_and_how_far(visit, data):
    def in_strips():
        return [faces_of(visit.page, f"section >> nth={n} >> li a") for n in range(2)]

    assert in_strips() == [[row for row, _ in nearest(data, query, 3)] for query in (0, 5)]
    visit.slide("k", 7)
    assert in_strips() == [[row for row, _ in nearest(data, query, 7)] for query in (0, 5)]
    visit.page.click("section >> nth=1 >> .query a")
    visit.wait_for("face 5")
    assert visit.near() == [row for row, _ in nearest(data, 5, 7)]
    visit.slide("limit", 90)
    limit = float(visit.page.inner_text("#limit-value"))
    expected = nearest(data, 5, 7, limit)
    assert visit.near() == [row for row, _ in expected] and 0 < len(expected) < 7
    assert f"{len(expected)} nearest faces of other photos within" in visit.page.inner_text("h3")
    visit.page.check("#within")
    assert set(visit.near()) <= set(visit.grid()) and 5 in visit.grid()
    visit.slide("limit", 0)
    assert visit.near() == [] and "No face of another photo within 0" in visit.page.inner_text("h3")
    visit.slide("limit", 200)
    assert visit.page.inner_text("#limit-value") == "any" and len(visit.grid()) == 24
    visit.press("Escape")
    visit.page.wait_for_selector("#walk", state="hidden")
    visit.slide("limit", 10)
    limit = float(visit.page.inner_text("#limit-value"))
    expected = [[row for row, _ in nearest(data, query, 7, limit)] for query in (0, 5)]
    assert in_strips() == expected and expected[1] == []
    assert visit.page.locator("section .none").nth(1).inner_text() == f"none within {limit}"


def test_all_faces_are_sorted_and_filtered(visit, data):
    assert visit.grid() == list(range(24))
    visit.page.select_option("#sort", "id")
    ids = [data.face_ids[row] for row in visit.grid()]
    assert ids[-3:] == ["face 23", "photos/two, faces.png#1", "x" * 150]
    assert ids.index("face 9") < ids.index("face 10")
    visit.page.select_option("#sort", "column label")
    values = [(*data.columns[0].values[row], "~")[0] for row in visit.grid()]
    assert values == sorted(values)
    visit.page.select_option("#sort", "near")
    visit.page.get_by_role("combobox", name="label").select_option("joy")
    assert visit.grid() == [row for row in range(20) if row % 3 == 2]
    visit.page.get_by_role("combobox", name="label").select_option("unknown")
    assert visit.grid() == [20, 21, 22, 23]
    visit.page.get_by_role("combobox", name="triplets").select_option("anger")  # those of odd rows
    assert visit.grid() == [21, 23]
    visit.page.get_by_role("combobox", name="label").select_option("")
    visit.page.fill("#search", "PHOTOS.EXAMPLE/3")
    assert visit.grid() == [7]
    visit.page.fill("#search", "<img")
    assert visit.grid() == [] and visit.page.inner_text("#count") == "No face matches"
    visit.page.get_by_role("combobox", name="triplets").select_option("")
    assert visit.grid() == [0]
    visit.page.fill("#search", "")
    visit.page.click("#grid a[data-face='6']")
    visit.wait_for("face 6")
    distances = np.linalg.norm(data.embed() - data.embed()[6], axis=1)
    assert visit.grid() == np.argsort(distances, kind="stable").tolist()
    shown = visit.page.locator("#grid .below").all_inner_texts()
    assert shown == [f"{distance:.2f}" for distance in np.sort(distances)]


def test_labels_and_persons_of_tables_filter_and_urls_of_one_photo_are_no_neighbours(
    browser, tmp_path
):
    size = "https://live.staticflickr.com/1/123456_0123456789_{}.jpg"
    urls = [size.format("m"), size.format("b"), *(f"https://a.example/{n}" for n in range(4))]
    vectors = np.arange(6, dtype=np.float32)[:, None]
    known = Annotations(
        person=np.array([0, 0, 1, 1, -1, 0]),
        label=np.array([1, 0, 1, 0, 1, -1]),
        persons=("Åsa", "<i>Bo</i>"),
        labels=("awe", "joy"),
    )
    faces = replace(gallery_faces(vectors, urls=urls), annotations=known)
    address = write_page(tmp_path / "gallery.html", faces)
    with visiting(browser, Visit) as visit:
        visit.open(address)
        strip = visit.page.locator("section >> nth=0")  # of face 0; the slider adds a neighbour
        assert strip.locator(".label").all_inner_texts() == ["joy", "joy", "awe", "joy"]
        visit.slide("k", 4)
        assert strip.locator("figcaption").all_inner_texts()[1:] == [
            *("2.000\njoy", "3.000\nawe", "4.000\njoy", "5.000"),
        ]
        visit.slide("k", 3)
        visit.page.get_by_role("combobox", name="label").select_option("joy")
        assert visit.grid() == [0, 2, 4]
        visit.page.get_by_role("combobox", name="person").select_option("<i>Bo</i>")
        assert visit.grid() == [2]
        visit.page.get_by_role("combobox", name="label").select_option("")
        assert visit.grid() == [2, 3]
        visit.page.get_by_role("combobox", name="person").select_option("unknown")
        assert visit.grid() == [4]
        visit.page.get_by_role("combobox", name="person").select_option("")
        visit.page.select_option("#sort", "column person")  # values by their order as texts
        assert visit.grid() == [2, 3, 0, 1, 5, 4]
        visit.page.click("#grid a[data-face='0']")
        visit.wait_for("face 0")
        assert visit.near() == [2, 3, 4]
        assert visit.page.locator("#near .label").all_inner_texts() == ["joy", "awe", "joy"]
        facts = visit.page.inner_text("#facts")
        assert "joy" in facts and "Åsa" in facts
        visit.page.click("#near a[data-face='4']")
        visit.wait_for("face 4")
        assert visit.near() == [3, 5, 2]  # 5 is as far as 3, and later in the data
        assert visit.errors == []


def test_an_omitted_face_vanishes_and_the_next_nearest_takes_its_place(visit, data, tmp_path):
    gone = visit.page.locator("section >> nth=1 >> li a").nth(1)
    face = int(gone.get_attribute("data-face"))
    gone.focus()
    visit.press("o")
    shown = faces_of(visit.page, "section >> nth=1 >> li a")
    assert shown == [row for row, _ in nearest(data, 5, 3, without=[face])]
    assert face not in visit.grid() and len(visit.grid()) == 23
    visit.page.click("section >> nth=1 >> .query a")
    visit.wait_for("face 5")
    assert visit.near() == shown
    visit.page.hover(f"#near a[data-face='{shown[0]}']")
    visit.page.click("#near .omit >> nth=0")
    both = [face, shown[0]]
    assert visit.near() == [row for row, _ in nearest(data, 5, 3, without=both)]
    visit.page.click("#note button")  # undo
    assert visit.near() == shown
    visit.page.click("#omit")  # the query itself
    visit.page.wait_for_selector("#walk", state="hidden")
    assert not visit.page.locator("section").nth(1).is_visible()
    visit.page.reload()
    visit.requests.pop()
    assert visit.page.inner_text("#omitted-count") == "2" and len(visit.grid()) == 22
    visit.page.click("#omitted summary")
    with visit.page.expect_download() as download:
        visit.page.click("#download")
    download.value.save_as(tmp_path / download.value.suggested_filename)
    listed = Exclusion.load(tmp_path / "omitted.txt")
    assert len(listed) == 2
    assert [row for row, name in enumerate(data.face_ids) if listed.excludes(name)] == sorted(
        [face, 5]
    )
    visit.page.click("#omitted-list li >> nth=1 >> button")
    assert visit.page.inner_text("#omitted-count") == "1" and 5 in visit.grid()
    visit.page.click("#restore-all")
    assert not visit.page.is_visible("#omitted") and len(visit.grid()) == 24


def test_an_address_of_an_omitted_face_offers_to_restore_it(visit):
    visit.page.click("#grid a[data-face='8']")
    visit.wait_for("face 8")
    visit.press("n")
    visit.page.locator("#trail li").nth(1).wait_for()
    visit.page.locator("#trail a").nth(0).focus()
    visit.press("o")
    assert 8 not in faces_of(visit.page, "#trail a")
    visit.page.go_back()
    visit.page.locator("#note", has_text="Omitted: face 8").wait_for()
    assert visit.name() is None
    visit.page.click("#note button")
    visit.wait_for("face 8")
    assert 8 in visit.grid()


def test_without_storage_the_omissions_last_as_long_as_the_page(browser, url):
    with visiting(browser, Visit) as visit:
        forbid = "{ get() { throw new DOMException('no', 'SecurityError') } }"
        visit.page.add_init_script(f"Object.defineProperty(window, 'localStorage', {forbid})")
        visit.open(url)
        visit.page.locator("#grid a").nth(3).focus()
        visit.press("o")
        assert 3 not in visit.grid() and visit.errors == []
        visit.page.reload()
        assert 3 in visit.grid() and visit.errors == []


def test_blur_hides_every_picture(visit):
    blurred = """() => [...document.querySelectorAll("img, .face")].every((picture) => {
      let all = "";
      for (let at = picture; at; at = at.parentElement) all += getComputedStyle(at).filter;
      return all.includes("blur"); })"""
    visit.press("b")
    assert visit.page.get_attribute("#blur", "aria-pressed") == "true"
    assert visit.page.evaluate(blurred)
    visit.page.click("section >> nth=0 >> .query a")
    visit.wait_for("<img")
    visit.press("o")
    assert visit.page.evaluate(blurred)  # those of the omitted list too
    visit.page.click("#blur")
    assert not visit.page.evaluate(blurred)


def test_names_are_text_and_only_addresses_of_the_web_are_links(visit, data):
    for row, link in ((0, None), (2, None), (4, data.urls[4])):
        visit.page.click(f"#grid a[data-face='{row}']")
        visit.wait_for(data.face_ids[row])
        assert visit.page.inner_text("#facts dd >> nth=-1") == data.urls[row]
        found = visit.page.locator("#facts a")
        assert (found.get_attribute("href") if found.count() else None) == link
        assert not link or found.get_attribute("rel") == "noreferrer noopener"
        visit.press("o")
    assert visit.page.locator("img[src=x]").count() == 0
    assert "evil" not in visit.page.title().split("'")[0] and EVIL in visit.page.title()


def test_the_page_is_walked_with_the_keyboard_alone(visit, data):
    visit.page.locator("section >> nth=1 >> .query a").focus()
    visit.press("Enter")
    visit.wait_for("face 5")
    assert visit.focused() == "query-name"
    near = visit.near()
    visit.page.locator("#near a").first.focus()
    visit.press("ArrowRight", "ArrowRight", "ArrowLeft")
    assert visit.focused() == str(near[1])
    visit.press("Enter")
    visit.wait_for(data.face_ids[near[1]])
    assert visit.focused() == str(visit.near()[1])  # the same place
    visit.press("End", "o")
    assert visit.focused() == str(visit.near()[-1])
    visit.press("/")
    assert visit.focused() == "search"
    visit.page.keyboard.type("face 10bno?")  # letters of shortcuts are only letters here
    assert visit.page.input_value("#search") == "face 10bno?"
    visit.page.fill("#search", "face 10")
    visit.press("Enter")
    visit.wait_for("face 10")
    visit.page.fill("#search", "")
    visit.page.select_option("#sort", "id")
    visit.page.locator("#k").focus()
    visit.press("n")
    visit.wait_for("face 11")
    visit.press("p", "p")  # quicker than the page follows
    visit.wait_for("face 9")
    visit.page.select_option("#sort", "near")
    visit.page.locator("#k").focus()
    visit.press("n")
    visit.wait_for("face 10")
    visit.press("p")
    visit.wait_for("face 9")
    visit.page.select_option("#sort", "id")
    visit.press("?")
    assert visit.page.is_visible("#help")
    visit.press("b", "Escape")
    assert not visit.page.is_visible("#help") and visit.name() == "face 9"
    assert visit.page.get_attribute("#blur", "aria-pressed") == "false"
    visit.page.locator("#grid a").first.focus()
    visit.press("ArrowDown", "ArrowDown", "ArrowUp", "Home", "ArrowRight")
    second = visit.focused()
    assert int(second) == visit.grid()[1]
    visit.press("Enter")
    visit.wait_for(data.face_ids[int(second)])
    assert visit.focused() == second  # the same face, wherever it is now
    stops = visit.page.locator("#grid a[tabindex='0']").count()
    assert stops == 1
    visit.press("Escape")
    visit.page.wait_for_selector("#walk", state="hidden")


def test_a_screen_reader_hears_what_was_found(visit, data):
    visit.page.click("section >> nth=1 >> .query a")
    visit.wait_for("face 5")
    distance = nearest(data, 5, 1)[0][1]
    said = visit.page.inner_text("#live")
    assert said == f"3 neighbours of face 5, the nearest at {distance:.3f}"
    assert visit.page.get_attribute("#live", "aria-live") == "polite"
    assert visit.page.get_by_role("img", name="Face face 5").count() == 1
    first = visit.near()[0]
    label = " ".join(data.columns[0].values[first])
    name = f"Neighbour 1: {data.face_ids[first]} {distance:.3f} {label}".strip()
    assert visit.page.get_by_role("link", name=name, exact=True).count() == 1
    visit.press("b")
    assert visit.page.inner_text("#live") == "Pictures are blurred"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_axe_finds_no_violation_and_nothing_is_wider_than_the_screen(browser, url, theme, width):
    options = {"color_scheme": theme, "viewport": {"width": width, "height": 800}}
    with visiting(browser, Visit, reduced_motion="reduce", **options) as visit:
        visit.open(url)
        assert violations(visit.page) == []
        visit.page.click("#grid a[data-face='3']")  # a long name
        visit.wait_for("xxx")
        visit.press("n")
        visit.page.locator("#trail li").nth(1).wait_for()
        visit.page.locator("#near a").first.focus()
        visit.press("o")
        visit.page.click("#omitted summary")
        assert violations(visit.page) == []
        widths = visit.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths == [width, width]
        visit.press("?")
        assert violations(visit.page) == []


def test_a_page_with_a_part_of_the_faces_says_so(browser, data, tmp_path):
    url = write_page(tmp_path / "part.html", data, faces=12)
    with visiting(browser, Visit) as visit:
        visit.open(url)
        assert len(visit.grid()) == 12
        assert "This page contains 12 of the 24 faces" in visit.page.inner_text(".why")
        visit.page.click("#grid a >> nth=1")
        visit.page.locator("h3", has_text="3 nearest faces of other photos in this page").wait_for()
        assert visit.page.inner_text("#count") == "12 of 12 faces, a sample of 24"
        assert visit.errors == []


def test_two_faces_are_enough(browser, tmp_path):
    data = gallery_faces(np.eye(2, dtype=np.float32), ["same", "same"], ["a", "b"])
    url = write_page(tmp_path / "two.html", data, queries=[0], k=1)
    with visiting(browser, Visit) as visit:
        visit.open(url)
        visit.page.click("#grid a >> nth=1")  # its id is that of the other
        visit.wait_for("same")
        assert visit.near() == [0] and visit.page.get_attribute("#k", "max") == "1"
        assert visit.page.inner_text("#near .below") == "1.414" and visit.errors == []


def test_ids_that_no_address_or_list_can_hold_are_walked_all_the_same(browser, tmp_path):
    ids = ["", "\udcff", "two\nlines", "# no comment", " spaced ", "plain", "\u202eright", "%"]
    url = write_page(tmp_path / "odd.html", gallery_faces(ties(8), ids), queries=[0], k=2)
    with visiting(browser, Visit) as visit:
        visit.open(url)
        for row in range(8):
            visit.page.click(f"#grid a[data-face='{row}']")
            visit.page.locator(f"#grid a[aria-current][data-face='{row}']").wait_for()
            assert visit.page.locator("#query-name").text_content() == ids[row]
        for row in range(6):
            visit.page.locator(f"#grid a[data-face='{row}']").focus()
            visit.press("o")
        visit.page.click("#omitted summary")
        with visit.page.expect_download() as download:
            visit.page.click("#download")
        lines = download.value.path().read_text(encoding="utf-8").splitlines()
        assert lines[1:] == ["# 5 more have ids that a line cannot hold", "plain"]
        assert visit.errors == []


def test_without_scripts_the_strips_are_there_and_nothing_else(browser, url):
    with visiting(browser, Visit, java_script_enabled=False) as visit:
        visit.open(url)
        assert visit.page.locator("section figure img").count() == 8
        for selector in ("#tools", "#walk", "#all", "#help", "#note"):
            assert not visit.page.is_visible(selector)
