"""Simulated studies that are fitted, and the same with something changed."""

from __future__ import annotations

import json
from functools import cache

from analysis_simulation import METHODS, simulate

from seedbed.analysis.curves import FitsRecord, curves_from
from seedbed.analysis.curves.fitting import fit_decay
from seedbed.analysis.settings import FitSettings
from seedbed.analysis.tables.outcomes import outcomes_by_task

SETTINGS = FitSettings(methods=METHODS, bootstrap_samples=60)


def fit(settings=SETTINGS, **kwargs):
    record, draws = fit_decay(outcomes_by_task(*simulate(**kwargs)), settings)
    # What is written is JSON: numbers of NumPy and NaN would fail here.
    text = json.dumps(record.model_dump(mode="json"), allow_nan=False)
    return curves_from(FitsRecord.model_validate_json(text), draws)


@cache
def usual_study():
    """A study of two sizes and three methods with 2,000 items."""
    return fit(items=2000)[0]
