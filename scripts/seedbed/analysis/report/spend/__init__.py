"""What `snakemake spend` ends with: cards for the data and the adapter, and a page."""

from pathlib import Path

_PAGE = Path(__file__).resolve().parents[1] / "page"

FILES = (Path(__file__).resolve().with_name("spend.html"), _PAGE / "page.css")
"""The page's files: a change of one of them makes the page stale, as a change of code does."""
