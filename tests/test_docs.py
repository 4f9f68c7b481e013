"""The documents: links lead somewhere, and the commands have flags that exist."""

import pathlib
import re
import shlex

import pytest

import imagefec
from imagefec import cli

CHECKOUT = pathlib.Path(imagefec.__file__).parents[1]
PAGES = sorted(
    path
    for folder in (".", "docs", "docs/experiments", "gin_configs", "benchmarks", "tfds_builders/*")
    for path in CHECKOUT.glob(f"{folder}/*.md")
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
SHELL = {"&&", "&", "|", ";", ">", "2>", ">>", "<", "done", "do"}


def names(paths):
    return [path.relative_to(CHECKOUT).as_posix() for path in paths]


def anchors(page):
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in headings}


def commands(text):
    """Arguments of each `imagefec VERB …` in the code blocks and gin heads of a text."""
    for line in re.sub(r"\\\n[# ]*", " ", text).splitlines():
        start = re.match(r"(?:[#$ ]*|.*(?:&&|do|;) )imagefec (?=[a-z]+ )", line)
        if not start or "…" in line or "VERB" in line:
            continue
        try:
            words = shlex.split(line[start.end() :], comments=True)
        except ValueError:  # an apostrophe: prose that begins with the name of the command
            continue
        end = next((n for n, word in enumerate(words) if word.rstrip(";") in SHELL), len(words))
        # A word such as $BINDINGS stands for several.
        yield [word.rstrip(";") for word in words[:end] if not word.startswith("$")]


def blocks(page):
    """The indented and fenced code of a page."""
    text = page.read_text()
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"^    \S.*$", text, re.MULTILINE)])


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page):
    for link in LINK.findall(page.read_text()):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or target.suffix != ".md" or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_command_of_a_page_has_flags_that_exist(page, capsys):
    for argv in commands(blocks(page)):
        try:
            cli._parser().parse_args(argv)
        except SystemExit as end:
            pytest.fail(f"imagefec {shlex.join(argv)}: {end.code} {capsys.readouterr().err}")


@pytest.mark.parametrize(
    "path", sorted((CHECKOUT / "gin_configs").glob("*.gin")), ids=lambda path: path.name
)
def test_every_command_in_the_head_of_a_gin_file_has_flags_that_exist(path):
    for argv in commands(path.read_text()):
        cli._parser().parse_args(argv)


def test_commands_are_found():
    assert list(commands("imagefec fetch a.csv \\\n  --cache=c  # a comment\n")) == [
        ["fetch", "a.csv", "--cache=c"]
    ]
    assert list(commands("pip install x && imagefec doctor --json > out")) == [["doctor", "--json"]]
    assert sum(len(list(commands(blocks(page)))) for page in PAGES) > 60
