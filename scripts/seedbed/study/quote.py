"""The cost estimate of a study: in total, and still to pay.

Lengths come from finished work of the same model with the same method on the same task. Without
such work they are assumed, and the estimate says so. Prices come from the models' files; a missing
price stays unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import polars as pl

from seedbed.amounts import dollars
from seedbed.config.values import JsonObject
from seedbed.engines.books import Key, Spent
from seedbed.engines.settings import OpenAISettings, Used
from seedbed.evaluation.record import EvaluationRecord
from seedbed.streams.answers import was_refused
from seedbed.streams.extension import held_until
from seedbed.streams.response_cache import read_completions
from seedbed.study.cells import Grid
from seedbed.study.estimate import Work, few_steps, hours, parameters, work
from seedbed.study.loading import Study
from seedbed.study.paths import STATE
from seedbed.study.resources import copies, job_gpus
from seedbed.study.rows import Rows
from seedbed.study.shards import Shard, ShardBounds
from seedbed.training.record import TrainingRecord

TEXT_BYTES = 12.0
"""Bytes of disk per token: four characters, in the response cache, a shard and a dataset."""

ADAPTER_PARAMETERS = 360_000
"""Parameters of a LoRA adapter per rank and per billion of the student's parameters. In Llama 2 7B,
the inputs and outputs of the linear maps are 78,080 wide in each of 32 layers, with widths of 4,096
and 11,008 (config.json of meta-llama/Llama-2-7b-chat-hf)."""

ADAPTER_BYTES = 4
"""Bytes per parameter, in 32 bits."""

STAGES = {
    "questions": ("questions", "augmenter"),
    "answers": ("answers", "teacher"),
    "verification": ("samples", "verification"),
}
"""By stage, the folder of its shards, and the prefix of its columns."""


@dataclass(frozen=True, slots=True)
class Done:
    """The finished part of some work.

    Attributes:
        units: finished units of the work; may be fractional for an unfinished shard.
        queries: of the model.
        prompt_tokens: read.
        completion_tokens: written.
        seconds: that it took.
        bytes: of an adapter, where there is one.
    """

    units: float = 0.0
    queries: float = 0.0
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    seconds: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: Done) -> Done:
        return Done(*(getattr(self, name) + getattr(other, name) for name in Done.__slots__))


@dataclass(slots=True)
class Line:
    """The work of one model in one stage.

    Attributes:
        stage: see `Work`.
        model: who does it.
        queries: of the model.
        prompt_tokens: read.
        completion_tokens: written.
        usd: their cost; None if a price is unknown, and for training without a price.
        hours: hours of computing; None if they were not measured and cannot be estimated.
        measured: share of the tokens whose lengths were measured; None if there are none.
        lengths: how the other lengths were found: `assumed`, or counted on the task's rows by the
            model's tokenizer or by their characters, with answers as the model's file states.
    """

    stage: str
    model: str
    queries: float = 0.0
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    usd: float | None = 0.0
    hours: float | None = 0.0
    measured: float | None = 0.0
    lengths: str = "assumed"


@dataclass(frozen=True)
class Quote:
    """A study's costs: as configured and still to pay, disk space, and a caution."""

    whole: Sequence[Line]
    left: Sequence[Line]
    disk: tuple[float, float]
    caution: str | None = None

    def to_json(self) -> JsonObject:
        """Return it as plain values."""
        return {
            "as_configured": [asdict(line) for line in self.whole],
            "still_to_pay": [asdict(line) for line in self.left],
            "disk_bytes": {"as_configured": self.disk[0], "still_to_pay": self.disk[1]},
            "caution": self.caution,
        }


