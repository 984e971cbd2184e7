"""The work that cells take (queries, tokens and GPU hours), and the cells of each figure.

Hours are estimated from published speeds of serving and training large models, and from assumed
text lengths. Measured seconds are in a study's own results.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seedbed.config.words import FEW_STEPS, NONE
from seedbed.models import RECORD
from seedbed.study.cells import (
    Cell,
    Dataset,
    Grid,
    QuestionStream,
    Stream,
    parts,
    untrained_cell,
)
from seedbed.study.figures import ABLATIONS, varied
from seedbed.study.loading import Study
from seedbed.study.memory import Shape
from seedbed.study.sizes import HALF_GB, Size, size_of_folder, size_of_hub, size_of_name

LARGE_TOKENS_PER_SECOND = 3_666
"""Output tokens of Llama 3.3 70B in FP8 on one H200, prompts of 500 and outputs of 2,000 tokens:
TensorRT-LLM, performance overview, https://nvidia.github.io/TensorRT-LLM."""

SMALL_TOKENS_PER_SECOND = 12_553
"""Output tokens of Llama 3.1 8B in BF16 on one H100, by vLLM in batches:
https://research.aimultiple.com/inference-engines."""

TRAINING_TOKENS_PER_SECOND = 4_699
"""Tokens of LoRA fine-tuning Llama 3.1 8B on one A6000 of 48 GB: torchtune's README."""

TRAINED_PARAMETERS = 8.03
"""Billions of parameters of that model. Larger ones take longer in proportion: by this, 70B on
eight GPUs trains on 4,300 tokens a second, and the same README has 3,497 on eight A100."""

QUANTIZED_TRAINING = 2_413 / 3_083
"""Speed of training on weights in 4 bits, as a share of that in 16: QLoRA and LoRA of Llama 3.1 8B
on one RTX 4090, in the same README. Taken for 8 bits too."""

LARGE_PARAMETERS = 30.0
"""Billions of parameters from which the speed of a large model applies."""

# The constants below are assumptions of this project, to be replaced by the counts of a first run.
PROMPT_TOKENS = 200
"""Tokens of a query, prompt included."""

ANSWER_TOKENS = 150
"""Tokens of an answer, of a teacher or of a student in evaluation."""

QUESTION_TOKENS = 60
"""Tokens of a question that an augmenter writes."""

CHECK_TOKENS = 2
"""Tokens of the answer to a self-check."""

ATTEMPTS = 1.25
"""Questions that an augmenter writes for each question that is kept."""

ROW_TOKENS = 300
"""Tokens of a training row: prompt, question and answer."""

VERDICT_TOKENS = 120
"""Tokens of a judge's verdict, with its explanation."""

JUDGE_TOKENS = PROMPT_TOKENS + 2 * ANSWER_TOKENS + 250
"""Tokens of a judge's prompt: a question, two answers, a rubric and the form of the verdict."""

LABELS = "labels"
"""Replaces the method for labels: a judge grades a task's labels once for all its cells."""

Stage = Literal["questions", "answers", "verification", "training", "evaluation", "judging"]


def cells_of_figure(found: Grid, name: str) -> list[Cell]:
    """Return the cells that a figure is drawn from.

    An ablation shows the cells that differ only in its coordinate, and the untrained students that
    they are compared with; other figures show all cells.
    """
    if name not in ABLATIONS:
        return list(found.cells)
    cells = varied(found, ABLATIONS[name])
    untrained = [untrained_cell(cell.task, cell.student) for cell in cells]
    return list(dict.fromkeys([*cells, *(cell for cell in untrained if cell in found.cells)]))


@dataclass(frozen=True, slots=True)
class Work:
    """The work of one model on one stream or cell, with assumed lengths.

    Attributes:
        stage: `questions`, `answers`, `verification`, `training`, `evaluation` or `judging`.
        model: the model that does it.
        task: the task.
        method: the method; of a cell's work, too.
        key: key of the stream or cell.
        units: slots of questions, queries, rows that are trained on, or test items.
        queries: of the model, for each unit; 0 in training.
        prompt_tokens: read, for each unit.
        completion_tokens: written, for each unit; in training, all of a row's.
    """

    stage: Stage
    model: str
    task: str
    method: str
    key: str
    units: int
    queries: float
    prompt_tokens: float
    completion_tokens: float


def work(study: Study, cells: Iterable[Cell]) -> list[Work]:
    """Return all work that some cells take from the start.

    Streams and the verification of their answers are paid once, up to the largest budget of the
    cells; each cell is trained and evaluated.
    """
    cells = list(cells)
    found = []
    reach, samples = study.config.verification.reach, study.config.verification.samples - 1
    datasets = [
        part for cell in cells if cell.dataset is not None for part in parts(study, cell.dataset)
    ]
    for stream, queries in _queries(datasets, reach).items():
        at = (stream.task, stream.method, stream.key, queries)
        if isinstance(stream, QuestionStream):
            checks = int(study.methods[stream.method].self_check)
            found.append(
                Work(
                    "questions",
                    stream.augmenter,
                    *at,
                    queries=ATTEMPTS * (1 + checks),
                    prompt_tokens=ATTEMPTS * (1 + checks) * PROMPT_TOKENS,
                    completion_tokens=ATTEMPTS * (QUESTION_TOKENS + checks * CHECK_TOKENS),
                )
            )
        else:
            found.append(Work("answers", stream.teacher, *at, 1, PROMPT_TOKENS, ANSWER_TOKENS))
    voted = [d for d in datasets if d.filter != NONE and not study.methods[d.method].keeps_answer]
    for stream, queries in _queries(voted, reach).items():
        if isinstance(stream, Stream):
            where = (stream.task, stream.method, stream.key)
            tokens = (samples * PROMPT_TOKENS, samples * ANSWER_TOKENS)
            found.append(Work("verification", stream.teacher, *where, queries, samples, *tokens))
    labelled: set[str] = set()
    for cell in cells:
        task = study.tasks[cell.task]
        place = (cell.student, cell.task, cell.method, cell.key)
        items = study.config.test_items or task.test_items
        found.append(Work("evaluation", *place, items, 1, PROMPT_TOKENS, ANSWER_TOKENS))
        if task.judge is not None:
            asked = 1 if task.judge.compare is None else 2
            tokens = (asked * JUDGE_TOKENS, asked * VERDICT_TOKENS)
            judge = task.judge.judge
            found.append(Work("judging", judge, *place[1:], items, asked, *tokens))
            if cell.task in study.labelled and cell.task not in labelled:
                labelled.add(cell.task)
                at = (cell.task, LABELS, f"labels/task={cell.task}", study.labelled[cell.task])
                found.append(Work("judging", judge, *at, asked, *tokens))
        if not cell.untrained:
            rows = training_rows(study, cell)
            found.append(Work("training", *place, rows, 0, 0, ROW_TOKENS))
    return found


