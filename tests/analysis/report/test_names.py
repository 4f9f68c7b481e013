"""Names from elsewhere, such as folders, recipes and settings: text on a page, and nothing else."""

import html
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from imagefec import cli
from imagefec.analysis.report import plot_style
from imagefec.analysis.report.build import make_report
from imagefec.analysis.report.page import Command, Table, Text, as_html, as_markdown, literal
from imagefec.analysis.report.request import quoted
from imagefec.model import checkpoint
from imagefec.paths import readable

EVIL = (
    "a|b `c` <script>x()</script>\n# h\n[t](javascript:x) ![i](u) **b** _e_ $x^$ \\| &lt; @u\x1b[1m"
)
LITERAL = EVIL.replace("\n", "\\n").replace("\x1b", "\\x1b")


class PageText(HTMLParser):
    """The text of a page's body, and its tags."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page[page.index("<body>") :])

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_a_name_is_shown_on_the_html_page_as_it_is_and_makes_no_tags():
    blocks = [Text(f"of “{literal(EVIL)}”."), Table(("n",), ((literal(EVIL),),))]
    page, plain = (
        PageText(as_html("T", [Text("of “x”."), Table(("n",), (("x",),))] if x else blocks))
        for x in (False, True)
    )
    assert page.text.count(LITERAL) == 2 and page.tags == plain.tags


def test_a_name_in_markdown_is_one_line_without_live_markup():
    text = as_markdown("T", [Table(("n", "m"), ((literal(EVIL), "1"),))])
    row = text.splitlines()[-1]
    assert len(re.split(r"(?<!\\)(?:\\\\)*\|", row)) == 4  # two cells
    live = re.sub(r"\\[!-/:-@\[-`{-~]", "", row)  # without the escaped characters
    assert not set("`*[]<>&$@!") & set(live)


@pytest.mark.parametrize("name", ["runs/a-b_c.2", "UDA 0.5, margin 0.1", "Größe 顔", "fec:1.1.0"])
def test_an_ordinary_name_stays_readable_in_markdown(name):
    assert literal(name) == name


def test_a_command_with_backticks_has_a_longer_fence():
    text = as_markdown("T", [Command(("run '```'", "echo"))])
    assert text.endswith("````\nrun '```'\necho\n````\n")


@pytest.mark.parametrize(
    "name",
    [EVIL, "it's", "a\tb", "back\\slash'\n", os.fsdecode(b"caf\xe9\n"), "\u202eright", "顔"],
)
def test_a_quoted_argument_is_one_printable_line_that_bash_reads_back(name):
    line = quoted(name)
    assert line.isprintable()
    echoed = subprocess.run(["bash", "-c", f"printf %s {line}"], capture_output=True, check=True)
    assert echoed.stdout == os.fsencode(name)


def test_undecodable_bytes_and_control_characters_are_shown_as_escapes():
    assert readable(os.fsdecode(b"caf\xe9")) == "caf\\xe9"
    assert readable("a\nb\x1b\u202e\ud800") == "a\\nb\\x1b\\u202e\\ud800"
    assert readable(pathlib.Path("größe/顔")) == "größe/顔"


def test_dollar_signs_and_missing_letters_of_a_name_are_drawn_as_they_are(recwarn):
    @plot_style.styled
    def plot(name):
        fig, axes = plot_style.make_figure(1)
        axes.annotate(name, (0.5, 0.5))
        return plot_style.figure_png(fig)

    assert plot("$x^$ \\frac{ 顔") != plot("other")
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def copies(run, root, names):
    """Runs with these folder names and other weights, so that they are different runs."""
    folders = []
    for number, name in enumerate(names):
        folder = root / name
        shutil.copytree(run, folder)
        arrays, meta = checkpoint.load(folder / "best.npz")
        first = next(iter(arrays))
        arrays[first] = arrays[first] + np.float32(number)
        checkpoint.save(folder / "best.npz", arrays, meta)
        folders.append(folder)
    return folders


def test_a_report_shows_evil_names_as_text(run, data_dir, tmp_path):
    evil = EVIL.replace("/", "∕")
    folders = copies(run, tmp_path, [evil, "plain"])
    info = json.loads((folders[1] / "run.json").read_text())
    (folders[1] / "run.json").write_text(json.dumps({**info, "recipe": "<b>r</b>|`x`"}))
    text = make_report(folders, data_dir, tmp_path / "out", split="train").read_text()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page and "<b>" not in page
    shown = PageText(page).text
    assert evil.replace("\n", "\\n").replace("\x1b", "\\x1b") in shown and "<b>r</b>|`x`" in shown
    outside = re.sub(r"^(````*)\n.*?^\1$", "", text, flags=re.M | re.S)
    live = re.sub(r"\\[!-/:-@\[-`{-~]", "", outside)
    assert "<" not in live and "script" in live and "\x1b" not in text
    assert not re.search(r"^# h", text, re.M)
    [command] = re.findall(r"^imagefec report .*$", text, re.M)
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True
    )
    assert os.fsencode(folders[0]) in words.stdout.split(b"\0")


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes only on POSIX")
def test_runs_whose_names_are_not_utf8_are_shown_evaluated_and_embedded(
    run, data_dir, faces_dir, tmp_path, capsys
):
    folders = copies(run, tmp_path, [os.fsdecode(b"caf\xe9"), "other"])
    evil, face = folders[0], next(faces_dir.rglob("*.png"))
    data = [f"--data_dir={data_dir}", "--split=train"]
    assert cli.main(["evaluate", f"--run={evil}", *data, "--json", f"--against={evil}"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["run"] == found["against"]["run"] == f"{tmp_path}/caf\\xe9"
    out = tmp_path / "out"  # a captured stdout takes no undecodable path
    assert cli.main(["gallery", f"--run={evil}", *data, f"--out={out}", "--k=2"]) == 0
    page = (out / "gallery.html").read_text(encoding="utf-8")
    assert "Nearest neighbours: caf\\xe9" in page
    runs = list(map(str, folders))
    assert cli.main(["report", "--runs", *runs, *data, f"--out={out}"]) == 0
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "caf\\\\xe9" in text and f"$'{tmp_path}/caf\\xe9'" in text
    assert "caf\\xe9" in html.unescape((out / "report.html").read_text(encoding="utf-8"))
    vectors = out / "v.npz"
    assert cli.main(["embed", f"--run={evil}", str(face), f"--out={vectors}"]) == 0
    assert np.load(vectors)["vectors"].shape == (1, 6)


def test_ordinary_arguments_are_quoted_as_shlex_does():
    assert quoted("runs/a b") == shlex.quote("runs/a b") and quoted("runs/a") == "runs/a"
