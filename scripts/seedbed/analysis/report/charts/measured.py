"""Inputs of the charts of measured cells."""

from __future__ import annotations

from pathlib import Path

from seedbed.analysis.curves import noise_between_runs, read_curves
from seedbed.analysis.tables.outcomes import Group, Outcomes, read_outcomes
from seedbed.analysis.tables.replicates import RunNoise


def read_measured(
    fits: Path, draws: Path, cells: Path, item_scores: Path
) -> tuple[dict[str, Outcomes], dict[Group, RunNoise]]:
    """Return the outcomes of every task, and the noise between training runs of each group."""
    return read_outcomes(cells, item_scores), noise_between_runs(read_curves(fits, draws))
