"""Fits as the later steps use them: curves and cell means, each with its bootstrap draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from seedbed.analysis.curves.decay import AccuracyModel, Points, values_of
from seedbed.analysis.tables.outcomes import UNTRAINED
from seedbed.artifacts import read_json


@dataclass(frozen=True)
class MeanSeries:
    """Cell means of one method and seed-set size, sorted by budget.

    Attributes:
        ratios: budget ratios, shape (n,).
        accuracy: means over replicates, shape (n,).
        draws: the same in every bootstrap resample, shape (samples, n).
    """

    ratios: np.ndarray
    accuracy: np.ndarray
    draws: np.ndarray

    def at(self, ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the accuracy and its draws at ratios: straight lines in ln BR between cells.

        Ratios must lie within those of the series.
        """
        where, known = np.log(ratios), np.log(self.ratios)
        draws = np.array([np.interp(where, known, row) for row in self.draws])
        return np.interp(where, known, self.accuracy), draws


@dataclass(frozen=True)
class WeightedModel:
    """A model in the mean that makes a fit's curve.

    Attributes:
        model: the model.
        weight: its weight; those of a fit's models sum to 1.
        values: its parameters' values, shape (parameters,).
        resamples: numbers of the bootstrap resamples that it was refitted to, shape (n,). Every
            resample has one model.
        draws: its parameters there, shape (n, parameters).
    """

    model: AccuracyModel
    weight: float
    values: np.ndarray
    resamples: np.ndarray
    draws: np.ndarray


