"""The page for keyboards, screen readers, small screens and both themes, in a real browser."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import visiting

PHONE = {"width": 320, "height": 640}  # the narrowest that WCAG 1.4.10 asks for
WIDE = {"width": 1280, "height": 860}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_axe_finds_no_violation_before_and_after_the_start(server, two_expressions, theme, size):
    options = {"color_scheme": theme, "viewport": size, "reduced_motion": "reduce"}
    with visiting(two_expressions, **options) as visitor:
        visitor.open(server.url, start=False)
        assert violations(visitor.page) == []
        visitor.page.click("#start")
        visitor.wait(lambda: visitor.page.is_enabled("#goal"))
        visitor.capture("goal", "calm")
        visitor.wait(lambda: "“calm”" in visitor.page.inner_text("#detail"))
        assert violations(visitor.page) == []


def violations(page):
    found = Axe().run(page).response
    assert len(found["passes"]) > 10  # the check has run
    return [
        (each["id"], node["html"][:120], node["failureSummary"])
        for each in found["violations"]
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_nothing_is_wider_than_the_screen(server, two_expressions, size):
    with visiting(two_expressions, viewport=size) as visitor:
        visitor.open(server.url)
        visitor.capture("goal", "W" * 60)
        widths = visitor.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert widths[0] <= widths[1] == size["width"]


def test_the_page_is_used_with_the_keyboard_alone(server, two_expressions):
    with visiting(two_expressions) as visitor:
        visitor.open(server.url, start=False)
        keyboard = visitor.page.keyboard
        keyboard.press("Tab")
        assert focused(visitor) == "start"
        keyboard.press("Enter")
        visitor.wait(lambda: visitor.page.is_enabled("#goal"))
        assert focused(visitor) == "neutral"  # not lost with the Start button
        keyboard.press("n")
        visitor.wait(lambda: visitor.page.inner_text("#live") == "Neutral captured")
        keyboard.press("g")
        visitor.wait(lambda: visitor.page.inner_text("#live") == "Goal goal captured")
        keyboard.press("Tab")
        assert focused(visitor) == "name"
        keyboard.type("mango")  # letters of shortcuts are only letters here
        assert visitor.page.input_value("#name") == "mango"
        assert visitor.page.get_attribute("#mute", "aria-pressed") == "false"
        keyboard.press("Enter")
        visitor.wait(lambda: visitor.page.inner_text("#live") == "Goal mango captured")
        # Of radio buttons the checked one, mango, takes the focus; Forget goal comes before it.
        for expected in ("goal", "button", "radio", "button", "mute", "volume", "preset", "stop"):
            keyboard.press("Tab")
            assert focused(visitor) == expected


def focused(visitor):
    return visitor.page.evaluate(
        "document.activeElement.id || document.activeElement.type || document.activeElement.tagName"
    )


def test_a_screen_reader_hears_the_meter_in_words(server, two_expressions):
    with visiting(two_expressions) as visitor:
        visitor.open(server.url)
        meter = visitor.page.get_by_role("meter", name="Distance to the goal")
        visitor.wait(lambda: meter.get_attribute("aria-valuetext") == "choose a goal")
        visitor.capture("goal", "calm")
        visitor.wait(lambda: "goal" in meter.get_attribute("aria-valuetext"))
        assert 0 <= int(meter.get_attribute("aria-valuenow")) <= 100
        assert visitor.page.get_attribute("#live", "aria-live") == "polite"
