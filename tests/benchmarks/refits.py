"""Refits of a bootstrap on the paper's main grid: all at once, against SciPy's one by one.

export OMP_NUM_THREADS=1 PYTHONPATH=scripts:tests/unit
python tests/benchmarks/refits.py
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from analysis_simulation import METHODS, PAPER_TRUTH, paper_study
from scipy.optimize import least_squares

from seedbed.analysis.curves.decay import AccuracyModel, Points
from seedbed.analysis.curves.likelihood import CellData, fit_model, refit, residuals_of, to_values
from seedbed.analysis.tables.outcomes import resampled_accuracies


def main() -> None:
    """Print seconds of both, and how far their accuracies lie apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--one-by-one", type=int, default=100, help="resamples that SciPy refits")
    args = parser.parse_args()
    outcomes = paper_study(0)
    cells = outcomes.cells.to_dicts()
    points = Points(
        np.array([METHODS.index(c["method"]) if c["budget"] else 0 for c in cells]),
        np.array([float(c["seeds"] or 100) for c in cells]),
        np.array([c["budget_ratio"] or 0.0 for c in cells]),
    )
    replicate = np.array([c["replicate"] for c in cells])
    accuracy, items = outcomes.correct.mean(axis=1), len(outcomes.items)
    # With effects of the five draws of seeds, of the size that the simulated study has.
    variance = 100 * PAPER_TRUTH.between_draws**2
    data = CellData(points, accuracy, items, replicate, seed_variance=variance)
    fit = fit_model(AccuracyModel("exponential", False, False, METHODS, 100.0), data, 12, 0)
    resampled = resampled_accuracies(outcomes, args.samples, 0)
    started = time.perf_counter()
    together, failed = refit(fit, data, resampled)
    seconds = time.perf_counter() - started
    print(f"{args.samples} refits of {len(cells)} cells at once: {seconds:.2f} s, {failed} failed")

    some = resampled[: args.one_by_one]
    residuals, start, low, high = residuals_of(fit, data, some)
    started = time.perf_counter()
    single = []
    for row in range(len(some)):

        def one(x: np.ndarray, row: int = row) -> tuple[np.ndarray, np.ndarray]:
            values, slopes = residuals(x[None], np.array([row]))
            return values[0], slopes[0]

        inside = np.clip(start, low + 1e-6 * (high - low), high - 1e-6 * (high - low))
        found = least_squares(
            lambda x: one(x)[0],
            inside,
            jac=lambda x: one(x)[1],
            bounds=(low, high),
            x_scale="jac",
            ftol=1e-5,
            xtol=1e-5,
            gtol=1e-5,
        )
        single.append(
            fit.model.accuracy(to_values(fit.parameters, found.x[: fit.parameter_count]), points)
        )
    each = (time.perf_counter() - started) / len(some)
    print(f"one by one with SciPy: {1000 * each:.1f} ms each, {each * args.samples:.1f} s for all")
    print(f"ratio: {each * args.samples / seconds:.1f}")
    ours = fit.model.accuracy(together[: len(some)], points)
    print(
        f"largest difference of a fitted accuracy from SciPy's: {np.abs(ours - single).max():.5f}"
    )


if __name__ == "__main__":
    main()
