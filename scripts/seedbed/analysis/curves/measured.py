"""Contrasts between the measured cells of a task, with all the noise that is known of them.

The variance of a contrast is that of the test items, paired and clustered, and, where the task has
replicates, of what another draw of the seeds (the same for all cells of a draw) and another
training run would change: see `replicates`. Without replicates, that of training runs is what the
model of accuracy estimates. Quantiles are of the t distribution, with degrees of
freedom by Satterthwaite (1946, doi 10.2307/3002019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from seedbed.analysis.curves.replicates import Noise, noise_between_replicates
from seedbed.analysis.tables.outcomes import (
    ON_A_CURVE,
    Outcomes,
    clustered_standard_error,
    resampled_accuracies,
)

_PLACE = ("method", "augmenter", "teacher", "seeds", "filter", "budget", "student")

_RESAMPLES = 400
"""Resamples of the test items that tell how much of replicates' differences is theirs."""


@dataclass(frozen=True)
class RunNoise:
    """The noise between training runs, as a model estimates it.

    Attributes:
        variance: of accuracy, a fraction.
        freedom: degrees of freedom that say as much of it.
    """

    variance: float
    freedom: float


@dataclass(frozen=True)
class Difference:
    """A weighted sum of measured accuracies.

    Attributes:
        estimate: the sum, a fraction.
        error: its standard error.
        freedom: degrees of freedom of that.
    """

    estimate: float
    error: float
    freedom: float

    def __add__(self, margin: float) -> Difference:
        """Return the difference with a constant added."""
        return replace(self, estimate=self.estimate + margin)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the ends of its interval."""
        from scipy.stats import t

        half = float(t.ppf(0.5 + confidence / 2, self.freedom)) * self.error
        return self.estimate - half, self.estimate + half

    def detectable(self, confidence: float, power: float) -> float:
        """Return the smallest true difference that a test of it finds with some power."""
        from scipy.stats import t

        return float(sum(t.ppf([0.5 + confidence / 2, power], self.freedom)) * self.error)


class Measured:
    """The cells of a task that a budget was spent on, and the noise between them.

    Attributes:
        task: the task.
        cells: the rows of the table of cells, each with its number `row`.
    """

    def __init__(self, outcomes: Outcomes, runs: RunNoise | None = None) -> None:
        self.task = outcomes.task
        self.cells = outcomes.cells.with_row_index("row").filter(ON_A_CURVE)
        self._outcomes = outcomes
        self._noise = self._noise_between_replicates()
        self._estimated = runs is not None and not self._noise.run_freedom
        if runs is not None and self._estimated:
            self._noise = Noise(0.0, runs.variance, 0, runs.freedom)

    @property
    def covers(self) -> str:
        """What the intervals hold."""
        if self._estimated:
            return "test items, and training as the model estimates it"
        return "test items, seeds and training" if self._noise.run_freedom else "test items"

    def contrast(self, weights: Mapping[int, float]) -> Difference | None:
        """Return a weighted sum of rows; None where no standard error is known."""
        outcomes, noise = self._outcomes, self._noise
        weight = np.zeros(len(outcomes.correct))
        weight[list(weights)] = list(weights.values())
        by_item = weight @ outcomes.correct
        error = clustered_standard_error(by_item, outcomes.clusters)
        if error is None:
            return None
        of_draws = (
            self.cells.with_columns(weight=pl.Series(weight[self.cells["row"].to_numpy()]))
            .group_by("seeds", "replicate")
            .agg(pl.col("weight").sum())
        )
        spread = float((of_draws["weight"] ** 2 / of_draws["seeds"]).sum())
        parts = [
            (error**2, outcomes.cluster_count - 1),
            (noise.seed_variance * spread, noise.draw_freedom),
            (noise.run_variance * float(np.sum(weight**2)), noise.run_freedom),
        ]
        whole = sum(variance for variance, _ in parts)
        # Satterthwaite's: the variance's own variance is the sum of those of its parts.
        doubt = sum(variance**2 / freedom for variance, freedom in parts if variance > 0)
        freedom = whole**2 / doubt if doubt > 0 else float(outcomes.cluster_count - 1)
        return Difference(float(by_item.mean()), float(np.sqrt(whole)), freedom)

    def _noise_between_replicates(self) -> Noise:
        rows = self.cells["row"].to_numpy()
        return noise_between_replicates(
            self.cells.select(pl.struct(*_PLACE).rank("dense")).to_series().to_numpy(),
            self.cells["seeds"].to_numpy().astype(float),
            self.cells["replicate"].to_numpy(),
            self._outcomes.correct[rows].mean(axis=1),
            resampled_accuracies(self._outcomes, _RESAMPLES, 0)[:, rows],
        )
