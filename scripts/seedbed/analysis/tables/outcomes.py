"""Item-level outcomes as matrices, their standard errors, and the groups of cells to compare."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import polars as pl

from seedbed.config.words import MIXTURE
from seedbed.config.words import NONE as NO_AUGMENTER
from seedbed.config.words import UNTRAINED as UNTRAINED
from seedbed.records import Part

SPENT = (pl.col("budget") > 0) & (pl.col("seeds") > 0)
"""Selects the cells that a budget was spent on; the others are baselines."""

MIXED = SPENT & pl.col("method").str.starts_with(MIXTURE)
"""Selects the cells of mixtures, whose data come from several methods."""

ON_A_CURVE = SPENT & ~MIXED
"""Selects the cells that a budget was spent on by one method."""


WITHOUT_ROWS = (pl.col("method") != UNTRAINED) & (pl.col("training_rows") == 0).fill_null(False)
"""Selects the cells whose students had no row to train on. They are base models, so they say
nothing about their method."""


@dataclass(frozen=True)
class Outcomes:
    """The score of each cell of a task on each test item.

    Attributes:
        task: name of the task.
        cells: the cells, in the order of the rows of `correct`.
        items: item identifiers, in the order of the columns of `correct`.
        clusters: the number of each item's cluster, from 0 without gaps, shape (items,).
        correct: 1.0 if the cell's answer is correct, else 0.0; or its grade, from 0 to 1, if
            answers are graded; shape (cells, items).
    """

    task: str
    cells: pl.DataFrame
    items: tuple[str, ...]
    clusters: np.ndarray
    correct: np.ndarray

    @property
    def cluster_count(self) -> int:
        """The number of clusters of items."""
        return int(self.clusters.max()) + 1


@dataclass(frozen=True, order=True)
class Group:
    """Cells that differ only in method, seed-set size, replicate and budget.

    `augmenter` is the augmenter of the methods that write questions. Methods without an augmenter
    are in the group of every augmenter, so that they can be compared with all the others.
    """

    task: str
    student: str
    teacher: str
    filter: str
    augmenter: str

    @property
    def key(self) -> str:
        """The group's coordinates as one string."""
        return "/".join(f"{name}={value}" for name, value in asdict(self).items())


GROUP_COLUMNS = {field.name: pl.String for field in fields(Group)}
"""Columns with the coordinates of a group, for a table's schema."""


def read_outcomes(cells: str | Path, items: str | Path) -> dict[str, Outcomes]:
    """Read the tables of cells and items, and return the outcomes of every task.

    Raises:
        ValueError: if the cells of a task do not all have the same items.
    """
    return outcomes_by_task(pl.read_parquet(cells), pl.read_parquet(items))


def outcomes_by_task(cells: pl.DataFrame, items: pl.DataFrame) -> dict[str, Outcomes]:
    """Return the outcomes of every task, from the tables that `collect` returns.

    Cells without rows to train on are left out.

    Raises:
        ValueError: if the cells of a task do not all have the same items.
    """
    outcomes = {}
    scores = "score" if "score" in items.columns else "correct"
    if "training_rows" in cells.columns:
        cells = cells.filter(~WITHOUT_ROWS)
    for task in cells["task"].unique().sort().to_list():
        of_task = cells.filter(pl.col("task") == task).sort("cell")
        rows = items.join(of_task.select("cell"), on="cell", how="semi").sort("cell", "item_id")
        names = rows["item_id"].to_numpy()
        count, remainder = divmod(len(names), of_task.height)
        if remainder or (names.reshape(of_task.height, count) != names[:count]).any():
            raise ValueError(f"the cells of task {task} do not all have the same items")
        _, clusters = np.unique(rows["cluster"].to_numpy()[:count], return_inverse=True)
        outcomes[task] = Outcomes(
            task=task,
            cells=of_task,
            items=tuple(names[:count]),
            clusters=clusters,
            correct=rows[scores].to_numpy().reshape(of_task.height, count).astype(float),
        )
    return outcomes


def order_methods(cells: pl.DataFrame, methods: Sequence[str]) -> list[str]:
    """Return the methods of the cells, in the given order (or in alphabetical order).

    Baselines are left out, because they are not methods of spending a budget.

    Raises:
        ValueError: if the cells have a method that is not among the given ones.
    """
    found = set(cells.filter(ON_A_CURVE)["method"].unique().to_list())
    if not methods:
        return sorted(found)
    if unknown := sorted(found - set(methods)):
        raise ValueError(f"the results have methods that the settings lack: {', '.join(unknown)}")
    return [method for method in methods if method in found]


def groups(cells: pl.DataFrame) -> list[Group]:
    """Return the groups of the cells, sorted; baselines have none.

    In a study without augmenters the groups have the augmenter "none".
    """
    found = set()
    columns = ("task", "student", "teacher", "filter")
    for (task, student, teacher, kind), part in cells.filter(ON_A_CURVE).group_by(*columns):
        augmenters = set(part["augmenter"].to_list())
        for augmenter in augmenters - {NO_AUGMENTER} or augmenters:
            found.add(Group(task, student, teacher, kind, augmenter))
    return sorted(found)


