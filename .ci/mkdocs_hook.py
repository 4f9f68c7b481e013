"""Hook of mkdocs: adds what the documents link to outside docs/, and changes the links to it.

In the site docs/X becomes X, every other file of the repository keeps its path, and its README.md,
which would be the front page twice, becomes first_screen.md. GitHub's $formulae$ become MathML.
"""

import pathlib
import posixpath
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).parents[1]
FORMULA = re.compile(r"```math\n(.+?)```|```.*?```|`[^`]*`|\$([^$]+)\$", re.DOTALL)
LINK = re.compile(r"(!?\[[^\]]*\])\(([^)\s#:]+)(#[^)\s]*)?\)")


def site_path(path: str) -> str:
    """Where a file of the repository is in the site."""
    return "first_screen.md" if path == "README.md" else path.removeprefix("docs/")


def repository_path(path: str) -> str:
    """The file of the repository that a page of the site is made from."""
    if path == "first_screen.md":
        return "README.md"
    return f"docs/{path}" if (ROOT / "docs" / path).exists() else path


def targets(page: str) -> set[str]:
    """Files of the repository that a page of it links to."""
    text = (ROOT / page).read_text(encoding="utf-8")
    folder = posixpath.dirname(page)
    found = {posixpath.normpath(posixpath.join(folder, link)) for _, link, _ in LINK.findall(text)}
    return {path for path in found if (ROOT / path).is_file()}


def on_files(files: Files, config: Any) -> Files:
    """Adds the files outside docs/ that any page links to, and those that these link to."""
    pages = [f"docs/{file.src_uri}" for file in files if file.src_uri.endswith(".md")]
    known = set(pages)
    while pages:
        for path in sorted(targets(pages.pop()) - known):
            known.add(path)
            if path.endswith(".md"):
                pages.append(path)
            if not path.startswith("docs/"):
                content = (ROOT / path).read_bytes()
                files.append(File.generated(config, site_path(path), content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Changes links of the repository into links of the site; a link to a folder becomes text."""
    here = repository_path(page.file.src_uri)

    def changed(match: re.Match) -> str:
        text, link, anchor = match[1], match[2], match[3] or ""
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link))
        if (ROOT / target).is_dir():
            return text.strip("[]")
        start = posixpath.dirname(page.file.src_uri) or "."
        return f"{text}({posixpath.relpath(site_path(target), start)}{anchor})"

    markdown = LINK.sub(changed, markdown)
    return FORMULA.sub(_hidden, markdown) if "```math" in markdown else markdown


def on_page_content(content: str, **_: Any) -> str:
    """Puts MathML, which browsers show without scripts, in the places of the hidden formulae."""

    def shown(match: re.Match) -> str:
        return convert(bytes.fromhex(match[2]).decode(), display=match[1])

    return re.sub("formula-(block|inline)-([0-9a-f]+)", shown, content)


def _hidden(match: re.Match) -> str:
    """A formula as a word that Markdown does not change; code as it is."""
    display, inline = match[1], match[2]
    if not (display or inline):
        return match[0]
    kind = "block" if display else "inline"
    return f"formula-{kind}-{(display or inline).encode().hex()}"
