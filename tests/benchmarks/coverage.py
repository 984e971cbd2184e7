"""Measure the coverage of intervals in simulated studies on the paper's grid, with a known truth.

Prints the tables of docs/statistics.md; each study takes seconds:

    export OMP_NUM_THREADS=1 PYTHONPATH=scripts:tests/unit
    python tests/benchmarks/coverage.py --studies 40 --output covered.jsonl
    python tests/benchmarks/coverage.py --studies 40 --truth harmonic

Studies that are already in the output are not simulated again.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from analysis_simulation import PAPER_GRID, PAPER_TRUTH, RIVAL_TRUTHS, Truth, paper_study

from seedbed.analysis.curves import Curves, curves_from
from seedbed.analysis.curves.fitting import fit_decay
from seedbed.analysis.decide.crossovers import find_crossovers
from seedbed.analysis.settings import CrossoverSettings, FitSettings

CONFIDENCE = 0.95
TRUTHS = {"exponential": PAPER_TRUTH, **RIVAL_TRUTHS}

Found = dict[str, tuple[float, float, bool, float]]
"""By quantity: estimate, truth, whether the interval covers it, and the interval's width."""


def examine(seed: int, samples: int, truth: Truth = PAPER_TRUTH) -> dict[str, Any]:
    """Simulate a study, fit it, and return each quantity's estimate and whether it is covered."""
    methods = tuple(truth.methods)
    settings = FitSettings(methods=methods, bootstrap_samples=samples, confidence=CONFIDENCE)
    started = time.process_time()
    content, draws = fit_decay({"gsm8k": paper_study(seed, truth)}, settings)
    (fit,) = curves_from(content, draws)
    quantities = {**_accuracies(fit, truth), **_crossovers(fit, methods, truth)}
    return {"quantities": quantities, "seconds": time.process_time() - started}


def _places(budgets: tuple[int, ...]) -> dict[str, int]:
    return {"middle": budgets[len(budgets) // 2], "2x": 2 * budgets[-1], "10x": 10 * budgets[-1]}


def _accuracies(fit: Curves, whole: Truth) -> Found:
    found = {}
    for method in fit.methods:
        for seeds, budgets in PAPER_GRID.items():
            for name, budget in _places(budgets).items():
                truth = whole.accuracy(method, seeds, budget / seeds)
                centre, drawn = fit.accuracy(seeds, method, np.array([budget / seeds]))
                low, high = np.quantile(drawn[:, 0], [0.025, 0.975])
                found[f"accuracy, {name}, {method}, {seeds}"] = (
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
                r for r in records if (r.reference, r.method, r.seeds) == (reference, method, seeds)
            )
            if truth is None:
                continue
            key = f"crossover, {reference} to {method}, {seeds}"
            # Without a crossing in the range, the answer is the range that draws do not exclude.
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
    """Run the simulation and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--truth", nargs="+", choices=sorted(TRUTHS), default=list(TRUTHS))
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--samples", type=int, default=400, help="draws of a study's posterior")
    parser.add_argument("--first", type=int, default=0, help="seed of the first study")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, help="a line of JSON for each study")
    args = parser.parse_args()
    found = _examined(args.output, args.samples)
    seeds = range(args.first, args.first + args.studies)
    # Truths take turns, so that a run that is stopped early has equally many studies of each.
    wanted = [(truth, seed) for seed in seeds for truth in args.truth]
    with ProcessPoolExecutor(args.processes) as pool:
        jobs = {
            pool.submit(examine, seed, args.samples, TRUTHS[truth]): (truth, seed)
            for truth, seed in wanted
            if (truth, seed) not in found
        }
        for job in as_completed(jobs):
            truth, seed = jobs[job]
            found[truth, seed] = job.result()
            if args.output:
                place = {"truth": truth, "seed": seed, "samples": args.samples}
                with args.output.open("a") as lines:
                    lines.write(json.dumps({**place, **found[truth, seed]}) + "\n")
    for truth in args.truth:
        print(f"\n## {truth}\n")
        print(table([found[truth, seed] for seed in seeds]))


def _examined(output: Path | None, samples: int) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the studies that an earlier run has examined, by truth and seed."""
    lines = output.read_text().splitlines() if output and output.exists() else []
    return {
        (one["truth"], one["seed"]): one
        for one in map(json.loads, lines)
        if one["samples"] == samples
    }


def table(found: list[dict[str, Any]]) -> str:
    """Return the results as Markdown tables."""
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
    lines += [
        "",
        "| Place | Covered, mean, % | Worst, % | Width, points |",
        "| --- | --- | --- | --- |",
    ]
    for place in ("middle", "2x", "10x", "crossover"):
        rows = np.array(
            [
                [one["quantities"][key] for one in found]
                for key in found[0]["quantities"]
                if place in key
            ],
            dtype=float,
        )
        shares = 100 * np.nanmean(rows[:, :, 2], axis=1)
        width = "" if place == "crossover" else f"{100 * rows[:, :, 3].mean():.1f}"
        lines.append(f"| {place} | {shares.mean():.1f} | {shares.min():.1f} | {width} |")
    seconds = np.median([one["seconds"] for one in found])
    return "\n".join([*lines, "", f"{len(found)} studies, {seconds:.1f} s of one core each."])


if __name__ == "__main__":
    main()
