"""The frame of the pages: their policy, and the data that their script reads."""

import base64
import hashlib
import json
import re

from imagefec.analysis import html_page


def policy(page):
    return re.search(r'content="(default-src[^"]*)"', page)[1]


def test_a_page_without_a_script_allows_none():
    page = html_page.render_page("a & b", "<p>body</p>", "p { color: red }", "10rem")
    assert "<title>a &amp; b</title>" in page and "<p>body</p>" in page
    assert policy(page) == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert "<script" not in page


def test_a_page_with_a_script_allows_just_that_one():
    page = html_page.render_page("a", "", "", "10rem", script="let a = 1 < 2;")
    text = re.search(r'<script type="module">(.*?)</script>', page, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    assert policy(page).endswith(f"; script-src 'sha256-{digest}'")


def test_data_come_back_as_they_were_and_end_no_element():
    data = {"ids": ["</script><b>", "$x", "é\u2028"], "k": 4}
    page = html_page.render_page("a", "", "", "10rem", "x", data)
    text = re.search(r'id="data">(.*?)</script>', page, re.S)[1]
    assert "<" not in text and json.loads(text) == data
