"""Fit the posterior of each group of a study's cells, and return it as a record and draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import polars as pl

from seedbed.analysis.curves.records import CellMean, FarCell, FitRecord, FitsRecord, NoiseRecord
from seedbed.analysis.posterior import Cells, Mean, Places, Posterior, cells_of, fit_posterior
from seedbed.analysis.settings import FitSettings, MethodKind
from seedbed.analysis.tables.outcomes import (
    Group,
    Outcomes,
    groups,
    in_group,
    in_group_with_mixtures,
    mean_accuracy,
    order_methods,
    untrained_of,
)

ABOUT = (
    "Each fit is the posterior of one Bayesian model of its cells; docs/statistics.md describes "
    "the model. fitted, with fitted_low and fitted_high, is the mean and interval of a cell's "
    "accuracy without the noise of test items, draws of the seeds and training. noise gives the "
    "sizes of these and of the curves' misfit, as standard deviations of accuracy (fractions). "
    "far_off lists cells that may be failed trainings, each with its probability. The posterior "
    "draws of curves, contrasts and crossovers are in the file next to this one."
)

_DRAWS: dict[str, pl.DataType | type[pl.DataType]] = {
    "fit": pl.String,
    "kind": pl.String,
    "name": pl.String,
    "seeds": pl.Float64,
    "queries": pl.List(pl.Float64),
    "draws": pl.List(pl.Float64),
}
DRAWS_SCHEMA = pl.Schema(_DRAWS)
"""Posterior draws, one row per quantity. `kind` is "parameter" for a parameter of the curve (a
standard normal deviate of its prior), "size" for a standard deviation in logits, by `name` ("runs",
"draws_of_seeds", "missed"), or "cell" for the weight in the update of the discrepancy of the cell
with these `seeds` and `queries` of each method."""


class _Draws(NamedTuple):
    """A row of `DRAWS_SCHEMA`."""

    fit: str
    kind: str
    name: str
    seeds: float | None
    queries: list[float] | None
    draws: list[float]


_SIZES = ("runs", "draws_of_seeds", "missed")

_KINDS: Mapping[str, MethodKind] = {
    "answer_augmentation": "answers",
    "question_rephrase": "rephrased",
    "new_question": "new",
}
"""The kinds of the paper's methods, for settings without them."""

_LEAST_PROBABILITY = 0.1
"""Probability of a failed training from which the record lists the cell."""

_LEAST_VARIANCE = 1e-3
"""Lower bound of `grade_variance`, for cells in which all answers have the same grade."""

_KEPT_COUNTS = tuple(
    name for name, field in CellMean.model_fields.items() if not field.is_required()
)
"""Columns of the table of cells that the cells of a fit keep, in addition to accuracies."""


def fit_decay(
    by_task: Mapping[str, Outcomes], settings: FitSettings
) -> tuple[FitsRecord, pl.DataFrame]:
    """Fit every group of every task.

    Returns:
        The record that `decay.json` holds, and the draws (see `DRAWS_SCHEMA`).
    """
    fits, draws = [], []
    for outcomes in by_task.values():
        methods = order_methods(outcomes.cells, settings.methods)
        for group in groups(outcomes.cells):
            record, rows = _fit_group(outcomes, group, methods, settings)
            fits.append(record)
            draws += rows
    found = FitsRecord(about=ABOUT, settings=settings, fits=tuple(fits))
    return found, pl.DataFrame(draws, schema=DRAWS_SCHEMA, orient="row")


def _fit_group(
    outcomes: Outcomes, group: Group, methods: Sequence[str], settings: FitSettings
) -> tuple[FitRecord, list[_Draws]]:
    indexed = outcomes.cells.with_row_index("row")
    trained = indexed.filter(in_group(group)).sort("method", "seeds", "budget", "replicate")
    untrained = indexed.filter(untrained_of(group)).head(1)
    methods = [name for name in methods if name in set(trained["method"])]
    kinds = [settings.kinds.get(name, _KINDS.get(name, "other")) for name in methods]
    shares = {name: dict(of) for name, of in settings.shares.items() if of.keys() <= {*methods}}
    mixed = indexed.filter(in_group_with_mixtures(group), pl.col("method").is_in([*shares])).sort(
        "method", "seeds", "budget", "replicate"
    )
    shares = {name: of for name, of in shares.items() if name in set(mixed["method"])}
    parts = [trained, mixed, untrained]
    rows = [row for part in parts for row in part["row"].to_list()]
    of_group = Outcomes(
        outcomes.task,
        pl.concat(parts).drop("row"),
        outcomes.items,
        outcomes.clusters,
        outcomes.correct[rows],
    )
    alone = {name: {name: 1.0} for name in methods}
    cells = cells_of(of_group, methods, shares)
    posterior = fit_posterior(cells, kinds, settings.bootstrap_samples, settings.seed)
    seeds = sorted(trained["seeds"].unique().to_list())
    baseline = mean_accuracy(outcomes, rows[-1:], settings.confidence) if untrained.height else None
    record = FitRecord(
        fit=group.key,
        **asdict(group),
        methods=tuple(methods),
        kinds=tuple(kinds),
        seeds=tuple(seeds),
        items=len(outcomes.items),
        clusters=outcomes.cluster_count,
        grade_variance=grade_variance(of_group.correct),
        untrained=baseline,
        noise=_noise(cells, posterior, min(seeds)),
        far_off=tuple(
            FarCell(cell=cell, probability=probability)
            for cell, probability in posterior.failed.items()
            if probability >= _LEAST_PROBABILITY
        ),
        cells=tuple(_cells(trained, outcomes, posterior, alone, methods, settings.confidence)),
        mixtures=shares,
        mixed=tuple(_cells(mixed, outcomes, posterior, shares, methods, settings.confidence)),
        unmeasured=tuple(name for name in settings.kinds if name not in methods),
    )
    return record, _draw_rows(group, posterior)


