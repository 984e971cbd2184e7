"""The purchases of `snakemake spend`: the request, and each decision with the data behind it."""

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
"""Share of the remaining dollars that a purchase may cost, at the price per query so far. Later
answers may be longer, and each request reserves the most that it can cost."""

PRICE_QUERIES = 32
"""Queries per method that measure the price of a query. The estimate before them assumes answers of
maximal length, and can be ten times too high."""

PRICE_SHARE = 0.1
"""Largest share of the dollars for queries that measure prices."""

CONFIDENCE = 0.95


class Request(Part):
    """A request to `snakemake spend`.

    Attributes:
        task: the task.
        seeds: questions in the seed set.
        draw: number of the seed set.
        methods: by method to choose among, the kind of its questions, in the study's order.
        augmenter: the model that writes questions; None if no method needs one.
        teacher: the model that answers.
        student: the model that is trained; None for none.
        queries: the budget in teacher queries; or
        usd: the budget in US dollars.
        rounds: number of rounds of the pilot.
        share: share of the budget that each method has at the end of the pilot.
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
        """The pilot's rounds and share; without a student it has no round."""
        return Pilot(self.rounds if self.student is not None else 0, self.share)


class Known(Part):
    """The data of a decision, apart from the scores.

    Attributes:
        prices: by method, dollars per teacher query, its question included; empty if the budget is
            in queries.
        spent_usd: dollars spent so far, including costs in doubt.
        bought: by method, the answered queries of its stream.
        settings: by method, a digest of the settings that its rows depend on.
        left_out: by method that yielded no rows in an earlier request with the same settings, the
            reason.
    """

    prices: dict[str, float] = Field(default_factory=dict)
    spent_usd: float = 0.0
    bought: dict[str, int] = Field(default_factory=dict)
    settings: dict[str, str] = Field(default_factory=dict)
    left_out: dict[str, str] = Field(default_factory=dict)


class Measured(Part):
    """A student that was evaluated before a decision.

    Attributes:
        method: the method of its training data, or `untrained`.
        queries: teacher queries of that data; 0 for the base model.
        accuracy: a fraction, with its interval.
    """

    method: str
    queries: int
    accuracy: Accuracy


class PurchaseRecord(MadeRecord):
    """`purchase.json`: one decision of a spend.

    Attributes:
        request: the request.
        round: number of the decision, from 1.
        budget: the request's budget in teacher queries, at the prices known then.
        known: the data of the decision, apart from the scores.
        measured: the scores at the time.
        purchase: the purchase that was decided.
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
        number: number of the decision, from 1; or a wildcard.
    """
    return f"{results}/spend/round={number}/{FILE}"


def read_purchases(results: Path | str, last: int | None = None) -> list[PurchaseRecord]:
    """Return the recorded decisions in order, up to the final one.

    Reading stops at the first file that cannot be read: its decision is made again.

    Args:
        results: folder of the results.
        last: number of the last decision to read; None for all.
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
    """Return the methods that yielded no rows according to recorded decisions, with the reasons.

    Decisions of earlier requests count, unless the settings of the method have changed since.

    Args:
        results: folder of the results.
        methods: the methods of the request.
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
    """A decision.

    Attributes:
        budget: the request's budget in teacher queries.
        measured: the scores that it is based on.
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
    """Return the next decision: what to buy, and the budget and scores behind it.

    Args:
        request: the request.
        known: the data of the decision, apart from the scores.
        before: the decisions so far.
        outcomes: the scores; None if no student was trained.
        left_out: by method that yields no rows, the reason; no more of its queries are bought.

    Raises:
        ValueError: if no method yields a row, or if the budget pays for no query or for fewer
            queries than were bought.
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
        # Queries of methods without rows were paid for, so all counts include them.
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
        # The budget in queries assumed the highest price for all methods.
        purchase = purchase.model_copy(
            update={"queries": _all_dollars(request.usd, known, bought, purchase.queries)}
        )
        budget = sum(purchase.queries.values()) + sum(lost.values())
    if request.usd is not None and any(not bought.get(name) for name in purchase.queries):
        # The estimated price may be far too high: the next decision divides the remaining dollars.
        reason = f"{purchase.reason} Their price is still an estimate, so more may follow."
        purchase = Purchase(kind="prices", queries=purchase.queries, reason=reason)
    return decided(budget, purchase)


def _prices(
    request: Request,
    known: Known,
    methods: Collection[str],
    bought: Mapping[str, int],
    before: Sequence[PurchaseRecord],
) -> Purchase | None:
    """Return a purchase that measures each method's price per query; None if these are known."""
    if request.usd is None or any(one.purchase.kind == "pilot" for one in before):
        return None
    alike = sum(price for name, price in known.prices.items() if name in methods)
    affordable = PRICE_QUERIES if alike <= 0 else floor(PRICE_SHARE * request.usd / alike)
    fewest = min(bought.get(name, 0) for name in methods)
    if fewest == 0 and alike <= MARGIN * (request.usd - known.spent_usd):
        affordable = max(1, affordable)
    each = min(PRICE_QUERIES, affordable)
    # A better estimate may allow a few more queries, but they are not worth another purchase.
    if each < max(1, 2 * fewest):
        return None
    return Purchase(
        kind="prices",
        queries={name: max(each, bought.get(name, 0)) for name in methods},
        reason=f"{each:,} queries of each method show what a query costs.",
    )


def holds(kept: PurchaseRecord, request: Request, known: Known, before: Mapping[str, int]) -> bool:
    """Return whether an earlier decision is valid: the request is the same, and buying has begun.

    Args:
        kept: the earlier decision.
        request: the request.
        known: the present data, apart from the scores.
        before: by method, the queries of the decision before it.
    """
    if kept.request != request:
        return False
    queries = kept.purchase.queries
    if any(queries.get(method, 0) < count for method, count in before.items()):
        return False
    return any(known.bought.get(method, 0) > before.get(method, 0) for method in queries)


def _queries(usd: float, known: Known, price: float) -> int:
    """Return how many more queries the remaining dollars pay for."""
    left = MARGIN * (usd - known.spent_usd)
    return max(0, floor(left / price)) if price > 0 else 0


def _all_dollars(
    usd: float, known: Known, bought: Mapping[str, int], queries: Mapping[str, int]
) -> dict[str, int]:
    """Return the queries after spending the remaining dollars in the proportions of a purchase.

    Args:
        usd: the budget in dollars.
        known: prices and spending.
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
        records: records of data sets of one method each; a method's largest data set counts.
    """
    largest: dict[str, DatasetRecord] = {}
    for one in sorted(records, key=lambda record: int(record.dataset["budget"])):
        largest[str(one.dataset["method"])] = one
    return {name: no_rows(one.counts) for name, one in largest.items() if not one.counts.rows}


def read_scores(evaluations: Sequence[Path], task: str) -> Outcomes | None:
    """Return the outcomes of evaluations of a task; None without any."""
    if not evaluations:
        return None
    items: list[pl.DataFrame] = []
    cells = collect(evaluations, items.append)
    return outcomes_by_task(cells, pl.concat(items)).get(task)


def measured(outcomes: Outcomes | None) -> list[Measured]:
    """Return the accuracy of each cell, with its interval."""
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
