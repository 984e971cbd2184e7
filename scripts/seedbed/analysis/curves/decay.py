"""Models of accuracy as a function of method, seed-set size and budget ratio.

All equations here are this project's own; the paper's (arXiv 2409.19759) are not known to us. Each
model has two parts.

Effective examples. With S seeds and x = BR queries per seed, the value of the next query on a seed
falls with x / tau. Method m yields

    e = v_m S tau_m(S) W(x / tau_m(S)),    tau_m(S) = tau_m (S / S0)^-delta

effective examples: v_m is the value of a fresh query (1 for the first method: the unit), tau_m the
persistence of a seed at S0 seeds, the queries after which the next is worth 1/exp(1) of a fresh
one. W is the integral of that value, which decays in one of two ways:

    exponential  value exp(-u),         W(u) = 1 - exp(-u):        seeds wear out
    harmonic     value 1 / (1 + c u),   W(u) = ln(1 + c u) / c:    they give ever less, without end

with c = exp(1) - 1. The first follows Muennighoff et al. 2023 (arXiv 2305.16264), whose repeated
tokens lose value in the same way. The second is for seeds of which a little is always left: a truth
that the first alone misses (simulated: docs/statistics.md).

Response. Accuracy rises from the floor A0 (no training data, e = 0) with e in one of three ways:

    exponential  A0 + (Ainf - A0) (1 - exp(-(e / kappa)^gamma))
    power        A0 + (Ainf - A0) (1 - (1 + e / kappa)^-gamma)
    logit        logistic(a + b ln(1 + e / kappa))

Two extensions, each of one parameter, are fitted with and without:

    harm   accuracy can fall where seeds are used too often. u = x - tau W(x / tau) are the
           queries per seed that brought nothing; the gain Ainf - A0 is multiplied by exp(-h u)
           (logit: h u is subtracted on the logit scale).
    start  the base model has an accuracy of its own in place of A0: for students that the
           first few examples change by their format alone.

Parameters may be shared or free. By default each method has its own v_m and tau_m and all share one
delta; the variants are

    one_value     v_m = 1: a fresh query is worth the same in every method.
    one_tau       tau_m = tau: seeds last equally long in every method.
    each_delta    a delta for each method: not all need depend on the number of seeds alike.
    no_delta      delta = 0. Only for a single seed-set size, which cannot tell delta: with several,
                  the paper's shift points cannot be had from the budget ratio alone, and the model
                  without delta, chosen now and then for being simpler, would pull those of all
                  sizes together (simulated: docs/statistics.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np
from scipy.special import expit

RESPONSES = ("exponential", "power", "logit")

DECAYS = ("exponential", "harmonic")

_EQUATIONS = {
    "exponential": "A = A0 + (Ainf - A0) {gain}, gain = (1 - exp(-(e/kappa)^gamma))",
    "power": "A = A0 + (Ainf - A0) {gain}, gain = (1 - (1 + e/kappa)^-gamma)",
    "logit": "logit A = a + b ln(1 + e/kappa)",
}

_USEFUL = {
    "exponential": "tau_m(S) (1 - exp(-x/tau_m(S)))",
    "harmonic": "tau_m(S) ln(1 + c x/tau_m(S))/c",
}
"""Fresh queries that x queries on a seed are worth."""

_HARMONIC = np.e - 1
"""c: makes the next query worth 1/exp(1) after tau, as in the exponential decay."""

SHARING = ("", "one_value", "one_tau", "each_delta", "no_delta")
"""Variants by the parameters that methods share; "" is the default."""

_SMALLEST = 1e-6
"""Bound of accuracies from 0 and 1, so that likelihoods stay finite."""


@dataclass(frozen=True)
class Points:
    """Where a model is evaluated: arrays of one shape, one element a point.

    Attributes:
        method: index of the method in the model's methods.
        seeds: seed-set size S.
        ratio: budget ratio x; 0 for the base model.
    """

    method: np.ndarray
    seeds: np.ndarray
    ratio: np.ndarray


@dataclass(frozen=True)
class Parameter:
    """A parameter of a model.

    Attributes:
        name: name, with the method after a colon if each method has its own.
        unit: unit of its value.
        meaning: what it says, in words.
        logarithmic: whether it is fitted as its logarithm (values and draws are never logarithms).
        low: lower bound of its value.
        high: upper bound of its value.
        start_low: lower end of the range that random starting points are drawn from.
        start_high: upper end of that range.
    """

    name: str
    unit: str
    meaning: str
    logarithmic: bool
    low: float
    high: float
    start_low: float
    start_high: float


@dataclass(frozen=True)
class AccuracyModel:
    """A model of accuracy, without its parameters' values.

    Attributes:
        response: one of `RESPONSES`.
        harm: whether overused seeds can lower accuracy.
        start: whether the base model has an accuracy of its own.
        methods: the methods in order; the first one's queries are the unit of value.
        reference_seeds: S0.
        sharing: one of `SHARING`; "no_delta" for a single seed-set size, which cannot tell delta.
        decay: one of `DECAYS`: how the value of a seed's next query falls.
    """

    response: str
    harm: bool
    start: bool
    methods: tuple[str, ...]
    reference_seeds: float
    sharing: str = ""
    decay: str = "exponential"

    @property
    def name(self) -> str:
        """The response with the rest, e.g. "exponential+harm+one_tau" or "logit+harmonic"."""
        decay = "" if self.decay == "exponential" else self.decay
        parts = (self.response, decay, self.harm and "harm", self.start and "start", self.sharing)
        return "+".join(part for part in parts if part)

    @property
    def equation(self) -> str:
        """The equations in one line of text."""
        if self.response == "logit":
            accuracy = _EQUATIONS["logit"] + (" - h u" if self.harm else "")
        else:
            gain = "gain exp(-h u)" if self.harm else "gain"
            accuracy = _EQUATIONS[self.response].format(gain=gain)
        base = "tau" if self.sharing == "one_tau" else "tau_m"
        delta = "delta_m" if self.sharing == "each_delta" else "delta"
        tau = f"tau_m(S) = {base}" + ("" if self.sharing == "no_delta" else f" (S/S0)^-{delta}")
        value = "" if self.sharing == "one_value" else "v_m "
        useful = _USEFUL[self.decay]
        parts = [accuracy, f"e = {value}S {useful}, {tau}"]
        if self.harm:
            parts.append(f"u = x - {useful}")
        if self.decay == "harmonic":
            parts.append("c = exp(1) - 1")
        return "; ".join([*parts, "x = BR"])

    def parameters(
        self, ratios: Sequence[float] | np.ndarray, seeds: Sequence[float] | np.ndarray
    ) -> list[Parameter]:
        """Return the parameters in order, with bounds that suit the range of the data.

        Args:
            ratios: budget ratios of the data, above 0.
            seeds: seed-set sizes of the data.
        """
        x_low, x_high = min(ratios), max(ratios)
        budget_low, budget_high = min(seeds) * x_low, max(seeds) * x_high
        found = []

        def add(
            name: str,
            unit: str,
            meaning: str,
            bounds: tuple[float, float],
            start: tuple[float, float],
            logarithmic: bool = False,
        ) -> None:
            found.append(Parameter(name, unit, meaning, logarithmic, *bounds, *start))

        share = (_SMALLEST, 1 - _SMALLEST)
        if self.response == "logit":
            add("a", "logit", "accuracy at e = 0, on the logit scale", (-14, 14), (-3, 2))
            add("b", "logit", "gain as e grows e-fold, on the logit scale", (-10, 10), (0.1, 2))
        else:
            add("A0", "fraction", "accuracy at e = 0", share, (0.02, 0.7))
            add("Ainf", "fraction", "accuracy with endless fresh data", share, (0.4, 0.98))
        add(
            "kappa",
            "effective examples",
            "effective examples at which most of the gain is made"
            if self.response == "exponential"
            else "effective examples at which the gain bends",
            (budget_low / 100, budget_high * 100),
            (budget_low, budget_high),
            logarithmic=True,
        )
        if self.response != "logit":
            add("gamma", "none", "shape of the rise", (0.2, 5), (0.5, 1.5), logarithmic=True)
        for name in self._delta_names():
            add(
                name,
                "none",
                "how persistence falls with the seed-set size",
                (-2, 2),
                (-0.3, 0.5),
            )
        for method in () if self.sharing == "one_value" else self.methods[1:]:
            add(
                f"v:{method}",
                f"fresh queries of {self.methods[0]}",
                "value of a fresh query",
                (0.01, 100),
                (0.4, 1.5),
                logarithmic=True,
            )
        for name in self._tau_names():
            add(
                name,
                f"queries per seed, at {self.reference_seeds:g} seeds",
                "persistence: queries on a seed after which the next is worth 1/e of a fresh one",
                (x_low / 20, x_high * 50),
                (max(x_low, x_high / 100), x_high * 3),
                logarithmic=True,
            )
        if self.harm:
            add(
                "h",
                "per wasted query per seed",
                "share of the gain lost for each wasted query per seed (logit: logits lost)",
                (0, 10 / x_high),
                (0, 1 / x_high),
            )
        if self.start:
            add("untrained", "fraction", "accuracy of the base model", share, (0.05, 0.8))
        return found

    def _tau_names(self) -> tuple[str, ...]:
        if self.sharing == "one_tau":
            return ("tau",)
        return tuple(f"tau:{method}" for method in self.methods)

    def _delta_names(self) -> tuple[str, ...]:
        if self.sharing == "no_delta":
            return ()
        if self.sharing == "each_delta":
            return tuple(f"delta:{method}" for method in self.methods)
        return ("delta",)

    def parameter_names(self) -> list[str]:
        """Return the names of the parameters in order."""
        return list(_names(self))

    def accuracy(self, values: np.ndarray, points: Points) -> np.ndarray:
        """Return the accuracy at points.

        Args:
            values: parameter values (no logarithms), shape (..., parameters).
            points: n points.

        Returns:
            Accuracies between 0 and 1, shape (..., n).
        """
        return self._evaluate(np.asarray(values, dtype=float), points)[0]

    def accuracy_and_gradient(
        self, values: np.ndarray, points: Points
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the accuracy at n points and its derivatives by the parameters as fitted.

        Args:
            values: parameter values (no logarithms), shape (..., parameters).
            points: n points.

        Returns:
            Accuracies, shape (..., n), and derivatives, shape (..., n, parameters): by the
            logarithm of those parameters that are fitted as logarithms.
        """
        accuracy, columns = self._evaluate(np.asarray(values, dtype=float), points)
        return accuracy, np.stack([columns[name] for name in self.parameter_names()], axis=-1)

    def _evaluate(
        self, values: np.ndarray, points: Points
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        at = {name: values[..., [i]] for i, name in enumerate(self.parameter_names())}
        method = np.asarray(points.method)
        untrained = np.asarray(points.ratio) == 0
        # No division by zero at the base model, whose effective examples are none.
        x = np.where(untrained, 1.0, points.ratio)
        log_size = np.log(np.asarray(points.seeds) / self.reference_seeds)
        one = np.ones_like(values[..., :1])

        def by_method(name: str, otherwise: float) -> np.ndarray:
            """The value for each point's method: its own, the shared one, or a constant."""
            shared = at.get(name, otherwise * one)
            own = [at.get(f"{name}:{one_method}", shared) for one_method in self.methods]
            return np.concatenate(own, axis=-1)[..., method]

        delta = by_method("delta", 0.0)
        tau = by_method("tau", 1.0) * np.exp(-delta * log_size)
        if self.decay == "exponential":
            value, useful = np.exp(-x / tau), -tau * np.expm1(-x / tau)
        else:
            used = _HARMONIC * x / tau
            value, useful = 1 / (1 + used), tau * np.log1p(used) / _HARMONIC
        e = by_method("v", 1.0) * points.seeds * useful
        # d useful / d ln tau: x queries on a seed are worth the more the longer it lasts.
        useful_by_tau = useful - x * value
        e_by_tau = useful_by_tau / useful
        wasted = np.where(untrained, 0.0, x - useful)
        wasted_by_tau = np.where(untrained, 0.0, -useful_by_tau)
        h = at.get("h", np.zeros(1))

        columns: dict[str, np.ndarray] = {}
        log_e = np.log(e / at["kappa"])
        if self.response == "logit":
            growth = np.where(untrained, 0.0, np.logaddexp(0.0, log_e))
            share = np.where(untrained, 0.0, 1 / (1 + np.exp(-log_e)))
            logit = at["a"] + at["b"] * growth - h * wasted
            accuracy = expit(logit)
            slope = accuracy * (1 - accuracy)
            columns["a"] = slope * np.ones_like(growth)
            columns["b"] = slope * growth
            by_log_e = slope * at["b"] * share
            by_wasted = -slope * h
            columns["h"] = -slope * wasted
        else:
            gamma = at["gamma"]
            if self.response == "exponential":
                power = np.exp(np.clip(gamma * log_e, -700, 50))
                gain = -np.expm1(-power)
                gain_by_log_e = np.exp(-power) * power * gamma
                gain_by_gamma = np.exp(-power) * power * gamma * log_e
            else:
                log_total = np.logaddexp(0.0, log_e)
                rest = np.exp(-gamma * log_total)
                gain = -np.expm1(-gamma * log_total)
                gain_by_log_e = gamma * rest / (1 + np.exp(-log_e))
                gain_by_gamma = rest * log_total * gamma
            gain = np.where(untrained, 0.0, gain)
            gain_by_log_e = np.where(untrained, 0.0, gain_by_log_e)
            kept = np.exp(-h * wasted)
            span = at["Ainf"] - at["A0"]
            accuracy = at["A0"] + span * gain * kept
            columns["A0"] = 1 - gain * kept
            columns["Ainf"] = gain * kept
            columns["gamma"] = span * kept * np.where(untrained, 0.0, gain_by_gamma)
            by_log_e = span * kept * gain_by_log_e
            by_wasted = -span * gain * kept * h
            columns["h"] = -span * gain * kept * wasted
        columns["kappa"] = -by_log_e
        by_log_tau = by_log_e * e_by_tau + by_wasted * wasted_by_tau
        columns["delta"] = -by_log_tau * log_size
        columns["tau"] = by_log_tau
        for index, name in enumerate(self.methods):
            of_method = method == index
            columns[f"delta:{name}"] = np.where(of_method, columns["delta"], 0.0)
            columns[f"tau:{name}"] = np.where(of_method, by_log_tau, 0.0)
            columns[f"v:{name}"] = np.where(of_method, by_log_e, 0.0)
        if self.start:
            accuracy = np.where(untrained, at["untrained"], accuracy)
            for name in columns:
                columns[name] = np.where(untrained, 0.0, columns[name])
            columns["untrained"] = np.where(untrained, 1.0, 0.0) * np.ones_like(accuracy)
        return accuracy, columns


@lru_cache(maxsize=256)
def _names(model: AccuracyModel) -> tuple[str, ...]:
    # Every evaluation of a fit asks for the names, which do not depend on the data.
    return tuple(parameter.name for parameter in model.parameters([1, 2], [1, 2]))


def candidates(
    methods: Sequence[str], seeds: Sequence[int], with_untrained: bool
) -> list[AccuracyModel]:
    """Return the models to fit first, the simplest of our own form first.

    Args:
        methods: the methods in order.
        seeds: the seed-set sizes; with two or more, delta is free. S0 is the smallest.
        with_untrained: whether the base model was evaluated; `start` needs it.
    """
    return [
        AccuracyModel(
            response=response,
            harm=harm,
            start=start,
            methods=tuple(methods),
            reference_seeds=float(min(seeds)),
            sharing="" if len(set(seeds)) > 1 else "no_delta",
            decay=decay,
        )
        for decay, response, harm, start in product(
            DECAYS, RESPONSES, (False, True), (False, True) if with_untrained else (False,)
        )
    ]


def variants(model: AccuracyModel) -> list[AccuracyModel]:
    """Return the same model with other parameters shared; none for one seed-set size or method."""
    if model.sharing == "no_delta" or len(model.methods) == 1:
        return []
    return [replace(model, sharing=name) for name in SHARING if name not in ("", "no_delta")]


def values_of(model: AccuracyModel, by_name: Mapping[str, float]) -> np.ndarray:
    """Return parameter values by name as the array that the model's functions take."""
    return np.array([by_name[name] for name in model.parameter_names()], dtype=float)
