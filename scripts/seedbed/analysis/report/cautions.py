"""Warnings about a study's cells: zeros, rows left out, few steps, a judge's grades."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from seedbed.analysis.tables.outcomes import UNTRAINED, WITHOUT_ROWS
from seedbed.config.words import FEW_STEPS


def cautions(cells: str | Path) -> tuple[str, ...]:
    """Return warnings about a study's cells, a sentence or more each.

    Args:
        cells: table of cells (Parquet).
    """
    table = pl.read_parquet(cells)
    trained = table.filter(pl.col("method") != UNTRAINED)
    empty = trained.filter(WITHOUT_ROWS)
    cut = trained.filter(pl.col("too_long_rows") > 0).sort("too_long_rows", descending=True)
    few = trained.filter(~WITHOUT_ROWS & (pl.col("steps") < FEW_STEPS)).sort("steps")
    found = []
    if empty.height:
        found.append(
            f"{empty.height:,} of {trained.height:,} cells had no rows to train on, so their "
            f"students are base models: no figure shows them. The first: {empty['cell'][0]}."
        )
    if cut.height:
        rows = int(cut["too_long_rows"].sum())
        all_rows = int(cut["training_rows"].sum()) + rows
        found.append(
            f"{rows:,} of {all_rows:,} rows in {cut.height:,} cells are longer than "
            f"training.max_length and were left out; most of them, {cut['too_long_rows'][0]:,}, in "
            f"{cut['cell'][0]}."
        )
    if few.height:
        found.append(
            f"{few.height:,} of {trained.height:,} cells were trained in fewer than {FEW_STEPS} "
            f"optimiser steps, which may leave a student like its base model; the fewest, "
            f"{few['steps'][0]:,}, in {few['cell'][0]}. Smaller batches or more epochs add steps."
        )
    return (*_zeros(table), *found, *_judged(table))


def _zeros(table: pl.DataFrame) -> Iterator[str]:
    """Yield a warning for each task without a single right answer."""
    for (task,), part in table.sort("cell").group_by("task", maintain_order=True):
        if (part["accuracy"] > 0).any():
            continue
        items = int(part["items"].sum())
        yield (
            f"No student answers a single item of {task} right, so the study says nothing about "
            "its methods. The scorer or the format of the answers is the likely cause: of "
            f"{items:,} outputs, {int(part['unparsed'].sum()):,} have no answer that can be read, "
            f"and {int(part['truncated'].sum()):,} end at the limit of tokens. The outputs are in "
            f"predictions.parquet next to each evaluation; the first: {part['cell'][0]}."
        )


def _judged(table: pl.DataFrame) -> Iterator[str]:
    """Yield the judge's reliability for each task whose answers a judge grades."""
    if "judge_queries" not in table.columns:
        return
    judged = table.filter(pl.col("judge_queries").is_not_null())
    for (task,), part in judged.group_by("task", maintain_order=True):
        unread, answers = int(part["judge_unreadable"].sum()), int(part["items"].sum())
        said = f"Accuracies of {task} are mean grades that a judge gave; "
        said += f"{unread:,} of its verdicts on {answers:,} answers could not be read; "
        known = part["judge_kappa"].drop_nulls().to_list() if "judge_kappa" in part.columns else []
        if known:
            labels = int(part["judge_labels"].max())  # type: ignore[arg-type]
            said += f"its weighted kappa with {labels:,} labels by hand is {known[0]:.2f}."
        else:
            said += "no labels say how far it can be trusted."
        yield said
