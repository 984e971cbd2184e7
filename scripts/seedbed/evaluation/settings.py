"""The settings of an evaluation."""

from __future__ import annotations

from pydantic import Field

from seedbed.config.sections import Section
from seedbed.config.values import Count, JsonObject, changes
from seedbed.engines.settings import Asked
from seedbed.evaluation.scorers.settings import JudgeOptions, Scored
from seedbed.streams.settings import Answering, Prompted


class EvaluatedItems(Section):
    """The test items that cells are evaluated on."""

    test_items: Count | None = Field(
        None,
        description="Number of test items that each cell is evaluated on, from the start of the "
        "split; null takes all.",
        json_schema_extra=changes("evaluation"),
    )


class ItemAnswering(Answering, Prompted, EvaluatedItems):
    """How a student is asked a task's test items."""


class EvaluationSettings(ItemAnswering, Scored):
    """How a student is asked a task's test items, and how its answers are scored."""

    def content(self) -> JsonObject:
        """Return all settings for JSON, with only those scorer options that the task sets."""
        return super().content() | {"scorer": self.scorer_options}


class JudgingSettings(Asked):
    """How a judge is asked about a student's answers.

    Attributes:
        options: the rubric and the form of the verdict, without the labels, which are an input.
    """

    options: JudgeOptions

    def content(self) -> JsonObject:
        """Return all settings for JSON."""
        return super().content() | {"options": self.options.content()}
