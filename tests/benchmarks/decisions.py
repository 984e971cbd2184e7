"""Measure the accuracy that the decisions of `spend` lose, on simulated tasks with a known truth.

Prints the tables on decisions in docs/statistics.md:

    export OMP_NUM_THREADS=1 PYTHONPATH=scripts
    python tests/benchmarks/decisions.py --tasks 300 --output played.jsonl
    python tests/benchmarks/decisions.py --advice --tasks 90 --items 1319 --noise 0.8
    python tests/benchmarks/decisions.py --advice --others 3 --tasks 90 --items 1319 --noise 0.8

Tasks that are already in the output are not simulated again.

With `--advice`, a task is a study with nine cells of its methods and two of a mixture, and `advise`
answers for the largest budget of its cells and for six times as much. The tables show how often a
choice with a stated probability of being best was the best, mixtures included; how often advice
leaves a part of the budget unused; and the gain from that. With `--others`, the task has no
results, and that number of other tasks with the same models have such a study: advice is
transferred from them.

A task has one draw of the seeds, a budget, and a truth for each of three methods. The methods'
effective examples add up, or the smaller reach lies within the larger (nested), or half of both.
Its students are measured on the same test items; each training adds its own noise. Regret is the
accuracy that the final student, trained on all rows that were bought, loses to (i) the best single
method with the whole budget, and (ii) the best of 231 divisions of the budget. It excludes the
noise of the final training.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from itertools import pairwise, product
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
from scipy.stats import norm

from seedbed.analysis.curves import curves_from
from seedbed.analysis.curves.fitting import fit_decay
from seedbed.analysis.decide import choices
from seedbed.analysis.decide.advise import Advice, advise
from seedbed.analysis.decide.choices import SIMPLER
from seedbed.analysis.decide.rounds import MethodKind, Pilot, SpendState, next_purchase
from seedbed.analysis.decide.transfer import transferred_advice
from seedbed.analysis.settings import FitSettings
from seedbed.analysis.tables.outcomes import Outcomes
from seedbed.streams.mixtures import coordinate

METHODS: dict[str, MethodKind] = {
    "answer_augmentation": "answers",
    "question_rephrase": "rephrased",
    "new_question": "new",
}
ANSWERS, NEW = 0, 2
OVERLAPS = ("additive", "half", "nested")
DECAYS = ("exponential", "harmonic", "hyperbolic", "stretched", "cliff")
RESPONSES = ("exponential", "power", "logit", "two_phase", "gompertz")
"""Forms of the truth. The model lacks Gompertz's rise, the last two decays, and overuse."""

NEVER_ENDS = 1e6
"""Queries per tau at which a pool is treated as exhausted."""


def useful(decay: str, u: np.ndarray) -> np.ndarray:
    """The integral of a query's value over u = x / tau."""
    if decay == "exponential":
        return -np.expm1(-u)
    if decay == "harmonic":
        return np.log1p((np.e - 1) * u) / (np.e - 1)
    if decay == "hyperbolic":
        return u / (1 + (np.exp(0.5) - 1) * u)
    if decay == "stretched":
        # The integral of exp(-sqrt(u)).
        root = np.sqrt(u)
        return 2 * (1 - np.exp(-root) * (1 + root))
    return np.minimum(u, 1.0)


