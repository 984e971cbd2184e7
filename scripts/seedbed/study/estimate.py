"""How many cells each figure of a study is drawn from, and the GPU hours that they would take.

`PYTHONPATH=scripts python -m seedbed.study.estimate paper miniature` prints the README's table. The
hours are an estimate from published speeds of serving and training large models, for text lengths
that are assumed; measured seconds stand in a study's own results.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from seedbed.study.cells import Cell, Grid, QuestionStream, Stream, grid, untrained_cell
from seedbed.study.fields import NONE
from seedbed.study.figures import ABLATIONS, figures, varied
from seedbed.study.loading import Study, StudyError, load_study

LARGE_TOKENS_PER_SECOND = 3_666
"""Output tokens of Llama 3.3 70B in FP8 on one H200, prompts of 500 and outputs of 2,000 tokens:
TensorRT-LLM, performance overview, https://nvidia.github.io/TensorRT-LLM."""

SMALL_TOKENS_PER_SECOND = 12_553
"""Output tokens of Llama 3.1 8B in BF16 on one H100, by vLLM in batches:
https://research.aimultiple.com/inference-engines."""

TRAINING_TOKENS_PER_SECOND = 4_699
"""Tokens of LoRA fine-tuning Llama 3.1 8B on one A6000 of 48 GB: torchtune's README."""

LARGE_PARAMETERS = 30.0
"""Billions of parameters from which on the speed is that of a large model."""

# What follows is assumed by this project: replace it by what a first run has counted.
ANSWER_TOKENS = 150
"""Of a teacher's answer, and of a student's in evaluation."""

QUESTION_TOKENS = 60
"""Of a question that an augmenter writes."""

ATTEMPTS = 1.25
"""Questions that an augmenter writes for one that is kept."""

ROW_TOKENS = 300
"""Of a training row: prompt, question and answer."""


SHOWN = {
    "cost_effectiveness": "what each method gains over the first, and where the best one shifts",
    "accuracy": "accuracy against budget by method, task and seeds",
    "best_method": "map of the best method over seeds and budget",
    "augmenters": "what a weaker augmenter costs",
    "verification": "what it brings to train on verified answers alone",
    "students": "curves and crossovers by student",
    "teachers": "curves and crossovers by teacher",
    "costs": "cost per point of accuracy in queries, tokens, money and hours",
    "diversity": "how varied the data is, and how much of it repeats seeds or tests",
}
"""What each figure shows, in words."""


def cells_of_figure(found: Grid, name: str) -> list[Cell]:
    """Return the cells that a figure is drawn from.

    For an ablation they are the cells that differ in its coordinate alone, and the untrained
    students that they are held against; for other figures all cells.
    """
    if name not in ABLATIONS:
        return list(found.cells)
    cells = varied(found, ABLATIONS[name])
    untrained = [untrained_cell(cell.task, cell.student) for cell in cells]
    return list(dict.fromkeys([*cells, *(cell for cell in untrained if cell in found.cells)]))


def gpu_hours(study: Study, cells: Iterable[Cell]) -> float | None:
    """Return the GPU hours that cells would take from nothing; None for models without a GPU.

    Streams, and what verifies their answers, are paid once, as far as the cells reach along them;
    each cell is trained and evaluated. Start-up is not counted.
    """
    cells = list(cells)
    seconds = 0.0
    reach, votes = study.config.verification.reach, study.config.verification.samples - 1
    for stream, queries in _queries(cells, reach).items():
        questions = isinstance(stream, QuestionStream)
        speed = _speed(study, stream.augmenter if questions else stream.teacher)
        if speed is None:
            return None
        tokens = QUESTION_TOKENS * ATTEMPTS if questions else ANSWER_TOKENS
        seconds += queries * tokens / speed
    voted = [c for c in cells if c.filter != NONE and not study.methods[c.method].keeps_answer]
    for stream, queries in _queries(voted, reach).items():
        if isinstance(stream, Stream):
            seconds += votes * queries * ANSWER_TOKENS / _speed(study, stream.teacher)
    for cell in cells:
        speed = _speed(study, cell.student)
        if speed is None:
            return None
        task, training = study.tasks[cell.task], study.training(cell.student)
        items = study.config.test_items or task.source.test_items
        seconds += items * ANSWER_TOKENS / speed
        if not cell.untrained:
            # A baseline of real pairs has no budget: its pairs are its seeds.
            rows = training.epochs * (cell.budget or cell.seeds)
            if training.max_steps is not None:
                rows = min(rows, training.max_steps * training.batch_size)
            seconds += rows * ROW_TOKENS / TRAINING_TOKENS_PER_SECOND
    return seconds / 3600


def _queries(cells: Iterable[Cell], reach: float) -> dict[Stream | QuestionStream, int]:
    """Return the streams under cells, each with the most queries that a cell may use."""
    largest: dict[Stream | QuestionStream, int] = {}
    for cell in cells:
        dataset = cell.dataset
        if dataset is None:
            continue
        for stream in (dataset.stream, dataset.question_stream):
            if stream is not None:
                largest[stream] = max(dataset.reach(reach), largest.get(stream, 0))
    return largest


def _speed(study: Study, model: str) -> float | None:
    """Return a model's output tokens in a second, by the size in its name on the hub."""
    hub = study.models[model].hub
    size = hub and re.search(r"(?<![\d.])(\d+(?:\.\d+)?)b(?![a-z])", hub.id.lower())
    if not size:
        return None
    large = float(size[1]) >= LARGE_PARAMETERS
    return LARGE_TOKENS_PER_SECOND if large else SMALL_TOKENS_PER_SECOND


def table(studies: Sequence[Study]) -> str:
    """Return the figures of the first study with their targets, cells and GPU hours, as Markdown.

    The other studies have a column with their cells.
    """
    grids = [grid(study) for study in studies]
    heads = ["Figure", "`results/STUDY/figures/`"]
    heads += [f"Cells of `{study.name}`" for study in studies]
    heads.append(f"GPU hours of `{studies[0].name}`")
    lines = [heads, ["---"] * len(heads)]
    for name in figures(grids[0]):
        cells = [cells_of_figure(found, name) for found in grids]
        hours = gpu_hours(studies[0], cells[0])
        lines.append(
            [
                SHOWN[name],
                f"`{name}.svg`",
                *(str(len(some)) if some else "-" for some in cells),
                "none" if hours is None else f"{hours:,.0f}",
            ]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="+", help="names of files in config/studies")
    names = parser.parse_args().studies
    try:
        sys.stdout.write(table([load_study(name, Path("config")) for name in names]))
    except StudyError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
