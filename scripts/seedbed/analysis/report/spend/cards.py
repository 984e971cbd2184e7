"""Cards for the hub, of the data set and of the adapter: a README.md with YAML metadata."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from seedbed.analysis.report import sentences as say
from seedbed.analysis.report.spend.about import Named
from seedbed.analysis.report.spend.outcome import GAINS_HOLD, Outcome

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))
"""The hub's size categories, each with the number of rows below which it applies."""


def data_card(found: Outcome) -> str:
    """Return the card of the data set."""
    from huggingface_hub import DatasetCardData

    asked, counts = found.request, found.record.counts
    size = next((word for most, word in SIZES if counts.rows < most), "1M<n<10M")
    licences = [found.about.task, *(found.about.models[part] for part in _writers(found))]
    front = DatasetCardData(
        license=_licence(licences),
        pretty_name=f"{found.about.task.title}: synthetic data from {asked.seeds:,} seeds",
        task_categories=["text-generation"],
        size_categories=[size],
        tags=["synthetic", "seedbed"],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "data/train.parquet"}],
            }
        ],
    )
    task = _said(found.about.task, "datasets/")
    dropped = sorted((counts.dropped or {}).items())
    return _card(
        front,
        f"Synthetic data for {found.about.task.title}",
        *found.summary(),
        "## How it was made",
        f"{asked.seeds:,} questions of the train split, draw {asked.draw}, of {task} are the "
        "seeds. A method spends queries of the teacher on them:",
        _table(
            ("method", "teacher queries", "rows"),
            (
                (found.about.methods[name], f"{queries:,}", f"{found.rows.get(name, 0):,}")
                for name, queries in found.bought.items()
            ),
        ),
        "The queries were divided in rounds:",
        *_decisions(found),
        "## Models and licences",
        _table(
            ("part", "name", "from", "licence"),
            (
                (part, one.title, one.source, one.license or "not stated")
                for part, one in (("seeds", found.about.task), *found.about.models.items())
            ),
        ),
        "The terms of the models that wrote the text may bind anyone who trains on it.",
        "## Prompts",
        f"Sampling: {_pairs(found.about.generation)}.",
        *(
            part
            for name, text in found.about.prompts.items()
            for part in _prompt(found, name, text)
        ),
        "## Counts",
        _table(
            ("item", "count"),
            (
                ("teacher queries", f"{counts.teacher_queries:,}"),
                ("augmenter queries", f"{counts.augmenter_queries:,}"),
                ("slots without a usable question", f"{counts.empty_slots:,}"),
                *((f"dropped: {_words(reason)}", f"{count:,}") for reason, count in dropped),
                ("rows", f"{counts.rows:,}"),
                ("different questions", _count(counts.unique_questions)),
                (
                    "tokens that the teacher read and wrote",
                    f"{counts.teacher_prompt_tokens:,} and {counts.teacher_completion_tokens:,}",
                ),
            ),
        ),
        f"Cost, trainings included: {found.cost}. By stage and model: `spending.json`.",
        "## Contamination",
        f"{_overlap(found.about.overlap_words)} "
        f"{(counts.dropped or {}).get('test_overlap', 0):,} rows were left out for that; "
        f"{_count(counts.near_test_rows)} of the remaining rows are near a question of the test "
        f"split, and {_count(counts.near_seed_rows)} are near a seed.",
        "## Columns",
        _table(
            ("column", "content"),
            (
                ("messages", "the chat to train on, as TRL and Transformers read it"),
                ("question, answer", "the texts of the chat"),
                ("method", "the method that made it"),
                ("seed_id", "the item of the train split that is its seed"),
                ("query, sample", "its place in the method's stream"),
                ("prompt_tokens, completion_tokens", "tokens of the query for the answer"),
            ),
        ),
        _made(found),
    )


