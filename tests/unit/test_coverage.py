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
def test_intervals_cover_what_is_true_as_often_as_they_say(coverage):
    studies = [coverage.examine(1000 + seed, samples=100, starts=3) for seed in range(24)]

    def covered(word):
        of_word = [
            [found[2] for key, found in one["quantities"].items() if word(key)] for one in studies
        ]
        # Quantities of one study share their items' luck: the study is what varies.
        return np.mean([np.mean(row) for row in of_word])

    # With 24 studies, a coverage of 95% is seen as less than 87% once in some hundred times.
    assert 0.87 <= covered(lambda key: ", 2x" in key) <= 0.999
    assert 0.87 <= covered(lambda key: "crossover" in key and "inverted" not in key) <= 0.999
    assert 0.87 <= covered(lambda key: "inverted" in key) <= 0.999
    text = coverage.table(studies)
    assert "| crossover, answer_augmentation to new_question, 100 |" in text
    chosen = [one["chosen"] for one in studies]
    assert sum(name.startswith("exponential") for name in chosen) > len(chosen) / 2
