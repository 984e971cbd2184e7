"""The outcome of a stream's queries: rows, and losses by reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from seedbed.engines import UNFINISHED
from seedbed.streams.answers import is_whole
from seedbed.streams.record import DatasetCounts

CAUSES = {
    "truncated": "cut off: raise max_tokens.answer of the task, or engine.thinking_tokens",
    "content_filter": "refused for their content by the provider: see the key prompts of the task",
    "rejected": "refused by the endpoint, as too long or otherwise wrong",
    "failed": "not answered in all tries: start again, and they are asked again",
    "not_finished": "ended in a way that is not known: see the key engine.ends",
    "blank": "without a text: a model that thinks needs engine.thinking_tokens",
    "not_verified": "found wrong by the filter",
    "unreadable_answer": "without a final answer that the task's kind can read: say in "
    "prompts.answer of the task how to end, or raise max_tokens.answer",
    "same_answer_as_seed": "with the seed's answer, though the question is new: see the key "
    "new_answer of the task",
    "test_overlap": "near a test question: see the key overlap_words of the task",
    "empty_slots": "without a usable question: raise max_tokens.question of the task or "
    "max_attempts of the method",
}
"""By reason why a query became no row, its meaning and the remedy."""

SHARE = 0.1
"""Share of a stream's queries that may be lost without a warning."""

REPEATED = 0.5
"""Share of the further answers to a question that may repeat an earlier one without a warning."""

LEAST_FURTHER = 8
LEAST_CHARACTERS = 40
"""Fewer or shorter answers are often equal by chance."""


@dataclass(frozen=True)
class Losses:
    """The outcome of a stream's queries.

    Attributes:
        queries: number of the stream's queries that were used.
        rows: number of rows that they became; None if unknown so far.
        lost: number of other queries by reason. Rows that a filter leaves out are not lost.
        failed_questions: attempts at a question that failed, by reason.
        further: number of answers to questions that were answered before.
        repeated: number of further answers that repeat an earlier answer to the question.
    """

    queries: int
    rows: int | None
    lost: Mapping[str, int]
    failed_questions: Mapping[str, int] = field(default_factory=dict)
    further: int = 0
    repeated: int = 0

    @classmethod
    def of_dataset(cls, counts: DatasetCounts) -> Losses:
        """Return the losses in a dataset's record."""
        lost = {"empty_slots": counts.empty_slots, **(counts.dropped or {})}
        lost.pop("not_verified", None)
        return cls(counts.queries or 0, counts.rows, lost, counts.failed_questions)

    @classmethod
    def of_answers(cls, answers: pl.DataFrame) -> Losses:
        """Return the losses in answers from which no dataset was built yet."""
        asked = answers.filter(pl.col("answer").is_not_null())
        reason = (
            pl.when(pl.col("finish_reason") != "stop")
            .then(pl.col("finish_reason").replace_strict(UNFINISHED, default="not_finished"))
            .when(~is_whole())
            .then(pl.lit("blank"))
            .otherwise(pl.lit(""))
        )
        lost = dict(asked.select(reason=reason)["reason"].value_counts().iter_rows())
        lost.pop("", None)
        return cls(answers.height, None, {"empty_slots": answers.height - asked.height, **lost})

    @property
    def share(self) -> float:
        """Share of the queries that were lost."""
        return sum(self.lost.values()) / self.queries if self.queries else 0.0

    def reasons(self) -> str:
        """Return the losses by reason, with remedies."""
        found = [
            f"{count:,} {name} ({CAUSES[name]})" if name in CAUSES else f"{count:,} {name}"
            for name, count in sorted(self.lost.items(), key=lambda pair: -pair[1])
            if count
        ]
        failed = ", ".join(f"{count:,} {name}" for name, count in self.failed_questions.items())
        if failed and self.lost.get("empty_slots"):
            found.append(f"of the attempts at questions failed {failed}")
        return "; ".join(found)

    def warnings(self) -> list[str]:
        """Return warnings about the stream, for people."""
        found = []
        if self.share > SHARE:
            lost = sum(self.lost.values())
            found.append(
                f"{lost:,} of {self.queries:,} queries ({self.share:.0%}) became no rows: "
                f"{self.reasons()}"
            )
        if self.further >= LEAST_FURTHER and self.repeated > REPEATED * self.further:
            found.append(
                f"{self.repeated:,} of {self.further:,} further answers to a question repeat an "
                "earlier one word by word: a cache between here and the model may ignore the seed "
                "(switch it off by engine.headers or engine.body), or the answers are not sampled "
                "(generation.temperature, engine.temperature_field, engine.seed_field)"
            )
        return found


def no_rows(counts: DatasetCounts) -> str:
    """Return why a dataset has no rows, and the remedies."""
    reasons = Losses.of_dataset(counts).reasons()
    if wrong := (counts.dropped or {}).get("not_verified"):
        reasons = "; ".join(filter(None, [reasons, f"{wrong:,} not_verified"]))
    reasons = reasons or "there are no queries"
    return f"none of {counts.queries or 0:,} queries became a row: {reasons}"


def repeats(answers: pl.DataFrame) -> tuple[int, int]:
    """Return how many answers are further ones to a question, and how many of them are repeats.

    Short answers do not count, because they are often equal by chance.

    Args:
        answers: with `prompt` and `answer`.
    """
    found = answers.filter(pl.col("answer").str.len_chars() >= LEAST_CHARACTERS)
    found = found.select("prompt", "answer")
    different = found.n_unique()
    return found.height - found["prompt"].n_unique(), found.height - different