@dataclass
class Task:
    """A task's truth. Queries have the shape (n, 3), one column per method."""

    number: int
    seeds: int
    budget: int
    response: str
    decay: tuple[str, ...]
    floor: float
    ceiling: np.ndarray
    value: np.ndarray
    tau: np.ndarray
    harm: np.ndarray
    jump: float
    kappa: float = 1.0
    gamma: float = 0.5

    def alone(self, queries: np.ndarray) -> np.ndarray:
        """Effective examples of each method by itself, shape (n, 3)."""
        u = queries / self.seeds / self.tau
        shares = [useful(decay, u[:, m]) for m, decay in enumerate(self.decay)]
        return self.value * self.seeds * self.tau * np.stack(shares, axis=1)

    def effective(self, queries: np.ndarray, overlap: str) -> np.ndarray:
        """Effective examples of a mixture.

        Nested: an element of a smaller pool is also in the larger ones; each method finds
        elements of its pool with its own hazard.
        """
        alone = self.alone(queries)
        additive = alone.sum(axis=1)
        if overlap == "additive":
            return additive
        pools = self.alone(np.full((1, 3), NEVER_ENDS * self.seeds) * self.tau)[0]
        order = np.argsort(pools)
        hazard = -np.log1p(-np.minimum(alone / pools, 1 - 1e-12))[:, order]
        found = -np.expm1(-np.cumsum(hazard[:, ::-1], axis=1)[:, ::-1])
        nested = found @ np.diff(pools[order], prepend=0.0)
        return nested if overlap == "nested" else (additive + nested) / 2

    def accuracy(self, queries: np.ndarray, overlap: str = "additive") -> np.ndarray:
        """Accuracy without any noise, shape (n,)."""
        queries = np.atleast_2d(np.asarray(queries, float))
        e = self.effective(queries, overlap) / self.kappa
        alone = self.alone(queries)
        shares = alone / np.maximum(alone.sum(axis=1, keepdims=True), 1e-300)
        ceiling = shares @ self.ceiling
        wasted = (queries / self.seeds - alone / (self.value * self.seeds)) * self.seeds
        harm = (wasted / self.budget) @ self.harm
        if self.response == "logit":
            logit = np.log(self.floor / (1 - self.floor)) + self.gamma * np.log1p(e)
            top = 1 / (1 + np.exp(-logit)) - (self.ceiling.max() - ceiling)
        else:
            left = {
                "exponential": np.exp(-(e**self.gamma)),
                "power": (1 + e) ** -self.gamma,
                # A fast rise while the format is learned, and a slow one for the content.
                "two_phase": 0.3 * np.exp(-40 * e) + 0.7 * np.exp(-(e**0.8)),
                "gompertz": 1
                - (np.exp(-3 * np.exp(-2 * self.gamma * e)) - np.exp(-3)) / (1 - np.exp(-3)),
            }[self.response]
            top = ceiling - (ceiling - self.floor) * left
        return np.clip(top - harm, 0.01, 0.99)


def draw_task(number: int) -> Task:
    """Draw a task."""
    g = np.random.default_rng([number, 4242])
    seeds = int(g.choice([100, 1000]))
    ratio = float(np.exp(g.uniform(np.log(5), np.log(300 if seeds == 100 else 100))))
    budget = round(seeds * ratio)
    response = str(g.choice(RESPONSES, p=[0.25, 0.25, 0.25, 0.15, 0.1]))
    decay = g.choice(DECAYS, size=3, p=[0.25, 0.25, 0.2, 0.2, 0.1])
    if g.random() < 2 / 3:
        decay[1:] = decay[0]
    kind = str(g.choice(["usual", "answers", "new", "penalty"], p=[0.55, 0.15, 0.15, 0.15]))
    tau = np.exp(np.log(12) + 0.8 * g.normal()) * np.ones(3)
    tau[1] *= np.exp(np.log(2.5) + 0.6 * g.normal())
    tau[2] = tau[1] * np.exp(np.log(6) + 0.9 * g.normal())
    tau *= (seeds / 100) ** -0.12
    value = np.array([1, 0.85 * np.exp(0.15 * g.normal()), 0.55 * np.exp(0.25 * g.normal())])
    if kind == "answers":
        value[1:] *= g.uniform(0.3, 0.7)
        tau[0] *= g.uniform(2, 10)
    if kind == "new":
        value[1:] = g.uniform(0.9, 1.1), g.uniform(1.0, 1.3)
    floor, rise = float(g.uniform(0.1, 0.5)), g.uniform(0.1, 0.45)
    ceiling = np.full(3, min(0.95, floor + rise))
    if kind == "penalty":
        ceiling[1:] -= g.uniform(0, 0.12) * rise, g.uniform(0, 0.25) * rise
    harm = np.array([1, 0.5, 0.2]) * g.uniform(0, 0.06) * (g.random() < 0.2)
    jump = float(g.normal(0, 0.02))
    task = Task(
        number, seeds, budget, response, tuple(decay), floor, ceiling, value, tau, harm, jump
    )
    most = float(task.alone(np.full((1, 3), budget)).max())
    task.kappa = most / float(np.exp(g.normal(0.5, 1.0)))
    if response == "logit":
        task.gamma = float(g.uniform(0.5, 2.0) * rise * 2 / np.log1p(most / task.kappa))
    else:
        task.gamma = float(g.uniform(0.4, 0.95))
    return task


