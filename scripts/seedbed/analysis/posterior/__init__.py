"""One Bayesian model of a task's cells: accuracy by what was bought, with all that is not known.

`cells` turns scores into logits with the covariance of their luck, `mean` is the curve with its
priors, `discrepancy` what it misses, and `fitting` returns the `Posterior`, whose draws say what to
expect of any students.
"""

from seedbed.analysis.posterior.cells import Cells, cells_of, untrained_alone
from seedbed.analysis.posterior.discrepancy import Places
from seedbed.analysis.posterior.draws import Posterior, chances_of_best, expected_regrets
from seedbed.analysis.posterior.fitting import fit_posterior
from seedbed.analysis.posterior.mean import Mean

__all__ = [
    "Cells",
    "Mean",
    "Places",
    "Posterior",
    "cells_of",
    "chances_of_best",
    "expected_regrets",
    "fit_posterior",
    "untrained_alone",
]
