"""The record of a dataset, `dataset.json`: its counts, its costs and the rows left out."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from seedbed.config.words import Coordinates
from seedbed.records import MadeRecord, Part, Settings


class DatasetCounts(Part):
    """Counts of a dataset.

    Attributes:
        queries: queries of the stream that were used, 0 for real data. None, here and below, means
            that the version of seedbed that wrote the record did not count it.
        rows: rows of the dataset.
        missing_rows: rows that `verified_matched` did not find.
        empty_slots: queries without a usable question.
        dropped: rows left out, by reason.
        failed_questions: attempts at a question that failed, by reason.
        unique_questions: different questions.
        teacher_thinking_tokens: thinking tokens among the teacher's tokens.
        near_seed_rows: rows whose question is nearly the same as a seed's.
        near_test_rows: rows whose question is nearly the same as one of the test split.
    """

    queries: int | None = None
    rows: int = 0
    missing_rows: int = 0
    empty_slots: int = 0
    dropped: dict[str, int] | None = None
    failed_questions: dict[str, int] = Field(default_factory=dict)
    teacher_queries: int = 0
    teacher_prompt_tokens: int = 0
    teacher_completion_tokens: int = 0
    teacher_thinking_tokens: int = 0
    augmenter_queries: int = 0
    augmenter_prompt_tokens: int = 0
    augmenter_completion_tokens: int = 0
    verification_queries: int = 0
    verification_prompt_tokens: int = 0
    verification_completion_tokens: int = 0
    unique_questions: int | None = None
    near_seed_rows: int | None = None
    near_test_rows: int | None = None


class Diversity(Part):
    """Distinct-n of the questions: distinct runs of n words divided by all such runs.

    None if no question is that long.
    """

    distinct_1: float | None = None
    distinct_2: float | None = None
    distinct_3: float | None = None


class DatasetSeconds(Part):
    """Seconds that models took for the queries that were used."""

    generation: float = 0.0


class DatasetFacts(Part):
    """Results of building a dataset, about the queries that were used."""

    counts: DatasetCounts
    diversity: Diversity | None = None
    seconds: DatasetSeconds = DatasetSeconds()


class DatasetPart(Part):
    """A dataset that is part of a mixture.

    Attributes:
        method: its method.
        budget: its teacher queries, 0 for real data.
        rows: its rows.
        used: its rows in the mixture, without those that an earlier part has as well.
    """

    method: str
    budget: int
    rows: int
    used: int


class DatasetRecord(MadeRecord, DatasetFacts):
    """`dataset.json`, next to the rows of a dataset.

    Attributes:
        dataset: the dataset's coordinates.
        settings: see `DatasetSettings`.
        parts: the parts of a mixture.
    """

    CONTENT: ClassVar[tuple[str, ...]] = ("counts", "diversity")
    dataset: Coordinates = Field(default_factory=dict)
    settings: Settings = Field(default_factory=dict)
    parts: tuple[DatasetPart, ...] = ()
