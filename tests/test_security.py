"""Every statement of docs/SECURITY.md about others' files names a test that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "SECURITY.md").read_text(encoding="utf-8")
STATEMENTS = re.findall(r"^- (?:can|cannot|does)\b.*?(?=^- |^\*\*|^## |\Z)", PAGE, re.M | re.S)
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_test_that_the_page_names_exists(file, name):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_everything_that_others_cannot_do_has_a_test():
    untested = [
        each for each in STATEMENTS if each.startswith("- cannot") and "`tests/" not in each
    ]
    assert len(STATEMENTS) > 20 and not untested
