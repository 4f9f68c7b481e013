"""The documents: links lead somewhere, commands have flags that exist, and examples run."""

import ast
import doctest
import importlib
import inspect
import pathlib
import re
import shlex

import pytest

import imagefec
from imagefec import cli
from imagefec.verbs import reference

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
        # BINDINGS stands for several words.
        yield [word.rstrip(";") for word in words[:end] if word != "BINDINGS"]


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


def test_the_page_of_the_command_line_is_the_one_that_is_generated():
    # If this fails: python -m imagefec.verbs.reference > docs/cli.md
    assert (CHECKOUT / "docs" / "cli.md").read_text(encoding="utf-8") == reference.page()


def test_the_page_of_the_command_line_does_not_depend_on_the_terminal(monkeypatch):
    pages = set()
    for columns in ("20", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        pages.add(reference.page())
    assert len(pages) == 1


@pytest.mark.parametrize("name", ["explanation", "formats"])
def test_the_examples_of_a_page_give_what_it_shows(name):
    # python.md requires a run: tests/analysis/test_python_page.py.
    result = doctest.testfile(str(CHECKOUT / "docs" / f"{name}.md"), module_relative=False)
    assert result.attempted and not result.failed


def test_the_examples_of_all_docstrings_give_what_they_show():
    files = [path for path in CHECKOUT.glob("imagefec/**/*.py") if ">>> " in path.read_text()]
    assert files
    for path in files:
        name = ".".join(path.relative_to(CHECKOUT).with_suffix("").parts)
        result = doctest.testmod(importlib.import_module(name.removesuffix(".__init__")))
        assert result.attempted and not result.failed, name


def python_blocks():
    for page in PAGES:
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S):
            if ">>>" not in block:  # a notebook's !command is no Python
                yield page, re.sub(r"^!.*$", "", block, flags=re.M)


def test_the_python_of_all_pages_parses_and_imports_names_that_exist():
    found = 0
    for page, block in python_blocks():
        for node in ast.walk(ast.parse(block, filename=str(page))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("imagefec"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), (page.name, alias.name)
                    found += 1
    assert found >= 2


def documented_functions():
    text = (CHECKOUT / "docs" / "python.md").read_text()
    return re.findall(r"^### `([\w.]+)(\(.*\))`$", text, re.M)


@pytest.mark.parametrize(("name", "signature"), documented_functions())
def test_the_python_page_has_the_signatures_of_the_code(name, signature):
    where, _, last = name.rpartition(".")
    if last in ("load", "embed", "embed_photo"):
        function = getattr(imagefec.Embedder, last)
    else:
        function = getattr(importlib.import_module(where), last)
    shown = ast.parse(f"def f{signature}: pass").body[0].args
    found = inspect.signature(function).parameters.values()
    named = [*shown.args, *shown.kwonlyargs]
    assert [each.arg for each in named] == [each.name for each in found if each.name != "self"]
    defaults = {
        argument.arg: ast.literal_eval(default)
        for argument, default in [
            *zip(shown.args[len(shown.args) - len(shown.defaults) :], shown.defaults),
            *zip(shown.kwonlyargs, shown.kw_defaults),
        ]
        if not isinstance(default, ast.Name)
    }
    for each in found:
        if isinstance(each.default, (int, float, str, tuple)):
            assert defaults.get(each.name) == each.default, each.name
        elif each.default is None:
            assert defaults[each.name] is None
