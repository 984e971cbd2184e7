"""The record of a study's spending, `spending.json`, and its summary in words."""

from __future__ import annotations

from pydantic import Field

from seedbed.amounts import dollars
from seedbed.engines.settings import Used
from seedbed.records import Part, Record


class SpendingLine(Part):
    """Spending on one model in one stage.

    Attributes:
        stage: the stage that queried the model.
        model: the model's name in the study.
        requests: number of answered requests, without refused ones.
        prompt_tokens: number of prompt tokens.
        cached_tokens: number of prompt tokens that the provider had in its cache.
        completion_tokens: number of generated and billed tokens, including thinking.
        thinking_tokens: number of completion tokens that are thinking.
        gpu_hours: GPU hours of a model that jobs run, or hours of its jobs without a GPU.
        usd: dollars; null if a price is unknown, or if jobs run the model without a stated price.
        doubts: number of requests that may have been billed but were not answered: under way,
            timed out, or left by a killed job.
        doubts_usd: the most dollars that these can have cost.
    """

    stage: str
    model: str
    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    thinking_tokens: int = 0
    gpu_hours: float = 0.0
    usd: float | None = None
    doubts: int = 0
    doubts_usd: float = 0.0


class SpendingRecord(Record):
    """`spending.json`: the spending of all runs of a study.

    Attributes:
        study: name of the study.
        usd: dollars of all lines with a known price.
        unpriced: models that cost money at an unknown price.
        doubts: see `SpendingLine`.
        doubts_usd: see `SpendingLine`.
        lines: one line per stage and model.
    """

    study: str
    usd: float = 0.0
    unpriced: list[str] = Field(default_factory=list)
    doubts: int = 0
    doubts_usd: float = 0.0
    lines: list[SpendingLine] = Field(default_factory=list)


def paid_lines(found: SpendingRecord) -> list[SpendingLine]:
    """Return the lines that cost money, at a known or an unknown price."""
    return [line for line in found.lines if line.usd is not None or line.model in found.unpriced]


def sentence(found: SpendingRecord) -> str:
    """Return the spending in one line; "" if nothing costs money."""
    lines = paid_lines(found)
    if not lines:
        return ""
    asked = f"{sum(line.requests for line in lines):,} requests"
    hours = sum(line.gpu_hours for line in lines)
    asked += f" and {hours:,.3g} GPU hours" if hours else ""
    if all(line.usd is None for line in lines):
        said = f"{asked} of {', '.join(found.unpriced)}, whose price is not known"
    else:
        said = f"{dollars(found.usd)} for {asked}"
        if found.unpriced:
            said += f", and what {', '.join(found.unpriced)} cost, whose price is not known"
    if found.doubts:
        most = f", at most {dollars(found.doubts_usd)}," if found.doubts_usd else ""
        said += f"; {found.doubts:,} more{most} are under way or were left without an answer"
    return said


HEADS = ("stage", "model", "requests", "read", "cached", "written", "thinking", "GPU hours", "cost")


def table(found: SpendingRecord) -> list[tuple[str, ...]]:
    """Return the lines that cost money as texts, in the order of `HEADS`."""
    return [
        (
            line.stage,
            line.model,
            *(f"{getattr(line, name):,}" for name in Used.__slots__),
            f"{line.gpu_hours:,.3g}" if line.gpu_hours else "-",
            "unknown" if line.usd is None else dollars(line.usd),
        )
        for line in paid_lines(found)
    ]
