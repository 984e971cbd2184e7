"""How well the intervals cover: many simulated studies on the paper's grid, whose truth is known.

Prints the tables of docs/statistics.md, in 8 minutes each on two cores:

    export OMP_NUM_THREADS=1 PYTHONPATH=scripts:tests/unit
    python tests/benchmarks/coverage.py --studies 500
    python tests/benchmarks/coverage.py --studies 500 --truth harmonic
    python tests/benchmarks/coverage.py --studies 20 --truth harmonic --posterior
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from analysis_simulation import PAPER_GRID, PAPER_TRUTH, RIVAL_TRUTHS, Truth, paper_study

from seedbed.analysis.curves import Curves, curves_from
from seedbed.analysis.curves.fitting import fit_decay
from seedbed.analysis.decide.crossovers import find_crossovers
from seedbed.analysis.posterior import cells_of, fit_posterior
from seedbed.analysis.settings import CrossoverSettings, FitSettings

CONFIDENCE = 0.95
TRUTHS = {"exponential": PAPER_TRUTH, **RIVAL_TRUTHS}

Found = dict[str, tuple[float, float, bool, float]]
"""By quantity: estimate, truth, whether the interval covers it, and the interval's width."""


def examine(seed: int, samples: int, starts: int, truth: Truth = PAPER_TRUTH) -> dict[str, Any]:
    """Simulate a study, fit it, and say of each quantity the estimate and whether it is covered."""
    methods = tuple(truth.methods)
    settings = FitSettings(
        methods=methods, bootstrap_samples=samples, starts=starts, confidence=CONFIDENCE
    )
    started = time.process_time()
    content, draws = fit_decay({"gsm8k": paper_study(seed, truth)}, settings)
    (fit,) = curves_from(content, draws)
    quantities = {
        **_accuracies(fit, truth),
        **_crossovers(fit, methods, truth),
        **_parameters(fit, truth),
    }
    chosen = content.fits[0].chosen
    return {"quantities": quantities, "chosen": chosen, "seconds": time.process_time() - started}


def examine_posterior(seed: int, truth: Truth = PAPER_TRUTH) -> dict[str, Any]:
    """Simulate a study, and say of each accuracy the posterior's mean and whether it is covered."""
    started = time.process_time()
    methods = truth.methods
    posterior = fit_posterior(
        cells_of(paper_study(seed, truth), methods), ("answers", "rephrased", "new")
    )
    places = [
        (f"accuracy, {name}, {method}, {seeds}", m, method, seeds, budget)
        for m, method in enumerate(methods)
        for seeds, budgets in PAPER_GRID.items()
        for name, budget in _places(budgets).items()
    ]
    draws = posterior.accuracy(
        np.array([seeds for *_, seeds, _ in places]),
        np.array([budget * np.eye(len(methods))[m] for _, m, *_, budget in places]),
    )
    lows, highs = np.quantile(draws, [0.025, 0.975], axis=0)
    found: Found = {}
    for (key, _, method, seeds, budget), mean, low, high in zip(
        places, draws.mean(axis=0), lows, highs, strict=True
    ):
        true = truth.accuracy(method, seeds, budget / seeds)
        found[key] = (float(mean), true, bool(low <= true <= high), float(high - low))
    return {"quantities": found, "chosen": "-", "seconds": time.process_time() - started}


