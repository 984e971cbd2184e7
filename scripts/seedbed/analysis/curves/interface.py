"""The interface to fitted accuracies: expectations and posterior draws for any method and budget.

`fit_curves` fits a study's cells; `read_curves` returns one `Curves` for each task, student,
teacher, filter and augmenter. Another model could replace everything behind this module.

Posterior draws are joint: the same draw of two accuracies uses the same parameters, even if the
accuracies come from different calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from seedbed.analysis.curves.crossings import (
    GRID_POINTS,
    Crossings,
    Scale,
    crossings,
    first_crossover,
)
from seedbed.analysis.curves.records import CellMean, FitRecord, FitsRecord
from seedbed.analysis.posterior import Posterior
from seedbed.analysis.settings import FitSettings
from seedbed.analysis.tables.outcomes import Group, Outcomes
from seedbed.analysis.tables.replicates import RunNoise

FURTHEST = 10.0
"""Largest factor beyond the data, in budget ratio and seeds together, for which advice is given."""

_ROUNDING = 1e-9
"""Relative tolerance within which a ratio at the edge counts as within the data."""


class Estimate(NamedTuple):
    """Expectations of n numbers, with their posterior draws.

    Attributes:
        centre: the expectations, shape (n,).
        draws: the posterior draws, shape (samples, n).
    """

    centre: np.ndarray
    draws: np.ndarray

    def interval(self, confidence: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper ends of the intervals, each of shape (n,)."""
        low, high = np.quantile(self.draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
        return low, high


class Point(NamedTuple):
    """A method, seed-set size and budget ratio."""

    method: str
    seeds: float
    ratio: float


class Noise(NamedTuple):
    """The variance of a further measurement of an accuracy.

    Attributes:
        own: the part that is independent of the cells that the curves were fitted to.
        shared: the part that it shares with these cells.
    """

    own: float
    shared: float


@dataclass(frozen=True)
class Curves:
    """The accuracies of the methods on one task with one student, teacher, filter and augmenter.

    Attributes:
        record: the fit's record in `decay.json`.
        posterior: the posterior draws.
    """

    record: FitRecord
    posterior: Posterior

    # --- what was measured

    @property
    def mixtures(self) -> Mapping[str, Mapping[str, float]]:
        """The shares of the methods in each measured mixture, by the mixture's name."""
        return self.record.mixtures

    @property
    def unmeasured(self) -> Sequence[str]:
        """Methods of the study without a student here."""
        return self.record.unmeasured

    @property
    def untrained(self) -> float | None:
        """Accuracy of the base model; None if it was not measured."""
        return None if self.record.untrained is None else self.record.untrained.accuracy

    @property
    def group(self) -> Group:
        """The coordinates that all cells share."""
        return self.record.group

    @property
    def key(self) -> str:
        """The group's coordinates as one string, the fit's name in records."""
        return self.record.fit

    @property
    def methods(self) -> list[str]:
        """The methods in the study's order."""
        return list(self.record.methods)

    @property
    def seeds(self) -> list[int]:
        """The seed-set sizes, ascending."""
        return list(self.record.seeds)

    def cells(self, seeds: int, method: str | None = None) -> list[CellMean]:
        """Return the cell means of a seed-set size (and method), by budget."""
        return [
            cell
            for cell in self.record.cells
            if cell.seeds == seeds and method in (None, cell.method)
        ]

    def nearest_size(self, seeds: float) -> int:
        """Return the seed-set size of the data that is nearest in the logarithm."""
        return min(self.seeds, key=lambda size: (abs(np.log(size / seeds)), size))

    def ratios(self, seeds: float, method: str) -> list[float]:
        """Return the budget ratios of a method's cells with the nearest seed-set size."""
        return [cell.budget_ratio for cell in self.cells(self.nearest_size(seeds), method)]

    def missing_text(self, seeds: float, method: str) -> str:
        """Return why a method has no ratios."""
        if method not in self.methods:
            return "no student of it was evaluated"
        size = self.nearest_size(seeds)
        return f"no student of it was evaluated with {size:,} seeds, the nearest number"

    def noise(self, seeds: int, accuracy: float, draws_of_seeds: int = 0) -> Noise:
        """Return the variance of a further measurement, a cell with one replicate.

        Args:
            seeds: its seed-set size.
            accuracy: its accuracy.
            draws_of_seeds: number of draws of the seeds in the fit, if the measurement reuses one;
                0 for a new draw.
        """
        kept = min(max(accuracy, 0.01), 0.99)
        slope = kept * (1 - kept)
        items = slope * self.record.grade_variance / self.record.items
        runs = float(np.mean(self.posterior.runs**2)) * slope**2
        draws = float(np.mean(self.posterior.draws_of_seeds**2)) * 100 / seeds * slope**2
        own_items = items * (1 - self.record.noise.shared_luck)
        # A draw that is in the fit shares its part of the mean over the fit's draws.
        same = 1 / draws_of_seeds if draws_of_seeds else 0.0
        return Noise(runs + own_items + draws * (1 - same), items - own_items + draws * same)

    @property
    def run_noise(self) -> RunNoise:
        """The noise between training runs, according to the posterior."""
        slope = self.record.noise.training_runs / float(self.posterior.runs.mean())
        return run_noise_of(self.posterior, slope, len(self.record.cells))

    # --- how far the data reach

    def beyond_sizes(self, seeds: float) -> float:
        """Return the factor by which a seed-set size lies beyond the data; 1 within."""
        return max(1.0, self.seeds[0] / seeds, seeds / self.seeds[-1])

    def beyond(self, seeds: float, method: str, ratios: np.ndarray) -> np.ndarray:
        """Return the factors by which ratios and seeds together lie beyond the data; 1 within.

        Args:
            seeds: seed-set size; the method needs a cell at the nearest size of the data.
            method: the method.
            ratios: budget ratios, shape (n,).
        """
        known = self.ratios(seeds, method)
        factors = np.maximum(1.0, np.maximum(ratios / known[-1], known[0] / ratios))
        factors *= self.beyond_sizes(seeds)
        return np.where(factors <= 1 + _ROUNDING, 1.0, factors)

    def outside_text(self, seeds: int) -> str:
        """Return a message that a seed-set size is outside the data."""
        return f"{seeds} seeds: the data has {self.seeds[0]} to {self.seeds[-1]}"

    # --- accuracies

    def accuracy(self, seeds: float, method: str, ratios: np.ndarray) -> Estimate:
        """Return the expected accuracy at n ratios, less certain the further beyond the data.

        Args:
            seeds: seed-set size.
            method: the method.
            ratios: budget ratios, shape (n,).
        """
        return self.at([Point(method, seeds, ratio) for ratio in ratios])

    def at(self, points: Sequence[Point]) -> Estimate:
        """Return the expected accuracies at n points, as `accuracy` does."""
        return self.of(
            [point.seeds for point in points],
            [{point.method: point.ratio * point.seeds} for point in points],
        )

    def of(
        self, seeds: float | Sequence[float], queries: Sequence[Mapping[str, float]]
    ) -> Estimate:
        """Return the expected accuracies of n students, of methods, mixtures or the base model.

        Args:
            seeds: seed-set size, one for all students or one each.
            queries: for each student, its queries by method; without any, it is the base model.
        """
        if unknown := {method for one in queries for method in one} - {*self.methods}:
            raise KeyError(*sorted(unknown))
        asked = [[one.get(method, 0.0) for method in self.methods] for one in queries]
        counts = np.array(asked, float).reshape(len(asked), len(self.methods))
        draws = self.posterior.accuracy(np.asarray(seeds, float), counts)
        return Estimate(draws.mean(axis=0), draws)

    def contrast(self, terms: Sequence[tuple[float, Point]]) -> Estimate:
        """Return a weighted sum of accuracies, shape (1,).

        Args:
            terms: the points, each with its weight.
        """
        draws = self.at([point for _, point in terms]).draws @ [[weight] for weight, _ in terms]
        return Estimate(draws.mean(axis=0), draws)

    # --- crossovers

    def crossover(
        self,
        seeds: int,
        pair: tuple[str, str],
        confidence: float,
        scales: tuple[Scale, Scale] | None = None,
    ) -> Crossings | None:
        """Return the crossovers of two methods, within the range of the data.

        Args:
            seeds: one of the seed-set sizes.
            pair: the two methods, the reference first.
            confidence: coverage of the intervals.
            scales: for both methods, the map from budgets to another axis, such as dollars; None if
                the axis is the budget ratio.

        Returns:
            The crossovers; None if the two methods have no range in common.
        """
        common = self._common(seeds, pair)
        if scales is not None:
            common = max(one.low for one in scales), min(one.high for one in scales)
        if common is None or common[0] >= common[1]:
            return None
        positions = np.geomspace(*common, GRID_POINTS)
        found = []
        for place, method in enumerate(pair):
            ratios = positions
            if scales is not None:
                known = self._span(seeds, method)
                # Rounding must not carry the ends outside the cells.
                ratios = np.clip(scales[place].budget(positions) / seeds, *known)
            found.append(self.accuracy(seeds, method, ratios))
        left, right = found
        return crossings(
            positions, right.centre - left.centre, right.draws - left.draws, pair, confidence
        )

    def crossover_delay(
        self, pair: tuple[str, str], few: int, many: int, confidence: float
    ) -> tuple[float | None, float, float] | None:
        """Return the difference of a crossover's ln BR, with few seeds minus with many.

        Each size has the range of its own cells. A crossover outside the range is only known to lie
        before or beyond it, so a draw may only bound the difference. The low end of the interval is
        a quantile of the draws' lower bounds, the high end a quantile of their upper bounds.

        Args:
            pair: the method that is better at first, and the other.
            few: a seed-set size.
            many: a larger one.
            confidence: coverage of the interval.

        Returns:
            The difference, None if it is only bounded, and the ends of its interval, which may be
            infinite; None without a range in common.
        """
        places = [self._first_crossovers(seeds, pair) for seeds in (few, many)]
        if places[0] is None or places[1] is None:
            return None
        (few_least, few_most), (many_least, many_most) = places[0], places[1]
        least, most = few_least - many_most, few_most - many_least
        tails = [(1 - confidence) / 2, (1 + confidence) / 2]
        low = float(np.quantile(least[1:], tails[0], method="lower"))
        high = float(np.quantile(most[1:], tails[1], method="higher"))
        return (float(least[0]) if least[0] == most[0] else None), low, high

    # --- inside

    def _span(self, seeds: int, method: str) -> tuple[float, float]:
        """Return the lowest and highest ratio of a method's cells, at least one."""
        known = [cell.budget_ratio for cell in self.cells(seeds, method)]
        return min(known), max(known)

    def _common(self, seeds: int, pair: tuple[str, str]) -> tuple[float, float] | None:
        """Return the range of budget ratios that both methods' cells cover; None if empty."""
        if not all(self.cells(seeds, method) for method in pair):
            return None
        spans = [self._span(seeds, method) for method in pair]
        low, high = max(low for low, _ in spans), min(high for _, high in spans)
        return (low, high) if low < high else None

    def _first_crossovers(
        self, seeds: int, pair: tuple[str, str]
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return lower and upper bounds of a crossover's ln BR.

        The first bounds are of the expectations, the others of each draw. None without a range in
        common.
        """
        common = self._common(seeds, pair)
        if common is None:
            return None
        ratios = np.geomspace(*common, GRID_POINTS)
        before, after = (self.accuracy(seeds, method, ratios) for method in pair)
        leads = np.vstack([after.centre - before.centre, after.draws - before.draws])
        found = np.array([first_crossover(np.log(ratios), lead) for lead in leads])
        return found[:, 0], found[:, 1]


def fit_curves(
    by_task: Mapping[str, Outcomes], settings: FitSettings
) -> tuple[FitsRecord, pl.DataFrame]:
    """Fit the curves of every task, student, teacher, filter and augmenter.

    Returns:
        The record for `decay.json`, and the posterior draws for the file next to it.
    """
    # Readers of fits need not import the libraries for fitting.
    from seedbed.analysis.curves.fitting import fit_decay

    return fit_decay(by_task, settings)


def run_noise_of(posterior: Posterior, slope: float, cells: int) -> RunNoise:
    """Return the noise between training runs, according to a posterior.

    Args:
        posterior: the posterior.
        slope: derivative of accuracy with respect to its logit, p (1 - p).
        cells: number of cells of the fit, an upper bound of the degrees of freedom.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm, t

    runs, most = posterior.runs, float(cells)
    size = float(np.sqrt(np.mean(runs**2)))

    def outside(quantile: float) -> float:
        """Return the probability above 2.5% that noise with the drawn deviations exceeds it."""
        return float(norm.sf(quantile * size / runs).mean()) - 0.025

    # Degrees of freedom of Student's t with the same quantile, at most the number of cells.
    quantile = float(brentq(outside, 1.0, 20.0))
    if most <= 2 or quantile <= float(t.ppf(0.975, most)):
        freedom = max(2.0, most)
    else:
        freedom = float(brentq(lambda v: float(t.ppf(0.975, v)) - quantile, 2.0, most))
    return RunNoise((slope * size) ** 2, freedom)


def noise_between_runs(fits: Sequence[Curves]) -> dict[Group, RunNoise]:
    """Return the fits' estimates of the noise between training runs, by group."""
    return {fit.group: fit.run_noise for fit in fits}


def read_curves(path: str | Path, draws: str | Path) -> list[Curves]:
    """Read `decay.json` and the draws next to it.

    Raises:
        ValueError: if the two do not belong together.
    """
    return curves_from(FitsRecord.read(path), pl.read_parquet(draws))


def confidence_of(path: str | Path) -> float:
    """Return the coverage of the intervals in `decay.json`."""
    return FitsRecord.read(path).settings.confidence


def curves_from(record: FitsRecord, draws: pl.DataFrame) -> list[Curves]:
    """Return the curves from a record and draws, as `fit_decay` returns them.

    Raises:
        ValueError: if the two do not belong together.
    """
    from seedbed.analysis.curves.fitting import posterior_from

    expected = {fit.fit for fit in record.fits}
    if set(draws["fit"].unique().to_list()) != expected:
        raise ValueError("the fits and the draws are not of the same study")
    return [
        Curves(
            fit, posterior_from(fit, draws.filter(pl.col("fit") == fit.fit), record.settings.seed)
        )
        for fit in record.fits
    ]
