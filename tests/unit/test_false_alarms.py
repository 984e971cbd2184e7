"""A smaller version of the simulation of identical methods behind docs/statistics.md."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[1] / "benchmarks/false_alarms.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("false_alarms_of_studies", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("replicates", [1, 3])
def test_studies_of_identical_methods_find_little(benchmark, replicates):
    """With the items' noise alone, nearly all of these studies would call something significant."""
    found = [
        benchmark.examine(500 + seed, items=1319, noise=0.02, replicates=replicates, samples=200)
        for seed in range(10)
    ]
    # The seeds are fixed, so that this is no matter of luck.
    assert sum(one.significant for one in found) <= 2
    assert sum(one.ahead for one in found) <= 2
    assert sum(one.contrasted for one in found) <= 1
    estimated = "test items, and training as the model estimates it"
    words = estimated if replicates == 1 else "test items, seeds and training"
    assert {one.noise for one in found} == {words}
