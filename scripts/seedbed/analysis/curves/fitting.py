"""Fit the accuracy models to the cells of a study, choose among them, and bootstrap the choice."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from seedbed.analysis.curves.decay import AccuracyModel, Points, candidates, variants
from seedbed.analysis.curves.likelihood import (
    CellData,
    HeldOut,
    ModelFit,
    fit_model,
    hold_out,
    means_deviance,
    refit,
)
from seedbed.analysis.curves.records import FitRecord, FitsRecord
from seedbed.analysis.curves.replicates import Noise, noise_between_replicates
from seedbed.analysis.settings import FitSettings
from seedbed.analysis.tables.outcomes import (
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

ABOUT = (
    "The decay equations are this project's own: the paper's are not known. Likelihoods are "
    "binomial, with a random effect of each draw of the seeds where replicates show that draws "
    "differ (seed_draw_effects). Models are compared by QAICc: twice the model's shortfall in "
    "log-likelihood (its deviance) over the "
    "dispersion, plus a charge for parameters. The dispersion is Pearson's statistic of the model "
    "with most parameters over its degrees of freedom: below 1 where cells share their test items' "
    "luck, which moves all of them together. held_out_error is the root "
    "mean square by which a model misses the highest budget of each seed-set size when fitted to "
    "the rest; held_out_noise is how far it would by noise alone. Chosen is, of the models within "
    "2 of the lowest QAICc, the one of least "
    "held_out_error. Curves are the mean of the models by their weight exp(-qaicc_above_best / 2) "
    "(Buckland, Burnham & Augustin 1997), and a resample has the curve of one model, drawn by the "
    "weights there, so that intervals hold the doubt about the form. Models "
    "with one_value or one_tau have no crossovers, and are in the table for comparison alone. "
    "Intervals are bootstrap percentiles: test items (whole clusters) are drawn again, the same "
    "for all cells; noise between draws of the seeds is added as far as replicates differ, and "
    "noise between training runs as far as cells lie further from the curve than all that explains."
)

_DRAWS: dict[str, pl.DataType | type[pl.DataType]] = {
    "fit": pl.String,
    "kind": pl.String,
    "name": pl.String,
    "method": pl.String,
    "seeds": pl.Int64,
    "budget": pl.Int64,
    "model": pl.String,
    "resamples": pl.List(pl.Int64),
    "draws": pl.List(pl.Float64),
}
DRAWS_SCHEMA = pl.Schema(_DRAWS)
"""Bootstrap draws, one row a quantity. `kind` is "parameter" (`name` of `model`, whose share of the
resamples `resamples` numbers from 0), or "cell" (the accuracy of a method at a budget, mean over
replicates, in all resamples)."""

_LEAST_DISPERSION = 0.25
"""Dispersion that is used at least: few degrees of freedom can show hardly any scatter by luck."""

_LEAST_VARIANCE = 1e-3
"""Of grades, over that of right and wrong: where all answers have one grade, luck is not seen."""

_LEAST_FREEDOM = 2
"""Cells that a model must leave over for the dispersion to be told at all."""

_EQUALLY_GOOD = 2.0
"""QAICc within which models have "substantial support" (Burnham & Anderson 2002, 2.6)."""

_LEAST_WEIGHT = 0.02
"""Models of less weight, but the chosen one, are left out of the mean: they would have a handful of
resamples."""

_KEPT_COUNTS = (
    "augmenter_queries",
    "teacher_queries",
    "verification_queries",
    "empty_slots",
    "missing_rows",
    *(
        f"{writer}_{kind}_tokens"
        for writer in ("teacher", "augmenter", "verification")
        for kind in ("prompt", "completion")
    ),
    "generation_seconds",
    "training_seconds",
    "usd",
)
"""What the cells of a fit keep of the table of cells, beside accuracies."""


def fit_decay(
    by_task: Mapping[str, Outcomes], settings: FitSettings
) -> tuple[FitsRecord, pl.DataFrame]:
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
    fits = tuple(FitRecord.model_validate(record, strict=False) for record in records)
    found = FitsRecord(about=ABOUT, settings=settings, fits=fits)
    return found, pl.DataFrame(draws, schema=DRAWS_SCHEMA)


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
        "grade_variance": 1.0,
        "untrained": None,
        "status": "",
        "reason": "",
        "chosen": None,
        "dispersion": None,
        "seed_draw_effects": [],
        "models": [],
        "bootstrap": None,
    }
    rows = np.concatenate([trained["row"].to_numpy(), untrained["row"].to_numpy()]).astype(int)
    data = _cell_data(trained, untrained, outcomes, rows, methods)
    record["grade_variance"] = len(outcomes.items) / data.items
    draws = resampled[:, rows]
    noise = noise_of(data, draws)
    models = candidates(methods, seeds, bool(untrained.height))
    data = _with_effects(data, noise, models, settings)
    fits, skipped = _fit_candidates(data, models, settings)
    held = {fit.model.name: hold_out(fit, data, settings.starts, settings.seed) for fit in fits}
    record["models"], record["dispersion"] = _model_records(fits, held, skipped, data, trained)
    chosen = _choose(fits, record["models"])
    members: list[_Member] = []
    if chosen is not None:
        runs = _variance_of_runs(_richest(fits, chosen), data, draws)
        draws, values, record["bootstrap"] = _bootstrap(chosen, data, draws, noise, runs, settings)
        record["bootstrap"]["covers"] = _covers(outcomes)
        dispersion = record["dispersion"]["used"]
        members = _members(fits, chosen, record["models"], dispersion, data, draws, settings)
        record["status"], record["chosen"] = "fitted", chosen.model.name
        record["seed_draw_effects"] = _effect_records(chosen, data)
        record["lack_of_fit"] = chosen.deviance / max(1, len(rows) - chosen.parameter_count)
        for entry in record["models"]:
            member = next((one for one in members if one.name == entry["name"]), None)
            entry["weight"] = member.weight if member else 0.0
            if member:
                rest = held[member.name]
                entry["held_out_noise"] = None if rest is None else rest.noise(draws)
            if entry["name"] == chosen.model.name:
                _add_intervals(entry["parameters"], values, members, settings.confidence)
    elif fits:
        record["status"] = "not_converged"
        record["reason"] = "no model's fit converged"
    else:
        record["status"] = "too_few_cells"
        record["reason"] = f"{len(rows)} cells do not determine the parameters of any model"
    record["cells"] = _cell_records(trained, outcomes, members, methods, settings.confidence)
    if untrained.height:
        row = int(untrained["row"][0])
        record["untrained"] = dict(mean_accuracy(outcomes, [row], settings.confidence))
    return record, _draw_rows(group, trained, untrained, draws, members)


def _cell_data(
    trained: pl.DataFrame,
    untrained: pl.DataFrame,
    outcomes: Outcomes,
    rows: np.ndarray,
    methods: Sequence[str],
) -> CellData:
    more = untrained.height
    index = {name: position for position, name in enumerate(methods)}
    first_seeds = float(min(trained["seeds"].to_list()))
    return CellData(
        points=Points(
            method=np.array([index[name] for name in trained["method"]] + [0] * more),
            seeds=np.array([*trained["seeds"].to_list(), *[first_seeds] * more], dtype=float),
            ratio=np.array([*trained["budget_ratio"].to_list(), *[0.0] * more], dtype=float),
        ),
        accuracy=outcomes.correct[rows].mean(axis=1),
        items=len(outcomes.items) / grade_variance(outcomes.correct[rows]),
        replicate=np.array([*trained["replicate"].to_list(), *[0] * more]),
    )


def grade_variance(scores: np.ndarray) -> float:
    """Return the variance of grades over that of right and wrong with the same means.

    It is pooled over the cells. A likelihood of shares then takes each cell for one of that many
    fewer items: a quasi-likelihood for fractions (Papke & Wooldridge 1996, doi
    10.1002/(SICI)1099-1255(199611)11:6<619::AID-JAE418>3.0.CO;2-1), whose variance is that of the
    mean times a constant.

    Args:
        scores: 0 or 1, or grades from 0 to 1, shape (cells, items).
    """
    if np.isin(scores, (0.0, 1.0)).all():
        return 1.0
    mean = scores.mean(axis=1)
    return max(_LEAST_VARIANCE, float(scores.var(axis=1).sum() / (mean * (1 - mean)).sum()))


def noise_of(data: CellData, resampled: np.ndarray) -> Noise:
    """Return what replicates of the trained cells tell of noise between them."""
    trained = data.points.ratio > 0
    points = data.only(trained).points
    return noise_between_replicates(
        _numbered(points.method, points.seeds, points.ratio),
        points.seeds,
        data.replicate[trained],
        data.accuracy[trained],
        resampled[:, trained],
    )


def _covers(outcomes: Outcomes) -> str:
    """Return what the intervals of a task hold."""
    if outcomes.cluster_count < 2:
        # Every resample of one cluster is the same.
        return (
            "draws of the seeds and training runs as far as seen; not the test items, one cluster"
        )
    return "test items and, as far as seen, draws of the seeds and training runs"


def _with_effects(
    data: CellData,
    noise: Noise,
    models: Sequence[AccuracyModel],
    settings: FitSettings,
) -> CellData:
    """Return the cells with the variance of what draws of the seeds change, and the dispersion.

    The variance is told by replicates, without any model. The dispersion, which weighs the effects
    against the cells, is that of the models with most parameters, fitted with a dispersion of 1.
    """
    data = replace(data, seed_variance=noise.seed_variance)
    if data.seed_variance == 0:
        return data
    most = max(len(model.parameter_names()) for model in models)
    richest = [model for model in models if len(model.parameter_names()) == most]
    if len(data.accuracy) - most < _LEAST_FREEDOM:
        return data
    fits = [fit_model(model, data, settings.starts, settings.seed) for model in richest]
    return replace(data, dispersion=_dispersion(fits)[1])


def _effect_records(chosen: ModelFit, data: CellData) -> list[dict[str, Any]]:
    """Return the effects of the draws of the seeds that the chosen model found, fractions."""
    if not len(chosen.effects):
        return []
    return [
        {
            "seeds": int(seeds),
            "replicate": int(replicate),
            "effect": float(effect),
            "standard_deviation": float(np.sqrt(data.seed_variance / seeds)),
        }
        for (seeds, replicate), effect in zip(data.draws()[0], chosen.effects, strict=True)
    ]


def _fit_candidates(
    data: CellData, first: Sequence[AccuracyModel], settings: FitSettings
) -> tuple[list[ModelFit], list[tuple[AccuracyModel, int]]]:
    """Fit all forms, and then variants of what is shared: of the best with each curve and decay."""
    cells = len(data.accuracy)
    fits: list[ModelFit] = []
    skipped: list[tuple[AccuracyModel, int]] = []

    def try_all(models: Sequence[AccuracyModel]) -> None:
        for model in models:
            count = len(model.parameter_names())
            # QAICc counts the dispersion and the variance of effects as parameters, too.
            if qaicc(0.0, 1.0, count + bool(data.seed_variance), cells) is None:
                skipped.append((model, count))
            else:
                fits.append(fit_model(model, data, settings.starts, settings.seed))

    try_all(first)
    _, dispersion = _dispersion(fits)
    for form in dict.fromkeys(_form(fit.model) for fit in fits):
        of_form = [fit for fit in fits if _form(fit.model) == form and fit.converged]
        scores = [(_score(fit, dispersion, cells) or 0.0, fit.model) for fit in of_form]
        if scores:
            try_all(variants(min(scores, key=lambda pair: pair[0])[1]))
    return fits, skipped


def _form(model: AccuracyModel) -> tuple[str, str]:
    """Return what a model's extensions and variants are of: its response and decay."""
    return model.response, model.decay


