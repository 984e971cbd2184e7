"""The section of the configuration with the options of a scorer."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from seedbed.config.sections import Section
from seedbed.config.values import Count, Positive, Stage


class ScorerOptions(Section):
    """Options of the scorer of a task's kind; so far, only that of SQL has any."""

    STAGES: ClassVar[tuple[Stage, ...]] = (
        "verification",
        "datasets",
        "evaluation",
    )

    timeout: Positive = Field(
        5.0, description="SQL: CPU seconds for one query; twice that and one second by the clock."
    )
    max_rows: Count = Field(100_000, description="SQL: most rows of a gold result.")
    max_memory_mb: Count = Field(
        512, description="SQL: most memory of the process that runs queries."
    )
    column_order: Literal["free", "fixed"] = Field(
        "free",
        description="SQL: whether columns may come in any order, or must in the gold query's.",
    )
    distinct: Literal["count", "ignore"] = Field(
        "count",
        description="SQL: whether DISTINCT counts, or is taken out of both queries before they "
        "run, as the official evaluation of Spider does by default.",
    )
