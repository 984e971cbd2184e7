"""The page: its HTML, CSS and JavaScript, and what fills it."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent

SHARED = tuple(_HERE / name for name in ("page.css", "layout.html", "table.html"))
"""What every page stands on."""

FILES = (_HERE / "page.html", _HERE / "page.js", *SHARED)
"""The page's files: a change of one of them makes the page stale, as a change of code does."""
