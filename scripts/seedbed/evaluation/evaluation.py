"""Evaluation: a student's greedy answers to a task's test items, scored one by one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import polars as pl

from seedbed.config.values import JsonObject
from seedbed.engines import Completion, Request, chat, prompt_of
from seedbed.evaluation.record import Score, Scores
from seedbed.evaluation.references import failing_references
from seedbed.evaluation.scorers import Score as OneScore
from seedbed.evaluation.scorers import Scorer, scoring_each
from seedbed.tasks.items import TaskItem
from seedbed.tasks.prompts import answer_prompt

SCHEMA = pl.Schema(
    {
        "item_id": pl.String,
        "cluster": pl.String,
        "prompt": pl.String,
        "output": pl.String,
        "extracted": pl.String,
        "gold": pl.String,
        "strict": pl.Boolean,
        "flexible": pl.Boolean,
        "correct": pl.Boolean,
        "reason": pl.String,
        "finish_reason": pl.String,
        "prompt_tokens": pl.Int64,
        "completion_tokens": pl.Int64,
    }
)


def item_requests(
    items: Sequence[TaskItem],
    prompt: str,
    answer_tokens: int,
    system: str | None = None,
    stop: Sequence[str] = (),
) -> list[Request]:
    """Return the greedy requests for a student's answers. An item's number is its request's key.

    Args:
        items: test items.
        prompt: prompt template, the same as in training.
        answer_tokens: maximum length of an answer, in tokens.
        system: system message, the same as in training, or None.
        stop: stop sequences.
    """
    return [
        Request(
            key=str(number),
            messages=chat(prompt_of(item.history, answer_prompt(prompt, item)), system),
            max_tokens=answer_tokens,
            stop=tuple(stop),
        )
        for number, item in enumerate(items)
    ]


def evaluate(
    items: Sequence[TaskItem],
    requests: Sequence[Request],
    completions: Iterable[Completion],
    scorer: Scorer,
    score: str,
    progress: Callable[[str], None],
) -> pl.DataFrame:
    """Score a student's answers to all items.

    Args:
        items: test items.
        requests: the requests from `item_requests`.
        completions: one completion per request, in any order.
        scorer: the task's scorer.
        score: the reading that the accuracy uses, `strict` or `flexible`.
        progress: called with a line of text after every 500 items.

    Returns:
        One row per item, in order, with the columns of `SCHEMA`, and `score` if answers are graded.
    """
    rows: list[JsonObject] = [{} for _ in items]
    grades: list[float | None] = [None] * len(items)

    def scored(completion: Completion) -> OneScore:
        return scorer.score(completion.text, items[int(completion.key)])

    found = scoring_each(scorer, scored, completions)
    for done, (completion, result) in enumerate(found, start=1):
        number = int(completion.key)
        item = items[number]
        rows[number] = {
            "item_id": item.item_id,
            "cluster": item.cluster,
            "prompt": requests[number].messages[-1][1],
            "output": completion.text,
            "extracted": result.extracted,
            "gold": item.gold,
            "strict": result.strict,
            "flexible": result.flexible,
            "correct": result.strict if score == "strict" else result.flexible,
            "reason": result.reason,
            "finish_reason": completion.finish_reason,
            "prompt_tokens": completion.prompt_tokens,
            "completion_tokens": completion.completion_tokens,
        }
        grades[number] = result.grade
        if done % 500 == 0:
            progress(f"{done} of {len(items)} items")
    predictions = pl.DataFrame(rows, schema=SCHEMA)
    if all(grade is None for grade in grades):
        return predictions
    # A task's function may grade some answers and return True or False for others.
    given = pl.Series("score", grades, dtype=pl.Float64)
    return predictions.with_columns(given.fill_null(predictions["correct"].cast(pl.Float64)))


def check_references(items: Sequence[TaskItem], scorer: Scorer, reading: str = "flexible") -> int:
    """Check that the scorer accepts each item's reference answer.

    If it rejects one, no student's answer to that item could be right.

    Args:
        items: the items.
        scorer: the task's scorer.
        reading: the task's `score`, `strict` or `flexible`.

    Returns:
        The number of items.

    Raises:
        ValueError: if the scorer rejects a reference answer. The message names the first.
    """
    wrong = failing_references({"test": items}, scorer, reading)
    if wrong:
        raise ValueError(
            f"the reference answers of {len(wrong)} of {len(items)} items are wrong by the task's "
            f"own scorer, {reading} reading, that of {wrong[0].item_id} among them: "
            f"{wrong[0].reason}"
        )
    return len(items)


def summarise(predictions: pl.DataFrame) -> Scores:
    """Return the scores of a table of predictions.

    Raises:
        ValueError: if there are no predictions, or an item has no score: a missing score is an
            error, not 0.
    """
    items = predictions.height
    if not items:
        raise ValueError("there are no predictions to score")
    missing = predictions["correct"].null_count()
    if missing:
        raise ValueError(f"{missing} of {items} items have no score")
    correct = int(predictions["correct"].sum())
    graded = "score" in predictions.columns
    if graded:
        scores = predictions["score"].to_numpy()
        accuracy = float(scores.mean())
        error = float(scores.std(ddof=1)) / math.sqrt(items) if items > 1 else None
    else:
        accuracy = correct / items
        error = math.sqrt(accuracy * (1 - accuracy) / items)
    reasons = Counter(predictions.filter(pl.col("extracted").is_null())["reason"].to_list())
    return Scores(
        items=items,
        correct=correct,
        accuracy=accuracy,
        standard_error=error,
        strict=_score(predictions, "strict"),
        flexible=_score(predictions, "flexible"),
        unparsed=int(predictions["extracted"].is_null().sum()),
        unparsed_reasons=dict(sorted(reasons.items())),
        truncated=int((predictions["finish_reason"] == "length").sum()),
        **({"graded": True} if graded else {}),
    )


def _score(predictions: pl.DataFrame, column: str) -> Score:
    correct = int(predictions[column].sum())
    # Both readings have the same grade.
    graded = "score" in predictions.columns
    accuracy = float(predictions["score"].mean()) if graded else correct / predictions.height  # type: ignore[arg-type]
    return Score(correct=correct, accuracy=accuracy)
