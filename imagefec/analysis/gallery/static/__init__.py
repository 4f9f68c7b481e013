"""The files of the gallery's page: styles, markup and script, put into one HTML file by page.py."""

from importlib import resources

# In this order: each file uses what those before it declare. They are one module in the page.
_SCRIPTS = ("space", "omitted", "tiles", "grid", "walk", "strips", "main")


def text_of(name: str) -> str:
    """The text of a file beside this one."""
    return (resources.files(__name__) / name).read_text(encoding="utf-8")


def script() -> str:
    """The page's JavaScript."""
    return "\n".join(text_of(f"{name}.js") for name in _SCRIPTS)