def quote(study: Study, grid: Grid, results: Path, rows: Rows | None = None) -> Quote:
    """Return the cost estimate of a study.

    Args:
        study: the study.
        grid: its grid.
        results: folder of its results, which need not exist.
        rows: of its tasks; without them, all lengths that were not measured are assumed.
    """
    parts = work(study, grid.cells)
    how = ["assumed"] * len(parts)
    if rows is not None:
        found = [rows.lengths(part) for part in parts]
        parts, how = [part for part, _ in found], [said for _, said in found]
    done = [_done(part, results, study.shards) for part in parts]
    alike: dict[tuple[str, ...], Done] = defaultdict(Done)
    for part, some in zip(parts, done, strict=True):
        alike[_kind(part)] += some
    whole: dict[tuple[str, str], Line] = {}
    left: dict[tuple[str, str], Line] = {}
    disk = [0.0, 0.0]
    for part, some, said in zip(parts, done, how, strict=True):
        missing = max(0.0, part.units - some.units)
        for place, (lines, units) in enumerate(((whole, part.units), (left, missing))):
            line = lines.setdefault((part.stage, part.model), Line(part.stage, part.model))
            if not alike[_kind(part)].units:
                line.lengths = said
            disk[place] += _add(line, study, part, alike[_kind(part)], units)
    return Quote(_ended(whole), _ended(left), (disk[0], disk[1]), few_steps(study, grid.cells))


def answered(study: Study, grid: Grid, results: Path) -> dict[Key, Spent]:
    """Return the cost of the existing answers, by stage and model.

    Args:
        study: the study.
        grid: its grid.
        results: folder of its results, which need not exist.
    """
    found: dict[Key, Spent] = {}
    for part in work(study, grid.cells):
        hosted = isinstance(study.engine(part.model), OpenAISettings)
        asked = part.stage in (*STAGES, "judging")
        if hosted and not asked:
            continue
        done = _done(part, results, study.shards, beyond=True)
        used = Used(done.queries, done.prompt_tokens, 0, done.completion_tokens)
        spent = Spent(
            used if asked else Used(),
            unpriced=used if hosted else Used(),
            gpu_seconds=0.0 if hosted else done.seconds * job_gpus(study, part.stage, part.model),
            queries=round(done.queries) if part.stage in ("answers", "verification") else 0,
        )
        if spent != Spent():
            key = part.stage, part.model
            found[key] = found.get(key, Spent()) + spent
    return found


def _kind(part: Work) -> tuple[str, ...]:
    """Return the key by which pieces of work share measured lengths."""
    return part.stage, part.model, part.task, part.method


def _add(line: Line, study: Study, part: Work, alike: Done, units: float) -> float:
    """Add some units of a piece of work to a line, and return the bytes of disk that they take."""
    queries, prompt, completion = part.queries, part.prompt_tokens, part.completion_tokens
    took = hours(study, part)
    took = took and took / part.units
    if took and part.stage != "training":
        took /= copies(study, part.model)
    if alike.units:
        queries, prompt, completion, seconds = (
            getattr(alike, name) / alike.units
            for name in ("queries", "prompt_tokens", "completion_tokens", "seconds")
        )
        took = seconds / 3600
        line.measured += units * (prompt + completion)
    line.queries += units * queries
    line.prompt_tokens += units * prompt
    line.completion_tokens += units * completion
    if line.hours is not None:
        line.hours = None if took is None else line.hours + units * took
    used = Used(units * queries, units * prompt, 0, units * completion)
    usd = _usd(study, part, used, None if took is None else units * took)
    line.usd = None if usd is None or line.usd is None else line.usd + usd
    if part.stage != "training":
        return units * (prompt + completion) * TEXT_BYTES
    size = parameters(study, part.model)
    rank = study.training(part.model).lora_rank
    one = alike.bytes / alike.units * part.units if alike.units else 0.0
    one = one or (size or 0.0) * ADAPTER_PARAMETERS * rank * ADAPTER_BYTES
    return one * (units > 0)


def _usd(study: Study, part: Work, used: Used, hours: float | None) -> float | None:
    """Return the cost of some work in dollars, by its tokens or its GPU hours; None if unknown."""
    price, engine = study.models[part.model].price, study.engine(part.model)
    by_hours = part.stage == "training" or not isinstance(engine, OpenAISettings)
    if by_hours and price.usd_per_gpu_hour is not None:
        if hours is None:
            return None
        return hours * price.usd_per_gpu_hour * job_gpus(study, part.stage, part.model)
    if part.stage == "training":
        return None
    return price.usd(used, batch=getattr(engine, "batch", None) is not None)


