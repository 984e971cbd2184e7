"""What the rest of the analysis knows of the model: accuracies of methods, each with its draws.

Cells of a study go into `fit_curves`; `read_curves` returns one `Curves` for each task, student,
teacher, filter and augmenter. Everything behind this module may be replaced by another model.

Expectations come from two descriptions of the same cells, in equal parts: the fitted curve, which
lends each cell the strength of the others but may have the wrong form, and straight lines in ln BR
between cell means, which have no form but all the noise of single cells. Where the two disagree on
the best method, the advice is as unsure as that; the curve alone was seen to be too sure.

Lines end with the cells. Beyond them they go on as the curve does, as far above or below it as the
last cell means are: half of what the curve misses there is kept, and nothing jumps. What a curve
fitted to the lower budgets was seen to miss the highest ones by, beyond what the noise of the cells
explains (or, where that is nothing, what noise can hide), is added beyond the data as noise, once
for every step as large as the one over which it missed them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from seedbed.analysis.curves.decay import AccuracyModel, Points, values_of
from seedbed.analysis.curves.records import CellMean, FitRecord, FitsRecord
from seedbed.analysis.settings import FitSettings
from seedbed.analysis.tables.outcomes import UNTRAINED, Group, Outcomes

NOTHING_SAYS = "and no held-out budget says how far to trust curves beyond"

_ROUNDING = 1e-9
"""Share by which a ratio may lie beyond the data and still be in it."""

_HIDDEN = 1 / 8
"""Share of the noise's variance that the miss beyond noise has at least. Where it seems to be none,
a quarter of the standard error of what says so, a mean square of some eight held-out cells."""


class Estimate(NamedTuple):
    """Numbers, with what their draws say of how well they are known.

    Attributes:
        centre: the best estimates, shape (n,).
        draws: the same in every draw, shape (samples, n).
    """

    centre: np.ndarray
    draws: np.ndarray

    def interval(self, confidence: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper ends of the intervals, each of shape (n,)."""
        low, high = np.quantile(self.draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
        return low, high


class Point(NamedTuple):
    """A place at which a method has an accuracy."""

    method: str
    seeds: float
    ratio: float


class Noise(NamedTuple):
    """The variance of a further measurement of an accuracy.

    Attributes:
        own: its own.
        shared: what it shares with the measurements that the curves are of.
    """

    own: float
    shared: float


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

    def at(self, ratios: np.ndarray) -> Estimate:
        """Return the accuracy at ratios: straight lines in ln BR between cells.

        Ratios must lie within those of the series.
        """
        where, known = np.log(ratios), np.log(self.ratios)
        draws = np.array([np.interp(where, known, row) for row in self.draws])
        return Estimate(np.interp(where, known, self.accuracy), draws)


@dataclass(frozen=True)
class WeightedModel:
    """A model in the mean that makes a curve.

    Attributes:
        model: the model.
        weight: its weight; those of all models sum to 1.
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
class Curves:
    """The accuracies of the methods on one task with one student, teacher, filter and augmenter.

    Attributes:
        record: the published part of the fit.
        models: the models whose weighted mean is the curve; none if there is no fit.
        cell_draws: draws of the cell means by (method, seeds, budget).
    """

    record: FitRecord
    models: tuple[WeightedModel, ...]
    cell_draws: Mapping[tuple[str, int, int], np.ndarray]

    # --- what was measured

    @property
    def group(self) -> Group:
        """The coordinates that all of the cells share."""
        return self.record.group

    @property
    def key(self) -> str:
        """These coordinates as one string, by which records name the fit."""
        return self.record.fit

    @property
    def methods(self) -> list[str]:
        """The methods in the study's order."""
        return list(self.record.methods)

    @property
    def seeds(self) -> list[int]:
        """The seed-set sizes, ascending."""
        return list(self.record.seeds)

    @property
    def fitted(self) -> bool:
        """Whether there is a curve."""
        return bool(self.models)

    def cells(self, seeds: int, method: str | None = None) -> list[CellMean]:
        """Return the cell means of a seed-set size (and method), by budget."""
        return [
            cell
            for cell in self.record.cells
            if cell.seeds == seeds and method in (None, cell.method)
        ]

    def nearest_size(self, seeds: float) -> int:
        """Return the nearest of the seed-set sizes, in the logarithm."""
        return min(self.seeds, key=lambda size: (abs(np.log(size / seeds)), size))

    def ratios(self, seeds: float, method: str) -> list[float]:
        """Return the budget ratios of a method's cells with the nearest seed-set size."""
        return [cell.budget_ratio for cell in self.cells(self.nearest_size(seeds), method)]

    def base_model(self) -> Estimate | None:
        """Return the accuracy of the base model, shape (1,), or None if it has no cell."""
        draws = self.cell_draws.get((UNTRAINED, 0, 0))
        if draws is None or self.record.untrained is None:
            return None
        return Estimate(np.array([self.record.untrained.accuracy]), draws[:, None])

    def noise(self, seeds: int, accuracy: float, draws_of_seeds: int = 0) -> Noise:
        """Return the variance of a further measurement, a cell with one replicate.

        Args:
            seeds: its seed-set size.
            accuracy: its accuracy.
            draws_of_seeds: how many draws of the seeds the curve is of, if it is of one of them.
        """
        kept = min(max(accuracy, 0.01), 0.99)
        items = kept * (1 - kept) * self.record.grade_variance / self.record.items
        seen = self.record.bootstrap
        runs = seen.training_noise**2 if seen else 0.0
        # The recorded noise is of the smallest seed sets; a mean over more seeds varies less.
        draws = seen.seed_draw_noise**2 * self.seeds[0] / seeds if seen else 0.0
        scatter = items * (self.record.dispersion.used if self.record.dispersion else 1.0)
        own_items = min(max(scatter - runs - draws, 0.0), items)
        # One of the draws that the curve is of is a part of their mean.
        same = 1 / draws_of_seeds if draws_of_seeds else 0.0
        return Noise(runs + own_items + draws * (1 - same), items - own_items + draws * same)

    # --- where accuracies are known

    def beyond_sizes(self, seeds: float) -> float:
        """Return the factor by which a seed-set size lies beyond those of the data; 1 within."""
        return max(1.0, self.seeds[0] / seeds, seeds / self.seeds[-1])

    def beyond(self, seeds: float, method: str, ratios: np.ndarray) -> np.ndarray:
        """Return the factors by which ratios and seeds together lie beyond the data; 1 within.

        Args:
            seeds: seed-set size, with a cell of the method at the nearest one.
            method: the method.
            ratios: budget ratios, shape (n,).
        """
        known = self.ratios(seeds, method)
        factors = np.maximum(1.0, np.maximum(ratios / known[-1], known[0] / ratios))
        factors *= self.beyond_sizes(seeds)
        return np.where(factors <= 1 + _ROUNDING, 1.0, factors)

    def trusted_beyond(self, seeds: float, method: str) -> bool:
        """Return whether anything says how far a method's curve can be trusted beyond the data."""
        return self._held_out()[1] is not None and len(self.ratios(seeds, method)) > 1

    def check_size(self, seeds: int) -> None:
        """Check that something is known of a seed-set size, of whatever budget.

        Raises:
            ValueError: if there is no curve and it is not one of the study's sizes.
        """
        if self.fitted or seeds in self.seeds:
            return
        if not self.seeds[0] <= seeds <= self.seeds[-1]:
            raise ValueError(self.outside_text(seeds))
        known = ", ".join(map(str, self.seeds))
        raise ValueError(f"{seeds} seeds: without a fitted curve, only {known} are known")

    def outside_text(self, seeds: int) -> str:
        """Return that a seed-set size is outside the data."""
        return f"{seeds} seeds: the data has {self.seeds[0]} to {self.seeds[-1]}"

    def basis(self, seeds: float, methods: Sequence[str]) -> str:
        """Return what accuracies with a seed-set size stand on: "curve", "means" or both.

        Where only some of the methods have means, it is "curve and means".
        """
        known = any(self.means_range(seeds, method) for method in methods)
        return " and ".join(["curve"] * self.fitted + ["means"] * known)

    # --- accuracies

    def accuracy(self, seeds: float, method: str, ratios: np.ndarray) -> Estimate:
        """Return the expected accuracy at n ratios, less sure the further beyond the data.

        With both a curve and means it is their mean, and the draws are those of the one and the
        other. Beyond the cells, means go on as far from the curve as the nearest of them.

        Args:
            seeds: seed-set size.
            method: a method with a cell at the nearest seed-set size.
            ratios: budget ratios, shape (n,); beyond the data, with `trusted_beyond` alone.
        """
        centre, draws = self._expected(seeds, method, ratios)
        return Estimate(centre, self._less_sure(seeds, method, ratios, draws))

    def contrast(self, terms: Sequence[tuple[float, Point]]) -> Estimate:
        """Return a weighted sum of accuracies on the curve, shape (1,), as `accuracy` is unsure.

        Args:
            terms: the points, each with its weight; beyond the data, with `trusted_beyond` alone.
        """
        centre, draws = np.zeros(1), np.zeros(1)
        for weight, (method, seeds, ratio) in terms:
            found = self.widened_curve(seeds, method, np.array([ratio]))
            centre, draws = centre + weight * found.centre, draws + weight * found.draws
        return Estimate(centre, draws)

    def curve(self, seeds: float, method: str, ratios: np.ndarray) -> Estimate | None:
        """Return the accuracy on the fitted curve at n ratios, or None if there is no fit."""
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
        return Estimate(centre, draws)

    def widened_curve(self, seeds: float, method: str, ratios: np.ndarray) -> Estimate:
        """Return the accuracy on the curve, less sure the further beyond the data.

        Args:
            seeds: seed-set size.
            method: the method.
            ratios: budget ratios, shape (n,); beyond the data, with `trusted_beyond` alone.

        Raises:
            ValueError: if there is no curve.
        """
        found = self.curve(seeds, method, ratios)
        if found is None:
            raise ValueError("there is no curve")
        return Estimate(found.centre, self._less_sure(seeds, method, ratios, found.draws))

    def means(self, seeds: int, method: str) -> MeanSeries | None:
        """Return the cell means of a method and seed-set size, or None if there are none."""
        cells = self.cells(seeds, method)
        if not cells:
            return None
        draws = [self.cell_draws[method, seeds, cell.budget] for cell in cells]
        return MeanSeries(
            ratios=np.array([cell.budget_ratio for cell in cells], dtype=float),
            accuracy=np.array([cell.accuracy for cell in cells]),
            draws=np.stack(draws, axis=1),
        )

    def means_at(self, seeds: float, method: str, ratios: np.ndarray) -> Estimate | None:
        """Return the accuracy on straight lines between cell means at n ratios.

        The lines are straight in ln BR and, between two seed-set sizes, in ln seeds. It is NaN at
        ratios beyond the cells of a size that it takes.

        Args:
            seeds: from the smallest seed-set size to the largest; beyond, that of the nearest.
            method: the method.
            ratios: budget ratios, shape (n,).

        Returns:
            The accuracy; None if a size that it takes has no cell of the method.
        """
        found = self._series_beside(seeds, method)
        if found is None:
            return None
        centre, draws = np.zeros(len(ratios)), np.zeros(len(ratios))
        for series, weight in found:
            # Rounding must not put an end of the cells beyond them.
            beyond = (ratios < series.ratios.min() * (1 - 1e-9)) | (
                ratios > series.ratios.max() * (1 + 1e-9)
            )
            accuracy, drawn = series.at(ratios)
            centre = centre + weight * np.where(beyond, np.nan, accuracy)
            draws = draws + weight * drawn
        return Estimate(centre, draws)

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

    # --- crossovers

    def crossover(
        self,
        seeds: int,
        pair: tuple[str, str],
        confidence: float,
        basis: str = "curve",
        scales: tuple[Scale, Scale] | None = None,
    ) -> Crossings | None:
        """Return where one method becomes better than another, within the range of the data.

        Args:
            seeds: one of the seed-set sizes.
            pair: the two methods, the reference first.
            confidence: coverage of the intervals.
            basis: "curve", or "means" for straight lines between cell means.
            scales: for both methods, what budgets are on another axis, such as dollars; without,
                the axis is the budget ratio.

        Returns:
            What was found; None if the two have no range in common.
        """
        first, second = (self.means(seeds, method) for method in pair)
        if first is None or second is None:
            return None
        series = (first, second)
        if scales is None:
            low = max(one.ratios.min() for one in series)
            high = min(one.ratios.max() for one in series)
        else:
            low, high = max(one.low for one in scales), min(one.high for one in scales)
        if low >= high:
            return None
        if basis == "curve" and not self.fitted:
            return Crossings(status="no_fit", range=(float(low), float(high)))
        positions = np.geomspace(low, high, GRID_POINTS)
        if basis == "means" and scales is None:
            # Between the cells as well: there the lines cross, and their errors are no lines.
            known = np.concatenate([*(one.ratios for one in series), positions])
            positions = np.unique(known[(known >= low) & (known <= high)])
        found = []
        for place, (method, one) in enumerate(zip(pair, series, strict=True)):
            ratios = positions
            if scales is not None:
                # Rounding must not carry the ends outside the cells.
                ratios = scales[place].budget(positions) / seeds
                ratios = np.clip(ratios, one.ratios[0], one.ratios[-1])
            curve = self.curve(seeds, method, ratios) if basis == "curve" else None
            found.append(curve or one.at(ratios))
        left, right = found
        return crossings(
            positions, right.centre - left.centre, right.draws - left.draws, pair, confidence
        )

    def crossover_delay(
        self, pair: tuple[str, str], few: int, many: int, confidence: float
    ) -> tuple[float | None, float, float] | None:
        """Return by how much ln BR of a crossover is larger with few seeds than with many.

        Each size has the range of its own cells. A crossover that is not in it lies before or
        beyond it, so that the difference may be known to lie above or below a number only: the
        interval's low end is of the least that the resamples' differences can be, its high end of
        the most.

        Args:
            pair: the method that is better at first, and the other.
            few: a seed-set size.
            many: a larger one.
            confidence: coverage of the interval.

        Returns:
            The difference, None where it is not one number, and the ends of its interval, which may
            be infinite; None without a curve or a range in common.
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

    def _first_crossovers(
        self, seeds: int, pair: tuple[str, str]
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the least and the most that ln BR of a crossover can be.

        Of the curves first, then of each resample; None without a curve or a range in common.
        """
        left, right = (self.means(seeds, method) for method in pair)
        if left is None or right is None or not self.fitted:
            return None
        low = max(left.ratios.min(), right.ratios.min())
        high = min(left.ratios.max(), right.ratios.max())
        if low >= high:
            return None
        ratios = np.geomspace(low, high, GRID_POINTS)
        before, after = (self.widened_curve(seeds, method, ratios) for method in pair)
        leads = np.vstack([after.centre - before.centre, after.draws - before.draws])
        found = np.array([first_crossover(np.log(ratios), lead) for lead in leads])
        return found[:, 0], found[:, 1]

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

    def _held_out(self) -> tuple[float, float | None]:
        """Return how far the highest budgets lie beyond the next ones, and how curves miss them.

        The factor is the geometric mean over seed-set sizes. The miss is that of the models by
        weight, less what noise would make of it if their form were right, which their draws have
        already; but at least what noise can hide.
        """
        steps = []
        for seeds in self.seeds:
            budgets = sorted({cell.budget for cell in self.cells(seeds)})
            steps += [budgets[-1] / budgets[-2]] if len(budgets) > 1 else []
        used = [entry for entry in self.record.models if entry.weight]
        misses = [
            (entry.weight, entry.held_out_error**2, entry.held_out_noise**2)
            for entry in used
            if entry.held_out_error is not None and entry.held_out_noise is not None
        ]
        if not steps or not used or len(misses) < len(used):
            return 1.0, None
        beyond_noise = sum(weight * (error - noise) for weight, error, noise in misses)
        noise = sum(weight * noise for weight, _, noise in misses)
        miss = max(beyond_noise, _HIDDEN * noise) ** 0.5
        return float(np.exp(np.mean(np.log(steps)))), float(miss)

    def _less_sure(
        self, seeds: float, method: str, ratios: np.ndarray, draws: np.ndarray
    ) -> np.ndarray:
        """Return draws, shape (samples, n), with noise for what lies beyond the data.

        In a resample the curve of a method misses what lies beyond by one normal draw, in units of
        the miss that is expected that far out.
        """
        beyond = self.beyond(seeds, method, ratios)
        if (beyond == 1).all():
            return draws
        step, miss = self._held_out()
        generator = np.random.default_rng([self.methods.index(method), 3])
        noise = generator.normal(size=(len(draws), 1))
        size = miss * np.log(beyond) / np.log(step)
        return np.where(beyond > 1, np.clip(draws + size * noise, 0.0, 1.0), draws)

    def _expected(self, seeds: float, method: str, ratios: np.ndarray) -> Estimate:
        curve, known = self.curve(seeds, method, ratios), self.means_range(seeds, method)
        if curve is None:
            found = self.means_at(seeds, method, ratios)
            if found is None:
                raise ValueError(f"{method} has no cells with {seeds:g} seeds")
            return found
        if known is None:
            return curve
        near, size = np.clip(ratios, *known), np.clip(seeds, self.seeds[0], self.seeds[-1])
        means, of_near = self.means_at(size, method, near), self.curve(size, method, near)
        assert means is not None and of_near is not None, "both are known there"
        lines, drawn = (
            np.clip(of_means + (of_curve - of_curve_near), 0.0, 1.0)
            for of_curve, of_means, of_curve_near in zip(curve, means, of_near, strict=True)
        )
        return Estimate((curve.centre + lines) / 2, np.concatenate([curve.draws, drawn]))


def drawn_alike(draws: Sequence[np.ndarray]) -> np.ndarray:
    """Return draws of accuracies, each of shape (samples, ...), as one array.

    Some may stand on curves alone, with half the draws of those on curves and means: beside the
    means of these stand their curves once more.
    """
    most = max(len(drawn) for drawn in draws)
    return np.stack([np.concatenate([drawn] * (most // len(drawn))) for drawn in draws])


def fit_curves(
    by_task: Mapping[str, Outcomes], settings: FitSettings
) -> tuple[FitsRecord, pl.DataFrame]:
    """Fit the curves of every task, student, teacher, filter and augmenter.

    Returns:
        The record that `decay.json` holds, and the draws that stand in a file beside it.
    """
    # Fitting takes libraries that readers do without.
    from seedbed.analysis.curves.fitting import fit_decay

    return fit_decay(by_task, settings)


def read_curves(path: str | Path, draws: str | Path) -> list[Curves]:
    """Read `decay.json` and the draws beside it.

    Raises:
        ValueError: if the two do not belong together.
    """
    return curves_from(FitsRecord.read(path), pl.read_parquet(draws))


def confidence_of(path: str | Path) -> float:
    """Return the coverage of the intervals in `decay.json`."""
    return FitsRecord.read(path).settings.confidence


def curves_from(record: FitsRecord, draws: pl.DataFrame) -> list[Curves]:
    """Return the curves of a record and draws as `fit_decay` returns them.

    Raises:
        ValueError: if the two do not belong together.
    """
    expected = {fit.fit for fit in record.fits}
    if set(draws["fit"].unique().to_list()) != expected:
        raise ValueError("the fits and the bootstrap draws are not of the same study")
    return [_curves(fit, draws.filter(pl.col("fit") == fit.fit)) for fit in record.fits]


def _curves(record: FitRecord, draws: pl.DataFrame) -> Curves:
    cell_draws = {
        (row["method"], row["seeds"], row["budget"]): np.array(row["draws"])
        for row in draws.filter(pl.col("kind") == "cell").iter_rows(named=True)
    }
    return Curves(record, tuple(_models(record, draws)), cell_draws)


def _models(record: FitRecord, draws: pl.DataFrame) -> Iterator[WeightedModel]:
    parameters = draws.filter(pl.col("kind") == "parameter")
    for entry in record.models:
        if not entry.weight:
            continue
        model = AccuracyModel(
            response=entry.response,
            harm=entry.harm,
            start=entry.start,
            methods=record.methods,
            reference_seeds=entry.reference_seeds,
            sharing=entry.sharing,
            decay=entry.decay,
        )
        of_model = parameters.filter(pl.col("model") == entry.name)
        drawn = dict(of_model.select("name", "draws").rows())
        yield WeightedModel(
            model=model,
            weight=entry.weight,
            values=values_of(model, {one.name: one.value for one in entry.parameters}),
            resamples=of_model["resamples"][0].to_numpy(),
            draws=np.stack([np.array(drawn[name]) for name in model.parameter_names()], axis=1),
        )