def in_group(group: Group) -> pl.Expr:
    """Return the expression that selects the cells of a group, without baselines and mixtures."""
    return in_group_with_mixtures(group) & ON_A_CURVE


def in_group_with_mixtures(group: Group) -> pl.Expr:
    """Return the expression that selects the cells of a group, without baselines."""
    return (
        (pl.col("task") == group.task)
        & (pl.col("student") == group.student)
        & (pl.col("teacher") == group.teacher)
        & (pl.col("filter") == group.filter)
        & pl.col("augmenter").is_in([group.augmenter, NO_AUGMENTER])
        & SPENT
    )


def untrained_of(group: Group) -> pl.Expr:
    """Return the expression that selects the baseline cell of a group's task and student."""
    return (
        (pl.col("task") == group.task)
        & (pl.col("student") == group.student)
        & (pl.col("method") == UNTRAINED)
    )


def clustered_standard_error(values: np.ndarray, clusters: np.ndarray) -> float | None:
    """Return the standard error of the mean of values that are dependent within clusters.

    The variance is `G / (G - 1) * sum_c (sum_{i in c} (v_i - mean))^2 / n^2` for G clusters and n
    values: Miller 2024 (arXiv 2411.00640), equation for clustered questions, with the correction
    for few clusters. If every cluster has one value, this is the usual `Var(v) / n`. For a
    difference of two models, pass the differences by item: that is Miller's paired standard error.

    Args:
        values: shape (n,).
        clusters: cluster numbers from 0, shape (n,).

    Returns:
        The standard error; None for fewer than two clusters.
    """
    totals = np.bincount(clusters, weights=values - values.mean())
    count = len(totals)
    if count < 2:
        return None
    return float(np.sqrt(count / (count - 1) * np.sum(totals**2)) / len(values))


def proportion_interval(
    mean: float, standard_error: float | None, clusters: int, confidence: float
) -> tuple[float, float]:
    """Return the Wilson interval of an accuracy.

    The number of trials is the effective one, `mean (1 - mean) / standard_error^2`, which accounts
    for clusters and replicates. If all items have the same outcome, or if there is only one
    cluster, the variance is not known, and each cluster counts as one trial.
    """
    from scipy.stats import norm

    z = float(norm.ppf(0.5 + confidence / 2))
    spread = mean * (1 - mean)
    trials = spread / standard_error**2 if standard_error and spread > 0 else float(clusters)
    centre = (mean + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(spread / trials + z**2 / (4 * trials**2))
    # At 0 and 1 one end is the mean itself: rounding must not exclude it.
    return max(0.0, min(mean, float(centre - half))), min(1.0, max(mean, float(centre + half)))


class Accuracy(Part):
    """A measured accuracy, a fraction, with its interval.

    Attributes:
        accuracy: mean over replicates.
        standard_error: None for a single cluster of test items.
        low: lower end of the interval.
        high: upper end.
    """

    accuracy: float
    standard_error: float | None
    low: float
    high: float


def mean_accuracy(outcomes: Outcomes, rows: Sequence[int], confidence: float) -> Accuracy:
    """Return the mean accuracy of cells that are replicates, with its uncertainty.

    Args:
        outcomes: outcomes of the task.
        rows: rows of `outcomes.correct`.
        confidence: coverage of the interval.
    """
    by_item = outcomes.correct[list(rows)].mean(axis=0)
    mean = float(by_item.mean())
    error = clustered_standard_error(by_item, outcomes.clusters)
    low, high = proportion_interval(mean, error, outcomes.cluster_count, confidence)
    return Accuracy(accuracy=mean, standard_error=error, low=low, high=high)


def resampled_accuracies(outcomes: Outcomes, samples: int, seed: int) -> np.ndarray:
    """Return the accuracy of every cell in bootstrap resamples of the test items.

    Each resample draws clusters of items with replacement, the same for all cells of the task, so
    that the cells' correlation through hard and easy items is preserved. Deviations are multiplied
    by sqrt(G / (G - 1)) for G clusters, because resamples vary too little by this factor (Davison &
    Hinkley 1997, Bootstrap Methods, 2.3). This matters if a task has few clusters.

    Returns:
        Accuracies, shape (samples, cells).
    """
    generator = np.random.default_rng([seed, zlib.crc32(outcomes.task.encode())])
    count = outcomes.cluster_count
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=samples)
    weights = drawn[:, outcomes.clusters].astype(float)
    found = (weights @ outcomes.correct.T) / weights.sum(axis=1, keepdims=True)
    if count < 2:
        return found
    mean = outcomes.correct.mean(axis=1)
    return np.clip(mean + (found - mean) * np.sqrt(count / (count - 1)), 0.0, 1.0)
