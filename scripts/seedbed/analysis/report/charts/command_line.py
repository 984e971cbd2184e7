"""What the command lines that draw a figure have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from pydantic import BaseModel

from seedbed.analysis.report.charts.drawing import Output
from seedbed.analysis.settings import S, Titles, parse_published, parse_settings, parse_titles
from seedbed.artifacts import read_json, whole_file
from seedbed.provenance import provenance
from seedbed.streams.record import DatasetRecord

T = TypeVar("T")

FILES = {
    "fits": "fits (JSON)",
    "draws": "bootstrap draws (Parquet)",
    "comparisons": "comparisons (CSV)",
    "crossovers": "crossovers (JSON)",
    "cells": "table of cells (Parquet)",
    "items": "table of items (Parquet)",
}
"""Files that figures are drawn from, as options of the command line."""


def figure_parser(description: str | None, *files: str) -> argparse.ArgumentParser:
    """Return a parser of the options that every figure has, and of the files that it reads.

    Args:
        description: what the script draws.
        files: keys of `FILES`.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--study", required=True, help="name of the study")
    for name in files:
        parser.add_argument(f"--{name}", type=whole_file, required=True, help=FILES[name])
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
        "--figure", type=Path, required=True, help="figure to write (.svg; .png and .csv beside it)"
    )
    return parser


def add_published_option(parser: argparse.ArgumentParser) -> None:
    """Add the option `--published` to a figure's command line."""
    parser.add_argument(
        "--published",
        type=reading(parse_published),
        default="[]",
        help='JSON: [{"source": "...", "seeds": 100 or null, "student": null, "low": 27, '
        '"high": 51 or null}, ...]',
    )


def figure_output(
    script: str, study: str, figure: str | Path, titles: Titles, missing: str = ""
) -> Output:
    """Return where a script's figure goes and what is said about it.

    Args:
        script: the script's file.
        study: name of the study.
        figure: SVG file to write.
        titles: titles of methods, tasks and models.
        missing: a line on missing results, or "".
    """
    made = {"study": study, **provenance(script)}
    return Output(Path(figure), titles, made, missing)


def settings_of(kind: type[S]) -> Callable[[str], S]:
    """Return what reads settings of a kind from the text of an option."""
    return reading(partial(parse_settings, kind))


def reading(read: Callable[[str], T]) -> Callable[[str], T]:
    """Return a reader of an option's text that shows its user what a ValueError says."""

    def checked(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def draw(script: str, function: Callable[..., None], parser: argparse.ArgumentParser) -> None:
    """Call a script's function with its output and the other options of its command line.

    The process ends with a message if the results cannot be drawn.

    Args:
        script: the script's file.
        function: takes an `Output`, and the options that are the script's own by their names.
        parser: what `figure_parser` returned, with those options added.
    """
    options = vars(parser.parse_args())
    common = [options.pop(name) for name in ("study", "figure", "titles", "missing")]
    try:
        output = figure_output(script, *common)
        about = {**output.provenance, "settings": _settings(options), **_drawn_from(options)}
        function(replace(output, provenance=about), **options)
    except ValueError as error:
        sys.exit(f"{Path(script).stem}: {error}")


def _settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a script's options as plain values, without those that name files."""
    found = {}
    for name, value in options.items():
        if isinstance(value, BaseModel):
            found[name] = value.model_dump(mode="json")
        elif isinstance(value, tuple):
            found[name] = [one.model_dump(mode="json") for one in value]
        elif not isinstance(value, Path | list):
            found[name] = value
    return found


def _drawn_from(options: Mapping[str, Any]) -> dict[str, Any]:
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
            record = DatasetRecord.read(file)
            seconds = {"generation_seconds": record.seconds.generation}
            rows.append(record.counts.model_dump() | seconds)
    sums = {name: sum(row.get(name) or 0 for row in rows) for name in _TOTALS}
    return {"summed_over_cells": {"cells": len(rows), **sums}}


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
