"""One Bayesian model of a task's cells: accuracy as a function of the queries that were bought.

`cells` turns scores into logits and the covariance of their sampling error. `mean` is the curve
with its priors, and `discrepancy` models the curve's misfit. `fitting` returns the `Posterior`,
whose draws predict the accuracy of any student.
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
