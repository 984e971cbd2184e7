"""Budget ratios at which one method overtakes another, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import polars as pl

from seedbed.analysis.curves.fits import Fit
from seedbed.analysis.decide.costs import MEASURES, Prices, cost_line
from seedbed.analysis.settings import CrossoverSettings
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS

ABOUT = (
    "A crossover is a budget ratio (queries per seed) at which the difference between two methods "
    "changes sign, looked for within the range of the data only. `curve`: on the fitted curves. "
    "`means`: on straight lines in ln BR between cell means. An interval holds the bootstrap "
    "resamples' crossings of the same direction nearest to the crossing; a resample in which one "
    "method leads over the whole range puts it beyond the range's edge, and an end of the interval "
    "that lies there is null. `inverted` are the ratios at which a difference of nothing is not "
    "refused, |difference| <= z times its standard error over the resamples: none where one method "
    "leads everywhere beyond doubt, several stretches where the curves come close twice, and "
    "unbounded (an end of null) where the range ends first. `possible`, where the curves do not "
    "cross, is what resamples do not exclude; share_of_the_other is the share of them in which the "
    "other method leads throughout. `costs` has the same for equal tokens, "
    "money and hours of computing in place of equal queries; amounts are of one cell, all that its "
    "dataset took and, of hours, its training."
)

_WORTH_SAYING = 0.025
"""Share of resamples that is worth a word: half of what a usual interval leaves out."""

_HARDLY = 0.005
"""Lead in accuracy below which one is said to matter little: half a point."""

GRID_POINTS = 257
"""Points of the curves in ln BR; between them the difference is taken to be straight."""

CSV_SCHEMA = pl.Schema(
    {
        **GROUP_COLUMNS,
        "seeds": pl.Int64,
        "reference": pl.String,
        "method": pl.String,
        "basis": pl.String,
        "measure": pl.String,
        "status": pl.String,
        "leader_at_lowest": pl.String,
        "leader_at_highest": pl.String,
        "range_low": pl.Float64,
        "range_high": pl.Float64,
        "overtaken_by": pl.String,
        "budget_ratio": pl.Float64,
        "budget": pl.Float64,
        "amount": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "low_beyond_range": pl.Boolean,
        "high_beyond_range": pl.Boolean,
        "share_of_resamples": pl.Float64,
        "lead_before": pl.Float64,
        "lead_after": pl.Float64,
    }
)


def find_crossovers(
    fits: Sequence[Fit], settings: CrossoverSettings, prices: Prices | None = None
) -> dict[str, Any]:
    """Return the record that `crossovers.json` holds: every pair of methods at each seed-set size.

    Each has a `status`: "one", "several" or "none" (crossings within the range of the data),
    "equal" (no difference anywhere), "too_few_budgets" (no range of budgets in common),
    "no_fit", or, of costs alone, "unknown" (`reason` says what of the cost is not known).

    Args:
        fits: the fits.
        settings: coverage of the intervals.
        prices: by model, what its tokens cost; without, money is not known.
    """
    records, costs = [], []
    for fit in fits:
        names = ("fit", "task", "student", "teacher", "filter", "augmenter")
        place = {name: fit.record[name] for name in names}
        for seeds in fit.seeds:
            for reference, method in combinations(fit.methods, 2):
                pair = place | {"seeds": seeds, "reference": reference, "method": method}
                for basis in ("curve", "means"):
                    found = _pair(fit, seeds, reference, method, basis, settings.confidence)
                    records.append(pair | {"basis": basis, "measure": "budget_ratio", **found})
                basis = "curve" if fit.models else "means"
                for measure in MEASURES:
                    if measure == "teacher_queries":
                        continue
                    found = _pair_by_cost(
                        fit, seeds, (reference, method), measure, settings.confidence, prices or {}
                    )
                    costs.append(pair | {"basis": basis, "measure": measure, **found})
    return {
        "about": ABOUT,
        "settings": settings.model_dump(mode="json"),
        "crossovers": records,
        "costs": costs,
    }


_NOTHING: dict[str, Any] = {
    "range": None,
    "leader_at_lowest": None,
    "leader_at_highest": None,
    "lead": None,
    "crossings": [],
    "possible": [],
    "inverted": None,
    "resamples_without_crossing": None,
    "share_of_the_other": None,
}


def _pair(
    fit: Fit, seeds: int, reference: str, method: str, basis: str, confidence: float
) -> dict[str, Any]:
    left, right = fit.means(seeds, reference), fit.means(seeds, method)
    if left is None or right is None:
        return _NOTHING | {"status": "too_few_budgets"}
    low = max(left.ratios.min(), right.ratios.min())
    high = min(left.ratios.max(), right.ratios.max())
    if low >= high:
        return _NOTHING | {"status": "too_few_budgets"}
    if basis == "curve":
        ratios = np.geomspace(low, high, GRID_POINTS)
        curves = [fit.curve(seeds, name, ratios) for name in (reference, method)]
        if curves[0] is None or curves[1] is None:
            return _NOTHING | {"status": "no_fit", "range": [low, high]}
        (left_at, left_draws), (right_at, right_draws) = curves
    else:
        # Between the cells as well: there the lines cross, and their errors are no lines.
        known = np.concatenate([left.ratios, right.ratios, np.geomspace(low, high, GRID_POINTS)])
        ratios = np.unique(known[(known >= low) & (known <= high)])
        left_at, left_draws = left.at(ratios)
        right_at, right_draws = right.at(ratios)
    record = _record(
        ratios, right_at - left_at, right_draws - left_draws, (reference, method), confidence
    )
    for crossing in record["crossings"]:
        crossing["budget_ratio"] = crossing.pop("at")
        crossing["budget"] = crossing["budget_ratio"] * seeds
    return record


def _pair_by_cost(
    fit: Fit,
    seeds: int,
    pair: tuple[str, str],
    measure: str,
    confidence: float,
    prices: Prices,
) -> dict[str, Any]:
    """Compare two methods where both have cost the same."""
    found = [cost_line(fit, seeds, method, measure, prices) for method in pair]
    if not all(fit.cells(seeds, method) for method in pair):
        return _NOTHING | {"status": "too_few_budgets"}
    lines = [line for line, _ in found if line is not None]
    if len(lines) < 2:
        reasons = dict.fromkeys(text for _, missing in found for text in missing)
        return _NOTHING | {"status": "unknown", "reason": "; ".join(reasons)}
    low = max(line.amounts[0] for line in lines)
    high = min(line.amounts[-1] for line in lines)
    if low >= high:
        return _NOTHING | {"status": "too_few_budgets"}
    amounts = np.geomspace(low, high, GRID_POINTS)
    at = []
    for method, line in zip(pair, lines, strict=True):
        series = fit.means(seeds, method)
        # Rounding must not carry the ends outside the cells.
        ratios = np.clip(line.budget(amounts) / seeds, series.ratios[0], series.ratios[-1])
        at.append(fit.curve(seeds, method, ratios) or series.at(ratios))
    (left, left_draws), (right, right_draws) = at
    record = _record(amounts, right - left, right_draws - left_draws, pair, confidence)
    for crossing in record["crossings"]:
        crossing["amount"] = crossing.pop("at")
    return record


def _record(
    positions: np.ndarray,
    difference: np.ndarray,
    draws: np.ndarray,
    pair: tuple[str, str],
    confidence: float,
) -> dict[str, Any]:
    """Return what `crossings` and `inverted` find, in units of the positions."""
    found = crossings(np.log(positions), difference, draws, confidence)
    reference, method = pair
    name_of = {1: method, -1: reference, 0: None}

    def interval(entry: dict[str, Any]) -> dict[str, Any]:
        return {
            "overtaken_by": name_of[entry["direction"]],
            "low": _exp(entry["low"]),
            "high": _exp(entry["high"]),
            "low_beyond_range": entry["low"] is None,
            "high_beyond_range": entry["high"] is None,
            "share_of_resamples": entry["share"],
        }

    return {
        "status": found["status"],
        "range": [float(positions[0]), float(positions[-1])],
        "leader_at_lowest": name_of[found["first_sign"]],
        "leader_at_highest": name_of[found["last_sign"]],
        "lead": float(np.abs(difference).max()),
        "crossings": [
            {"at": _exp(entry["at"]), **interval(entry)}
            | {"lead_before": entry["before"], "lead_after": entry["after"]}
            for entry in found["crossings"]
        ],
        "possible": [interval(entry) for entry in found["possible"]],
        "inverted": [
            {"low": _exp(low), "high": _exp(high)}
            for low, high in inverted(np.log(positions), difference, draws, confidence)
        ],
        "resamples_without_crossing": found["without"],
        "share_of_the_other": found["opposite"],
    }


def inverted(
    positions: np.ndarray, difference: np.ndarray, draws: np.ndarray, confidence: float
) -> list[tuple[float | None, float | None]]:
    """Return where the test that a difference is nothing does not refuse.

    The set {x: difference(x)^2 <= z^2 Var difference(x)} inverts a test of level `confidence` at
    every x, as Fieller (1954) did for a ratio; it may be empty, of several stretches, or unbounded.
    The standard error is taken from the middle part, of share `confidence`, of the resamples: a
    few of them lie so far out that their standard deviation says little.

    Args:
        positions: ascending positions (ln BR), shape (n,).
        difference: the difference there, shape (n,).
        draws: the difference in bootstrap resamples, shape (samples, n).
        confidence: coverage.

    Returns:
        Stretches, each from its low to its high end; None for an end that is the range's.
    """
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    # z standard errors are half of what lies between the quantiles.
    lowest, highest = np.quantile(draws, tails, axis=0)
    margin = np.abs(difference) - (highest - lowest) / 2
    changes, first, last = sign_changes(positions, margin)
    if first == 0:
        return [(None, None)]
    edges: list[float | None] = [None] if first < 0 else []
    edges += [place for place, _ in changes]
    edges += [None] if last < 0 else []
    return list(zip(edges[::2], edges[1::2], strict=True))


def _exp(value: float | None) -> Any:
    return None if value is None else float(np.exp(value))


def crossings(
    positions: np.ndarray, difference: np.ndarray, draws: np.ndarray, confidence: float
) -> dict[str, Any]:
    """Find where a piecewise linear difference changes sign, with bootstrap intervals.

    Args:
        positions: ascending positions (ln BR), shape (n,).
        difference: the difference there, shape (n,).
        draws: the difference in bootstrap resamples, shape (samples, n).
        confidence: coverage of the intervals.

    Returns:
        `status` ("none", "one", "several", "equal"); `first_sign` and `last_sign` of the
        difference; `crossings`, each with its position `at`, `direction` (+1 where the difference
        becomes positive), interval `low` and `high` (None where it reaches beyond the range) and
        `share` (of the resamples with a crossing of that direction), and the greatest difference on
        the stretch `before` and `after` it, up to the next crossing; `possible`, for "none", the
        same of crossings that resamples do not exclude (without a position); `without`, the share
        of resamples without any crossing; and `opposite`, for "none", the share in which the other
        leads throughout.
    """
    found, first, last = sign_changes(positions, difference)
    of_draw = [sign_changes(positions, row) for row in draws]
    status = "equal" if first == 0 else {0: "none", 1: "one"}.get(len(found), "several")
    result: dict[str, Any] = {
        "status": status,
        "first_sign": first,
        "last_sign": last,
        "crossings": [],
        "possible": [],
        "without": float(np.mean([not changes for changes, _, _ in of_draw])),
        "opposite": None,
    }
    edges = [-np.inf, *(at for at, _ in found), np.inf]
    leads = [
        float(np.abs(difference[(positions >= left) & (positions <= right)]).max(initial=0.0))
        for left, right in pairwise(edges)
    ]
    for index, (at, direction) in enumerate(found):
        interval = _interval(of_draw, at, direction, confidence)
        ends = {"at": at, "before": leads[index], "after": leads[index + 1]}
        result["crossings"].append(ends | interval)
    if status == "none":
        led = [not changes and start == -first for changes, start, _ in of_draw]
        result["opposite"] = float(np.mean(led))
        # The leader may be overtaken beyond the range, or have overtaken before it.
        for direction, beyond in ((-first, positions[-1]), (first, positions[0])):
            interval = _interval(of_draw, beyond, direction, confidence)
            if interval["low"] is not None or interval["high"] is not None:
                result["possible"].append(interval)
    return result


def _interval(
    of_draw: Sequence[tuple[list[tuple[float, int]], int, int]],
    at: float,
    direction: int,
    confidence: float,
) -> dict[str, Any]:
    """Return the interval of a turn in one direction, from the sign changes of each resample."""
    lower, upper, hits = [], [], 0
    for changes, start, _ in of_draw:
        same = [place for place, turn in changes if turn == direction]
        if same:
            nearest = min(same, key=lambda place: abs(place - at))
            lower.append(nearest)
            upper.append(nearest)
            hits += 1
        elif changes or start == 0:
            # Only the opposite turn, or no difference: it says nothing about where this turn is, so
            # it widens the interval on both sides.
            lower.append(-np.inf)
            upper.append(np.inf)
        else:
            # One method leads throughout: the turn lies before or beyond the whole range.
            beyond = -np.inf if start == direction else np.inf
            lower.append(beyond)
            upper.append(beyond)
    tail = (1 - confidence) / 2
    # Quantiles that are draws, since infinities cannot be interpolated.
    low = float(np.quantile(lower, tail, method="lower"))
    high = float(np.quantile(upper, 1 - tail, method="higher"))
    return {
        "direction": direction,
        "low": low if np.isfinite(low) else None,
        "high": high if np.isfinite(high) else None,
        "share": hits / len(of_draw),
    }


def sign_changes(
    positions: np.ndarray, difference: np.ndarray
) -> tuple[list[tuple[float, int]], int, int]:
    """Return the sign changes of a piecewise linear function, and its first and last sign.

    Zeros have no sign of their own: a run of zeros between opposite signs is one change, at its
    middle; between equal signs it is none.

    Returns:
        Pairs of position and direction (+1 where the function becomes positive); the first and the
        last sign other than 0 (0 if there is none).
    """
    kept = np.flatnonzero(np.abs(difference) > 1e-12)
    if len(kept) == 0:
        return [], 0, 0
    signs = np.sign(difference[kept]).astype(int)
    changes = []
    for index in np.flatnonzero(signs[1:] != signs[:-1]):
        i, j = kept[index], kept[index + 1]
        if j - i > 1:
            place = (positions[i + 1] + positions[j - 1]) / 2
        else:
            share = difference[i] / (difference[i] - difference[j])
            place = positions[i] + share * (positions[j] - positions[i])
        changes.append((float(place), int(signs[index + 1])))
    return changes, int(signs[0]), int(signs[-1])


def crossover_table(content: dict[str, Any]) -> pl.DataFrame:
    """Return the crossovers as a table: one row a crossing, or one for a pair without any."""
    rows = []
    for record in (*content["crossovers"], *content["costs"]):
        low, high = record["range"] or (None, None)
        base = {name: record.get(name) for name in CSV_SCHEMA} | {
            "range_low": low,
            "range_high": high,
        }
        rows += [base | crossing for crossing in record["crossings"]] or [base]
    return pl.DataFrame(rows, schema=CSV_SCHEMA)


def describe(record: Mapping[str, Any], short: Callable[[str], str]) -> str:
    """Return a crossover record as one plain sentence.

    Args:
        record: one of the `crossovers`, or of the `costs`.
        short: function from a method's name to its short title.
    """
    reference, method = short(record["reference"]), short(record["method"])
    measure = record["measure"]
    if record["status"] == "no_fit":
        return f"{reference} and {method}: there is no fitted curve."
    if record["status"] == "unknown":
        noun = MEASURES[measure]
        return f"{reference} and {method} by {noun}: not known ({record['reason']})."
    if record["status"] == "too_few_budgets":
        if measure == "budget_ratio":
            return f"{reference} and {method}: fewer than two budgets in common."
        return f"{reference} and {method} by {MEASURES[measure]}: no range in common."
    low, high = record["range"]
    over = f"{place_text(measure, low)} to {_number(measure, high)}"
    if record["status"] == "equal":
        return f"{reference} and {method} do not differ anywhere from {over}."
    if record["status"] == "none":
        leader = short(record["leader_at_lowest"])
        other = method if leader == reference else reference
        hardly = ", but hardly" if record["lead"] < _HARDLY else ""
        text = f"{leader} leads {other} over the whole range, {over}{hardly}: no crossover"
        for turn in record["possible"]:
            ahead = short(turn["overtaken_by"])
            if turn["low"] is not None:
                text += f"; that {ahead} leads above {place_text(measure, turn['low'])}"
            else:
                text += f"; that {ahead} leads only above {place_text(measure, turn['high'])}"
            text += " is not excluded"
        if record["share_of_the_other"] >= _WORTH_SAYING:
            share = f"{100 * record['share_of_the_other']:.0f}%"
            text += f"; {other} leads throughout in {share} of resamples"
        return text + "."
    parts = []
    for crossing in record["crossings"]:
        ahead = crossing["overtaken_by"]
        behind = record["reference"] if ahead == record["method"] else record["method"]
        at = crossing["budget_ratio" if measure == "budget_ratio" else "amount"]
        parts.append(
            f"{short(ahead)} overtakes {short(behind)} at {place_text(measure, at)} "
            f"({interval_text(crossing, record['range'], measure)})"
            + (", but hardly leads" if crossing["lead_after"] < _HARDLY else "")
        )
    return "; ".join(parts) + "."


def inverted_text(record: Mapping[str, Any]) -> str:
    """Return the ratios or amounts at which a difference of nothing is not refused, as text."""
    stretches = record["inverted"]
    if stretches is None:
        return ""
    if not stretches:
        return "nowhere"
    measure = record["measure"]
    return " and ".join(interval_text(part, record["range"], measure) for part in stretches)


def interval_text(
    interval: Mapping[str, Any], limits: Sequence[float], measure: str = "budget_ratio"
) -> str:
    """Return the interval of a crossing as text, open where it reaches beyond the data."""
    low, high = interval["low"], interval["high"]
    low_text = f"below {_number(measure, limits[0])}" if low is None else _number(measure, low)
    high_text = f"above {_number(measure, limits[1])}" if high is None else _number(measure, high)
    return f"{low_text} to {high_text}"


def place_text(measure: str, value: float) -> str:
    """Return a budget ratio or an amount with its unit, as text of two digits."""
    number = _number(measure, value)
    return {"budget_ratio": f"BR {number}", "hours": f"{number} hours"}.get(
        measure, number if measure == "usd" else f"{number} {MEASURES.get(measure)}"
    )


def _number(measure: str, value: float) -> str:
    return f"${ratio_text(value)}" if measure == "usd" else ratio_text(value)


def ratio_text(ratio: float) -> str:
    """Return a number that was estimated as text of two digits: more would mean nothing."""
    if ratio < 10:
        return f"{ratio:.2g}"
    digits = len(f"{ratio:.0f}") - 2
    return f"{round(ratio, -digits) if digits > 1 else ratio:,.0f}"
