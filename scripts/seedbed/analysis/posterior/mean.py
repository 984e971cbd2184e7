"""The curve: accuracy as a function of seeds and queries, with a prior for each parameter.

For one seed, a method's x-th query has the value v (1 + k x / tau)^(-1/s), k = exp(s) - 1. At
x = tau this is 1/e of the first query's value. s = 0 is exponential decay, s = 1 harmonic, and a
larger s decays more slowly; s is continuous. The sum of the values over x and the seeds is the
method's effective examples e_m.

Mixtures lie between two extremes. Additive: e = sum of e_m. Nested: the effective examples of a
method with a smaller reach count as the queries of the method with the larger reach that would
have given as many, e = f_2(x_2 + f_2-inverse(e_1)). This is exact for exponential decay if the
smaller pool is a part of the larger one. The overlap w in [0, 1] is a parameter:
e = (1 - w) additive + w nested.

Accuracy = low + (high - low) ((1 - f) (1 - (1 + b p)^(-1/b)) + f (1 - exp(-a e / kappa))), with
p = (e / kappa)^gamma: exponential for b = 0, a power law for larger b. A share f of the rise comes
a times faster, for example because students first learn the format of an answer. On the logit
scale, the base model may lie off the curve, and each method may end at its own height: its offset
is weighted by its share of the effective examples and by the fraction of the rise.

Priors depend on the kind of method and come from publications. In the paper (arXiv 2409.19759),
new questions overtake answers at 16 to 51 queries per seed, later with fewer seeds; rephrasings lie
between them, and answers are flat from about 100 queries per seed. In arXiv 2607.01727 answers are
level with new questions, so the priors are wide enough for either to lead throughout. A method of
another kind lies between them, with a wider prior.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seedbed.analysis.settings import MethodKind

_VALUE: dict[MethodKind, tuple[float, float]] = {
    "answers": (0.0, 0.1),
    "rephrased": (np.log(0.8), 0.25),
    "new": (np.log(0.55), 0.4),
    "other": (np.log(0.75), 0.4),
}
"""Prior of the logarithm of a first query's value: mean and standard deviation."""

_REACH: dict[MethodKind, tuple[float, float]] = {
    "answers": (0.0, 0.4),
    "rephrased": (np.log(2.5), 0.8),
    "new": (np.log(14.0), 1.1),
    "other": (np.log(4.0), 1.3),
}
"""Prior of the logarithm of a method's tau over the task's: mean and standard deviation."""

_ORDER: tuple[MethodKind, ...] = ("answers", "rephrased", "other", "new")
"""The kinds, the smallest reach first."""