@dataclass(frozen=True)
class Fit:
    """One group's record in `decay.json`, with its draws.

    Attributes:
        record: the record.
        models: the models whose weighted mean is the curve; none if there is no fit.
        cell_draws: draws of the cell means by (method, seeds, budget).
    """

    record: Mapping[str, Any]
    models: tuple[WeightedModel, ...]
    cell_draws: Mapping[tuple[str, int, int], np.ndarray]

    @property
    def methods(self) -> list[str]:
        """The methods in the study's order."""
        return list(self.record["methods"])

    @property
    def seeds(self) -> list[int]:
        """The seed-set sizes, ascending."""
        return list(self.record["seeds"])

    def cells(self, seeds: int, method: str | None = None) -> list[Mapping[str, Any]]:
        """Return the records of the cell means of a seed-set size (and method), by budget."""
        return [
            cell
            for cell in self.record["cells"]
            if cell["seeds"] == seeds and method in (None, cell["method"])
        ]

    def means(self, seeds: int, method: str) -> MeanSeries | None:
        """Return the cell means of a method and seed-set size, or None if there are none."""
        cells = self.cells(seeds, method)
        if not cells:
            return None
        draws = [self.cell_draws[method, seeds, cell["budget"]] for cell in cells]
        return MeanSeries(
            ratios=np.array([cell["budget_ratio"] for cell in cells], dtype=float),
            accuracy=np.array([cell["accuracy"] for cell in cells]),
            draws=np.stack(draws, axis=1),
        )

    def means_at(
        self, seeds: float, method: str, ratios: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the accuracy on straight lines between cell means at n ratios, and its draws.

        The lines are straight in ln BR and, between two seed-set sizes, in ln seeds. It is NaN at
        ratios beyond the cells of a size that it takes.

        Args:
            seeds: from the smallest seed-set size to the largest; beyond, that of the nearest.
            method: the method.
            ratios: budget ratios, shape (n,).

        Returns:
            Accuracy, shape (n,), and its draws, shape (samples, n); None if a size that it takes
            has no cell of the method.
        """
        found = self._series_beside(seeds, method)
        if found is None:
            return None
        centre, draws = 0.0, 0.0
        for series, weight in found:
            # Rounding must not put an end of the cells beyond them.
            beyond = (ratios < series.ratios.min() * (1 - 1e-9)) | (
                ratios > series.ratios.max() * (1 + 1e-9)
            )
            accuracy, drawn = series.at(ratios)
            centre = centre + weight * np.where(beyond, np.nan, accuracy)
            draws = draws + weight * drawn
        return centre, draws

    def means_range(self, seeds: float, method: str) -> tuple[float, float] | None:
        """Return the budget ratios from which and to which `means_at` knows the accuracy.

        None if it knows it nowhere.
        """
        found = self._series_beside(seeds, method)
        if found is None:
            return None
        low = max(float(series.ratios.min()) for series, _ in found)
        high = min(float(series.ratios.max()) for series, _ in found)
        return (low, high) if low <= high else None

    def _series_beside(self, seeds: float, method: str) -> list[tuple[MeanSeries, float]] | None:
        """Return the cell means of the sizes on both sides of a size, with their shares in it."""
        # The logarithm of a size and back may be a little beyond it.
        seeds = min(max(seeds, self.seeds[0]), self.seeds[-1])
        below = max(size for size in self.seeds if size <= seeds)
        above = min(size for size in self.seeds if size >= seeds)
        share = np.log(seeds / below) / np.log(above / below) if above > below else 0.0
        found = []
        for size, weight in ((below, 1 - share), (above, share)):
            if not weight:
                continue
            series = self.means(size, method)
            if series is None:
                return None
            found.append((series, weight))
        return found

    def untrained_draws(self) -> np.ndarray | None:
        """Return the draws of the untrained student's accuracy, or None if it has no cell."""
        return self.cell_draws.get((UNTRAINED, 0, 0))

    def curve(
        self, seeds: float, method: str, ratios: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the fitted accuracy at n ratios, and its draws of shape (samples, n).

        None if there is no fit.
        """
        if not self.models:
            return None
        points = Points(
            method=np.full(len(ratios), self.methods.index(method)),
            seeds=np.full(len(ratios), float(seeds)),
            ratio=np.asarray(ratios, dtype=float),
        )
        centre = np.zeros(len(ratios))
        draws = np.empty((sum(len(member.resamples) for member in self.models), len(ratios)))
        for member in self.models:
            centre += member.weight * member.model.accuracy(member.values, points)
            draws[member.resamples] = member.model.accuracy(member.draws, points)
        return centre, draws


def read_fits(path: str | Path, draws: str | Path) -> list[Fit]:
    """Read `decay.json` and the draws beside it.

    Raises:
        ValueError: if the two do not belong together.
    """
    return fits_from(read_json(path), pl.read_parquet(draws))


def confidence_of(path: str | Path) -> float:
    """Return the coverage of the intervals in `decay.json`."""
    return float(read_json(path)["settings"]["confidence"])


def fits_from(content: Mapping[str, Any], draws: pl.DataFrame) -> list[Fit]:
    """Return the fits of a record and draws as `fit_decay` returns them.

    Raises:
        ValueError: if the two do not belong together.
    """
    expected = {record["fit"] for record in content["fits"]}
    if set(draws["fit"].unique().to_list()) != expected:
        raise ValueError("the fits and the bootstrap draws are not of the same study")
    return [
        _fit(record, draws.filter(pl.col("fit") == record["fit"])) for record in content["fits"]
    ]


def _fit(record: Mapping[str, Any], draws: pl.DataFrame) -> Fit:
    cell_draws = {
        (row["method"], row["seeds"], row["budget"]): np.array(row["draws"])
        for row in draws.filter(pl.col("kind") == "cell").iter_rows(named=True)
    }
    return Fit(record, tuple(_models(record, draws)), cell_draws)


def _models(record: Mapping[str, Any], draws: pl.DataFrame) -> Iterator[WeightedModel]:
    parameters = draws.filter(pl.col("kind") == "parameter")
    for entry in record["models"]:
        if not entry.get("weight"):
            continue
        model = AccuracyModel(
            response=entry["response"],
            harm=entry["harm"],
            start=entry["start"],
            methods=tuple(record["methods"]),
            reference_seeds=entry["reference_seeds"],
            sharing=entry["sharing"],
            decay=entry["decay"],
        )
        of_model = parameters.filter(pl.col("model") == entry["name"])
        drawn = dict(of_model.select("name", "draws").rows())
        yield WeightedModel(
            model=model,
            weight=entry["weight"],
            values=values_of(model, {one["name"]: one["value"] for one in entry["parameters"]}),
            resamples=of_model["resamples"][0].to_numpy(),
            draws=np.stack([np.array(drawn[name]) for name in model.parameter_names()], axis=1),
        )