def model_card(found: Outcome) -> str:
    """Return the card of the adapter.

    Raises:
        ValueError: without a student.
    """
    from huggingface_hub import EvalResult, ModelCardData

    if not found.students:
        raise ValueError("there is no adapter without a student")
    student, final = found.about.models["student"], found.students[-1]
    front = ModelCardData(
        base_model=student.hub,
        library_name="peft",
        license=_licence([student]),
        pipeline_tag="text-generation",
        tags=["lora", "seedbed"],
        model_name=f"{student.title}, {found.about.task.title}",
        eval_results=[
            EvalResult(
                task_type="text-generation",
                dataset_type=found.about.task.hub or found.request.task,
                dataset_name=found.about.task.title,
                dataset_split="test",
                metric_type="accuracy",
                metric_value=round(final.accuracy.accuracy, 6),
            )
        ],
    )
    return _card(
        front,
        f"LoRA adapter for {found.about.task.title}",
        f"The base model is {_said(student)}; the adapter needs its weights.",
        *found.summary(),
        "## Evaluation",
        "On the test split, with 95% intervals. Intervals of accuracies cover the noise of test "
        f"items; intervals of differences cover the {GAINS_HOLD}.",
        _table(
            ("trained on", "teacher queries", "accuracy"),
            (
                (one.title, f"{one.queries:,}", say.accuracy_text(one.accuracy))
                for one in found.students
            ),
        ),
        _table(
            ("the final student compared with", "paired difference"),
            ((one.over, one.text) for one in found.gains),
        ),
        "## Training",
        f"Settings: {_pairs(found.about.training)}.",
        _made(found),
    )


def _card(front: Any, title: str, *parts: str) -> str:
    yaml = front.to_yaml(line_break="\n").strip()
    return "\n".join([f"---\n{yaml}\n---\n\n# {title}\n", "\n\n".join(filter(None, parts)), ""])


def _writers(found: Outcome) -> list[str]:
    """Return the roles whose models wrote the rows."""
    return [part for part in ("augmenter", "teacher") if part in found.about.models]


def _licence(parts: Iterable[Named]) -> str:
    """Return the licence that all parts share, or `other`: the card's text then lists them."""
    stated = {part.license for part in parts}
    only = stated.pop() if len(stated) == 1 else None
    return only or "other"


def _decisions(found: Outcome) -> list[str]:
    lines = [f"{one.round}. {found.said(one.purchase.reason)}" for one in found.purchases]
    return ["\n".join(lines)]


def _said(part: Named, kind: str = "") -> str:
    if part.hub is not None:
        return f"[{part.title}](https://huggingface.co/{kind}{part.hub})"
    return f"{part.title} ({part.source})"


def _prompt(found: Outcome, name: str, text: str) -> Sequence[str]:
    """Return a prompt in a code fence longer than any fence in the prompt."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    title = "Answers" if name == "answer" else found.about.methods.get(name, name)
    return [f"{title}:", f"{fence}\n{text}\n{fence}"]


def _overlap(words: int | None) -> str:
    if words is None:
        return "Rows whose question is in the test split are left out."
    return f"Rows whose question shares {words} words in a row with a test question are left out."


def _words(name: str) -> str:
    return name.replace("_", " ")


def _count(count: int | None) -> str:
    return "an unknown number" if count is None else f"{count:,}"


def _pairs(settings: Any) -> str:
    return ", ".join(
        f"{_words(name)} {value}" for name, value in settings.items() if value is not None
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    found = [tuple(map(_cell, row)) for row in rows]
    if not found:
        return ""
    lines = [tuple(heads), ("---",) * len(heads), *found]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    """Return a text that fits into one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def _made(found: Outcome) -> str:
    versions = ", ".join(f"{name} {one}" for name, one in found.record.versions.items())
    return (
        "Made with seedbed, after [Balancing Cost and Effectiveness of Synthetic Data Generation "
        "Strategies for LLMs](https://arxiv.org/abs/2409.19759); "
        f"code {found.record.code}, {versions}."
    )
