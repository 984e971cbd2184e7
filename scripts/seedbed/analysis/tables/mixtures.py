"""The table of mixtures: their accuracies beside those of the methods, and what they gain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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


def _rows(outcomes: Outcomes, group: Group, settings: CompareSettings) -> list[dict[str, Any]]:
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
        place = {
            **{name: getattr(group, name) for name in GROUP_COLUMNS},
            "seeds": seeds,
            "budget": budget,
            "budget_ratio": budget / seeds,
        }
        means = {
            method: mean_accuracy(outcomes, [*found.values()], settings.confidence)
            for method, found in of_method.items()
        }
        for method, mean in means.items():
            rows.append(
                {
                    **place,
                    "kind": "accuracy",
                    "method": method,
                    "reference": None,
                    "replicates": len(of_method[method]),
                    "value": mean.accuracy,
                    "low": mean.low,
                    "high": mean.high,
                }
            )
        rows += _gains(outcomes, of_method, place, settings)
    return rows


def _gains(
    outcomes: Outcomes,
    of_method: Mapping[str, Mapping[int, int]],
    place: Mapping[str, Any],
    settings: CompareSettings,
) -> list[dict[str, Any]]:
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

        def scores(method: str, replicates: list[int]) -> Any:
            return outcomes.correct[[of_method[method][one] for one in replicates]]

        best = max(usual, key=lambda method: scores(method, shared[method]).mean())
        found = paired_difference(
            scores(best, shared[best]),
            scores(mixture, shared[best]),
            outcomes.clusters,
            settings.confidence,
        )
        rows.append(
            {
                **place,
                "kind": "gain",
                "method": mixture,
                "reference": best,
                "replicates": most,
                "value": found.difference,
                "low": found.low,
                "high": found.high,
            }
        )
    return sorted(rows, key=lambda row: str(row["method"]))
