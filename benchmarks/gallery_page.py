"""How long Chromium works on a gallery's page: opening it, walking to a face, scrolling.

    python benchmarks/gallery_page.py gallery/gallery.html

Times are of the page's main thread, so that other programs on the machine change them little. A
walk is to another query: search, neighbours, all faces sorted, layout and painting. Medians.
"""

import argparse
import re
import shutil
import statistics
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page, sync_playwright

STEPS, FRAMES = 30, 60
WIDTH, HEIGHT = 1400, 900
_WALK = """async (n) => {
  const links = [...document.querySelectorAll("#grid a")].map((link) => link.hash);
  const link = links[(n * 37 + 1) % links.length];
  const arrived = new Promise((done) => addEventListener("hashchange", done, { once: true }));
  location.hash = link;
  await arrived;
  await new Promise(requestAnimationFrame);
  await new Promise((done) => setTimeout(done));
}"""
_SCROLL = "async () => { scrollBy(0, 150); await new Promise(requestAnimationFrame); }"


def main() -> None:
    """Measures one page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    path = parser.parse_args().page.resolve()
    text = path.read_text(encoding="utf-8")
    print(f"{path.stat().st_size / 1e6:.1f} MB, {len(re.findall('<section', text))} queries")
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, chromium_sandbox=False)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(path.as_uri())
        print(f"{page.locator('#grid a').count()} faces, {browser.version}")
        print("| | ms of the main thread | of which script | style and layout |\n|---|---|---|---|")
        _row("open", [_times(session)])
        _row("walk to a face", [_spent(session, page, _WALK, step) for step in range(STEPS)])
        page.evaluate("scrollTo(0, 0)")
        _row("frame of scrolling", [_spent(session, page, _SCROLL) for _ in range(FRAMES)])
        page.keyboard.press("b")
        page.evaluate("scrollTo(0, 0)")
        _row("the same, blurred", [_spent(session, page, _SCROLL) for _ in range(FRAMES)])
        browser.close()


def _spent(session: CDPSession, page: Page, script: str, argument: Any = None) -> list[float]:
    before = _times(session)
    page.evaluate(script, argument)
    return [after - start for after, start in zip(_times(session), before)]


def _times(session: CDPSession) -> list[float]:
    """Milliseconds since the page was opened: all tasks, scripts, style and layout."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    found = {metric["name"]: 1000 * metric["value"] for metric in metrics}
    style = found["RecalcStyleDuration"] + found["LayoutDuration"]
    return [found["TaskDuration"], found["ScriptDuration"], style]


def _row(name: str, times: list[list[float]]) -> None:
    medians = " | ".join(f"{statistics.median(column):.1f}" for column in zip(*times))
    print(f"| {name} | {medians} |", flush=True)


if __name__ == "__main__":
    main()
