"""The curve: accuracy by what was bought, with a prior for each of its parameters.

A seed gives a method's x-th query the value v (1 + k x / tau)^(-1/s), k = exp(s) - 1, which is 1/e
of the first one's at x = tau. s = 0 is exponential decay, s = 1 harmonic, beyond it lasts longer;
s is continuous. Their sum over x and the seeds is the method's effective examples e_m.

Mixtures: what methods teach lies between two ends. Additive: e = sum of e_m. Nested: what a method
of smaller reach has taught counts as queries of the one of larger reach that would have taught it,
e = f_2(x_2 + f_1-inverse(e_1)), which is exact where the smaller pool of exponentials lies in the
larger. The overlap w in [0, 1] is a parameter: e = (1 - w) additive + w nested.

Accuracy = low + (high - low) ((1 - f) (1 - (1 + b p)^(-1/b)) + f (1 - exp(-a e / kappa))), with
p = (e / kappa)^gamma: exponential for b = 0, a power law for larger b. A share f of the rise comes
a times faster, as where students first learn the form of an answer. On the logit scale, the
base model may lie off the curve, and data of a method may lead to another height: by its
share of the effective examples, as much of it as of the rise.

Priors: by kind of method, from what is published. The paper (arXiv 2409.19759) has crossovers from
answers to new questions at 16 to 51 queries a seed, later the fewer seeds there are, rephrasings
between, answers flat from about 100 queries a seed; arXiv 2607.01727 has answers level with new
questions, so that all of their spreads allow either to lead throughout. A method of another kind
lies between them, and is known less.
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
"""Logarithm of the value of a first query: mean and standard deviation."""

_REACH: dict[MethodKind, tuple[float, float]] = {
    "answers": (0.0, 0.4),
    "rephrased": (np.log(2.5), 0.8),
    "new": (np.log(14.0), 1.1),
    "other": (np.log(4.0), 1.3),
}
"""Logarithm of tau, as a multiple of the task's."""

_ORDER: tuple[MethodKind, ...] = ("answers", "rephrased", "other", "new")
"""The kinds by their reach."""


class Mean:
    """The curve of some methods; parameters are standard normal deviates of their priors."""

    def __init__(self, kinds: Sequence[MethodKind]) -> None:
        self.kinds = tuple(kinds)
        #: Places of the methods, the smallest reach first.
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
        add("tau", np.log(12.0), 1.0)  # logarithm of queries a seed, with 100 seeds
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
        # Beyond +-50 the power is 0 or infinite for all that a student can show.
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
            # Places without queries of the method stay as they are.
            some = np.flatnonzero(queries[:, m] > 0)
            if not len(some):
                continue
            x = queries[some, m] / seeds[some]
            tau = np.exp(np.clip(task[:, some] + at[f"reach{m}"], -5.0, 16.0))
            value = np.exp(at[f"value{m}"])
            s = 0.01 + 1.49 * _share(at["decay"] + at[f"decay{m}"])
            k = np.expm1(s)
            power = 1 - 1 / s
            # At s = 1 the sum is a logarithm; next to it the power is as good.
            power = np.where(np.abs(power) < 1e-4, 1e-4, power)
            scale = value * tau / (k * power)
            alone[m][:, some] = scale * np.expm1(power * np.log1p(k * x / tau))
            # Queries of this method that had taught what is known already. A pool that is
            # smaller than that adds nothing.
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
