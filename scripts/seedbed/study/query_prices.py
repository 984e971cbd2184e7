"""The price of a teacher query with each method, its question included, by the cost estimate.

`snakemake spend` and advice for a task without results use it to plan a budget in dollars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from seedbed.analysis.decide.priors import QueryPrices
from seedbed.config.documents import StudyError
from seedbed.config.words import NONE
from seedbed.study.cells import Dataset, grid
from seedbed.study.job_settings import JobSettings, Settings
from seedbed.study.paths import Paths
from seedbed.study.quote import Line, lengths_text, quote
from seedbed.study.rows import Rows
from seedbed.study.study import Study
from seedbed.study.task_files import load_task

ASSUMED_QUERIES = 1_000
"""Number of queries for which a method's price is estimated."""


def asking_lines(
    study: Study, dataset: Dataset, student: str, results: str, rows: Rows | None = None
) -> list[Line]:
    """Return the cost estimate of the questions and the answers of a dataset.

    Args:
        study: the study.
        dataset: the dataset.
        student: any model; its part of the estimate is left out.
        results: folder of the study's results, which need not exist.
        rows: rows of its tasks; without them, all lengths that were not measured are assumed.
    """
    alone = replace(study, config=study.config.model_copy(update={"blocks": ()}))
    lines = quote(alone, grid(alone, [dataset.cell(student)]), Path(results), rows).whole
    return [line for line in lines if line.stage in ("questions", "answers")]


def query_prices(flow: JobSettings, task: str) -> Settings:
    """Return the prices for advice on a task without results: see `QueryPrices`.

    Prices are those of the first teacher and augmenter of the study.

    Args:
        flow: the study.
        task: any task of the configuration.
    """
    study = flow.study
    methods = {name: one for name, one in study.methods.items() if one.real_pairs is None}
    blocks = study.config.blocks
    teachers = [name for block in blocks for name in block.teachers or ()]
    augmenters = [name for block in blocks for name in block.augmenters or ()]
    if not teachers:
        return _settings(QueryPrices(unknown=dict.fromkeys(methods, "the study has no teacher")))
    try:
        tasks = study.tasks if task in study.tasks else {task: load_task(task, flow.folders)}
    except StudyError as error:
        return _settings(QueryPrices(unknown=dict.fromkeys(methods, str(error))))
    asked = replace(study, tasks={**study.tasks, **tasks})
    rows = Rows(Paths(asked, flow.grid, flow.data_dir, flow.folders))
    usd: dict[str, float] = {}
    unknown: dict[str, str] = {}
    seen: list[Line] = []
    for name, method in methods.items():
        augmenter = NONE if method.asks == "answers" else next(iter(augmenters), NONE)
        dataset = Dataset(task, name, augmenter, teachers[0], 1, 1, NONE, ASSUMED_QUERIES)
        lines = asking_lines(asked, dataset, teachers[0], flow.results, rows)
        missing = dict.fromkeys(line.model for line in lines if line.usd is None)
        if missing:
            unknown[name] = f"price of {', '.join(missing)}"
        else:
            usd[name] = sum(line.usd or 0.0 for line in lines) / ASSUMED_QUERIES
            seen += lines
    named = list(dict.fromkeys(line.model for line in seen))
    return _settings(
        QueryPrices(
            usd=usd, unknown=unknown, models=_dated(study, named), lengths=_lengths_of(seen)
        )
    )


def _dated(study: Study, models: Sequence[str]) -> list[str]:
    """Return models' titles with the dates of their prices."""
    found = []
    for name in models:
        config = study.models[name]
        date = config.price.date
        found.append(config.title if date is None else f"{config.title} (of {date})")
    return found


def _lengths_of(lines: Sequence[Line]) -> str:
    """Return how the cost estimate found the lengths of questions and answers."""
    known: dict[str, dict[str, None]] = {}
    for line in lines:
        known.setdefault(line.stage, {})[lengths_text(line)] = None
    return "; ".join(f"{stage}: {' or '.join(how)}" for stage, how in sorted(known.items()))


def _settings(prices: QueryPrices) -> Settings:
    return Settings(prices.model_dump(mode="json"))
