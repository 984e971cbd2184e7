"""What charts are drawn from, as options of a command line."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import polars as pl
from pydantic import BaseModel

from seedbed.analysis.settings import parse_published, parse_settings, parse_titles
from seedbed.artifacts import listed_files, read_json, whole_file

T = TypeVar("T")

FILES = {
    "fits": "fits (JSON)",
    "draws": "bootstrap draws (Parquet)",
    "comparisons": "comparisons (CSV)",
    "crossovers": "crossovers (JSON)",
    "cells": "table of cells (Parquet)",
    "item_scores": "table of items (Parquet)",
}
"""Files that charts are drawn from."""


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every chart has."""
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument(
        "--titles",
        type=reading(parse_titles),
        default="{}",
        help='JSON: {name: {"title": ..., "short": ...}}',
    )
    # Snakemake leaves an empty text out of the command.
    parser.add_argument(
        "--missing",
        nargs="?",
        const="",
        default="",
        help="a line on missing results, to stand at the figure's foot",
    )
    parser.add_argument(
        "--figure",
        type=Path,
        required=True,
        help="figure to write (.svg; .png, .vl.json and .csv beside it)",
    )


def add_options_of(parser: argparse.ArgumentParser, tabulate: Callable[..., object]) -> None:
    """Add the options that are a chart's own: what its `tabulate` takes."""
    kinds = get_type_hints(tabulate)
    for name in inspect.signature(tabulate).parameters:
        option = f"--{name.replace('_', '-')}"
        if name in FILES:
            parser.add_argument(option, type=whole_file, required=True, help=FILES[name])
        elif name == "settings":
            read = reading(partial(parse_settings, kinds[name]))
            about = 'JSON: {"methods": [...] in order; "confidence": 0.95}, for augmenters with '
            about += '"augmenters": [...], the strongest first'
            parser.add_argument(option, type=read, required=True, help=about)
        elif name == "published":
            about = 'JSON: [{"source": "...", "seeds": 100 or null, "student": null, "low": 27, '
            about += '"high": 51 or null}, ...]'
            parser.add_argument(option, type=reading(parse_published), default="[]", help=about)
        elif name == "prices":
            about = 'JSON: {model: {"usd_per_million_prompt_tokens": 0.5 or null, '
            about += '"usd_per_million_completion_tokens": ...}}'
            parser.add_argument(option, type=json.loads, default={}, help=about)
        elif name == "datasets":
            about = "file that lists dataset.json files, one a line"
            look = {"dest": name, "metavar": "FILE", "help": about}
            parser.add_argument("--datasets-list", type=listed_files, default=[], **look)
        elif name == "role":
            parser.add_argument(option, choices=("student", "teacher"), required=True)


def reading(read: Callable[[str], T]) -> Callable[[str], T]:
    """Return a reader of an option's text that shows its user what a ValueError says."""

    def checked(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def described(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a figure's metadata say of a chart's own options: settings, and what it took."""
    settings: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, BaseModel):
            settings[name] = value.model_dump(mode="json")
        elif isinstance(value, tuple):
            settings[name] = [one.model_dump(mode="json") for one in value]
        elif not isinstance(value, Path | list):
            settings[name] = value
    return {"settings": settings, "summed_over_cells": _took(options)}


def _took(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the results behind a figure took, summed over its cells or datasets.

    Cells that share a stream each count its queries.
    """
    rows: list[Mapping[str, Any]] = []
    if "cells" in options:
        rows = pl.read_parquet(options["cells"]).to_dicts()
    elif "fits" in options:
        rows = [cell for fit in read_json(options["fits"])["fits"] for cell in fit["cells"]]
    elif "datasets" in options:
        for file in options["datasets"]:
            record = read_json(file)
            seconds = {f"{stage}_seconds": took for stage, took in record["seconds"].items()}
            rows.append(record["counts"] | seconds)
    sums = {name: sum(row.get(name) or 0 for row in rows) for name in _TOTALS}
    return {"cells": len(rows), **sums}


_TOTALS = (
    *(
        f"{who}_{what}"
        for who in ("augmenter", "teacher", "verification")
        for what in ("queries", "prompt_tokens", "completion_tokens")
    ),
    "generation_seconds",
    "training_seconds",
    "evaluation_seconds",
)
"""Counts of an evaluation or a dataset that a figure's metadata sum up."""
