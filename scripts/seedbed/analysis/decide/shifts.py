"""Where one method takes over from another, in queries and in what they cost, for the page's table.

The records are those of `find_crossovers`; here they become text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seedbed.analysis.curves.fits import Fit
from seedbed.analysis.decide.crossovers import AMOUNTS, ratio_text
from seedbed.analysis.settings import PublishedShift, Titles, published_for

NOTHING = "–"


@dataclass(frozen=True)
class Shift:
    """A row of the table: two methods at one seed-set size.

    Attributes:
        pair: short titles of the two methods.
        cells: by column, the lines to stand in it: the budget ratio, the same by inverted tests,
            and each of `AMOUNTS`.
        published: lines on where others saw this shift.
    """

    pair: str
    cells: tuple[tuple[str, ...], ...]
    published: tuple[str, ...]


def shifts(
    fit: Fit,
    seeds: int,
    records: Sequence[Mapping[str, Any]],
    published: Sequence[PublishedShift],
    titles: Titles,
) -> list[Shift]:
    """Return the rows of one fit and seed-set size.

    Args:
        fit: the fit.
        seeds: seed-set size.
        records: `crossovers` and `costs` of `find_crossovers`, of any fit.
        published: shifts that others saw.
        titles: titles of methods, tasks and models.
    """
    basis = "curve" if fit.models else "means"
    pairs: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for record in records:
        if (record["fit"], record["seeds"], record["basis"]) == (fit.record["fit"], seeds, basis):
            pair = (record["reference"], record["method"])
            pairs.setdefault(pair, {})[record["measure"]] = record
    others = published_for(published, fit.record["student"], seeds)
    return [
        Shift(
            pair=f"{titles.short(method)} and {titles.short(reference)}",
            cells=(
                _turns(found["budget_ratio"], titles.short),
                _not_refused(found["budget_ratio"]),
                *(_turns(found.get(measure), titles.short) for measure in AMOUNTS),
            ),
            # They are of the first method, and do not say by which other it was overtaken.
            published=tuple(
                line
                for shift in others
                if reference == fit.methods[0]
                for line in _published(shift)
            ),
        )
        for (reference, method), found in pairs.items()
    ]


def _turns(record: Mapping[str, Any] | None, short: Callable[[str], str]) -> tuple[str, ...]:
    """Return where the lead changes: for each change its place, and its interval below it."""
    if record is None:
        return (NOTHING,)
    status = record["status"]
    if status == "unknown":
        return (f"not known: {record['reason']}",)
    if status == "no_fit":
        return ("no fitted curve",)
    measure = record["measure"]
    if status == "too_few_budgets":
        by_queries = measure == "budget_ratio"
        return ("fewer than two budgets in common" if by_queries else "no range in common",)
    over = " to ".join(_amount(measure, end) for end in record["range"])
    if status == "equal":
        return (f"no difference from {over}",)
    if status == "none":
        leader = short(record["leader_at_lowest"])
        lead = 100 * record["lead"]
        lines = [f"none in the range: {leader} leads from {over}, by up to {lead:.1f} points"]
        for turn in record["possible"]:
            low, high = turn["low"], turn["high"]
            place = (
                f"above {_amount(measure, low)}"
                if low is not None
                else f"only above {_amount(measure, high)}"
            )
            lines.append(f"not excluded: {short(turn['overtaken_by'])} leads {place}")
        return tuple(lines)
    lines = ["several:"] if status == "several" else []
    for turn in record["crossings"]:
        at = _amount(measure, turn["budget_ratio" if measure == "budget_ratio" else "amount"])
        lines += [f"{short(turn['overtaken_by'])} from {at}", f"({_interval(measure, turn)})"]
        if measure == "budget_ratio":
            lines.append(f"by up to {100 * turn['lead_after']:.1f} points")
    return tuple(lines)


def _not_refused(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the budget ratios at which a test does not refuse that there is no difference."""
    if record["inverted"] is None:
        return (NOTHING,)
    stretches = [_interval(record["measure"], part) for part in record["inverted"]]
    return tuple(stretches) or ("nowhere",)


def _interval(measure: str, ends: Mapping[str, Any]) -> str:
    low, high = (
        None if ends[name] is None else _amount(measure, ends[name]) for name in ("low", "high")
    )
    if low is None and high is None:
        return "unbounded on both sides"
    if low is None:
        return f"up to {high}, unbounded below"
    if high is None:
        return f"from {low} on, unbounded above"
    return f"{low} to {high}"


def _amount(measure: str, value: float) -> str:
    return f"{'$' if measure == 'usd' else ''}{ratio_text(value)}"


def _published(shift: PublishedShift) -> tuple[str, str]:
    place = f"{shift.low:g}" if shift.high is None else f"{shift.low:g} to {shift.high:g}"
    of = "" if shift.seeds is None else f", {shift.seeds:,} seeds"
    return place, f"({shift.source}{of})"