class Mean:
    """The curve of some methods; parameters are standard normal deviates of their priors."""

    def __init__(self, kinds: Sequence[MethodKind]) -> None:
        self.kinds = tuple(kinds)
        #: Indices of the methods, the smallest reach first.
        self._order = sorted(range(len(kinds)), key=lambda m: _ORDER.index(kinds[m]))
        names: list[str] = []
        means: list[float] = []
        deviations: list[float] = []

        def add(name: str, mean: float, deviation: float) -> None:
            names.append(name)
            means.append(mean)
            deviations.append(deviation)

        add("floor", -1.0, 1.2)  # logit of accuracy at the start of the curve
        add("rise", 1.2, 1.0)  # its softplus is the height of the curve in logits
        add("kappa", np.log(3000.0), 2.0)  # logarithm of effective examples
        add("gamma", -0.3, 0.45)  # logarithm
        add("bend", -1.7, 1.2)  # logit of b / 3
        add("tau", np.log(12.0), 1.0)  # logarithm of queries per seed, with 100 seeds
        add("delta", 0.12, 0.15)  # tau falls as seeds^-delta
        add("decay", -1.3, 1.0)  # logit of s / 1.5
        add("overlap", 0.0, 1.5)  # logit of w
        add("fast", -2.0, 1.5)  # logit of f
        add("faster", 3.0, 1.0)  # logarithm of a
        add("jump", 0.0, 0.3)  # logit by which the base model is off the curve
        for m, kind in enumerate(kinds):
            add(f"value{m}", *_VALUE[kind])
            add(f"reach{m}", *_REACH[kind])
            add(f"decay{m}", 0.0, 1.0)
            add(f"height{m}", 0.0, 0.04)
        self.names = tuple(names)
        self._mean, self._deviation = np.array(means), np.array(deviations)

    @property
    def size(self) -> int:
        """The number of parameters."""
        return len(self.names)

    def __call__(self, deviates: np.ndarray, seeds: np.ndarray, queries: np.ndarray) -> np.ndarray:
        """Return logits of accuracy, shape (draws, n).

        Args:
            deviates: shape (draws, size).
            seeds: shape (n,).
            queries: shape (n, methods).
        """
        theta = self._mean + self._deviation * deviates
        at = {name: theta[:, [place]] for place, name in enumerate(self.names)}
        trained = queries.sum(axis=1) > 0
        effective, shares = self._effective(at, seeds, queries)
        # Beyond +-50 the power is 0 or infinite for any measurable accuracy.
        power = np.exp(np.clip(np.exp(at["gamma"]) * (effective - at["kappa"]), -50.0, 50.0))
        bend = 1e-3 + 3 * _share(at["bend"])
        slow = -np.expm1(-np.log1p(bend * power) / bend)
        early = np.clip(effective - at["kappa"] + at["faster"], -50.0, 50.0)
        fast = -np.expm1(-np.exp(early))
        gain = np.where(trained, slow + _share(at["fast"]) * (fast - slow), 0.0)
        low = _share(at["floor"])
        high = _share(at["floor"] + np.logaddexp(0.0, at["rise"]))
        accuracy = np.clip(low + (high - low) * gain, 1e-9, 1 - 1e-9)
        height = sum(at[f"height{m}"] * shares[m] for m in range(len(self.kinds)))
        logits = np.log(accuracy / (1 - accuracy)) + gain * height
        return logits + np.where(trained, 0.0, at["jump"])

    def _effective(
        self, at: dict[str, np.ndarray], seeds: np.ndarray, queries: np.ndarray
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the logarithm of effective examples, and each method's share of them."""
        task = at["tau"] - at["delta"] * np.log(seeds / 100)
        alone = np.zeros((len(self.kinds), *task.shape))
        nested = np.zeros(task.shape)
        for m in self._order:
            # Cells without queries of this method keep their sum.
            some = np.flatnonzero(queries[:, m] > 0)
            if not len(some):
                continue
            x = queries[some, m] / seeds[some]
            tau = np.exp(np.clip(task[:, some] + at[f"reach{m}"], -5.0, 16.0))
            value = np.exp(at[f"value{m}"])
            s = 0.01 + 1.49 * _share(at["decay"] + at[f"decay{m}"])
            k = np.expm1(s)
            power = 1 - 1 / s
            # At s = 1 the sum is a logarithm; a power close to 0 approximates it.
            power = np.where(np.abs(power) < 1e-4, 1e-4, power)
            scale = value * tau / (k * power)
            alone[m][:, some] = scale * np.expm1(power * np.log1p(k * x / tau))
            # Queries of this method that are worth the effective examples so far. If its pool is
            # smaller than these, it adds nothing.
            before = nested[:, some]
            base = np.maximum(1 + before / scale, 1e-9)
            known = tau / k * np.expm1(np.minimum(np.log(base) / power, 60.0))
            both = scale * np.expm1(power * np.log1p(k * (known + x) / tau))
            nested[:, some] = np.maximum(both, before)
        additive = alone.sum(axis=0)
        overlap = _share(at["overlap"])
        whole = (1 - overlap) * additive + overlap * nested
        shares = [one / np.maximum(additive, 1e-300) for one in alone]
        return np.log(np.maximum(whole * seeds, 1e-300)), shares


def _share(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logit, -50.0, 50.0)))
