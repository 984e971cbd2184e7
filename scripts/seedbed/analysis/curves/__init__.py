"""Accuracy as a function of method, seeds and budget, behind one interface.

Import from this package, not from its modules; `interface` documents it.
"""

from seedbed.analysis.curves.crossings import Crossing, Crossings, Stretch, Turn
from seedbed.analysis.curves.interface import (
    FURTHEST,
    Curves,
    Estimate,
    Noise,
    Point,
    confidence_of,
    curves_from,
    fit_curves,
    noise_between_runs,
    read_curves,
    run_noise_of,
)
from seedbed.analysis.curves.measured import Difference, Measured
from seedbed.analysis.curves.new_task import Accuracies, Between, NewTask
from seedbed.analysis.curves.records import CellMean, FarCell, FitRecord, FitsRecord

__all__ = [
    "FURTHEST",
    "Accuracies",
    "Between",
    "CellMean",
    "Crossing",
    "Crossings",
    "Curves",
    "Difference",
    "Estimate",
    "FarCell",
    "FitRecord",
    "FitsRecord",
    "Measured",
    "NewTask",
    "Noise",
    "Point",
    "Stretch",
    "Turn",
    "confidence_of",
    "curves_from",
    "fit_curves",
    "noise_between_runs",
    "read_curves",
    "run_noise_of",
]
