"""Simulated studies with known parameters, for the tests of the analysis."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from ruamel.yaml import YAML

from seedbed.analysis.decide.settings import NamedContrast
from seedbed.analysis.tables.collect import COORDINATES, cell_key
from seedbed.analysis.tables.outcomes import Outcomes
from seedbed.config.words import TRAINING_COUNTS

METHODS = ("answer_augmentation", "question_rephrase", "new_question")
TRUE = {
    "A0": 0.45,
    "Ainf": 0.92,
    "kappa": 400.0,
    "gamma": 0.8,
    "delta": 0.15,
    "value": {"answer_augmentation": 1.0, "question_rephrase": 0.75, "new_question": 0.55},
    "tau": {"answer_augmentation": 4.0, "question_rephrase": 10.0, "new_question": 60.0},
}


CONTRASTS = Path(__file__).parents[2] / "config/contrasts"


def shipped_contrasts() -> list[NamedContrast]:
    """The contrasts of the paper's findings, in its order."""
    names = ("crossover_with_budget", "weak_augmenter", "verification", "another_student")
    yaml = YAML(typ="safe", pure=True)
    return [
        NamedContrast.model_validate({"name": name, **yaml.load(CONTRASTS / f"{name}.yaml")})
        for name in names
    ]


def true_accuracy(method: str, seeds: int, ratio: float, first_seeds: int = 32) -> float:
    """The exponential decay form, written out a second time."""
    tau = TRUE["tau"][method] * (seeds / first_seeds) ** -TRUE["delta"]
    e = TRUE["value"][method] * seeds * tau * (1 - np.exp(-ratio / tau))
    rise = 1 - np.exp(-((e / TRUE["kappa"]) ** TRUE["gamma"]))
    return TRUE["A0"] + (TRUE["Ainf"] - TRUE["A0"]) * rise


def coordinates(method: str, seeds: int, budget: int, **other: object) -> dict[str, object]:
    """The coordinates of a cell of the simulated study."""
    cell = {
        "task": "mini_math",
        "method": method,
        "augmenter": "none" if method in ("answer_augmentation", "untrained") else "mini_teacher",
        "teacher": "none" if method == "untrained" else "mini_teacher",
        "seeds": seeds,
        "replicate": 0,
        "filter": "none",
        "budget": budget,
        "student": "mini_student",
    } | other
    return {name: cell[name] for name in COORDINATES}


