"""Fit the accuracy models to the cells of a study, choose among them, and bootstrap the choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from seedbed.analysis.decay import AccuracyModel, Parameter, Points, candidates
from seedbed.analysis.outcomes import (
    UNTRAINED,
    Group,
    Outcomes,
    groups,
    in_group,
    mean_accuracy,
    order_methods,
    resampled_accuracies,
    untrained_of,
)
from seedbed.analysis.settings import FitSettings

ABOUT = (
    "The decay equations are this project's own: the paper's are not known. Models are compared by "
    "QAICc: twice the model's shortfall in log-likelihood (its binomial deviance) over the "
    "dispersion, plus a charge for parameters. The dispersion is Pearson's statistic of the model "
    "with most parameters over its degrees of freedom, and at least 1. Intervals are bootstrap "
    "percentiles: test items (whole clusters) are drawn again, the same for all cells, and noise "
    "between training runs is added as far as cells lie further from the curve than test items "
    "explain."
)

DRAWS_SCHEMA = pl.Schema(
    {
        "fit": pl.String,
        "kind": pl.String,
        "name": pl.String,
        "method": pl.String,
        "seeds": pl.Int64,
        "budget": pl.Int64,
        "draws": pl.List(pl.Float64),
    }
)
"""Bootstrap draws, one row a quantity. `kind` is "parameter" (of the chosen model; `name` names
it), or "cell" (the accuracy of a method at a budget, mean over replicates)."""

_MAX_EVALUATIONS = 200
_STARTS_AGREE = 0.1
_KEPT_COUNTS = (
    "augmenter_queries",
    "teacher_queries",
    "verification_queries",
    "empty_slots",
    "missing_rows",
)
"""Starting points agree if their deviances differ by less: far below what any choice rests on."""


@dataclass(frozen=True)
class CellData:
    """The cells of one group as arrays, one element a cell; the untrained cell is the last, if any.

    Attributes:
        points: where the cells lie.
        accuracy: share of correct items.
        items: number of test items.
    """

    points: Points
    accuracy: np.ndarray
    items: int


@dataclass(frozen=True)
class ModelFit:
    """A model fitted by maximum likelihood.

    Attributes:
        model: the model.
        values: parameter values, shape (parameters,).
        deviance: binomial deviance.
        pearson: Pearson's statistic.
        converged: whether the optimiser says so.
        at_bound: names of parameters that ended on a bound.
        agreeing: how many starting points led to this deviance.
        fitted: accuracy at the cells.
    """

    model: AccuracyModel
    values: np.ndarray
    deviance: float
    pearson: float
    converged: bool
    at_bound: tuple[str, ...]
    agreeing: int
    fitted: np.ndarray

    @property
    def parameter_count(self) -> int:
        """The number of free parameters."""
        return len(self.values)


def fit_decay(
    by_task: dict[str, Outcomes], settings: FitSettings
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Fit every group of every task.

    Returns:
        The record that `decay.json` holds, and the bootstrap draws (see `DRAWS_SCHEMA`).
    """
    records: list[dict[str, Any]] = []
    draws: list[dict[str, Any]] = []
    for outcomes in by_task.values():
        methods = order_methods(outcomes.cells, settings.methods)
        resampled = resampled_accuracies(outcomes, settings.bootstrap_samples, settings.seed)
        for group in groups(outcomes.cells):
            record, rows = fit_group(outcomes, group, methods, resampled, settings)
            records.append(record)
            draws += rows
    content = {
        "about": ABOUT,
        "settings": settings.model_dump(mode="json"),
        "fits": records,
    }
    return content, pl.DataFrame(draws, schema=DRAWS_SCHEMA)