def _places(budgets: tuple[int, ...]) -> dict[str, int]:
    return {"middle": budgets[len(budgets) // 2], "2x": 2 * budgets[-1], "10x": 10 * budgets[-1]}


def _parameters(fit: Curves, truth: Truth) -> Found:
    """Those of the chosen model, as the report has them; not every model has all."""
    (chosen,) = (m for m in fit.record.models if m.name == fit.record.chosen)
    known = {entry.name: entry for entry in chosen.parameters}
    found = {}
    for name, true in truth.parameters().items():
        entry = known.get(name)
        key = f"parameter, {name.replace(':', ', ')}"
        if entry is None:
            found[key] = (np.nan, true, np.nan, np.nan)
            continue
        of = float if name == "delta" else np.log
        low, high = entry.low, entry.high
        found[key] = (of(entry.value), of(true), bool(low <= true <= high), of(high) - of(low))
    return found


def _accuracies(fit: Curves, whole: Truth) -> Found:
    """Accuracy by the curves, and as `advise` has it."""
    found = {}
    for method in fit.methods:
        for seeds, budgets in PAPER_GRID.items():
            for name, budget in _places(budgets).items():
                at = np.array([budget / seeds])
                truth = whole.accuracy(method, seeds, budget / seeds)
                by = {"accuracy": fit.curve, "advised": fit.accuracy}
                for kind, expectation in by.items():
                    centre, drawn = expectation(seeds, method, at)
                    low, high = np.quantile(drawn[:, 0], [0.025, 0.975])
                    found[f"{kind}, {name}, {method}, {seeds}"] = (
                        float(centre[0]),
                        truth,
                        bool(low <= truth <= high),
                        float(high - low),
                    )
    return found


def _crossovers(fit: Curves, methods: tuple[str, ...], whole: Truth) -> Found:
    records = find_crossovers([fit], CrossoverSettings(confidence=CONFIDENCE)).crossovers
    found = {}
    for reference, method in combinations(methods, 2):
        for seeds in PAPER_GRID:
            truth = whole.crossover(reference, method, seeds)
            (record,) = (
                r
                for r in records
                if (r.reference, r.method, r.seeds, r.basis) == (reference, method, seeds, "curve")
            )
            if truth is None:
                continue
            key = f"crossover, {reference} to {method}, {seeds}"
            inverted = any(
                (part.low or 0.0) <= truth <= (part.high or np.inf) for part in record.inverted
            )
            found[f"{key}, inverted"] = (np.nan, np.log(truth), inverted, np.nan)
            # Without a crossing in the range, the answer is what resamples do not exclude.
            turns = record.crossings or record.possible
            turns = [turn for turn in turns if turn.overtaken_by == method]
            if not turns:
                found[key] = (np.nan, np.log(truth), False, np.nan)
                continue
            nearest = min(
                turns, key=lambda c: abs(np.log(getattr(c, "budget_ratio", truth) / truth))
            )
            low, high = nearest.low or 0.0, nearest.high or np.inf
            width = np.log(high / low) if low and np.isfinite(high) else np.nan
            estimate = float(np.log(getattr(nearest, "budget_ratio", np.nan)))
            found[key] = (estimate, float(np.log(truth)), bool(low <= truth <= high), width)
    return found


def main() -> None:
    """Run the simulation and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--truth", choices=sorted(TRUTHS), default="exponential")
    parser.add_argument(
        "--posterior", action="store_true", help="of the one model that `spend` decides by"
    )
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--samples", type=int, default=400, help="bootstrap resamples of a study")
    parser.add_argument("--starts", type=int, default=6)
    parser.add_argument("--first", type=int, default=0, help="seed of the first study")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    found = []
    with ProcessPoolExecutor(args.processes) as pool:
        jobs = [
            pool.submit(examine_posterior, args.first + i, TRUTHS[args.truth])
            if args.posterior
            else pool.submit(examine, args.first + i, args.samples, args.starts, TRUTHS[args.truth])
            for i in range(args.studies)
        ]
        for number, job in enumerate(jobs, 1):
            found.append(job.result())
            if sys.stderr.isatty():
                print(f"\r{number} of {args.studies} studies", end="", file=sys.stderr)
    if args.output:
        args.output.write_text(json.dumps(found))
    print(table(found))


def table(found: list[dict[str, Any]]) -> str:
    """Return what was found as a Markdown table, and how often each model was chosen."""
    lines = [
        "| Quantity | Bias | Spread | Covered, % | Studies with an estimate |",
        "| --- | --- | --- | --- | --- |",
    ]
    for key in sorted(found[0]["quantities"]):
        rows = np.array([one["quantities"][key] for one in found], dtype=float)
        known = ~np.isnan(rows[:, 0])
        errors = rows[known, 0] - rows[known, 1]
        told = f"{errors.mean():+.4f} | {errors.std(ddof=1):.4f}" if known.sum() > 1 else " | "
        covered = 100 * np.nanmean(rows[:, 2])
        lines.append(f"| {key} | {told} | {covered:.1f} | {known.sum() or ''} |")
    chosen = [one["chosen"] for one in found]
    lines += ["", "| Model | Chosen, % |", "| --- | --- |"]
    for name in sorted(set(chosen), key=chosen.count, reverse=True):
        lines.append(f"| `{name}` | {100 * chosen.count(name) / len(chosen):.1f} |")
    seconds = np.median([one["seconds"] for one in found])
    return "\n".join([*lines, "", f"{len(found)} studies, {seconds:.1f} s of one core each."])


if __name__ == "__main__":
    main()
