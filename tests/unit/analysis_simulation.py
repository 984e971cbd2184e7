"""Simulated studies with known parameters, for the tests of the analysis."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from seedbed.analysis.collect import COORDINATES, cell_key

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
    untrained: float | None = TRUE["A0"],
    shared: float = 0.7,
    seed: int = 0,
    other: dict[str, object] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tables of cells and items, as `collect` returns them.

    Each item has a difficulty; a share `shared` of the variance of what decides an answer belongs
    to the item (or its cluster), so outcomes of different cells on one item are correlated, as real
    ones are. `noise` is the standard deviation that training adds to a cell's accuracy.
    """
    from scipy.stats import norm

    generator = np.random.default_rng(seed)
    clusters = np.arange(items) // cluster_size
    common = generator.normal(size=clusters.max() + 1)[clusters]
    names = [f"item{i:05d}" for i in range(items)]
    plan = [
        (coordinates(m, s, s * x, replicate=r, **(other or {})), accuracy(m, s, x) + noise * z)
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
        k = int(correct.sum())
        rows.append(
            {
                "cell": key,
                **cell,
                "budget_ratio": cell["budget"] / cell["seeds"] if cell["seeds"] else None,
                "items": items,
                "correct": k,
                "accuracy": k / items,
                "teacher_queries": cell["budget"],
                "augmenter_queries": 0
                if cell["augmenter"] == "none"
                else int(cell["budget"] * 1.5),
                "empty_slots": 0,
            }
        )
        tables.append(
            pl.DataFrame(
                {
                    "cell": [key] * items,
                    "item_id": names,
                    "cluster": [f"cluster{c:05d}" for c in clusters],
                    "correct": correct,
                }
            )
        )
    return pl.DataFrame(rows, infer_schema_length=None), pl.concat(tables)


def with_real_pairs(
    tables: tuple[pl.DataFrame, pl.DataFrame], pairs: dict[tuple[str, int], float]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables with baselines of real pairs, given their accuracies by method and pairs."""
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


KEPT_COUNTS = ("augmenter_queries", "teacher_queries", "verification_queries", "missing_rows")


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
                **{name: row[name] for name in KEPT_COUNTS if name in row},
                "empty_slots": 0,
            },
            "seconds": {"generation": 1.5, "training": 2.0, "evaluation": 0.5},
            "settings": {},
            "versions": {},
            "code": "0123",
        }
        path = place / "evaluation.json"
        path.write_text(json.dumps(content))
        items.filter(pl.col("cell") == row["cell"]).drop("cell").write_parquet(
            place / "predictions.parquet"
        )
        paths.append(path)
    return paths
