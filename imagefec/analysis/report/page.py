"""A report's page as Markdown and as self-contained HTML, both from one list of blocks."""

import base64
import html
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from imagefec.analysis import html_page
from imagefec.paths import readable


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """Paragraphs, separated by blank lines; **two stars** make bold, `ticks` make code.

    Like headings, captions and cells, it is Markdown: text from elsewhere must be made `literal`.
    """

    text: str


@dataclass(frozen=True)
class Command:
    """The shell commands that reproduce a section."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table; its first column is left-aligned, the others right-aligned."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Figure:
    """An image with a caption.

    Attributes:
      name: its file name beside the page.
      data: contents of the file, PNG or JPEG by the name's suffix.
      alt: describes the image to readers who cannot see it.
      caption: text below.
    """

    name: str
    data: bytes
    alt: str
    caption: str = ""


Block = Heading | Text | Command | Table | Figure


def literal(text: str | os.PathLike[str]) -> str:
    """Text from elsewhere, such as a name, so that it means nothing in Markdown and HTML.

    It becomes one line; each character of Markdown gets a backslash.
    """
    return _MARKUP.sub(r"\\\g<0>", readable(text))


# An underscore within a word, and a colon not before //, mean nothing.
_MARKUP = re.compile(r"[\\`*\[\]<>&~$#|!@]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)")
_BARE_PIPE, _ESCAPED_PIPE = r"(?<!\\)\|", r"\\|"
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")  # a backslash before ASCII punctuation


def as_markdown(title: str, blocks: Sequence[Block]) -> str:
    """The page as Markdown, which links to the images by name."""
    return "\n\n".join([f"# {title}", *map(_markdown, blocks)]) + "\n"


def as_html(title: str, blocks: Sequence[Block]) -> str:
    """The page as HTML with its images inside. It loads nothing and runs no script."""
    body = [f"<h1>{html.escape(title)}</h1>", *map(_html, blocks)]
    return html_page.render_page(title, "\n".join(body), _STYLE, width="60rem")


def _markdown(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {block.text}"
        case Text():
            return block.text
        case Command():
            ticks = max(map(len, re.findall("`+", "".join(block.lines))), default=0)
            fence = "`" * max(3, ticks + 1)
            return "\n".join([fence, *block.lines, fence])
        case Table():
            return _markdown_table(block)
        case Figure():
            caption = f"\n\n{block.caption}" if block.caption else ""
            return f"![{block.alt}]({block.name}){caption}"


def _markdown_table(table: Table) -> str:
    header, *rows = (
        f"| {' | '.join(re.sub(_BARE_PIPE, _ESCAPED_PIPE, cell) for cell in row)} |"
        for row in (table.header, *table.rows)
    )
    ruler = "|".join(["---", *["---:"] * (len(table.header) - 1)])
    return "\n".join([header, f"|{ruler}|", *rows])


def _html(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{_inline(block.text)}</h{block.level}>"
        case Text():
            return "\n".join(f"<p>{_inline(part)}</p>" for part in block.text.split("\n\n"))
        case Command():
            return f"<pre><code>{html.escape(chr(10).join(block.lines))}</code></pre>"
        case Table():
            return _html_table(block)
        case Figure():
            kind = "jpeg" if block.name.endswith(".jpg") else "png"
            url = f"data:image/{kind};base64,{base64.b64encode(block.data).decode()}"
            caption = f"<figcaption>{_inline(block.caption)}</figcaption>" if block.caption else ""
            return f'<figure><img src="{url}" alt="{html.escape(block.alt)}">{caption}</figure>'


def _html_table(table: Table) -> str:
    head = "".join(f'<th scope="col">{_inline(cell)}</th>' for cell in table.header)
    rows = []
    for first, *others in table.rows:
        cells = "".join(f"<td>{_inline(cell)}</td>" for cell in others)
        rows.append(f'<tr><th scope="row">{_inline(first)}</th>{cells}</tr>')
    body = "\n".join(rows)
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _inline(text: str) -> str:
    # Escaped characters are set aside in a private range, which `readable` lets nothing else into.
    text = _ESCAPED.sub(lambda match: chr(_PRIVATE + ord(match[1])), text)
    text = html.escape(text)
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)
    text = re.sub(r"`(.+?)`", r"<code>\1</code>", text)
    return re.sub("[\ue000-\ue07f]", lambda match: f"&#{ord(match[0]) - _PRIVATE};", text)


_PRIVATE = 0xE000


_STYLE = """
:root { --block: #f5f6f8; }
@media (prefers-color-scheme: dark) { :root { --block: #1f2026; } }
body { overflow-wrap: break-word; }
h2 { margin: 2.5rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line);
  font-size: 1.25rem; }
h3 { margin: 1.5rem 0 .25rem; font-size: 1.05rem; }
p { max-width: 48rem; margin: .5rem 0; }
pre { padding: .6rem .8rem; overflow-x: auto; background: var(--block); border-radius: .4rem; }
code { font: .82rem/1.45 ui-monospace, monospace; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); font-weight: 400; }
th:first-child { text-align: left; }
thead th { color: var(--faint); vertical-align: bottom; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; border-radius: .3rem; background: #fff; }
figcaption { max-width: 48rem; color: var(--faint); font-size: .9rem; }
"""
