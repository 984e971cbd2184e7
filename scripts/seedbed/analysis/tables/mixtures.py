"""The table of mixtures: their accuracies beside those of the methods, and what they gain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import polars as pl

from seedbed.analysis.settings import CompareSettings
from seedbed.analysis.tables.comparisons import paired_difference
from seedbed.analysis.tables.outcomes import (
    GROUP_COLUMNS,
    MIXED,
    Group,
    Outcomes,
    groups,
    in_group_with_mixtures,
    mean_accuracy,
)

SCHEMA = pl.Schema(
    {
        **GROUP_COLUMNS,
        "seeds": pl.Int64,
        "kind": pl.String,
        "method": pl.String,
        "reference": pl.String,
        "budget": pl.Int64,
        "budget_ratio": pl.Float64,
        "replicates": pl.Int64,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
    }
)
"""Columns of the table. `kind` is "accuracy"; or "gain" of a mixture over `reference`, the method
with the highest mean accuracy at the same budget, paired by test item and replicate. As the best
method is chosen by the same scores, a mixture that is equal to it shows a small loss."""


def mixture_table(outcomes: Mapping[str, Outcomes], settings: CompareSettings) -> pl.DataFrame:
    """Return a row for each mean accuracy and gain, in groups and sizes that have a mixture."""
    rows = [
        row
        for found in outcomes.values()
        for group in groups(found.cells)
        for row in _rows(found, group, settings)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


class _Value(NamedTuple):
    """What a row of the table says of a method or mixture."""

    kind: str
    method: str
    reference: str | None
    replicates: int
    value: float
    low: float | None
    high: float | None


def _rows(
    outcomes: Outcomes, group: Group, settings: CompareSettings
) -> list[dict[str, str | float | None]]:
    cells = outcomes.cells.with_row_index("row").filter(in_group_with_mixtures(group))
    with_mixture = cells.filter(MIXED)["seeds"].unique()
    cells = cells.filter(pl.col("seeds").is_in(with_mixture.implode()))
    rows = []
    for (seeds, budget), part in cells.sort("seeds", "budget", "method").group_by(
        "seeds", "budget", maintain_order=True
    ):
        of_method: dict[str, dict[int, int]] = {}
        for method, replicate, row in part.select("method", "replicate", "row").iter_rows():
            of_method.setdefault(method, {})[replicate] = row
        place = {"seeds": seeds, "budget": budget, "budget_ratio": budget / seeds}
        values = []
        for method, found in of_method.items():
            mean = mean_accuracy(outcomes, [*found.values()], settings.confidence)
            said = (mean.accuracy, mean.low, mean.high)
            values.append(_Value("accuracy", method, None, len(found), *said))
        values += _gains(outcomes, of_method, settings)
        rows += [{**asdict(group), **place, **value._asdict()} for value in values]
    return rows


def _gains(
    outcomes: Outcomes,
    of_method: Mapping[str, Mapping[int, int]],
    settings: CompareSettings,
) -> list[_Value]:
    """Return the gain of each mixture over the best method of the same replicates."""
    rows = []
    pure = [method for method in settings.methods if method in of_method]
    for mixture in of_method.keys() - set(settings.methods):
        shared = {
            method: sorted(of_method[method].keys() & of_method[mixture].keys()) for method in pure
        }
        # Methods with fewer replicates than others could win by one lucky draw.
        most = max(map(len, shared.values()), default=0)
        usual = [method for method in pure if len(shared[method]) == most > 0]
        if not usual:
            continue

        def scores(method: str, replicates: list[int]) -> np.ndarray:
            return outcomes.correct[[of_method[method][one] for one in replicates]]

        best = max(usual, key=lambda method: scores(method, shared[method]).mean())
        found = paired_difference(
            scores(best, shared[best]),
            scores(mixture, shared[best]),
            outcomes.clusters,
            settings.confidence,
        )
        said = (found.difference, found.low, found.high)
        rows.append(_Value("gain", mixture, best, most, *said))
    return sorted(rows, key=lambda row: row.method)
