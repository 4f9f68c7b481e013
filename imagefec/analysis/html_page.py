"""The frame of a self-contained HTML page: metadata, colours and dark mode, without the body."""

import html
from string import Template


def render_page(title: str, body: str, style: str, width: str) -> str:
    """Renders a page that loads nothing and runs no script.

    Args:
      title: plain text.
      body: HTML inside <body>; images are data: URLs.
      style: CSS of this page. It may use the colours --ground, --ink, --faint and --line.
      width: largest width of the page, a CSS length.

    Returns:
      HTML 5 text.
    """
    return _PAGE.substitute(
        title=html.escape(title), style=_STYLE.substitute(width=width) + style, body=body
    )


_STYLE = Template("""
:root { color-scheme: light dark;
  --ground: #fff; --ink: #1c1d21; --faint: #5d6068; --line: #e4e5e9; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #15161a; --ink: #ececf0; --faint: #a3a6af; --line: #2b2d34; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: clamp(1rem, 4vw, 3rem); max-width: $width;
  background: var(--ground); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { margin: 0 0 .5rem; font-size: clamp(1.4rem, 4vw, 2rem); line-height: 1.2;
  overflow-wrap: anywhere; }
""")

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>$style</style>
</head>
<body>
$body
</body>
</html>
""")