def training_rows(study: Study, cell: Cell) -> int:
    """Return the most rows that a cell's student is trained on, counted once per epoch."""
    training = study.training(cell.student)
    # A baseline of real data has no budget: its pairs are its seeds.
    rows = training.epochs * (cell.budget or cell.seeds)
    in_step = training.rows_in_step(ROW_TOKENS)
    return rows if training.max_steps is None else min(rows, training.max_steps * in_step)


def optimiser_steps(study: Study, cell: Cell) -> int:
    """Return the most optimiser steps in which a cell's student is trained."""
    training = study.training(cell.student)
    in_step = training.rows_in_step(ROW_TOKENS)
    steps = math.ceil((cell.budget or cell.seeds) / in_step) * training.epochs
    return min(steps, training.max_steps or steps)


def few_steps(study: Study, cells: Iterable[Cell]) -> str | None:
    """Return a sentence on trainings with few optimiser steps; None if there are none."""
    trained = [cell for cell in cells if not cell.untrained]
    steps = {cell: optimiser_steps(study, cell) for cell in trained}
    few = [cell for cell in trained if steps[cell] < FEW_STEPS]
    if not few:
        return None
    fewest = min(few, key=lambda cell: (steps[cell], cell.key))
    return (
        f"{len(few):,} of {len(trained):,} trainings have fewer than {FEW_STEPS} optimiser steps, "
        f"which may leave a student like its base model; the fewest, {steps[fewest]}, in "
        f"{fewest.key}. A smaller training.batch_size or more training.epochs make more: "
        "docs/training.md."
    )


def hours(study: Study, some: Work) -> float | None:
    """Return the GPU hours that some work would take; None for a model without a known speed.

    Start-up is not counted.
    """
    tokens = some.units * some.completion_tokens
    return hours_of_tokens(study, some.model, tokens, some.stage == "training")


def hours_of_tokens(study: Study, model: str, tokens: float, training: bool) -> float | None:
    """Return the GPU hours that tokens take; None for a model without a known speed.

    Args:
        study: has the model.
        model: writes them, or is trained on them.
        tokens: how many.
        training: whether it is trained.
    """
    speed = _speed(study, model)
    if speed is not None and training:
        billions = parameters(study, model) or 0.0
        speed = TRAINING_TOKENS_PER_SECOND * min(1.0, TRAINED_PARAMETERS / max(billions, 1e-9))
        if getattr(study.engine(model), "quantization", None) is not None:
            speed *= QUANTIZED_TRAINING
    return speed and tokens / speed / 3600


def gpu_hours(study: Study, cells: Iterable[Cell]) -> float | None:
    """Return the GPU hours that cells would take from nothing; None for models without a GPU."""
    each = [hours(study, some) for some in work(study, cells)]
    known = [some for some in each if some is not None]
    return sum(known) if len(known) == len(each) else None


def _queries(datasets: Iterable[Dataset], reach: float) -> dict[Stream | QuestionStream, int]:
    """Return the streams under datasets, each with the most queries that one of them may use."""
    largest: dict[Stream | QuestionStream, int] = {}
    for dataset in datasets:
        for stream in (dataset.stream, dataset.question_stream):
            if stream is not None:
                largest[stream] = max(dataset.reach(reach), largest.get(stream, 0))
    return largest


def size(study: Study, model: str) -> Size | None:
    """Return the size of a model that the workflow does not train; None if it is unknown.

    The sources are, in this order: `size` in the model's file, the headers of fetched weights, the
    hub's information on the weights, and the model's name on the hub.
    """
    config = study.models[model]
    if config.size is not None:
        return Size(config.size, config.size * HALF_GB)
    if config.path is not None:
        return size_of_folder(Path(config.path))
    if config.hub is None:
        return None
    fetched = config.folder(model)
    found = size_of_folder(fetched) if (fetched / RECORD).is_file() else None
    return found or size_of_hub(config.hub.id, config.hub.revision) or size_of_name(config.hub.id)


def shape_of(study: Study, model: str) -> Shape | None:
    """Return the shape of a model whose folder exists; None for others."""
    return Shape.of_folder(study.models[model].folder(model))


def parameters(study: Study, model: str) -> float | None:
    """Return the billions of parameters of a model, as `size` does."""
    found = size(study, model)
    return None if found is None else found.parameters


def _speed(study: Study, model: str) -> float | None:
    """Return a model's output tokens per second, by its size."""
    billions = parameters(study, model)
    if billions is None:
        return None
    return LARGE_TOKENS_PER_SECOND if billions >= LARGE_PARAMETERS else SMALL_TOKENS_PER_SECOND
