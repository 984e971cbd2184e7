"""The page: its HTML, CSS and JavaScript, and the Python that fills them."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent

SHARED = tuple(_HERE / name for name in ("page.css", "layout.html", "table.html"))
"""Files that every page uses."""

FILES = (_HERE / "page.html", _HERE / "page.js", *SHARED)
"""The page's files. A change to one makes the page stale, as a change of code does."""