def grade_variance(scores: np.ndarray) -> float:
    """Return the ratio of the variance of grades to the binomial variance with the same means.

    Both variances are pooled over the cells.

    Args:
        scores: 0 or 1, or grades from 0 to 1, shape (cells, items).
    """
    if np.isin(scores, (0.0, 1.0)).all():
        return 1.0
    mean = scores.mean(axis=1)
    return max(_LEAST_VARIANCE, float(scores.var(axis=1).sum() / (mean * (1 - mean)).sum()))


def _noise(cells: Cells, posterior: Posterior, fewest: int) -> NoiseRecord:
    shares = 1 / (1 + np.exp(-cells.logits[cells.trained]))
    slope = float(np.mean(shares * (1 - shares)))
    deviation = np.sqrt(np.diag(cells.noise))
    correlation = (cells.noise / np.outer(deviation, deviation))[~np.eye(len(cells), dtype=bool)]
    return NoiseRecord(
        training_runs=slope * float(posterior.runs.mean()),
        draws_of_seeds=slope * float(posterior.draws_of_seeds.mean()) * (100 / fewest) ** 0.5,
        missed=slope * float(posterior.missed.mean()),
        shared_luck=float(np.clip(correlation.mean(), 0.0, 1.0)) if len(cells) > 1 else 0.0,
    )


def _cells(
    trained: pl.DataFrame,
    outcomes: Outcomes,
    posterior: Posterior,
    shares: Mapping[str, Mapping[str, float]],
    methods: Sequence[str],
    confidence: float,
) -> list[CellMean]:
    """Return one record per place (method or mixture, seeds, budget): the mean over replicates.

    Args:
        trained: the cells; the column `row` is their row in the outcomes.
        outcomes: outcomes of the task.
        posterior: the posterior.
        shares: by method or mixture of the cells, in order, its shares of the methods.
        methods: the methods of the posterior, in order.
        confidence: coverage of the intervals.
    """
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    order = {method: index for index, method in enumerate(shares)}
    found = [
        (method, seeds, budget, part)
        for (method, seeds, budget), part in trained.group_by("method", "seeds", "budget")
    ]
    found.sort(key=lambda one: (one[1], order[one[0]], one[2]))
    queries = [
        [budget * shares[name].get(method, 0.0) for method in methods]
        for name, _, budget, _ in found
    ]
    drawn = posterior.accuracy(
        np.array([seeds for _, seeds, _, _ in found], float),
        np.array(queries).reshape(len(found), len(methods)),
    )
    records = []
    for (method, seeds, budget, part), draws in zip(found, drawn.T, strict=True):
        by_replicate = outcomes.correct[part["row"].to_list()].mean(axis=1)
        low, high = np.quantile(draws, tails)
        counts = {name: part[name].mean() for name in _KEPT_COUNTS if name in part.columns}
        content = {
            "method": method,
            "seeds": seeds,
            "budget": budget,
            "budget_ratio": budget / seeds,
            "replicates": part.height,
            "replicate_sd": float(by_replicate.std(ddof=1)) if part.height > 1 else None,
            **dict(mean_accuracy(outcomes, part["row"].to_list(), confidence)),
            "fitted": float(draws.mean()),
            "fitted_low": float(low),
            "fitted_high": float(high),
            **counts,
        }
        records.append(CellMean.model_validate(content, strict=False))
    return records


def _draw_rows(group: Group, posterior: Posterior) -> list[_Draws]:
    places, key = posterior.places, group.key
    rows = [
        _Draws(key, "parameter", name, None, None, draws.tolist())
        for name, draws in zip(posterior.mean.names, posterior.deviates.T, strict=True)
    ]
    rows += [
        _Draws(key, "size", name, None, None, getattr(posterior, name).tolist()) for name in _SIZES
    ]
    rows += [
        _Draws(key, "cell", "", seeds, queries.tolist(), draws.tolist())
        for seeds, queries, draws in zip(
            places.seeds, places.queries, posterior.weights.T, strict=True
        )
    ]
    return rows


def posterior_from(record: FitRecord, draws: pl.DataFrame, seed: int) -> Posterior:
    """Return the posterior from rows of `DRAWS_SCHEMA`.

    Args:
        record: record of the fit.
        draws: rows of the fit.
        seed: seed in the fit's settings.
    """
    mean = Mean(record.kinds)
    drawn = {
        (row["kind"], row["name"]): np.array(row["draws"])
        for row in draws.filter(pl.col("kind") != "cell").iter_rows(named=True)
    }
    cells = draws.filter(pl.col("kind") == "cell")
    return Posterior(
        mean=mean,
        places=Places(cells["seeds"].to_numpy(), np.array(cells["queries"].to_list())),
        deviates=np.stack([drawn["parameter", name] for name in mean.names], axis=1),
        weights=np.array(cells["draws"].to_list()).T,
        failed={one.cell: one.probability for one in record.far_off},
        seed=seed,
        **{name: drawn["size", name] for name in _SIZES},
    )
