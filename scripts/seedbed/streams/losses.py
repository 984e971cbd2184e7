"""What became of the queries of a stream: the rows, and what was lost, by reason."""

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
"""By why queries became no rows, what that means and what to change."""

SHARE = 0.1
"""Lost queries of a stream, from which on there is a warning."""

REPEATED = 0.5
"""Of further answers to one question, those that repeat an earlier one: likewise."""

LEAST_FURTHER = 8
LEAST_CHARACTERS = 40
"""Fewer answers, or shorter ones, are often the same by chance."""


@dataclass(frozen=True)
class Losses:
    """What became of the queries of a stream.

    Attributes:
        queries: of the stream that were used.
        rows: that they became; None if that is not known yet.
        lost: the others by reason. What a filter leaves out on purpose is not lost.
        failed_questions: attempts at a question that failed, by reason.
        further: answers to questions that were answered before.
        repeated: of these, those that repeat an earlier answer to the question.
    """

    queries: int
    rows: int | None
    lost: Mapping[str, int]
    failed_questions: Mapping[str, int] = field(default_factory=dict)
    further: int = 0
    repeated: int = 0

    @classmethod
    def of_dataset(cls, counts: DatasetCounts) -> Losses:
        """Return what a dataset's record says."""
        lost = {"empty_slots": counts.empty_slots, **(counts.dropped or {})}
        lost.pop("not_verified", None)
        return cls(counts.queries or 0, counts.rows, lost, counts.failed_questions)

    @classmethod
    def of_answers(cls, answers: pl.DataFrame) -> Losses:
        """Return what answers say, before a dataset is made of them."""
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
        """The share of the queries that was lost."""
        return sum(self.lost.values()) / self.queries if self.queries else 0.0

    def reasons(self) -> str:
        """Return what was lost, by reason, with what to change."""
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
        """Return what a person should know of the stream."""
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
    """Return why a dataset has no rows, and what to change."""
    reasons = Losses.of_dataset(counts).reasons()
    if wrong := (counts.dropped or {}).get("not_verified"):
        reasons = "; ".join(filter(None, [reasons, f"{wrong:,} not_verified"]))
    reasons = reasons or "there are no queries"
    return f"none of {counts.queries or 0:,} queries became a row: {reasons}"


def repeats(answers: pl.DataFrame) -> tuple[int, int]:
    """Return how many answers are further ones to a question, and how many repeat an earlier one.

    Short answers do not count: they are often the same by chance.

    Args:
        answers: with `prompt` and `answer`.
    """
    found = answers.filter(pl.col("answer").str.len_chars() >= LEAST_CHARACTERS)
    found = found.select("prompt", "answer")
    different = found.n_unique()
    return found.height - found["prompt"].n_unique(), found.height - different
