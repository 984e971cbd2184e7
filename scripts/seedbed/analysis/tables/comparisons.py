"""Item-paired differences between methods with all other coordinates equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

from seedbed.analysis.settings import CompareSettings
from seedbed.analysis.tables.outcomes import (
    GROUP_COLUMNS,
    Group,
    Outcomes,
    clustered_standard_error,
    groups,
    in_group,
    order_methods,
)
from seedbed.analysis.tables.replicates import RunNoise, combined, noise_of

ABOUT = (
    "Differences in accuracy (fractions, method minus reference), paired by test item and "
    "clustered (Miller 2024, arXiv 2411.00640), after averaging each item over replicates. "
    "Intervals and p cover the noise of test items and of training runs, by the t distribution "
    "with Satterthwaite's degrees of freedom. noise says whether the noise of training runs comes "
    "from replicates or from the model of accuracy. replicate_sd is the standard deviation of the "
    "difference over replicates. p_holm is adjusted by Holm's method over all comparisons of "
    "the same task, student, teacher, filter and augmenter. detectable is the "
    "smallest true difference found with 80% power by one such test."
)

POWER = 0.8
"""Power at which the smallest detectable difference is reported."""

SCHEMA = pl.Schema(
    {
        **GROUP_COLUMNS,
        "seeds": pl.Int64,
        "budget": pl.Int64,
        "budget_ratio": pl.Float64,
        "reference": pl.String,
        "method": pl.String,
        "replicates": pl.Int64,
        "items": pl.Int64,
        "clusters": pl.Int64,
        "accuracy_reference": pl.Float64,
        "accuracy_method": pl.Float64,
        "difference": pl.Float64,
        "standard_error": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,
        "p_holm": pl.Float64,
        "family_size": pl.Int64,
        "detectable": pl.Float64,
        "replicate_sd": pl.Float64,
        "noise": pl.String,
    }
)


def read_comparisons(path: str | Path) -> pl.DataFrame:
    """Read the table of comparisons (CSV) that `compare_methods` wrote."""
    return pl.read_csv(path, schema=SCHEMA)


def compare_methods(
    by_task: Mapping[str, Outcomes], settings: CompareSettings, runs: Mapping[Group, RunNoise]
) -> pl.DataFrame:
    """Compare every pair of methods at equal task, models, filter, seed-set size and budget.

    For each item the outcomes are averaged over the replicates that both methods have, and the
    difference (method minus reference) is taken by item: see `paired_difference`. An effect of the
    draw of the seeds that is the same for both methods cancels. `replicate_sd` is the standard
    deviation of the difference over replicates (null for one replicate).

    `p_holm` is adjusted over the family of all comparisons with the same task, student, teacher,
    filter and augmenter. `noise` names the sources of noise in intervals and p. All differences are
    fractions, not points.

    Args:
        by_task: the outcomes of every task.
        settings: settings.
        runs: by group, the noise between training runs that a model of accuracy estimates, for
            groups whose replicates have fewer degrees of freedom.

    Returns:
        One row per comparison, with the columns of `SCHEMA`.
    """
    rows = []
    for outcomes in by_task.values():
        methods = order_methods(outcomes.cells, settings.methods)
        for group in groups(outcomes.cells):
            family = _family(outcomes, group, methods, settings.confidence, runs)
            adjusted = holm([one.found.p for one in family])
            rows += [
                {
                    **asdict(group),
                    "seeds": one.seeds,
                    "budget": one.budget,
                    "budget_ratio": one.budget / one.seeds,
                    "reference": one.reference,
                    "method": one.method,
                    "noise": one.noise,
                    **asdict(one.found),
                    "p_holm": value,
                    "family_size": len(family),
                }
                for one, value in zip(family, adjusted, strict=True)
            ]
    return pl.DataFrame(rows, schema=SCHEMA)


def _family(
    outcomes: Outcomes,
    group: Group,
    methods: Sequence[str],
    confidence: float,
    runs: Mapping[Group, RunNoise],
) -> list[_Comparison]:
    cells = outcomes.cells.with_row_index("row").filter(in_group(group))
    noise = noise_of(outcomes, cells, runs)
    rows = []
    for (seeds, budget), part in cells.group_by("seeds", "budget"):
        of_method = {
            method: dict(part.filter(pl.col("method") == method).select("replicate", "row").rows())
            for method in methods
        }
        for reference, method in combinations(methods, 2):
            shared = sorted(of_method[reference].keys() & of_method[method].keys())
            if not shared:
                continue
            left = outcomes.correct[[of_method[reference][r] for r in shared]]
            right = outcomes.correct[[of_method[method][r] for r in shared]]
            found = paired_difference(left, right, outcomes.clusters, confidence, runs=noise.runs)
            rows.append(_Comparison(seeds, budget, reference, method, noise.covers, found))
    order = {method: index for index, method in enumerate(methods)}
    return sorted(
        rows, key=lambda one: (one.seeds, one.budget, order[one.reference], order[one.method])
    )


@dataclass(frozen=True)
class PairedDifference:
    """A difference in accuracy, method minus reference; attributes are columns of `SCHEMA`.

    Attributes that need a standard error are None if there are fewer than two clusters.
    `replicate_sd` is None if there is one replicate.
    """

    replicates: int
    items: int
    clusters: int
    accuracy_reference: float
    accuracy_method: float
    difference: float
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    detectable: float | None = None
    replicate_sd: float | None = None


@dataclass(frozen=True)
class _Comparison:
    seeds: int
    budget: int
    reference: str
    method: str
    noise: str
    found: PairedDifference


def paired_difference(
    reference: np.ndarray,
    method: np.ndarray,
    clusters: np.ndarray,
    confidence: float = 0.95,
    *,
    runs: RunNoise | None,
    trained: int = 2,
) -> PairedDifference:
    """Return the difference in accuracy, method minus reference, with its uncertainty.

    The variance is the sum of two: the paired, clustered variance of the test items (Miller 2024,
    arXiv 2411.00640), whose degrees of freedom are the number of clusters minus one, and the
    variance of the training runs. The degrees of freedom of the sum are Satterthwaite's (1946, doi
    10.2307/3002019). `p` is two-sided. If all clusters have the same difference, `p` is at least
    the p-value of a sign test. `detectable` is the smallest true difference that such a test finds
    with 80% power.

    Args:
        reference: outcomes of the reference, from 0 to 1, shape (replicates, items).
        method: outcomes of the method on the same items and replicates, same shape.
        clusters: cluster numbers from 0, shape (items,).
        confidence: coverage of the interval.
        runs: the noise between training runs; None if it is not known: the interval then covers
            only the sampling error of the items.
        trained: number of trained students, 1 or 2: 1 if the reference is the base model, which has
            no noise of training.
    """
    from scipy.stats import t

    by_item = (method - reference).mean(axis=0)
    by_replicate = (method - reference).mean(axis=1)
    difference = float(by_item.mean())
    of_items = clustered_standard_error(by_item, clusters)
    clustered = int(clusters.max()) + 1
    found = PairedDifference(
        replicates=len(by_replicate),
        items=len(by_item),
        clusters=clustered,
        accuracy_reference=float(reference.mean()),
        accuracy_method=float(method.mean()),
        difference=difference,
        replicate_sd=float(by_replicate.std(ddof=1)) if len(by_replicate) > 1 else None,
    )
    if of_items is None:
        return found
    parts = [(of_items**2, float(clustered - 1))]
    if runs is not None:
        parts.append((trained * runs.variance / len(by_replicate), runs.freedom))
    error, freedom = combined(parts)
    quantile = float(t.ppf(0.5 + confidence / 2, freedom))
    p = float(2 * t.sf(abs(difference) / error, freedom)) if error > 0 else 0.0
    if of_items == 0:
        # Every cluster has the same difference: only signs are known, not the items' variance.
        p = 1.0 if difference == 0 else max(p, min(1.0, 2 * 0.5**clustered))
    return replace(
        found,
        standard_error=error,
        low=difference - quantile * error,
        high=difference + quantile * error,
        detectable=(quantile + float(t.ppf(POWER, freedom))) * error,
        p=p,
    )


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted by Holm's step-down method (Holm 1979); None stays None.

    Tests without a p-value do not count towards the family.
    """
    known = sorted((value, index) for index, value in enumerate(values) if value is not None)
    adjusted: list[float | None] = [None] * len(values)
    highest = 0.0
    for rank, (value, index) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * value))
        adjusted[index] = highest
    return adjusted
