"""Reports of `snakemake spend`: cards for the data and the adapter, and a page."""

from pathlib import Path

from seedbed.analysis.report.page import SHARED

FILES = (Path(__file__).resolve().with_name("spend.html"), *SHARED)
"""The page's files. A change to one makes the page stale, as a change of code does."""