def simulate(
    accuracy: Callable[[str, int, float], float] = true_accuracy,
    methods: tuple[str, ...] = METHODS,
    seeds: tuple[int, ...] = (32, 64),
    ratios: tuple[int, ...] = (1, 4, 16, 64),
    items: int = 1000,
    replicates: int = 1,
    cluster_size: int = 1,
    noise: float = 0.0,
    between: float = 0.0,
    untrained: float | None = TRUE["A0"],
    shared: float = 0.7,
    seed: int = 0,
    other: dict[str, object] | None = None,
    graded: float | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tables of cells and items, as `collect` returns them.

    Each item has a difficulty; a share `shared` of the variance of what decides an answer belongs
    to the item (or its cluster), so outcomes of different cells on one item are correlated, as real
    ones are. `noise` is the standard deviation that training adds to a cell's accuracy, `between`
    that of what a draw of 32 seeds adds to all of its cells. With `graded`, answers have grades in
    place of right and wrong, of a beta distribution whose parameters have this sum: their variance
    is that of right and wrong over 1 more.
    """
    from scipy.stats import beta, norm

    generator = np.random.default_rng(seed)
    clusters = np.arange(items) // cluster_size
    common = generator.normal(size=clusters.max() + 1)[clusters]
    names = [f"item{i:05d}" for i in range(items)]
    draws = {
        (s, r): between * np.sqrt(32 / s) * generator.normal() if between else 0.0
        for s, r in product(seeds, range(replicates))
    }
    plan = [
        (
            coordinates(m, s, s * x, replicate=r, **(other or {})),
            accuracy(m, s, x) + draws[s, r] + noise * z,
        )
        for m in methods
        for s in seeds
        for x in ratios
        for r in range(replicates)
        for z in [generator.normal()]
    ]
    if untrained is not None:
        place = {k: v for k, v in (other or {}).items() if k in ("task", "student")}
        plan.append((coordinates("untrained", 0, 0, **place), untrained))
    rows, tables = [], []
    for cell, share in plan:
        own = generator.normal(size=items)
        score = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
        correct = score < norm.ppf(np.clip(share, 0, 1))
        key = cell_key(cell)
        grades = {}
        if graded is not None:
            shape = graded * np.clip(share, 1e-3, 1 - 1e-3)
            grades = {"score": beta.ppf(norm.cdf(-score), shape, graded - shape)}
            correct = grades["score"] >= 0.5
        k = int(correct.sum())
        rows.append(
            {
                "cell": key,
                **cell,
                "budget_ratio": cell["budget"] / cell["seeds"] if cell["seeds"] else None,
                "items": items,
                "correct": k,
                "accuracy": float(np.mean(grades.get("score", correct))),
                "teacher_queries": cell["budget"],
                "augmenter_queries": 0
                if cell["augmenter"] == "none"
                else int(cell["budget"] * 1.5),
                "empty_slots": 0,
                **tokens(cell),
            }
        )
        tables.append(
            pl.DataFrame(
                {
                    "cell": [key] * items,
                    "item_id": names,
                    "cluster": [f"cluster{c:05d}" for c in clusters],
                    "correct": correct,
                    **grades,
                }
            )
        )
    return pl.DataFrame(rows, infer_schema_length=None), pl.concat(tables)


def tokens(cell: dict[str, object]) -> dict[str, object]:
    """Tokens of a cell, 50 and 30 a query of the teacher, 100 and 40 of an augmenter; seconds."""
    asked, written = cell["budget"], 0 if cell["augmenter"] == "none" else cell["budget"]
    return {
        "teacher_prompt_tokens": 50 * asked,
        "teacher_completion_tokens": 30 * asked,
        "augmenter_prompt_tokens": 100 * written,
        "augmenter_completion_tokens": 40 * written,
        "generation_seconds": 0.01 * (asked + written),
        "training_seconds": 20.0,
    }


def with_real_pairs(
    tables: tuple[pl.DataFrame, pl.DataFrame], pairs: dict[tuple[str, int], float]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables with baselines of real data, given their accuracies by method and pairs."""
    cells, items = tables
    like = cells.filter(pl.col("method") == METHODS[0]).head(1)
    some = items.filter(pl.col("cell") == like["cell"][0]).sort("item_id")
    rows, scores = [cells], [items]
    for (method, count), share in pairs.items():
        cell = coordinates(method, count, 0, augmenter="none", teacher="none", task=like["task"][0])
        k = round(share * some.height)
        new = {**cell, "cell": cell_key(cell), "budget_ratio": 0.0, "teacher_queries": 0}
        new |= {"correct": k, "accuracy": k / some.height}
        rows.append(
            like.with_columns(
                pl.lit(value).cast(cells.schema[name]).alias(name) for name, value in new.items()
            )
        )
        scores.append(
            some.with_columns(cell=pl.lit(new["cell"]), correct=pl.int_range(pl.len()) < k)
        )
    return pl.concat(rows), pl.concat(scores)


KEPT_COUNTS = (
    "augmenter_queries",
    "teacher_queries",
    "verification_queries",
    "missing_rows",
    "teacher_prompt_tokens",
    "teacher_completion_tokens",
    "augmenter_prompt_tokens",
    "augmenter_completion_tokens",
)


def write_evaluations(cells: pl.DataFrame, items: pl.DataFrame, folder: Path) -> list[Path]:
    """Write a cell's `evaluation.json` and `predictions.parquet` as the evaluation does."""
    paths = []
    for row in cells.iter_rows(named=True):
        place = folder / row["cell"]
        place.mkdir(parents=True)
        reading = {"correct": row["correct"], "accuracy": row["accuracy"]}
        content = {
            "cell": {name: row[name] for name in COORDINATES},
            **reading,
            "items": row["items"],
            "strict": reading,
            "flexible": reading,
            "unparsed": 0,
            "truncated": 0,
            "standard_error": 0.01,
            "counts": {
                **{name: row[name] for name in (*KEPT_COUNTS, *TRAINING_COUNTS) if name in row},
                "empty_slots": 0,
            },
            "seconds": {
                "generation": row["generation_seconds"],
                "training": row["training_seconds"],
                "evaluation": 0.5,
            },
            "settings": {},
            "versions": {},
            "code": "0123",
            **({"graded": True} if "score" in items.columns else {}),
        }
        path = place / "evaluation.json"
        path.write_text(json.dumps(content))
        items.filter(pl.col("cell") == row["cell"]).drop("cell").write_parquet(
            place / "predictions.parquet"
        )
        paths.append(path)
    return paths


PAPER_GRID = {
    100: (100, 500, 1000, 5000, 10000, 25000, 50000, 100000),
    1000: (1000, 5000, 10000, 25000, 50000, 100000),
    7473: (7473, 25000, 50000, 100000),
}
"""Seeds and budgets of GSM8K in `config/studies/paper.yaml`; up to 10,000 queries, 100 seeds have
three replicates."""


@dataclass(frozen=True)
class Truth:
    """A study's truth, its forms written out once more, with its noise.

    The numbers are ours. They put the shifts from answer augmentation to new questions near the
    paper's. With `databases`, items are questions on so many of them, of unlike sizes, and a fifth
    of what makes an item hard is its database's. What a draw of 100 seeds changes has standard
    deviation `between_draws`, less for more seeds, and a training run changes `between_runs`.
    """

    response: str = "exponential"
    decay: tuple[str, ...] = ("exponential",) * 3
    floor: float = 0.22
    ceiling: float = 0.70
    kappa: float = 6000.0
    gamma: float = 0.55
    delta: float = 0.12
    value: tuple[float, ...] = (1.0, 0.8, 0.55)
    tau: tuple[float, ...] = (18.0, 45.0, 400.0)
    methods: tuple[str, ...] = METHODS
    items: int = 1319
    databases: int = 0
    shared: float = 0.6
    between_draws: float = 0.006
    between_runs: float = 0.008

    def effective(self, method: str, seeds: int, ratio: float) -> float:
        """Effective examples: the integral of a query's value, which is 1/exp(1) at tau.

        It falls as exp(-u), as 1 / (1 + (exp(1) - 1) u), as 1 / (1 + (exp(1/2) - 1) u)^2, or as
        exp(-sqrt(u)), by method.
        """
        m = self.methods.index(method)
        tau = self.tau[m] * (seeds / 100) ** -self.delta
        u = ratio / tau
        useful = {
            "exponential": 1 - np.exp(-u),
            "harmonic": np.log1p((np.e - 1) * u) / (np.e - 1),
            "hyperbolic": u / (1 + (np.exp(0.5) - 1) * u),
            "stretched": 2 * (1 - np.exp(-np.sqrt(u)) * (1 + np.sqrt(u))),
        }
        return self.value[m] * seeds * tau * useful[self.decay[m]]

    def accuracy(self, method: str, seeds: int, ratio: float) -> float:
        """Accuracy without any noise."""
        e = self.effective(method, seeds, ratio) / self.kappa
        if self.response == "logit":
            logit = np.log(self.floor / (1 - self.floor)) + self.gamma * np.log1p(e)
            return float(1 / (1 + np.exp(-logit)))
        left = {
            "exponential": np.exp(-(e**self.gamma)),
            "power": (1 + e) ** -self.gamma,
            "two_phase": 0.3 * np.exp(-40 * e) + 0.7 * np.exp(-(e**0.8)),
            "gompertz": (1 - np.exp(-3 * np.exp(-2 * self.gamma * e))) / (1 - np.exp(-3)),
        }
        return float(self.ceiling - (self.ceiling - self.floor) * left[self.response])

    def parameters(self) -> dict[str, float]:
        """Those that mean the same in every candidate: values, persistences and delta."""
        named = {"delta": self.delta}
        for method, value, tau in zip(self.methods, self.value, self.tau, strict=True):
            named |= {f"v:{method}": value, f"tau:{method}": tau}
        # The first method's queries are the unit of value.
        del named[f"v:{self.methods[0]}"]
        return named

    def crossover(self, reference: str, method: str, seeds: int) -> float | None:
        """The budget ratio at which `method` overtakes, or None if not within the grid."""
        from scipy.optimize import brentq

        def lead(log_ratio: float) -> float:
            ratio = np.exp(log_ratio)
            ours, theirs = (self.effective(m, seeds, ratio) for m in (method, reference))
            return ours - theirs

        low, high = (np.log(PAPER_GRID[seeds][end] / seeds) for end in (0, -1))
        if lead(low) * lead(high) >= 0:
            return None
        return float(np.exp(brentq(lead, low, high)))


PAPER_TRUTH = Truth()
RIVAL_TRUTHS = {
    "power": Truth(response="power", kappa=3000.0, gamma=0.6, ceiling=0.75),
    "logit": Truth(response="logit", kappa=1500.0, gamma=0.5),
    "harmonic": Truth(decay=("harmonic",) * 3, tau=(15.0, 40.0, 350.0)),
    "hyperbolic": Truth(decay=("hyperbolic",) * 3),
    "mixed": Truth(decay=("exponential", "harmonic", "harmonic")),
    "databases": Truth(items=1034, databases=20),
    "two_phase": Truth(response="two_phase", decay=("stretched",) * 3),
    "gompertz": Truth(response="gompertz", decay=("stretched",) * 3, kappa=20_000.0, gamma=0.8),
}
"""Truths of other forms; a decay between two of them and one by method; one like Spider's items;
a fast rise and a slow one; and a rise and a decay that are none of the model's forms."""


def paper_study(seed: int, truth: Truth = PAPER_TRUTH) -> Outcomes:
    """Outcomes of a simulated study on the paper's grid for GSM8K."""
    from scipy.stats import norm

    generator = np.random.default_rng([seed, 77])
    cells, shares = [], []
    draws: dict[tuple[int, int], float] = {}
    for method, (seeds, budgets) in product(truth.methods, PAPER_GRID.items()):
        for budget in budgets:
            for replicate in range(3 if seeds == 100 and budget <= 10_000 else 1):
                if (seeds, replicate) not in draws:
                    spread = truth.between_draws * np.sqrt(100 / seeds)
                    draws[seeds, replicate] = generator.normal(0, spread)
                cell = coordinates(method, seeds, budget, task="gsm8k", replicate=replicate)
                cells.append({**cell, "budget_ratio": budget / seeds})
                noise = draws[seeds, replicate] + generator.normal(0, truth.between_runs)
                shares.append(truth.accuracy(method, seeds, budget / seeds) + noise)
    untrained = coordinates("untrained", 0, 0, task="gsm8k")
    cells.append({**untrained, "budget_ratio": None})
    shares.append(truth.floor)
    hard, clusters = generator.normal(size=truth.items), np.arange(truth.items)
    if truth.databases:
        weights = generator.dirichlet(np.full(truth.databases, 2.0))
        drawn = generator.choice(truth.databases, truth.items, p=weights)
        clusters = np.unique(drawn, return_inverse=True)[1]
        hard = np.sqrt(0.8) * hard + np.sqrt(0.2) * generator.normal(size=truth.databases)[clusters]
    difficulty = np.sqrt(truth.shared) * hard
    own = np.sqrt(1 - truth.shared) * generator.normal(size=(len(cells), truth.items))
    correct = difficulty + own < norm.ppf(np.array(shares))[:, None]
    return Outcomes(
        task="gsm8k",
        cells=pl.DataFrame(cells, infer_schema_length=None),
        items=tuple(f"item{i:05d}" for i in range(truth.items)),
        clusters=clusters,
        correct=correct.astype(float),
    )