def measure(
    task: Task,
    cells: Sequence[tuple[float, float, float]],
    items: int,
    noise: float,
    overlap: str = "additive",
) -> np.ndarray:
    """Scores of students by item, shape (cells, items), with noise of items, draw, and training.

    The same cell has the same noise in each call.
    """
    hard = np.sqrt(0.6) * np.random.default_rng([task.number, 1]).normal(size=items)
    draw = np.random.default_rng([task.number, 2]).normal(0, 0.006 * np.sqrt(100 / task.seeds))
    scores = []
    for cell in cells:
        g = np.random.default_rng([task.number, 3, *map(int, cell)])
        if sum(cell):
            share = task.accuracy(cell, overlap)[0] + draw + noise * g.normal()
        else:
            share = task.floor + task.jump
        own = hard + np.sqrt(0.4) * g.normal(size=items)
        scores.append(own < norm.ppf(np.clip(share, 0.001, 0.999)))
    return np.array(scores, float)


def outcomes_of(task: Task, bought: list[dict[str, int]], items: int, noise: float) -> Outcomes:
    """Outcomes of each method's student after each round, and of the untrained student."""
    rows = {(m, of[m]): None for of in bought for m in METHODS if of.get(m)}
    names = list(METHODS)
    cells = [tuple(q * (names.index(m) == k) for k in range(3)) for m, q in rows]
    table = pl.DataFrame(
        {
            "cell": [*(f"{m}, {q}" for m, q in rows), "untrained"],
            "method": [*(m for m, _ in rows), "untrained"],
            "budget": [*(q for _, q in rows), 0],
            "seeds": [*(task.seeds for _ in rows), 0],
            "replicate": 0,
        }
    )
    scores = measure(task, [*cells, (0, 0, 0)], items, noise)
    return Outcomes("world", table, tuple(map(str, range(items))), np.arange(items), scores)


def simplex(steps: int = 20) -> np.ndarray:
    """All divisions of 1 among three in steps."""
    return (
        np.array([(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)])
        / steps
    )


def spend(task: Task, pilot: Pilot, items: int, noise: float) -> tuple[np.ndarray, dict]:
    """Buy as `next_purchase` decides, and return the final queries and the stated predictions."""
    bought: list[dict[str, int]] = []
    known: Outcomes | None = None
    while True:
        state = SpendState(
            methods=METHODS,
            seeds=task.seeds,
            budget=task.budget,
            bought=bought[-1] if bought else {},
            outcomes=known,
            pilot=pilot,
            finished_rounds=len(bought),
        )
        found = next_purchase(state)
        if found.kind == "final":
            queries = np.array([found.queries.get(m, 0) for m in METHODS], float)
            claimed = {
                "chances": found.chances,
                "regret": found.expected_regret,
                "accuracy": found.expected_accuracy and found.expected_accuracy.accuracy,
                "low": found.expected_accuracy and found.expected_accuracy.low,
                "high": found.expected_accuracy and found.expected_accuracy.high,
                "rounds": len(bought),
            }
            return queries, claimed
        bought.append(found.queries)
        known = outcomes_of(task, bought, items, noise)


def winner_of(task: Task, share: float, items: int, noise: float) -> np.ndarray:
    """Buy a share of the budget for each method, and the rest for the best student's method."""
    each = int(share * task.budget)
    found = outcomes_of(task, [dict.fromkeys(METHODS, each)], items, noise)
    best = int(found.correct[:3].mean(axis=1).argmax())
    queries = np.full(3, each, float)
    queries[best] += task.budget - queries.sum()
    return queries


PILOTS = {"fifth": Pilot(1, 0.2), "rounds": Pilot(3, 0.25), "none": Pilot(0)}
TITLES = {
    "fifth": "spend: a fifth each",
    "rounds": "spend: B/16, B/8, B/4",
    "none": "spend: no pilot",
}


