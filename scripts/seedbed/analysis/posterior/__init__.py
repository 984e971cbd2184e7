"""One Bayesian model of a task's cells: accuracy by what was bought, with all that is not known.

`cells` turns scores into logits with the covariance of their luck, `mean` is the curve with its
priors, and `fitting` returns the `Posterior`, with which any allocation of a budget can be judged.
"""

from seedbed.analysis.posterior.cells import Cells, cells_of
from seedbed.analysis.posterior.fitting import (
    Posterior,
    chances_of_best,
    expected_regrets,
    fit_posterior,
)
from seedbed.analysis.posterior.mean import MethodKind

__all__ = [
    "Cells",
    "MethodKind",
    "Posterior",
    "cells_of",
    "chances_of_best",
    "expected_regrets",
    "fit_posterior",
]
