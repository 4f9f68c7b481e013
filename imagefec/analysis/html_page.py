"""The frame of a self-contained HTML page: metadata, colours and dark mode, without the body."""

import base64
import hashlib
import html
import json
from string import Template
from typing import Any


def render_page(
    title: str, body: str, style: str, width: str, script: str = "", data: Any = None
) -> str:
    """Renders a page that loads nothing and runs no script but its own.

    Args:
      title: plain text.
      body: HTML inside <body>; images are data: URLs.
      style: CSS of this page. It may use the colours --ground, --ink, --faint and --line.
      width: largest width of the page, a CSS length.
      script: JavaScript, run as a module when the page has been read; the page's policy names its
        digest, so no other runs. It must not contain "</script".
      data: for the script, which reads it as JSON from the element #data; no NaN.

    Returns:
      HTML 5 text.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    if data is not None:
        # "<" could end the element; in JSON's strings it may be written as an escape.
        text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", r"\u003c")
        body += f'\n<script type="application/json" id="data">{text}</script>'
    if script:
        body += f'\n<script type="module">{script}</script>'
    return _PAGE.substitute(
        title=html.escape(title),
        style=_STYLE.substitute(width=width) + style,
        body=body,
        scripts=f"; script-src 'sha256-{digest}'" if script else "",
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
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'$scripts">
<title>$title</title>
<style>$style</style>
</head>
<body>
$body
</body>
</html>
""")
