"""What the command lines that draw a figure have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from seedbed.analysis.figures.drawing import Output
from seedbed.analysis.settings import S, Titles, parse_settings, parse_titles
from seedbed.provenance import provenance

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
        parser.add_argument(f"--{name}", type=Path, required=True, help=FILES[name])
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
        function(figure_output(script, *common), **options)
    except ValueError as error:
        sys.exit(f"{Path(script).stem}: {error}")
