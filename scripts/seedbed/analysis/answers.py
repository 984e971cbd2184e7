"""What a study answers to one question: a task, so many seeds, and a budget or an accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seedbed.analysis.advice import Advice, Reach, advise, reach
from seedbed.analysis.crossovers import ratio_text
from seedbed.analysis.figures.drawing import group_titles
from seedbed.analysis.fits import Fit
from seedbed.analysis.report import outlook_text, percent
from seedbed.analysis.settings import Titles

COORDINATES = ("task", "student", "teacher", "augmenter", "filter")


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        task: the task.
        seeds: seed questions.
        queries: teacher queries, the budget; None to ask for the least that reach an accuracy.
        target: that accuracy, a fraction; None if the budget is given.
    """

    task: str
    seeds: int
    queries: int | None = None
    target: float | None = None


@dataclass(frozen=True)
class Answer:
    """What cells of one student, teacher, augmenter and filter say.

    Attributes:
        fit: their fit.
        said: the advice, or by method the least budgets; None where they say nothing.
        reason: why they say nothing, or "".
    """

    fit: Fit
    said: Advice | list[Reach] | None
    reason: str = ""


def ask(fits: Sequence[Fit], question: Question, confidence: float) -> list[Answer]:
    """Return what each fit of a task answers.

    Raises:
        ValueError: if the study does not have the task, or none of its fits reaches as far as the
            seeds and the budget, with what they do have.
    """
    task, seeds = question.task, question.seeds
    known = list(dict.fromkeys(fit.record["task"] for fit in fits))
    if task not in known:
        raise ValueError(f"task {task}: the study has results of {', '.join(known) or 'none'}")
    answers = []
    for fit in fits:
        if fit.record["task"] != task:
            continue
        try:
            if question.target is None:
                answers.append(Answer(fit, advise(fit, seeds, question.queries, confidence)))
            else:
                answers.append(Answer(fit, reach(fit, seeds, question.target, confidence)))
        except ValueError as error:
            answers.append(Answer(fit, None, str(error)))
    if not any(answer.said for answer in answers):
        raise ValueError("; ".join(dict.fromkeys(answer.reason for answer in answers)))
    return answers


def advice_text(
    study: str, question: Question, answers: Sequence[Answer], confidence: float, titles: Titles
) -> str:
    """Return answers as tables and sentences for a person."""
    names = group_titles([answer.fit for answer in answers], titles)
    lines = []
    for answer, name in zip(answers, names, strict=True):
        lines.append(f"{name} (study {study})")
        if answer.said is None:
            lines.append(f"  nothing to say: {answer.reason}")
        elif isinstance(answer.said, Advice):
            lines += _budget_lines(answer.said, confidence, titles)
        else:
            lines += _target_lines(question, answer.said, confidence, titles)
        lines.append("")
    return "\n".join(lines)


def _budget_lines(advice: Advice, confidence: float, titles: Titles) -> list[str]:
    ratio = ratio_text(advice.budget / advice.seeds)
    head = ("", "accuracy, %", f"{100 * confidence:g}% interval", "best in", "regret, points")
    lines = [
        f"  {advice.seeds:,} seeds, {advice.budget:,} teacher queries: BR {ratio}",
        "  {:<28}{:>12}{:>16}{:>9}{:>16}".format(*head),
    ]
    for entry in advice.outlook:
        interval = f"{percent(entry.low)} to {percent(entry.high)}"
        lines.append(
            f"  {titles.title(entry.method):<28}{percent(entry.accuracy):>12}{interval:>16}"
            f"{100 * entry.probability_best:>8.0f}%{100 * entry.expected_regret:>16.1f}"
        )
    return [*lines, f"  {outlook_text(advice, titles)}. By {advice.basis}."]


def _target_lines(
    question: Question, found: Sequence[Reach], confidence: float, titles: Titles
) -> list[str]:
    head = ("", "queries", "accuracy, %", f"{100 * confidence:g}% interval", "reached in")
    lines = [
        f"  {question.seeds:,} seeds, to reach {percent(question.target)}%",
        "  {:<28}{:>10}{:>12}{:>16}{:>12}".format(*head),
    ]
    for one in found:
        interval = f"{percent(one.low)} to {percent(one.high)}"
        queries = "-" if one.budget is None else f"{one.budget:,}"
        lines.append(
            f"  {titles.title(one.method):<28}{queries:>10}{percent(one.accuracy):>12}"
            f"{interval:>16}{100 * one.probability:>11.0f}%"
        )
    best = found[0]
    if best.budget is None:
        return [
            *lines,
            "  No method is expected to reach it within what was measured; their best is shown.",
        ]
    ratio = ratio_text(best.budget / question.seeds)
    return [
        *lines,
        f"  {titles.short(best.method)} is expected to reach it with the fewest teacher queries: "
        f"{best.budget:,}, BR {ratio}.",
    ]


def advice_json(question: Question, answers: Sequence[Answer]) -> dict[str, Any]:
    """Return answers as JSON: accuracies, intervals, regrets and probabilities are fractions."""
    return {
        "question": asdict(question),
        "answers": [
            {name: answer.fit.record[name] for name in COORDINATES} | _said(answer)
            for answer in answers
        ],
    }


def _said(answer: Answer) -> dict[str, Any]:
    if answer.said is None:
        return {"reason": answer.reason}
    if isinstance(answer.said, Advice):
        return asdict(answer.said)
    return {"reach": [asdict(one) for one in answer.said]}
