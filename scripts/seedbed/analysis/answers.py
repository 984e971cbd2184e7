"""What a study answers to one question: a task, so many seeds, and so many teacher queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seedbed.analysis.advice import Advice, advise
from seedbed.analysis.crossovers import ratio_text
from seedbed.analysis.figures.drawing import group_titles
from seedbed.analysis.fits import Fit
from seedbed.analysis.report import outlook_text, percent
from seedbed.analysis.settings import Titles

COORDINATES = ("task", "student", "teacher", "augmenter", "filter")


@dataclass(frozen=True)
class Answer:
    """What cells of one student, teacher, augmenter and filter say.

    Attributes:
        fit: their fit.
        advice: the advice; None where they say nothing.
        reason: why they say nothing, or "".
    """

    fit: Fit
    advice: Advice | None
    reason: str = ""


def ask(
    fits: Sequence[Fit], task: str, seeds: int, queries: int, confidence: float
) -> list[Answer]:
    """Return what each fit of a task advises.

    Raises:
        ValueError: if the study does not have the task, or none of its fits reaches as far as the
            seeds and the budget, with what they do have.
    """
    known = list(dict.fromkeys(fit.record["task"] for fit in fits))
    if task not in known:
        raise ValueError(f"task {task}: the study has results of {', '.join(known) or 'none'}")
    answers = []
    for fit in fits:
        if fit.record["task"] != task:
            continue
        try:
            answers.append(Answer(fit, advise(fit, seeds, queries, confidence)))
        except ValueError as error:
            answers.append(Answer(fit, None, str(error)))
    if not any(answer.advice for answer in answers):
        raise ValueError("; ".join(dict.fromkeys(answer.reason for answer in answers)))
    return answers


def advice_text(study: str, answers: Sequence[Answer], titles: Titles) -> str:
    """Return answers as tables and sentences for a person."""
    names = group_titles([answer.fit for answer in answers], titles)
    lines = []
    for answer, name in zip(answers, names, strict=True):
        lines.append(f"{name} (study {study})")
        advice = answer.advice
        if advice is None:
            lines += [f"  nothing to say: {answer.reason}", ""]
            continue
        ratio = ratio_text(advice.budget / advice.seeds)
        level = f"{100 * advice.confidence:g}%"
        head = ("", "accuracy, %", f"{level} interval", "best in", "regret, points")
        lines += [
            f"  {advice.seeds:,} seeds, {advice.budget:,} teacher queries: BR {ratio}",
            "  {:<28}{:>12}{:>16}{:>9}{:>16}".format(*head),
        ]
        for entry in advice.outlook:
            interval = f"{percent(entry.low)} to {percent(entry.high)}"
            lines.append(
                f"  {titles.title(entry.method):<28}{percent(entry.accuracy):>12}{interval:>16}"
                f"{100 * entry.probability_best:>8.0f}%{100 * entry.expected_regret:>16.1f}"
            )
        lines += [f"  {outlook_text(advice, titles)}. By {advice.basis}.", ""]
    return "\n".join(lines)


def advice_json(answers: Sequence[Answer]) -> dict[str, Any]:
    """Return answers as JSON: accuracies, intervals and regrets are fractions."""
    return {
        "answers": [
            {name: answer.fit.record[name] for name in COORDINATES}
            | ({"reason": answer.reason} if answer.advice is None else asdict(answer.advice))
            for answer in answers
        ]
    }