def _ended(lines: dict[tuple[str, str], Line]) -> list[Line]:
    for line in lines.values():
        tokens = line.prompt_tokens + line.completion_tokens
        # Rounded because sums of the same numbers in another order differ in the last digits.
        line.measured = round((line.measured or 0.0) / tokens, 9) if tokens else None
    return list(lines.values())


# --- what is there


def _done(part: Work, results: Path, bounds: ShardBounds, beyond: bool = False) -> Done:
    """Return the finished part of some work.

    Args:
        part: the work.
        results: folder of the study's results.
        bounds: of the study's shards.
        beyond: whether to count queries that the study does not need, if its shards hold more.
    """
    if part.stage == "evaluation":
        return _evaluated(results / "evaluations" / part.key / "evaluation.json", part)
    if part.stage == "training":
        return _trained(results / "adapters" / part.key, part)
    if part.stage == "judging":
        found = _judged(results / "evaluations" / part.key / "evaluation.json", part)
        return _with_cache(found, results / STATE / "judging" / part.key, part)
    folder, who = STAGES[part.stage]
    found = Done()
    for shard in bounds.of(part.units):
        file = results / folder / part.key / f"shard={shard.index}" / f"{folder}.parquet"
        if file.is_file():
            found += _of_shard(file, part.stage, who, shard, beyond)
    return _with_cache(found, results / STATE / folder / part.key, part)


def _of_shard(file: Path, stage: str, who: str, shard: Shard, beyond: bool) -> Done:
    """Return the work in a shard's file, which may contain more or fewer queries than needed.

    Args:
        file: the file.
        stage: that it belongs to.
        who: how its columns begin.
        shard: the queries that the study needs from it.
        beyond: whether to count others too.
    """
    frame = pl.read_parquet(file)
    if stage == "verification":
        # As many rows as samples; empty slots have none.
        held = held_until(file)
        stop = shard.stop if held is None else held if beyond else min(held, shard.stop)
        frame = frame if beyond else frame.filter(pl.col("query") < shard.stop)
        units, queries = max(0, stop - shard.start), frame.height
    else:
        frame = frame if beyond else frame[: len(shard)]
        units = frame.height
        if stage == "questions":
            queries = int(frame["augmenter_queries"].sum())
        else:
            queries = frame.filter(pl.col("answer").is_not_null() & ~was_refused()).height
    names = ("prompt_tokens", "completion_tokens", "seconds")
    return Done(units, float(queries), *(float(frame[f"{who}_{name}"].sum()) for name in names))


def _with_cache(whole: Done, folder: Path, part: Work) -> Done:
    """Return the work of finished shards plus the work in the cache of an unfinished shard."""
    answers = dict(chain.from_iterable(map(read_completions, sorted(folder.glob("*.jsonl")))))
    kept = Done()
    for answer in answers.values():
        kept += Done(0, 1, answer.prompt_tokens, answer.completion_tokens, answer.seconds)
    more = kept.queries - whole.queries
    if more <= 0:
        return whole
    a_unit = whole.queries / whole.units if whole.queries else part.queries
    return kept + Done(whole.units + more / a_unit)


def _evaluated(file: Path, part: Work) -> Done:
    if not file.is_file():
        return Done()
    found = EvaluationRecord.read(file)
    predictions = pl.read_parquet(file.with_name("predictions.parquet"))
    read, written = (
        float(predictions[name].sum()) for name in ("prompt_tokens", "completion_tokens")
    )
    return Done(part.units, part.units, read, written, found.seconds["evaluation"] or 0.0)


