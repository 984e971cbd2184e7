"""The settings of an evaluation."""

from __future__ import annotations

from pydantic import Field

from seedbed.config.sections import Section
from seedbed.config.values import Count, JsonObject, changes
from seedbed.engines.settings import Asked
from seedbed.evaluation.scorers.settings import JudgeOptions, Scored
from seedbed.streams.settings import Answering, Prompted


class EvaluatedItems(Section):
    """Which test items count."""

    test_items: Count | None = Field(
        None,
        description="Test items that each cell is evaluated on, the first of the split; "
        "null takes all.",
        json_schema_extra=changes("evaluation"),
    )


class ItemAnswering(Answering, Prompted, EvaluatedItems):
    """How a student is asked a task's test items."""


class EvaluationSettings(ItemAnswering, Scored):
    """How a student is asked a task's test items, and scored."""

    def content(self) -> JsonObject:
        """Return all settings for JSON; of those of the scorer, the ones that are given."""
        return super().content() | {"scorer": self.scorer_options}


class JudgingSettings(Asked):
    """How a judge is asked about a student's answers.

    Attributes:
        options: the rubric and the form of the verdict; its labels are an input.
    """

    options: JudgeOptions

    def content(self) -> JsonObject:
        """Return all settings for JSON."""
        return super().content() | {"options": self.options.content()}