def play(number: int, items: int, noise: float, pilots: tuple[str, ...] = tuple(PILOTS)) -> dict:
    """Simulate the rules on a task: regrets in points by rule and overlap, and stated predictions.

    `noise` between trainings is a fraction.
    """
    task = draw_task(number)
    started = time.process_time()
    whole = task.budget * np.eye(3)
    ratio = task.budget / task.seeds
    final: dict[str, np.ndarray] = {
        "no pilot: answers below 12, else new": whole[ANSWERS if ratio < 12 else NEW],
        "blind mixture 20/30/50": task.budget * np.array([0.2, 0.3, 0.5]),
        "best of B/8, the rest to it": winner_of(task, 1 / 8, items, noise),
        "a fifth each, the rest to the best": winner_of(task, 0.2, items, noise),
    }
    claims, seconds = {}, {}
    for pilot in pilots:
        begun, name = time.process_time(), TITLES[pilot]
        final[name], claims[name] = spend(task, PILOTS[pilot], items, noise)
        seconds[name] = time.process_time() - begun
    regrets = {}
    pure = task.accuracy(whole)
    for overlap in OVERLAPS:
        best = task.accuracy(task.budget * simplex(), overlap).max()
        for name, queries in final.items():
            reached = task.accuracy(queries, overlap)[0]
            regrets[f"{overlap}|{name}"] = (
                100 * float(pure.max() - reached),
                100 * float(best - reached),
                float(reached),
            )
    return {
        "number": number,
        "items": items,
        "noise": noise,
        "response": task.response,
        "decays": sorted(set(map(str, task.decay))),
        "best": int(pure.argmax()),
        "pure": list(map(float, pure)),
        "regrets": regrets,
        "claims": claims,
        "seconds": seconds,
        "whole": time.process_time() - started,
    }


def table(found: list[dict]) -> str:
    """Regrets of the rules as a Markdown table, and the calibration of the stated predictions."""
    lines = []
    for overlap in OVERLAPS:
        lines += [
            "",
            f"| {overlap} | mean | p90 | mean, to the best division | p90 |",
            "| --- | --- | --- | --- | --- |",
        ]
        for key in found[0]["regrets"]:
            if not key.startswith(f"{overlap}|"):
                continue
            rows = np.array([one["regrets"][key][:2] for one in found])
            error = rows[:, 0].std(ddof=1) / np.sqrt(len(rows))
            high = np.quantile(rows, 0.9, axis=0)
            lines.append(
                f"| {key.split('|')[1]} | {rows[:, 0].mean():.2f} ± {error:.2f} | {high[0]:.2f} "
                f"| {rows[:, 1].mean():.2f} | {high[1]:.2f} |"
            )
    for name in found[0]["claims"]:
        lines += ["", *_calibration(found, name)]
    return "\n".join(lines)


def _calibration(found: list[dict], name: str) -> list[str]:
    claims = [one["claims"][name] for one in found]
    if not any(claim["chances"] for claim in claims):
        return []
    said, true = [], []
    for one, claim in zip(found, claims, strict=True):
        for m, method in enumerate(METHODS):
            if method in claim["chances"]:
                said.append(claim["chances"][method])
                true.append(one["best"] == m)
    lines = [
        f"{name}: chance of being best, said and true",
        *_chances([*zip(said, true, strict=True)]),
    ]
    for overlap in OVERLAPS:
        of = [
            (claim, one["regrets"][f"{overlap}|{name}"])
            for one, claim in zip(found, claims, strict=True)
            if claim["regret"] is not None
        ]
        if not of:
            continue
        inside = [c["low"] <= r[2] <= c["high"] for c, r in of]
        claimed = 100 * np.array([c["regret"] for c, _ in of])
        real = np.array([r[1] for _, r in of])
        worse = float(real.std(ddof=1) / np.sqrt(len(real)))
        thirds = np.array_split(np.argsort(claimed), 3)
        pairs = ", ".join(f"{claimed[t].mean():.2f}/{real[t].mean():.2f}" for t in thirds)
        lines.append(
            f"  {overlap}: accuracy of the final student within its interval in "
            f"{100 * np.mean(inside):.0f}%; regret claimed {claimed.mean():.2f}, real "
            f"{real.mean():.2f} ± {worse:.2f}, claimed/real by thirds {pairs}"
        )
    seconds = np.median([one["seconds"][name] for one in found])
    rounds = np.mean([claim["rounds"] for claim in claims])
    lines.append(f"  {rounds:.1f} rounds, {seconds:.2f} s of one core")
    return lines


