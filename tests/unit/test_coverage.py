"""A smaller version of the simulation behind docs/statistics.md."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

BENCHMARK = Path(__file__).parents[1] / "benchmarks/coverage.py"


@pytest.fixture(scope="module")
def coverage():
    spec = importlib.util.spec_from_file_location("coverage_of_intervals", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_intervals_cover_what_is_true_about_as_often_as_they_say(coverage):
    studies = [coverage.examine(1000 + seed, samples=200) for seed in range(4)]

    def covered(word):
        of_word = [
            [found[2] for key, found in one["quantities"].items() if word in key] for one in studies
        ]
        # Quantities of one study share their items' luck: the study is what varies.
        return np.mean([np.mean(row) for row in of_word])

    # Four studies of 9 curves and 6 crossovers: the seeds are fixed, so that this is no matter of
    # luck.
    assert covered(", 2x") > 0.85
    assert covered("crossover") > 0.8
    text = coverage.table(studies)
    assert "| crossover, answer_augmentation to new_question, 100 |" in text
