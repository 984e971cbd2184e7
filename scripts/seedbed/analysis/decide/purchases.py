"""The purchases of `snakemake spend`: what was asked for, and each decision with what it knew."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path

import polars as pl
from pydantic import Field, ValidationError

from seedbed.analysis.decide.rounds import (
    MethodKind,
    Pilot,
    Purchase,
    SpendState,
    next_purchase,
)
from seedbed.analysis.tables.collect import collect
from seedbed.analysis.tables.outcomes import (
    Accuracy,
    Outcomes,
    mean_accuracy,
    outcomes_by_task,
)
from seedbed.records import MadeRecord, Ordered, Part
from seedbed.streams.losses import no_rows
from seedbed.streams.record import DatasetRecord

FILE = "purchase.json"

MARGIN = 0.9
"""Of the dollars that are left, what a purchase is to cost by the price of a query so far: answers
come out longer at times, and each request is reserved with the most that it can cost."""

PRICE_QUERIES = 32
"""Queries of a method that show what one costs: the estimate before them counts each answer as long
as it may be, and can be ten times too high."""

PRICE_SHARE = 0.1
"""Of the dollars, what queries may cost that are bought to learn prices."""

CONFIDENCE = 0.95


class Request(Part):
    """What `snakemake spend` is asked for.

    Attributes:
        task: the task.
        seeds: questions in the seed set.
        draw: number of the seed set.
        methods: to choose among: what each asks the teacher, in the study's order.
        augmenter: writes questions; None if no method does.
        teacher: writes answers.
        student: is trained; None for none.
        queries: teacher queries, the budget; or
        usd: US dollars, the budget.
        rounds: of the pilot.
        share: of the budget, what each method has at the end of the pilot.
    """

    task: str
    seeds: int
    draw: int
    methods: Ordered[MethodKind]
    augmenter: str | None
    teacher: str
    student: str | None
    queries: int | None
    usd: float | None
    rounds: int
    share: float

    @property
    def pilot(self) -> Pilot:
        """How the pilot is divided; without a student there is none."""
        return Pilot(self.rounds if self.student is not None else 0, self.share)


class Known(Part):
    """What is known outside the scores when a decision is made.

    Attributes:
        prices: dollars for a teacher query by method, its question included; empty if the budget
            is in queries.
        spent_usd: dollars that were spent so far, those in doubt included.
        bought: by method, the queries of its stream that are answered.
        settings: by method, a digest of the settings that its rows depend on.
        left_out: methods that an earlier request found to yield no rows, by the same settings, with
            the reason.
    """

    prices: dict[str, float] = Field(default_factory=dict)
    spent_usd: float = 0.0
    bought: dict[str, int] = Field(default_factory=dict)
    settings: dict[str, str] = Field(default_factory=dict)
    left_out: dict[str, str] = Field(default_factory=dict)


class Measured(Part):
    """A student that was evaluated before a decision.

    Attributes:
        method: whose data it was trained on, or `untrained`.
        queries: of that data; 0 for the base model.
        accuracy: a fraction, with its interval.
    """

    method: str
    queries: int
    accuracy: Accuracy


class PurchaseRecord(MadeRecord):
    """`purchase.json`: one decision of a spend.

    Attributes:
        request: what was asked for.
        round: number of the decision, from 1.
        budget: teacher queries that the request comes to, as it is known now.
        known: what was known, but for the scores.
        measured: the scores that were known.
        purchase: what was decided.
    """

    CONTENT = ("request", "round", "budget", "purchase")

    request: Request
    round: int
    budget: int
    known: Known
    measured: list[Measured]
    purchase: Purchase


def purchase_file(results: Path | str, number: int | str) -> str:
    """Return the file of a decision.

    Args:
        results: folder of the results.
        number: of the decision, from 1; or a wildcard.
    """
    return f"{results}/spend/round={number}/{FILE}"


def read_purchases(results: Path | str, last: int | None = None) -> list[PurchaseRecord]:
    """Return the decisions that are there, the first one first, up to the final one.

    A file that cannot be read ends them: its decision is made again.

    Args:
        results: folder of the results.
        last: number of the last one to read; None for all.
    """
    found: list[PurchaseRecord] = []
    while last is None or len(found) < last:
        try:
            record = PurchaseRecord.read(purchase_file(results, len(found) + 1))
        except (OSError, ValueError, ValidationError):
            break
        found.append(record)
        if record.purchase.kind == "final":
            break
    return found


def left_out_before(
    results: Path | str, methods: Iterable[str], settings: Mapping[str, str]
) -> dict[str, str]:
    """Return the methods that decisions found to yield no rows, each with the reason.

    Decisions of earlier requests count. Those on other settings of a method do not.

    Args:
        results: folder of the results.
        methods: that are asked for.
        settings: by method, the digest of its settings.
    """
    found: dict[str, str] = {}
    for file in sorted(Path(results).glob(f"spend/round=*/{FILE}")):
        try:
            record = PurchaseRecord.read(file)
        except (OSError, ValueError, ValidationError):
            continue
        for name, why in record.purchase.left_out.items():
            if name in methods and record.known.settings.get(name) == settings.get(name):
                found[name] = why
    return found


@dataclass(frozen=True)
class Decision:
    """What a decision came to.

    Attributes:
        budget: teacher queries that the request comes to.
        measured: the scores that it stands on.
        purchase: what to buy.
    """

    budget: int
    measured: list[Measured]
    purchase: Purchase


def decide(
    request: Request,
    known: Known,
    before: Sequence[PurchaseRecord],
    outcomes: Outcomes | None,
    left_out: Mapping[str, str] | None = None,
) -> Decision:
    """Return what to buy next.

    Args:
        request: what is asked for.
        known: what is known, but for the scores.
        before: the decisions so far.
        outcomes: the scores; None if no student was trained.
        left_out: methods that yield no rows, with the reason; no more of them is bought.

    Raises:
        ValueError: if no method yields a row, or the budget pays for nothing more than what was
            bought, or for less.
    """
    useless = {name: why for name, why in known.left_out.items() if name in request.methods}
    useless |= left_out or {}
    methods = {name: kind for name, kind in request.methods.items() if name not in useless}
    if not methods:
        said = "; ".join(f"{name}: {why}" for name, why in useless.items())
        raise ValueError(f"no method yields a row to train on: {said}")
    bought = dict(before[-1].purchase.queries) if before else {}
    for method, count in known.bought.items():
        bought[method] = max(count, bought.get(method, 0))
    total = sum(bought.values())
    lost = {name: count for name, count in bought.items() if name in useless}

    def decided(budget: int, purchase: Purchase) -> Decision:
        # Queries of a method without rows were paid for, so all counts keep them.
        also = {"queries": purchase.queries | lost, "left_out": useless}
        return Decision(budget, measured(outcomes), purchase.model_copy(update=also))

    if (prices := _prices(request, known, methods, bought, before)) is not None:
        found = decided(0, prices)
        return Decision(sum(found.purchase.queries.values()), [], found.purchase)
    if request.usd is None:
        assert request.queries is not None
        budget = request.queries
    else:
        dearest = max(price for name, price in known.prices.items() if name in methods)
        budget = total + _queries(request.usd, known, dearest)
    if budget < max(1, total):
        said = f"{total:,} queries were bought before" if total else "that pays for no query"
        asked = f"{budget:,} queries" if request.usd is None else f"{request.usd:g} dollars"
        raise ValueError(f"the budget is {asked}, and {said}: raise it")
    state = SpendState(
        methods=methods,
        seeds=request.seeds,
        budget=budget - sum(lost.values()),
        bought={name: count for name, count in bought.items() if name in methods},
        outcomes=outcomes,
        pilot=request.pilot,
        finished_rounds=sum(one.purchase.kind == "pilot" for one in before),
    )
    purchase = next_purchase(state)
    if request.usd is not None and purchase.kind == "final":
        # All methods were counted with the price of the dearest one.
        purchase = purchase.model_copy(
            update={"queries": _all_dollars(request.usd, known, bought, purchase.queries)}
        )
        budget = sum(purchase.queries.values()) + sum(lost.values())
    if request.usd is not None and any(not bought.get(name) for name in purchase.queries):
        # By an estimate, which may be far too high: what this leaves is divided next.
        reason = f"{purchase.reason} Their price is an estimate yet, so more may follow."
        purchase = Purchase(kind="prices", queries=purchase.queries, reason=reason)
    return decided(budget, purchase)


def _prices(
    request: Request,
    known: Known,
    methods: Collection[str],
    bought: Mapping[str, int],
    before: Sequence[PurchaseRecord],
) -> Purchase | None:
    """Return a purchase that shows what a query of each method costs; None if that is known."""
    if request.usd is None or any(one.purchase.kind == "pilot" for one in before):
        return None
    alike = sum(price for name, price in known.prices.items() if name in methods)
    affordable = PRICE_QUERIES if alike <= 0 else floor(PRICE_SHARE * request.usd / alike)
    fewest = min(bought.get(name, 0) for name in methods)
    if fewest == 0 and alike <= MARGIN * (request.usd - known.spent_usd):
        affordable = max(1, affordable)
    each = min(PRICE_QUERIES, affordable)
    # A better estimate may allow a few more queries: not each is worth another purchase.
    if each < max(1, 2 * fewest):
        return None
    return Purchase(
        kind="prices",
        queries={name: max(each, bought.get(name, 0)) for name in methods},
        reason=f"{each:,} queries of each method show what a query costs.",
    )


def holds(kept: PurchaseRecord, request: Request, known: Known, before: Mapping[str, int]) -> bool:
    """Return whether an earlier decision holds: it was asked for alike, and buying has begun.

    Args:
        kept: the earlier decision.
        request: what is asked for.
        known: what is known now.
        before: by method, the queries of the decision before it.
    """
    if kept.request != request:
        return False
    queries = kept.purchase.queries
    if any(queries.get(method, 0) < count for method, count in before.items()):
        return False
    return any(known.bought.get(method, 0) > before.get(method, 0) for method in queries)


def _queries(usd: float, known: Known, price: float) -> int:
    """Return how many more queries some dollars pay for."""
    left = MARGIN * (usd - known.spent_usd)
    return max(0, floor(left / price)) if price > 0 else 0


def _all_dollars(
    usd: float, known: Known, bought: Mapping[str, int], queries: Mapping[str, int]
) -> dict[str, int]:
    """Return what the dollars that are left buy in the proportions of a purchase.

    Args:
        usd: the budget.
        known: prices and what was spent.
        bought: by method, the queries so far.
        queries: by method, the queries after the purchase.
    """
    more = {name: count - bought.get(name, 0) for name, count in queries.items()}
    cost = sum(known.prices[name] * count for name, count in more.items())
    scale = MARGIN * (usd - known.spent_usd) / cost if cost > 0 else 0.0
    return {name: bought.get(name, 0) + floor(count * scale) for name, count in more.items()}


def without_rows(records: Iterable[DatasetRecord]) -> dict[str, str]:
    """Return the methods whose data sets have no row, each with the reason.

    Args:
        records: of data sets of one method each. Of several of a method, the largest counts.
    """
    largest: dict[str, DatasetRecord] = {}
    for one in sorted(records, key=lambda record: int(record.dataset["budget"])):
        largest[str(one.dataset["method"])] = one
    return {name: no_rows(one.counts) for name, one in largest.items() if not one.counts.rows}


def read_scores(evaluations: Sequence[Path], task: str) -> Outcomes | None:
    """Return the outcomes of some evaluations of a task; None without any."""
    if not evaluations:
        return None
    items: list[pl.DataFrame] = []
    cells = collect(evaluations, items.append)
    return outcomes_by_task(cells, pl.concat(items)).get(task)


def measured(outcomes: Outcomes | None) -> list[Measured]:
    """Return the accuracy of each cell of some outcomes."""
    if outcomes is None:
        return []
    rows = outcomes.cells.select("method", "budget").iter_rows()
    return [
        Measured(
            method=method,
            queries=budget,
            accuracy=mean_accuracy(outcomes, [place], CONFIDENCE),
        )
        for place, (method, budget) in enumerate(rows)
    ]
