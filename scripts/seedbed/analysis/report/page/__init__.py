"""The page: its HTML, CSS and JavaScript, and what fills it."""

from pathlib import Path

FILES = tuple(Path(__file__).resolve().with_name(f"page.{end}") for end in ("html", "css", "js"))
"""The page's files: a change of one of them makes the page stale, as a change of code does."""
