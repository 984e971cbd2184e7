"""The table of mixtures: their accuracies, the methods' accuracies, and the mixtures' gains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from seedbed.analysis.tables.replicates import ITEMS, Noise, RunNoise, noise_of

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
        "noise": pl.String,
    }
)
"""Columns of the table. `kind` is "accuracy", or "gain" for a mixture's gain over `reference`, the
method with the highest mean accuracy at the same budget, paired by test item and replicate. Because
the same scores select the best method, a mixture that is equal to it shows a small loss. `noise`
names the sources of noise in the interval."""


def mixture_table(
    outcomes: Mapping[str, Outcomes], settings: CompareSettings, runs: Mapping[Group, RunNoise]
) -> pl.DataFrame:
    """Return a row for each mean accuracy and gain, in groups and sizes that have a mixture.

    Args:
        outcomes: the outcomes of every task.
        settings: settings.
        runs: by group, the noise between training runs that a model of accuracy estimates, for
            groups whose replicates have fewer degrees of freedom.
    """
    rows = []
    for found in outcomes.values():
        for group in groups(found.cells):
            cells = found.cells.with_row_index("row").filter(in_group_with_mixtures(group))
            noise = noise_of(found, cells, runs)
            for place, of_method in _places(cells):
                values = _accuracies(found, of_method, settings)
                values += _gains(found, of_method, settings, noise)
                rows += [{**asdict(group), **place, **value._asdict()} for value in values]
    return pl.DataFrame(rows, schema=SCHEMA)


def mixture_accuracies(outcomes: Mapping[str, Outcomes], settings: CompareSettings) -> pl.DataFrame:
    """Return the rows of `mixture_table` that are accuracies."""
    rows = [
        {**asdict(group), **place, **value._asdict()}
        for found in outcomes.values()
        for group in groups(found.cells)
        for place, of_method in _places(
            found.cells.with_row_index("row").filter(in_group_with_mixtures(group))
        )
        for value in _accuracies(found, of_method, settings)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


class _Value(NamedTuple):
    """The columns of a row that are about a method or mixture."""

    kind: str
    method: str
    reference: str | None
    replicates: int
    value: float
    low: float | None
    high: float | None
    noise: str


def _places(
    cells: pl.DataFrame,
) -> Iterator[tuple[dict[str, float], dict[str, dict[int, int]]]]:
    """Yield each seed-set size with a mixture and budget, and its rows by method and replicate.

    Args:
        cells: the cells of a group; the column `row` is their row in the outcomes.
    """
    with_mixture = cells.filter(MIXED)["seeds"].unique()
    cells = cells.filter(pl.col("seeds").is_in(with_mixture.implode()))
    for (seeds, budget), part in cells.sort("seeds", "budget", "method").group_by(
        "seeds", "budget", maintain_order=True
    ):
        of_method: dict[str, dict[int, int]] = {}
        for method, replicate, row in part.select("method", "replicate", "row").iter_rows():
            of_method.setdefault(method, {})[replicate] = row
        yield {"seeds": seeds, "budget": budget, "budget_ratio": budget / seeds}, of_method


def _accuracies(
    outcomes: Outcomes,
    of_method: Mapping[str, Mapping[int, int]],
    settings: CompareSettings,
) -> list[_Value]:
    """Return the mean accuracy of each method and mixture."""
    rows = []
    for method, found in of_method.items():
        mean = mean_accuracy(outcomes, [*found.values()], settings.confidence)
        said = (mean.accuracy, mean.low, mean.high, ITEMS)
        rows.append(_Value("accuracy", method, None, len(found), *said))
    return rows


def _gains(
    outcomes: Outcomes,
    of_method: Mapping[str, Mapping[int, int]],
    settings: CompareSettings,
    noise: Noise,
) -> list[_Value]:
    """Return the gain of each mixture over the best method of the same replicates."""
    rows = []
    pure = [method for method in settings.methods if method in of_method]
    for mixture in of_method.keys() - set(settings.methods):
        shared = {
            method: sorted(of_method[method].keys() & of_method[mixture].keys()) for method in pure
        }
        # A method with fewer replicates than others could win because of one lucky draw.
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
            runs=noise.runs,
        )
        said = (found.difference, found.low, found.high, noise.covers)
        rows.append(_Value("gain", mixture, best, most, *said))
    return sorted(rows, key=lambda row: row.method)