def _score(fit: ModelFit, dispersion: float, cells: int) -> float | None:
    """Return a fit's QAICc; the variance of the effects is a parameter like the dispersion."""
    return qaicc(fit.deviance, dispersion, fit.parameter_count + bool(len(fit.effects)), cells)


def _dispersion(fits: Sequence[ModelFit]) -> tuple[dict[str, Any] | None, float]:
    """Return the record of the dispersion, and the value in use."""
    if not fits:
        return None, 1.0
    richest = min(fits, key=lambda fit: (-fit.parameter_count, fit.pearson))
    raw = richest.pearson / richest.freedom
    used = max(_LEAST_DISPERSION, raw)
    return {"estimate": raw, "used": used, "model": richest.model.name}, used


def _model_records(
    fits: Sequence[ModelFit],
    held: Mapping[str, HeldOut | None],
    skipped: Sequence[tuple[AccuracyModel, int]],
    data: CellData,
    trained: pl.DataFrame,
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    cells = len(data.accuracy)
    records: list[dict[str, Any]] = []
    dispersion, used = _dispersion(fits)
    for fit in fits:
        rest = held[fit.model.name]
        records.append(
            {
                "name": fit.model.name,
                "response": fit.model.response,
                "decay": fit.model.decay,
                "harm": fit.model.harm,
                "start": fit.model.start,
                "sharing": fit.model.sharing,
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
                "qaicc": _score(fit, used, cells),
                "held_out_error": None if rest is None else rest.error(),
                "weight": 0.0,
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
                    for parameter, value in zip(fit.parameters, fit.values, strict=True)
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
    cells = len(data.accuracy)
    places = trained.select(pl.struct("method", "seeds", "budget").rank("dense")).to_series()
    place = np.concatenate([places.to_numpy() - 1, [places.max()] * (cells - trained.height)])
    place = place.astype(int)
    count = int(place.max()) + 1
    deviance = means_deviance(data, place)
    effects = bool(data.seed_variance)
    return {
        "name": "cell_means",
        "equation": "A = the mean of the replicates, for each method, seed-set size and budget",
        "status": "converged",
        "parameter_count": count,
        "degrees_of_freedom": cells - count,
        "deviance": deviance,
        "qaicc": qaicc(deviance, dispersion, count + effects, cells),
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
    """Return, of the curves that QAICc hardly tells apart, the best on held-out budgets."""
    known = {record["name"]: record for record in records if record["qaicc"] is not None}
    converged = [fit for fit in fits if _usable(fit, known)]
    if not converged:
        return None

    def score(fit: ModelFit) -> float:
        return known[fit.model.name]["qaicc"]

    def miss(fit: ModelFit) -> float:
        found = known[fit.model.name]["held_out_error"]
        return np.inf if found is None else found

    lowest = min(map(score, converged))
    equal = [fit for fit in converged if score(fit) - lowest <= _EQUALLY_GOOD]
    return min(equal, key=lambda fit: (miss(fit), score(fit)))


def _usable(fit: ModelFit, known: Container[str]) -> bool:
    """Return whether a model may be chosen, or be in the mean.

    Models in which a fresh query is worth the same in every method, or seeds last equally long,
    have no crossovers: they would answer what the study asks by assumption, the more so the less
    data there is. They stand in the table to be compared with, like the cell means.
    """
    return (
        fit.converged
        and fit.model.name in known
        and fit.model.sharing not in ("one_value", "one_tau")
    )


@dataclass(frozen=True)
class _Member:
    """A model in the mean of models: its fit, weight, resamples, and their parameter values."""

    fit: ModelFit
    weight: float
    resamples: np.ndarray
    values: np.ndarray

    @property
    def name(self) -> str:
        """The model's name."""
        return self.fit.model.name

    @property
    def names(self) -> list[str]:
        """The names of its parameters."""
        return self.fit.model.parameter_names()


def _members(
    fits: Sequence[ModelFit],
    chosen: ModelFit,
    records: Sequence[dict[str, Any]],
    dispersion: float,
    data: CellData,
    accuracies: np.ndarray,
    settings: FitSettings,
) -> list[_Member]:
    """Return the models with their weights, each refitted to its share of the resamples.

    A resample is given to one model, drawn by the weights that the models have in that resample
    (Buckland, Burnham & Augustin 1997, 3.2): other data would have other weights. Resamples hold
    the noise of the data and that which was added, so that all deviances in one are larger; its
    dispersion is larger by as much as that of the model that fits it best.
    """
    score = {one["name"]: one["qaicc"] for one in records if one["qaicc"] is not None}
    usable = [fit for fit in fits if _usable(fit, score)]
    weights = _weights(np.array([[score[fit.model.name] for fit in usable]]))[0]
    kept = (weights >= _LEAST_WEIGHT) | [fit is chosen for fit in usable]
    usable = [fit for fit, keep in zip(usable, kept, strict=True) if keep]
    weights = weights[kept] / weights[kept].sum()
    refits = [refit(fit, data, accuracies) for fit in usable]
    deviances = np.stack([one.deviance for one in refits], axis=1)
    least = min(fit.deviance for fit in usable)
    larger = deviances.min(axis=1, keepdims=True) / max(least, 1e-9)
    charges = np.array([_score(fit, dispersion, len(data.accuracy)) for fit in usable])
    charges -= [fit.deviance / dispersion for fit in usable]
    drawn = _weights(deviances / (dispersion * np.maximum(larger, 1.0)) + charges)
    uniform = np.random.default_rng([settings.seed, 2]).random((len(accuracies), 1))
    taken = np.minimum((uniform > np.cumsum(drawn, axis=1)).sum(axis=1), len(usable) - 1)
    members = []
    for place, (fit, weight, one) in enumerate(zip(usable, weights, refits, strict=True)):
        share = np.flatnonzero(taken == place)
        members.append(_Member(fit, float(weight), share, one.values[share]))
    return members


def _weights(scores: np.ndarray) -> np.ndarray:
    """Return the Akaike weights of models, rows of which sum to 1, from rows of their QAICc."""
    weights = np.exp(-(scores - scores.min(axis=1, keepdims=True)) / 2)
    return weights / weights.sum(axis=1, keepdims=True)


def _richest(fits: Sequence[ModelFit], chosen: ModelFit) -> ModelFit:
    """Return the model to tell noise by: of the chosen one's form, that of most parameters.

    A model that was chosen for fitting well leaves too little scatter, a tenth of its variance in
    simulated studies; one that is taken for its parameters does not. It must have half of the
    freedom that the chosen one has.
    """
    rich = [
        fit
        for fit in fits
        if fit.converged
        and _form(fit.model) == _form(chosen.model)
        and fit.parameter_count >= chosen.parameter_count
        and fit.freedom >= chosen.freedom / 2
    ]
    return max([chosen, *rich], key=lambda fit: fit.parameter_count)


def _variance_of_runs(fit: ModelFit, data: CellData, resampled: np.ndarray) -> tuple[float, float]:
    """Return the variance between training runs and its degrees of freedom.

    It is the scatter of the cells around a curve and their draws' effects, beyond what the same
    scatter in resamples of the test items explains.
    """
    found = refit(fit, data, resampled)
    from_items = (resampled - found.with_effects).var(axis=0, ddof=1).sum()
    seen = np.sum((data.accuracy - fit.with_effects) ** 2)
    return max(0.0, float(seen - from_items)) / fit.freedom, fit.freedom


def _bootstrap(
    chosen: ModelFit,
    data: CellData,
    resampled: np.ndarray,
    noise: Noise,
    runs: tuple[float, float],
    settings: FitSettings,
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Refit the chosen model to resamples, from its best values.

    The test items are resampled. Normal noise of the size of that between training runs, and of
    each draw of the seeds, is added to the trained cells of every resample.

    Args:
        chosen: the chosen model.
        data: the cells.
        resampled: their accuracies in resamples of the test items, (samples, cells).
        noise: what replicates tell.
        runs: the variance between training runs, and its degrees of freedom.
        settings: settings of the fit.

    Returns:
        The accuracies that were refitted, (samples, cells); the parameters, (samples, parameters);
        and what to record.
    """
    variance, freedom = runs
    between = data.seed_variance / data.points.seeds
    trained = data.points.ratio > 0
    accuracies = resampled
    if variance > 0 or data.seed_variance > 0:
        generator = np.random.default_rng([settings.seed, 1])
        draw = _numbered(data.points.seeds, data.replicate)
        samples = len(resampled)
        shared = generator.normal(size=(samples, draw.max() + 1))[:, draw]
        own = generator.normal(size=resampled.shape)
        # A few replicates tell the sizes of noise badly: each resample has sizes of its own.
        of_draws = _sizes(generator, noise.draw_freedom, samples)
        of_runs = _sizes(generator, freedom, samples)
        added = of_draws * np.sqrt(between) * shared + of_runs * np.sqrt(variance) * own
        accuracies = np.clip(resampled + added * trained, 0.0, 1.0)
    found = refit(chosen, data, accuracies)
    return (
        accuracies,
        found.values,
        {
            "samples": settings.bootstrap_samples,
            "not_converged": found.failed,
            "training_noise": float(np.sqrt(variance)),
            "seed_draw_noise": float(np.sqrt(between.max())),
        },
    )


_PRIOR_FREEDOM = 2
"""Degrees of freedom that a size of noise is taken to have beside those of its estimate."""


def _sizes(generator: np.random.Generator, freedom: float, samples: int) -> np.ndarray:
    """Return draws of a standard deviation over its estimate, shape (samples, 1).

    The square is scaled inverse chi-square: what the estimate of a variance from normal values
    leaves open about it (Gelman et al. 2013, Bayesian Data Analysis, 3.2). With the freedom of the
    estimate alone, one of 2 would give the tails of a t distribution of 2, and intervals that cover
    too much, as such mixtures do (the problem of Behrens and Fisher); hence a little more. 1
    without any freedom.
    """
    if freedom < 1:
        return np.ones((samples, 1))
    freedom += _PRIOR_FREEDOM
    return np.sqrt(freedom / generator.chisquare(freedom, (samples, 1)))


def _numbered(*columns: np.ndarray) -> np.ndarray:
    """Return a number from 0 for each combination of columns, shape (n,)."""
    return np.unique(np.stack(columns), axis=1, return_inverse=True)[1].ravel()


_SHARED_MEANING = ("delta", "v:", "tau:")
"""How the parameters begin that mean the same in every model that has them."""


def _add_intervals(
    parameters: list[dict[str, Any]],
    chosen: np.ndarray,
    members: Sequence[_Member],
    confidence: float,
) -> None:
    """Add intervals to the chosen model's parameters.

    Those that mean the same in every model have the draws of all models in the mean, so that their
    intervals hold the doubt about the form; the others have the chosen model's.

    Args:
        parameters: the chosen model's, in order.
        chosen: its draws, shape (samples, parameters).
        members: the models in the mean.
        confidence: coverage.
    """
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    for place, parameter in enumerate(parameters):
        name, draws = parameter["name"], chosen[:, place]
        if name.startswith(_SHARED_MEANING):
            having = [member for member in members if name in member.names]
            draws = np.concatenate([one.values[:, one.names.index(name)] for one in having])
        parameter["low"], parameter["high"] = map(float, np.quantile(draws, tails))


def _cell_records(
    trained: pl.DataFrame,
    outcomes: Outcomes,
    members: Sequence[_Member],
    methods: Sequence[str],
    confidence: float,
) -> list[dict[str, Any]]:
    """Return one record per method, seed-set size and budget: the mean over its replicates.

    `fitted` is the curve there, as it is drawn and advised by: the mean of the models.
    """
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
                **dict(mean_accuracy(outcomes, rows, confidence)),
                "fitted": None,
            }
            for name in _KEPT_COUNTS:
                record[name] = part[name].mean() if name in part.columns else None
            if members:
                point = Points(
                    np.array([methods.index(method)]),
                    np.array([float(seeds)]),
                    np.array([budget / seeds]),
                )
                record["fitted"] = sum(
                    member.weight * float(member.fit.model.accuracy(member.fit.values, point)[0])
                    for member in members
                )
            records.append(record)
    order = {method: index for index, method in enumerate(methods)}
    return sorted(records, key=lambda r: (r["seeds"], order[r["method"]], r["budget"]))


def _draw_rows(
    group: Group,
    trained: pl.DataFrame,
    untrained: pl.DataFrame,
    accuracies: np.ndarray,
    members: Sequence[_Member],
) -> list[dict[str, Any]]:
    empty: dict[str, Any] = {"fit": group.key, "name": "", "method": "", "model": ""}
    empty |= {"seeds": None, "budget": None, "resamples": None}
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
    for member in members:
        of_member = {"kind": "parameter", "model": member.name}
        of_member |= {"resamples": member.resamples.tolist()}
        for name, draws in zip(member.names, member.values.T, strict=True):
            rows.append(empty | of_member | {"name": name, "draws": draws.tolist()})
    return rows