THIRDS = coordinate("thirds")
_TABLE_STEPS = (0, 0.05, 0.2, 0.4, 0.6, 0.8, 1.01)
"""Bounds of the stated probabilities in the tables' rows."""


def study_of(task: Task, overlap: str, items: int, noise: float) -> Outcomes:
    """Outcomes of a study: each method with B/16, B/4 and B queries, thirds with B/4 and B."""
    world = f"world{task.number}"
    budgets = [task.budget // 16, task.budget // 4, task.budget]
    shares = dict(zip(METHODS, np.eye(3), strict=True)) | {THIRDS: np.full(3, 1 / 3)}
    rows = [(m, q) for m in shares for q in budgets[m == THIRDS :]]
    cells = [
        {
            "task": world,
            "method": method,
            "augmenter": "none" if method == "answer_augmentation" else "augmenter",
            "teacher": "teacher",
            "seeds": task.seeds,
            "replicate": 0,
            "filter": "none",
            "budget": budget,
            "student": "student",
            "budget_ratio": budget / task.seeds,
        }
        for method, budget in rows
    ]
    base = {"method": "untrained", "augmenter": "none", "teacher": "none"}
    cells.append(cells[0] | base | {"seeds": 0, "budget": 0, "budget_ratio": None})
    asked = [tuple(budget * shares[method]) for method, budget in rows]
    scores = measure(task, [*asked, (0, 0, 0)], items, noise, overlap)
    names = tuple(map(str, range(items)))
    return Outcomes(world, pl.DataFrame(cells), names, np.arange(items), scores)


def whole_budget(places: Sequence[int], centres: np.ndarray, draws: np.ndarray) -> int:
    """Return the index of a choice's whole budget: the rule that leaves nothing unused."""
    return places[0]


def best_expected(places: Sequence[int], centres: np.ndarray, draws: np.ndarray) -> int:
    """Return the index of the budget with the highest expectation, whatever most draws prefer."""
    most = max(places, key=lambda at: centres[at])
    return most if centres[most] > centres[places[0]] + SIMPLER else places[0]


RULES: dict[str, Callable[..., int]] = {
    "whole": whole_budget,
    "as in use": choices._likely_best,
    "by the expectation alone": best_expected,
}
"""Rules that choose the budget of a choice."""


def related(task: Task, number: int) -> Task:
    """Draw a task with the same models, but another level, ceiling and persistence."""
    g = np.random.default_rng([task.number, 5, number])
    shift, rise = 0.4 * g.normal(), float(np.exp(0.2 * g.normal()))
    floor = float(1 / (1 + (1 - task.floor) / task.floor * np.exp(-shift)))
    ceiling = np.minimum(0.95, floor + rise * (task.ceiling - task.floor))
    return replace(
        task,
        number=100 * task.number + number,
        floor=floor,
        ceiling=ceiling,
        value=task.value * np.exp(0.15 * g.normal(size=3)),
        tau=task.tau * np.exp(0.3 * g.normal() + 0.2 * g.normal(size=3)),
        kappa=task.kappa * float(np.exp(0.4 * g.normal())),
        jump=float(g.normal(0, 0.02)),
    )


def play_advice(number: int, items: int, noise: float, sooner: float, others: int = 0) -> dict:
    """Advice on one task for the budgets B and 6 B, and the truth.

    Args:
        number: of the task. Overused seeds do harm in odd tasks only; the kinds of overlap in
            `OVERLAPS` alternate.
        items: test items.
        noise: between trainings, a fraction.
        sooner: factor by which the task needs fewer effective examples.
        others: number of tasks from which advice is transferred, in place of own results.
    """
    task, overlap = draw_task(number), OVERLAPS[number % len(OVERLAPS)]
    harm = np.random.default_rng([number, 4]).uniform(0, 0.06) * (number % 2)
    task = replace(task, kappa=task.kappa / sooner, harm=harm * np.array([1, 0.5, 0.2]))
    shares = {THIRDS: dict.fromkeys(METHODS, 1 / 3)}
    settings = FitSettings(methods=tuple(METHODS), kinds=METHODS, shares=shares)
    tasks = [related(task, n) for n in range(1, 1 + others)] or [task]
    studies = [study_of(one, overlap, items, noise) for one in tasks]
    fits = curves_from(*fit_decay({one.task: one for one in studies}, settings))
    task = related(task, 0) if others else task

    def truth(of: Mapping[str, float], budget: int) -> float:
        if not of:
            return task.floor + task.jump
        queries = [budget * of.get(method, 0.0) for method in METHODS]
        return float(task.accuracy(np.array(queries), overlap)[0])

    def ask(budget: int) -> Advice:
        if others:
            return transferred_advice(fits, task.seeds, budget)
        return advise(fits[0], task.seeds, budget, look_further=False)

    questions = []
    for budget in (task.budget, 6 * task.budget):
        rules = {}
        for name, rule in RULES.items():
            with patch.object(choices, "_likely_best", rule):
                said = ask(budget)
            pure = next(one for one in said.outlook if len(one.shares) == 1)
            accuracy = truth(said.best.shares, said.best.budget)
            rules[name] = {
                "unused": bool(said.saves),
                "accuracy": accuracy,
                "pure": truth(pure.shares, pure.budget),
                "inside": bool(said.best.low <= accuracy <= said.best.high),
                "table": [
                    {
                        "shares": dict(one.shares),
                        "measured": one.measured,
                        "said": one.probability_best,
                        "regret": one.expected_regret,
                        "accuracy": truth(one.shares, one.budget),
                    }
                    for one in said.outlook
                ],
            }
        best = float(task.accuracy(budget * simplex(), overlap).max())
        questions.append({"budget": budget, "beyond": said.beyond, "rules": rules, "best": best})
    return {
        "number": number,
        "items": items,
        "noise": noise,
        "sooner": sooner,
        "others": others,
        "overlap": overlap,
        "harm": bool(harm),
        "questions": questions,
    }


def advice_tables(found: list[dict]) -> str:
    """Tables of the calibration of advice's probabilities, and of unused budget."""
    tables = [q["rules"]["as in use"]["table"] for one in found for q in one["questions"]]
    rows = []
    for table in tables:
        true = np.array([entry["accuracy"] for entry in table])
        best = true > true.max() - 1e-9
        for entry, right in zip(table, best / best.sum(), strict=True):
            kind = "method" if len(entry["shares"]) == 1 else "mixture"
            kind = kind if entry["shares"] else "untrained"
            kind = kind if entry["measured"] else "division"
            rows.append((kind, entry["said"], right))
    lines = [f"{len(tables)} tables of {len(rows)} choices: chance of being best, said and true"]
    kinds = {
        "all": {"method", "mixture", "division", "untrained"},
        "methods": {"method"},
        "thirds, measured": {"mixture"},
        "divisions, not measured": {"division"},
    }
    for title, of in kinds.items():
        lines.append(f"{title}:")
        lines += _chances([(said, true) for kind, said, true in rows if kind in of])
    lines.append("the first choice of each table:")
    firsts = []
    for table in tables:
        true = np.array([entry["accuracy"] for entry in table])
        best = true > true.max() - 1e-9
        firsts.append((table[0]["said"], best[0] / best.sum()))
    lines += _chances(firsts)
    lines += _gains([q for one in found for q in one["questions"]])
    for harm in (False, True):
        of = [q["rules"] for one in found if one["harm"] == harm for q in one["questions"]]
        if not of:
            continue
        lines.append(f"{'with' if harm else 'without'} harm by overused seeds: {len(of)} questions")
        for name in list(RULES)[1:]:
            gains = [100 * (one[name]["accuracy"] - one["whole"]["accuracy"]) for one in of]
            lines.append(
                f"  {name}: budget unused in {sum(one[name]['unused'] for one in of)}, gain over "
                f"all questions {np.mean(gains):+.2f} points, least {min(gains):+.2f}"
            )
    return "\n".join(lines)


def _gains(questions: Sequence[Mapping]) -> list[str]:
    """Return the gain of choosing among all choices over the best single method, and the regret."""
    rules = [one["rules"]["as in use"] for one in questions]
    gains = 100 * np.array([one["accuracy"] - one["pure"] for one in rules])
    mixed = np.array([len(one["table"][0]["shares"]) > 1 for one in rules])
    claimed = 100 * np.array([one["table"][0]["regret"] for one in rules])
    real = np.array(
        [100 * (q["best"] - one["accuracy"]) for q, one in zip(questions, rules, strict=True)]
    )
    errors = [of.std(ddof=1) / np.sqrt(len(of)) for of in (gains, real)]
    untrained = sum(not one["table"][0]["shares"] for one in rules)
    return [
        f"the first choice against the best single method: {gains.mean():+.2f} ± {errors[0]:.2f} "
        f"points, least {gains.min():+.2f}; a mixture in {mixed.sum()} of {len(mixed)}, better in "
        f"{(gains[mixed] > 0).sum()} of these; no training in {untrained}",
        f"its interval holds the truth in {100 * np.mean([one['inside'] for one in rules]):.0f}%; "
        f"regret said {claimed.mean():.2f}, true {real.mean():.2f} ± {errors[1]:.2f}",
    ]


def _chances(pairs: Sequence[tuple[float, float]]) -> list[str]:
    """Return how often choices with a stated probability were best, by that probability."""
    said, true = np.array(pairs, float).reshape(-1, 2).T
    lines = []
    for low, high in pairwise(_TABLE_STEPS):
        at = (said >= low) & (said < high)
        if at.any():
            lines.append(
                f"  {100 * low:.0f} to {min(100, 100 * high):.0f}%: {at.sum()} choices, "
                f"said {100 * said[at].mean():.0f}%, true {100 * true[at].mean():.0f}%"
            )
    return lines


def main() -> None:
    """Run the simulation and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--items", type=int, nargs="+", default=[1319, 300])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.8, 2.0], help="points")
    parser.add_argument("--pilots", nargs="+", choices=tuple(PILOTS), default=tuple(PILOTS))
    parser.add_argument("--advice", action="store_true", help="ask for advice in place of a spend")
    parser.add_argument("--others", type=int, default=0, help="tasks that advice transfers from")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, help="a line of JSON for each task")
    args = parser.parse_args()
    with ProcessPoolExecutor(args.processes) as pool:
        for items, noise in product(args.items, args.noise):
            print(f"\n## {items} test items, {noise:g} points between trainings")
            if args.advice:
                wanted = [(args.first + i, sooner) for sooner in (1, 10) for i in range(args.tasks)]
                found = _advised(args.output, items, noise / 100, args.others)
                jobs = [
                    pool.submit(play_advice, number, items, noise / 100, sooner, args.others)
                    for number, sooner in wanted
                    if (number, sooner) not in found
                ]
                for one in _collected(jobs, args.output):
                    found[one["number"], one["sooner"]] = one
                for sooner in (1, 10):
                    print(f"\nExamples needed, as a share of what they were drawn with: 1/{sooner}")
                    print(advice_tables([found[key] for key in wanted if key[1] == sooner]))
                continue
            found = _played(args.output, items, noise / 100, args.pilots)
            numbers = [args.first + i for i in range(args.tasks)]
            jobs = [
                pool.submit(play, number, items, noise / 100, tuple(args.pilots))
                for number in numbers
                if number not in found
            ]
            for one in _collected(jobs, args.output):
                found[one["number"]] = one
            print(table([found[number] for number in numbers]))
            sys.stdout.flush()


def _collected(jobs: Sequence[Future], output: Path | None) -> Iterator[dict]:
    """Yield the jobs' results as they finish, and append a line for each to the output."""
    for job in as_completed(jobs):
        one = job.result()
        if output:
            with output.open("a") as lines:
                lines.write(json.dumps(one) + "\n")
        yield one


def _read(output: Path | None, items: int, noise: float, key: str) -> list[dict]:
    """Return the results of earlier runs, if there are any."""
    lines = output.read_text().splitlines() if output and output.exists() else []
    found = map(json.loads, lines)
    return [one for one in found if (one["items"], one["noise"]) == (items, noise) and key in one]


def _advised(output: Path | None, items: int, noise: float, others: int) -> dict:
    """Return the tasks of an earlier run with advice, by number and factor."""
    found = _read(output, items, noise, "sooner")
    return {(one["number"], one["sooner"]): one for one in found if one["others"] == others}


def _played(output: Path | None, items: int, noise: float, pilots: Sequence[str]) -> dict:
    """Return the tasks of an earlier run with the same rules, by number."""
    wanted = {TITLES[pilot] for pilot in pilots}
    found = _read(output, items, noise, "claims")
    return {one["number"]: one for one in found if one["claims"].keys() == wanted}


if __name__ == "__main__":
    main()
