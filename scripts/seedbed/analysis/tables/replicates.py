"""Variances of accuracy between draws of the seeds and between training runs, from replicates.

If there are no replicates, or if they have fewer degrees of freedom than the estimate of the model
of accuracy, that estimate is the noise between training runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from seedbed.analysis.tables.outcomes import (
    Group,
    Outcomes,
    in_group_with_mixtures,
    resampled_accuracies,
)

_PLACE = ("method", "augmenter", "teacher", "seeds", "filter", "budget", "student")

ITEMS = "test items"
"""Sources of noise in an interval without noise of training."""

_RESAMPLES = 400
"""Bootstrap resamples of the test items, which give the items' part of replicates' differences."""


@dataclass(frozen=True)
class RunNoise:
    """The noise between training runs.

    Attributes:
        variance: variance of accuracy, as a fraction.
        freedom: degrees of freedom of the variance.
    """

    variance: float
    freedom: float


@dataclass(frozen=True)
class Noise:
    """Variances of accuracy, as fractions, without the sampling error of the test items.

    Attributes:
        seed_variance: variance of a draw's effect, for one seed. The effect of a draw of S seeds is
            assumed to be a mean over them, with variance `seed_variance` / S, and the same in all
            its cells.
        run_variance: variance between training runs, independent for each cell.
        draw_freedom: degrees of freedom of `seed_variance`: draws minus seed-set sizes.
        run_freedom: degrees of freedom of both variances: cells minus places.
        estimated: whether a model estimated `run_variance` and `run_freedom`.
    """

    seed_variance: float
    run_variance: float
    draw_freedom: int
    run_freedom: float
    estimated: bool = False

    @property
    def covers(self) -> str:
        """The sources of noise in an interval with these variances."""
        if self.estimated:
            return "test items, and training as the model estimates it"
        return "test items, seeds and training" if self.run_freedom else ITEMS

    @property
    def runs(self) -> RunNoise | None:
        """The noise between training runs; None if it is not known."""
        return RunNoise(self.run_variance, self.run_freedom) if self.run_freedom else None

    def of_a_student(self, seeds: int) -> RunNoise | None:
        """Return the noise of one student, including the noise between draws of its seeds if known.

        A difference to the base model has this noise, because the draw does not cancel.

        Args:
            seeds: seed-set size.
        """
        runs = self.runs
        if runs is None or not self.draw_freedom:
            return runs
        of_draws = (self.seed_variance / seeds, float(self.draw_freedom))
        error, freedom = combined([(runs.variance, runs.freedom), of_draws])
        return RunNoise(error**2, freedom)


def combined(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the standard error of a sum, and its degrees of freedom by Satterthwaite's formula.

    The variance of the estimated variance is the sum of its parts' (1946, doi 10.2307/3002019).

    Args:
        parts: variance and degrees of freedom of each part; parts without variance do not count.
    """
    whole = sum(variance for variance, _ in parts)
    doubt = sum(variance**2 / freedom for variance, freedom in parts if variance > 0)
    return float(np.sqrt(whole)), whole**2 / doubt if doubt > 0 else parts[0][1]


def noise_of(outcomes: Outcomes, cells: pl.DataFrame, runs: Mapping[Group, RunNoise]) -> Noise:
    """Return the noise of some cells of a task, from their replicates or from a model.

    Args:
        outcomes: outcomes of the task.
        cells: the cells; the column `row` is their row in the outcomes.
        runs: by group, the estimate of a model of accuracy. The estimate of the group with most of
            the cells is used if it has more degrees of freedom than the replicates.
    """
    found = _by_replicates(outcomes, cells)
    shared = {group: cells.filter(in_group_with_mixtures(group)).height for group in runs}
    group = max(shared, key=lambda one: (shared[one], runs[one].freedom), default=None)
    if group is None or not shared[group] or found.run_freedom >= runs[group].freedom:
        return found
    model = runs[group]
    return replace(found, run_variance=model.variance, run_freedom=model.freedom, estimated=True)


def _by_replicates(outcomes: Outcomes, cells: pl.DataFrame) -> Noise:
    place = cells.select(pl.struct(*_PLACE).rank("dense")).to_series().to_numpy()
    if len(np.unique(place)) == len(place):
        return Noise(0.0, 0.0, 0, 0)
    rows = cells["row"].to_numpy()
    return noise_between_replicates(
        place,
        cells["seeds"].to_numpy().astype(float),
        cells["replicate"].to_numpy(),
        outcomes.correct[rows].mean(axis=1),
        resampled_accuracies(outcomes, _RESAMPLES, 0)[:, rows],
    )


def noise_between_replicates(
    place: np.ndarray,
    seeds: np.ndarray,
    replicate: np.ndarray,
    accuracy: np.ndarray,
    resampled: np.ndarray,
) -> Noise:
    """Estimate the variances between replicates by the method of moments.

    Cells of one place differ only in their replicate. A cell's deviation from the mean of its
    place's r replicates has (r - 1) / r times the variance of a cell. The mean of a draw's
    deviations over m places has (r - 1) / r times the draw's variance, plus (r - 1) / (r m) times
    the remaining variance. The variance from the test items, estimated by the resamples, is
    subtracted. A least-squares fit to the rest over the draws gives the seeds' variance over S.

    Args:
        place: number of each cell's place, shape (cells,).
        seeds: seed-set size, shape (cells,).
        replicate: number of the replicate, shape (cells,).
        accuracy: fractions, shape (cells,).
        resampled: accuracies in resamples of the test items, shape (samples, cells).

    Returns:
        The variances, at least 0. Without replicates, variances and degrees of freedom are 0.
    """
    place = np.unique(place, return_inverse=True)[1]
    count = np.bincount(place)[place] if len(place) else np.zeros(0, dtype=int)
    several = count > 1
    if not several.any():
        return Noise(0.0, 0.0, 0, 0)

    def deviations(values: np.ndarray) -> np.ndarray:
        means = np.bincount(place, weights=values) / np.bincount(place)
        return (values - means[place])[several]

    seen = deviations(accuracy)
    from_items = np.stack([deviations(row) for row in resampled])
    share = ((count - 1) / count)[several]
    sizes, size = np.unique(seeds[several], return_inverse=True)
    beyond = seen**2 - from_items.var(axis=0, ddof=1)
    freedom = np.bincount(size, weights=share)
    whole = np.bincount(size, weights=beyond) / freedom

    draws, draw = np.unique(np.stack([size, replicate[several]]), axis=1, return_inverse=True)
    draw, of_size = draw.ravel(), draws[0].astype(int)
    cells = np.bincount(draw)
    means = np.bincount(draw, weights=seen) / cells
    item_means = np.stack([np.bincount(draw, weights=row) / cells for row in from_items])
    mean_share = np.bincount(draw, weights=share) / cells
    # E[mean^2] = share (v / S + (whole - v / S) / m) + noise of the items; whole = v / S + runs.
    excess = means**2 - item_means.var(axis=0, ddof=1) - mean_share * whole[of_size] / cells
    slope = mean_share * (1 - 1 / cells) / sizes[of_size]
    told = float(np.sum(slope**2))
    variance = max(0.0, float(np.sum(slope * excess)) / told) if told > 0 else 0.0
    runs = float(np.sum(freedom * (whole - variance / sizes)) / np.sum(freedom))
    return Noise(
        seed_variance=variance,
        run_variance=max(0.0, runs),
        draw_freedom=len(cells) - len(sizes),
        run_freedom=round(float(np.sum(freedom))),
    )
