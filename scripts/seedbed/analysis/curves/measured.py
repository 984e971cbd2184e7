"""Contrasts between the measured cells of a task, with their standard errors.

The variance of a contrast is the sum of the variances of the test items (paired and clustered), of
draws of the seeds (an effect that is the same for all cells of a draw) and of training runs. The
last two are estimated from replicates. Without replicates, the variance of training runs is the
estimate of the model of accuracy: see `replicates`. Quantiles are of the t distribution, with
Satterthwaite's degrees of freedom (1946, doi 10.2307/3002019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from seedbed.analysis.tables.outcomes import (
    ON_A_CURVE,
    Group,
    Outcomes,
    clustered_standard_error,
)
from seedbed.analysis.tables.replicates import RunNoise, combined, noise_of


@dataclass(frozen=True)
class Difference:
    """A weighted sum of measured accuracies.

    Attributes:
        estimate: the sum, a fraction.
        error: its standard error.
        freedom: degrees of freedom of the standard error.
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
        """Return the smallest true difference that a test of it detects with a given power."""
        from scipy.stats import t

        return float(sum(t.ppf([0.5 + confidence / 2, power], self.freedom)) * self.error)


class Measured:
    """The cells of a task that a budget was spent on, and the noise between them.

    Attributes:
        task: the task.
        cells: rows of the table of cells; the column `row` is their row in the outcomes.
    """

    def __init__(self, outcomes: Outcomes, runs: Mapping[Group, RunNoise]) -> None:
        self.task = outcomes.task
        self.cells = outcomes.cells.with_row_index("row").filter(ON_A_CURVE)
        self._outcomes = outcomes
        self._noise = noise_of(outcomes, self.cells, runs)

    @property
    def covers(self) -> str:
        """The sources of noise in the intervals."""
        return self._noise.covers

    def contrast(self, weights: Mapping[int, float]) -> Difference | None:
        """Return a weighted sum of rows' accuracies; None if its standard error is not known."""
        outcomes, noise = self._outcomes, self._noise
        weight = np.zeros(len(outcomes.correct))
        weight[list(weights)] = list(weights.values())
        rows = np.flatnonzero(weight)
        by_item = weight[rows] @ outcomes.correct[rows]
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
        return Difference(float(by_item.mean()), *combined(parts))