def _judged(file: Path, part: Work) -> Done:
    if not file.is_file():
        return Done()
    found = EvaluationRecord.read(file)
    names = ("judge_queries", "judge_prompt_tokens", "judge_completion_tokens")
    queries, read, written = (float(found.counts[name] or 0) for name in names)
    return Done(part.units, queries, read, written, found.seconds["judging"] or 0.0)


def _trained(folder: Path, part: Work) -> Done:
    file = folder / "training.json"
    if not file.is_file():
        return Done()
    found = TrainingRecord.read(file)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    tokens = found.counts.training_tokens
    return Done(part.units, 0, 0, tokens, found.seconds.training, size)


# --- in words


def text(study: Study, found: Quote) -> str:
    """Return a quote as a table for a terminal, with notes on unknown values."""
    heads = (
        "stage",
        "model",
        "queries",
        "tokens read",
        "written",
        "US dollars",
        "hours",
        "lengths",
    )
    said = [f"Quote for the study {study.name}."]
    parts = [("As configured", found.whole, found.disk[0])]
    if found.left != found.whole:
        parts.append(("Still to pay", found.left, found.disk[1]))
    for title, lines, disk in parts:
        rows = [_row(line) for line in lines if line.queries or line.completion_tokens]
        said += ["", f"{title}: {_total(lines)}; {disk / 1e9:,.2f} GB of disk."]
        if rows:
            widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
            said += [_laid_out(row, widths) for row in (heads, *rows)]
    if len(parts) == 1:
        said += ["", "Still to pay: all of it."]
    return "\n".join([*said, "", *_notes(study, found)]) + "\n"


def _row(line: Line) -> tuple[str, ...]:
    training = line.stage == "training"
    return (
        line.stage,
        line.model,
        "-" if training else f"{line.queries:,.0f}",
        "-" if training else f"{line.prompt_tokens:,.0f}",
        "-" if training else f"{line.completion_tokens:,.0f}",
        "-" if training and line.usd is None else _dollars(line.usd),
        "unknown" if line.hours is None else f"{line.hours:,.3g}",
        lengths_text(line),
    )


def lengths_text(line: Line) -> str:
    """Return how the lengths of a line were found."""
    if line.measured is None:
        return "-"
    if line.measured == 1:
        return "measured"
    if line.measured == 0:
        return line.lengths
    return f"{line.measured:.0%} measured"


def _dollars(usd: float | None) -> str:
    return "unknown" if usd is None else dollars(usd).removeprefix("$")


def _total(lines: Sequence[Line]) -> str:
    asked = [line for line in lines if line.stage != "training" and line.queries]
    paid = [line for line in lines if line in asked or line.usd is not None]
    known = [line.usd for line in paid if line.usd is not None]
    said = f"{_dollars(sum(known))} US dollars" if known or not paid else "US dollars unknown"
    if known and len(known) < len(paid):
        said += " and what is unknown"
    computing = "hours of computing unknown"
    taken = [line.hours for line in lines if line.hours is not None]
    if len(taken) == len(lines):
        computing = f"{sum(taken):,.3g} hours of computing"
    return f"{sum(line.queries for line in asked):,.0f} queries; {said}; {computing}"


def _laid_out(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = zip(row, widths, strict=True)
    return "  " + "  ".join(
        cell.ljust(width) if place < 2 else cell.rjust(width)
        for place, (cell, width) in enumerate(cells)
    )


def _notes(study: Study, found: Quote) -> list[str]:
    asked = {line.model: None for line in found.whole if line.stage != "training"}
    notes = [found.caution] if found.caution else []
    without = [name for name in asked if study.models[name].price.date is None]
    if without:
        notes.append(f"No price in config/models: {', '.join(without)}.")
    for name in asked:
        date = study.models[name].price.date
        if date is not None:
            notes.append(f"Price of {name}: as of {date}.")
    notes.append(
        "Hours are those of one GPU for models of the hub, by published speeds, until something "
        "was measured; then those of the machines that it was measured on."
    )
    notes.append(
        "What was answered counts as paid, even where an edit since would have it asked anew: "
        "`snakemake -n` tells."
    )
    return notes
