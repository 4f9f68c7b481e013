"""One page in two dresses, Markdown and self-contained HTML, from a list of blocks; it knows no measures."""

import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """Paragraphs, a blank line between them; **two stars** make bold, `ticks` make code."""

    text: str


@dataclass(frozen=True)
class Command:
    """What makes the section below it."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A picture's file name beside the page, its bytes, what it shows to those who cannot see it, and its caption."""

    name: str
    data: bytes
    alt: str
    caption: str = ""


Block = Heading | Text | Command | Table | Picture


def as_markdown(title: str, blocks: Sequence[Block]) -> str:
    """The page as Markdown; its pictures lie beside it."""
    return "\n\n".join([f"# {title}", *map(_markdown, blocks)]) + "\n"


def as_html(title: str, blocks: Sequence[Block]) -> str:
    """The page as HTML with its pictures within; it asks nothing of anyone and runs no script."""
    body = "\n".join(_html(block) for block in blocks)
    return _PAGE.substitute(title=html.escape(title), style=_STYLE, body=body)


def _markdown(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {block.text}"
        case Text():
            return block.text
        case Command():
            return "\n".join(["```", *block.lines, "```"])
        case Table():
            rows = [block.header, *block.rows]
            lines = [
                f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
                for row in rows
            ]
            ruler = "|".join(["---", *["---:"] * (len(block.header) - 1)])
            return "\n".join([lines[0], f"|{ruler}|", *lines[1:]])
        case Picture():
            return f"![{block.alt}]({block.name})" + (
                f"\n\n{block.caption}" if block.caption else ""
            )


def _html(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{_inline(block.text)}</h{block.level}>"
        case Text():
            return "\n".join(f"<p>{_inline(part)}</p>" for part in block.text.split("\n\n"))
        case Command():
            return f"<pre><code>{html.escape(chr(10).join(block.lines))}</code></pre>"
        case Table():
            head = "".join(f'<th scope="col">{_inline(cell)}</th>' for cell in block.header)
            rows = "\n".join(
                f'<tr><th scope="row">{_inline(row[0])}</th>'
                + "".join(f"<td>{_inline(cell)}</td>" for cell in row[1:])
                + "</tr>"
                for row in block.rows
            )
            return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>'
        case Picture():
            kind = "jpeg" if block.name.endswith(".jpg") else "png"
            url = f"data:image/{kind};base64,{base64.b64encode(block.data).decode()}"
            caption = f"<figcaption>{_inline(block.caption)}</figcaption>" if block.caption else ""
            return f'<figure><img src="{url}" alt="{html.escape(block.alt)}">{caption}</figure>'


def _inline(text: str) -> str:
    text = html.escape(text)
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", text)


_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1c1d21; --faint: #5d6068; --line: #e4e5e9; --block: #f5f6f8; }
@media (prefers-color-scheme: dark) { :root { --ground: #15161a; --ink: #ececf0; --faint: #a3a6af; --line: #2b2d34;
  --block: #1f2026; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: clamp(1rem, 4vw, 3rem); max-width: 60rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { margin: 0 0 .5rem; font-size: clamp(1.4rem, 4vw, 2rem); line-height: 1.2; }
h2 { margin: 2.5rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: 1.25rem; }
h3 { margin: 1.5rem 0 .25rem; font-size: 1.05rem; }
p { max-width: 48rem; margin: .5rem 0; }
pre { padding: .6rem .8rem; overflow-x: auto; background: var(--block); border-radius: .4rem; }
code { font: .82rem/1.45 ui-monospace, monospace; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line);
  font-weight: 400; }
th:first-child { text-align: left; }
thead th { color: var(--faint); vertical-align: bottom; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; border-radius: .3rem; background: #fff; }
figcaption { max-width: 48rem; color: var(--faint); font-size: .9rem; }
"""

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>$style</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")