def fit_group(
    outcomes: Outcomes,
    group: Group,
    methods: Sequence[str],
    resampled: np.ndarray,
    settings: FitSettings,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Fit all candidate models to one group, choose by QAICc, and bootstrap the chosen one.

    Args:
        outcomes: outcomes of the group's task.
        group: the group.
        methods: the study's methods in order.
        resampled: accuracies of all cells of the task in bootstrap resamples, (samples, cells).
        settings: settings of the fit.

    Returns:
        The group's record, and its rows of bootstrap draws.
    """
    indexed = outcomes.cells.with_row_index("row")
    trained = indexed.filter(in_group(group)).sort("method", "seeds", "budget", "replicate")
    methods = [name for name in methods if name in set(trained["method"])]
    untrained = indexed.filter(untrained_of(group))
    seeds = sorted(trained["seeds"].unique().to_list())
    record: dict[str, Any] = {
        "fit": group.key,
        **asdict(group),
        "methods": methods,
        "seeds": seeds,
        "items": len(outcomes.items),
        "clusters": outcomes.cluster_count,
        "untrained": None,
        "status": "",
        "reason": "",
        "chosen": None,
        "dispersion": None,
        "models": [],
        "bootstrap": None,
    }
    rows = np.concatenate([trained["row"].to_numpy(), untrained["row"].to_numpy()]).astype(int)
    data = _cell_data(trained, untrained, outcomes, rows, methods)
    fits, skipped = _fit_candidates(data, methods, seeds, bool(untrained.height), settings)
    record["models"], record["dispersion"] = _model_records(fits, skipped, data, trained)
    chosen = _choose(fits, record["models"])
    draws = resampled[:, rows]
    parameter_draws = None
    if chosen is not None:
        draws, parameter_draws, record["bootstrap"] = _bootstrap(chosen, data, draws, settings)
        record["status"], record["chosen"] = "fitted", chosen.model.name
        record["lack_of_fit"] = chosen.deviance / max(1, len(rows) - chosen.parameter_count)
        for entry in record["models"]:
            if entry["name"] == chosen.model.name:
                _add_intervals(entry["parameters"], parameter_draws, settings.confidence)
    elif fits:
        record["status"] = "not_converged"
        record["reason"] = "no model's fit converged"
    else:
        record["status"] = "too_few_cells"
        record["reason"] = f"{len(rows)} cells do not determine the parameters of any model"
    record["cells"] = _cell_records(trained, outcomes, chosen, methods, settings.confidence)
    if untrained.height:
        row = int(untrained["row"][0])
        record["untrained"] = mean_accuracy(outcomes, [row], settings.confidence)
    return record, _draw_rows(group, trained, untrained, draws, chosen, parameter_draws)


def _cell_data(
    trained: pl.DataFrame,
    untrained: pl.DataFrame,
    outcomes: Outcomes,
    rows: np.ndarray,
    methods: Sequence[str],
) -> CellData:
    more = untrained.height
    index = {name: position for position, name in enumerate(methods)}
    first_seeds = float(trained["seeds"].min())
    return CellData(
        points=Points(
            method=np.array([index[name] for name in trained["method"]] + [0] * more),
            seeds=np.array([*trained["seeds"].to_list(), *[first_seeds] * more], dtype=float),
            ratio=np.array([*trained["budget_ratio"].to_list(), *[0.0] * more], dtype=float),
        ),
        accuracy=outcomes.correct[rows].mean(axis=1),
        items=len(outcomes.items),
    )


def _fit_candidates(
    data: CellData,
    methods: Sequence[str],
    seeds: Sequence[int],
    with_untrained: bool,
    settings: FitSettings,
) -> tuple[list[ModelFit], list[tuple[AccuracyModel, int]]]:
    fits, skipped = [], []
    for model in candidates(methods, seeds, with_untrained):
        count = len(model.parameter_names())
        # QAICc, whose parameters include the dispersion, needs cells > parameters + 2.
        if len(data.accuracy) - (count + 1) - 1 < 1:
            skipped.append((model, count))
            continue
        fits.append(fit_model(model, data, settings.starts, settings.seed))
    return fits, skipped


def _bounds(model: AccuracyModel, data: CellData) -> list[Parameter]:
    positive = data.points.ratio > 0
    return model.parameters(data.points.ratio[positive], data.points.seeds[positive])


def _to_fitted(parameters: Sequence[Parameter], values: np.ndarray) -> np.ndarray:
    logarithmic = np.array([parameter.logarithmic for parameter in parameters])
    return np.where(logarithmic, np.log(np.where(logarithmic, values, 1.0)), values)


def _to_values(parameters: Sequence[Parameter], fitted: np.ndarray) -> np.ndarray:
    logarithmic = np.array([parameter.logarithmic for parameter in parameters])
    return np.where(logarithmic, np.exp(np.where(logarithmic, fitted, 0.0)), fitted)


def fit_model(model: AccuracyModel, data: CellData, starts: int, seed: int) -> ModelFit:
    """Fit a model by maximum binomial likelihood, from several seeded starting points.

    The deviance is summed over cells. It is minimised as the sum of squared deviance residuals,
    with analytic derivatives, within the bounds of the parameters.
    """
    parameters = _bounds(model, data)
    generator = np.random.default_rng(seed)
    low = _to_fitted(parameters, np.array([p.start_low for p in parameters], dtype=float))
    high = _to_fitted(parameters, np.array([p.start_high for p in parameters], dtype=float))
    points = low + (high - low) * generator.random((starts, len(parameters)))
    results = [_minimise(model, parameters, data, data.accuracy, start) for start in points]
    best = min(results, key=lambda result: result.cost)
    polished = _minimise(model, parameters, data, data.accuracy, best.x, tolerance=1e-12)
    if polished.success and polished.cost <= best.cost:
        best = polished
    agreeing = sum(2 * (result.cost - best.cost) < _STARTS_AGREE for result in results)
    values = _to_values(parameters, best.x)
    fitted = model.accuracy(values, data.points)
    variance = np.clip(fitted * (1 - fitted), 1e-12, None) / data.items
    return ModelFit(
        model=model,
        values=values,
        deviance=float(2 * best.cost),
        pearson=float(np.sum((data.accuracy - fitted) ** 2 / variance)),
        converged=bool(best.success),
        at_bound=tuple(
            parameter.name
            for parameter, value in zip(parameters, best.x, strict=True)
            if _on_bound(parameter, value)
        ),
        agreeing=int(agreeing),
        fitted=fitted,
    )


def _on_bound(parameter: Parameter, fitted: float) -> bool:
    low, high = parameter.low, parameter.high
    if parameter.logarithmic:
        low, high = np.log(low), np.log(high)
    return min(fitted - low, high - fitted) < 1e-3 * (high - low)


def _minimise(
    model: AccuracyModel,
    parameters: Sequence[Parameter],
    data: CellData,
    accuracy: np.ndarray,
    start: np.ndarray,
    tolerance: float = 1e-8,
) -> Any:
    """Return SciPy's result of minimising half the deviance from one starting point."""
    from scipy.optimize import least_squares

    low = _to_fitted(parameters, np.array([p.low for p in parameters], dtype=float))
    high = _to_fitted(parameters, np.array([p.high for p in parameters], dtype=float))
    # The optimiser must start strictly inside the bounds.
    start = np.clip(start, low + 1e-6 * (high - low), high - 1e-6 * (high - low))
    memory: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}

    def evaluate(fitted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        key = fitted.tobytes()
        if key not in memory:
            memory.clear()
            values = _to_values(parameters, fitted)
            mean, gradient = model.accuracy_and_gradient(values, data.points)
            memory[key] = _deviance_residuals(accuracy, mean, gradient, data.items)
        return memory[key]

    return least_squares(
        lambda fitted: evaluate(fitted)[0],
        start,
        jac=lambda fitted: evaluate(fitted)[1],
        bounds=(low, high),
        x_scale="jac",
        ftol=tolerance,
        xtol=tolerance,
        gtol=tolerance,
        max_nfev=_MAX_EVALUATIONS,
    )


def _deviance_residuals(
    accuracy: np.ndarray, mean: np.ndarray, gradient: np.ndarray, items: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return signed roots of the cells' deviances, and their derivatives.

    A residual is sign(y - m) sqrt(2 n [y ln(y/m) + (1-y) ln((1-y)/(1-m))]).
    """
    from scipy.special import rel_entr

    mean = np.clip(mean, 1e-9, 1 - 1e-9)
    distance = accuracy - mean
    entropy = rel_entr(accuracy, mean) + rel_entr(1 - accuracy, 1 - mean)
    # Rounding can leave a small negative number where accuracy and mean agree.
    residuals = np.sign(distance) * np.sqrt(2 * items * np.clip(entropy, 0, None))
    variance = mean * (1 - mean)
    close = np.abs(distance) < 1e-6 * np.sqrt(variance)
    slope = np.where(
        close,
        -np.sqrt(items / variance),
        -items * distance / (variance * np.where(close, 1.0, residuals)),
    )
    residuals = np.where(close, np.sqrt(items / variance) * distance, residuals)
    return residuals, slope[:, None] * gradient


def _model_records(
    fits: Sequence[ModelFit],
    skipped: Sequence[tuple[AccuracyModel, int]],
    data: CellData,
    trained: pl.DataFrame,
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    cells = len(data.accuracy)
    records: list[dict[str, Any]] = []
    dispersion = None
    used = 1.0
    if fits:
        richest = min(fits, key=lambda fit: (-fit.parameter_count, fit.pearson))
        raw = richest.pearson / (cells - richest.parameter_count)
        used = max(1.0, raw)
        dispersion = {"estimate": raw, "used": used, "model": richest.model.name}
    for fit in fits:
        records.append(
            {
                "name": fit.model.name,
                "response": fit.model.response,
                "harm": fit.model.harm,
                "start": fit.model.start,
                "seed_exponent": fit.model.seed_exponent,
                "reference_seeds": fit.model.reference_seeds,
                "equation": fit.model.equation,
                "source": "this project's own",
                "status": "converged" if fit.converged else "not_converged",
                "starts_agreeing": fit.agreeing,
                "at_bound": list(fit.at_bound),
                "deviance": fit.deviance,
                "pearson": fit.pearson,
                "parameter_count": fit.parameter_count,
                "degrees_of_freedom": cells - fit.parameter_count,
                "qaicc": qaicc(fit.deviance, used, fit.parameter_count, cells),
                "parameters": [
                    {
                        "name": parameter.name,
                        "value": float(value),
                        "unit": parameter.unit,
                        "meaning": parameter.meaning,
                        "at_bound": parameter.name in fit.at_bound,
                        "low": None,
                        "high": None,
                    }
                    for parameter, value in zip(_bounds(fit.model, data), fit.values, strict=True)
                ],
            }
        )
    for model, count in skipped:
        records.append(
            {
                "name": model.name,
                "equation": model.equation,
                "status": "too_few_cells",
                "parameter_count": count,
                "degrees_of_freedom": cells - count,
                "qaicc": None,
                "parameters": [],
            }
        )
    records.append(_cell_means_record(data, trained, used))
    known = [record["qaicc"] for record in records if record["qaicc"] is not None]
    for record in records:
        value = record["qaicc"]
        record["qaicc_above_best"] = None if value is None else value - min(known)
    return records, dispersion


def _cell_means_record(data: CellData, trained: pl.DataFrame, dispersion: float) -> dict[str, Any]:
    """Return the record of the model that gives every method, seed-set size and budget its mean.

    Only replicates leave it degrees of freedom.
    """
    from scipy.special import rel_entr

    cells = len(data.accuracy)
    places = trained.select(pl.struct("method", "seeds", "budget").rank("dense")).to_series()
    place = np.concatenate([places.to_numpy() - 1, [places.max()] * (cells - trained.height)])
    place = place.astype(int)
    mean = (np.bincount(place, weights=data.accuracy) / np.bincount(place))[place]
    mean = np.clip(mean, 1e-12, 1 - 1e-12)
    terms = rel_entr(data.accuracy, mean) + rel_entr(1 - data.accuracy, 1 - mean)
    deviance = max(0.0, float(2 * data.items * terms.sum()))
    count = int(place.max()) + 1
    return {
        "name": "cell_means",
        "equation": "A = the mean of the replicates, for each method, seed-set size and budget",
        "status": "converged",
        "parameter_count": count,
        "degrees_of_freedom": cells - count,
        "deviance": deviance,
        "qaicc": qaicc(deviance, dispersion, count, cells),
        "parameters": [],
    }


def qaicc(deviance: float, dispersion: float, parameters: int, cells: int) -> float | None:
    """Return the quasi-likelihood AIC with the small-sample term (Burnham & Anderson 2002, 2.3).

    The deviance stands for -2 ln L: they differ by a constant of the data. The dispersion counts as
    a parameter. None where the small-sample term is undefined (too few cells for the parameters).
    """
    k = parameters + 1
    if cells - k - 1 < 1:
        return None
    return deviance / dispersion + 2 * k + 2 * k * (k + 1) / (cells - k - 1)


def _choose(fits: Sequence[ModelFit], records: Sequence[dict[str, Any]]) -> ModelFit | None:
    """Return the converged curve of lowest QAICc.

    Per-cell means stand in the table of models but are never chosen: they are no curve.
    """
    score = {record["name"]: record["qaicc"] for record in records}
    converged = [fit for fit in fits if fit.converged and score[fit.model.name] is not None]
    return min(converged, key=lambda fit: score[fit.model.name], default=None)


def _bootstrap(
    chosen: ModelFit, data: CellData, resampled: np.ndarray, settings: FitSettings
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Refit the chosen model to resamples, from its best values.

    First the test items alone are resampled. The scatter of the cells around the curve beyond what
    that explains is taken for noise between training runs; if there is any, normal noise of that
    size is added to every trained cell of every resample, and all are refitted.

    Returns:
        The accuracies that were refitted, (samples, cells); the parameters, (samples, parameters);
        and what to record.
    """
    values, failed = _refit(chosen, data, resampled)
    fitted = chosen.model.accuracy(values, data.points)
    from_items = (resampled - fitted).var(axis=0, ddof=1).sum()
    seen = np.sum((data.accuracy - chosen.fitted) ** 2)
    freedom = len(data.accuracy) - chosen.parameter_count
    noise = float(np.sqrt(max(0.0, seen - from_items) / freedom))
    accuracies = resampled
    if noise > 0:
        generator = np.random.default_rng([settings.seed, 1])
        trained = data.points.ratio > 0
        added = generator.normal(0.0, noise, resampled.shape) * trained
        accuracies = np.clip(resampled + added, 0.0, 1.0)
        values, failed = _refit(chosen, data, accuracies)
    return (
        accuracies,
        values,
        {
            "samples": settings.bootstrap_samples,
            "not_converged": failed,
            "training_noise": noise,
            "covers": "test items and, as far as seen around the curve, training runs",
        },
    )


def _refit(chosen: ModelFit, data: CellData, accuracies: np.ndarray) -> tuple[np.ndarray, int]:
    parameters = _bounds(chosen.model, data)
    start = _to_fitted(parameters, chosen.values)
    # Where the data hardly tell a parameter, finer steps move it on, and no accuracy by 0.0005.
    results = [
        _minimise(chosen.model, parameters, data, row, start, tolerance=1e-5) for row in accuracies
    ]
    values = np.array([_to_values(parameters, result.x) for result in results])
    return values, sum(not result.success for result in results)


def _add_intervals(parameters: list[dict[str, Any]], draws: np.ndarray, confidence: float) -> None:
    edges = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    for parameter, low, high in zip(parameters, *edges, strict=True):
        parameter["low"], parameter["high"] = float(low), float(high)


def _cell_records(
    trained: pl.DataFrame,
    outcomes: Outcomes,
    chosen: ModelFit | None,
    methods: Sequence[str],
    confidence: float,
) -> list[dict[str, Any]]:
    """Return one record per method, seed-set size and budget: the mean over its replicates."""
    records = []
    for method in methods:
        of_method = trained.filter(pl.col("method") == method)
        for (seeds, budget), part in of_method.group_by("seeds", "budget"):
            rows = part["row"].to_list()
            by_replicate = outcomes.correct[rows].mean(axis=1)
            record = {
                "method": method,
                "seeds": seeds,
                "budget": budget,
                "budget_ratio": budget / seeds,
                "replicates": part.height,
                "replicate_sd": float(by_replicate.std(ddof=1)) if part.height > 1 else None,
                **mean_accuracy(outcomes, rows, confidence),
                "fitted": None,
            }
            for name in _KEPT_COUNTS:
                record[name] = part[name].mean() if name in part.columns else None
            if chosen is not None:
                point = Points(
                    np.array([methods.index(method)]),
                    np.array([float(seeds)]),
                    np.array([budget / seeds]),
                )
                record["fitted"] = float(chosen.model.accuracy(chosen.values, point)[0])
            records.append(record)
    order = {method: index for index, method in enumerate(methods)}
    return sorted(records, key=lambda r: (r["seeds"], order[r["method"]], r["budget"]))


def _draw_rows(
    group: Group,
    trained: pl.DataFrame,
    untrained: pl.DataFrame,
    accuracies: np.ndarray,
    chosen: ModelFit | None,
    parameter_draws: np.ndarray | None,
) -> list[dict[str, Any]]:
    empty = {"fit": group.key, "name": "", "method": "", "seeds": None, "budget": None}
    rows = []
    position = trained.with_row_index("position")
    for (method, seeds, budget), part in position.group_by("method", "seeds", "budget"):
        draws = accuracies[:, part["position"].to_numpy()].mean(axis=1)
        place = {"method": method, "seeds": seeds, "budget": budget}
        rows.append(empty | place | {"kind": "cell", "draws": draws.tolist()})
    rows.sort(key=lambda row: (row["method"], row["seeds"], row["budget"]))
    if untrained.height:
        rows.append(
            empty
            | {"method": UNTRAINED, "seeds": 0, "budget": 0, "kind": "cell"}
            | {"draws": accuracies[:, -1].tolist()}
        )
    if chosen is not None and parameter_draws is not None:
        for name, draws in zip(chosen.model.parameter_names(), parameter_draws.T, strict=True):
            rows.append(empty | {"kind": "parameter", "name": name, "draws": draws.tolist()})
    return rows
