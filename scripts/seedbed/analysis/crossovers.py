"""Budget ratios at which one method overtakes another, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import polars as pl

from seedbed.analysis.fits import Fit
from seedbed.analysis.outcomes import GROUP_COLUMNS
from seedbed.analysis.settings import CrossoverSettings

ABOUT = (
    "A crossover is a budget ratio (queries per seed) at which the difference between two methods "
    "changes sign, looked for within the range of the data only. `curve`: on the fitted curves. "
    "`means`: on straight lines in ln BR between cell means. An interval holds the bootstrap "
    "resamples' crossings of the same direction nearest to the crossing; a resample in which one "
    "method leads over the whole range puts it beyond the range's edge, and an end of the interval "
    "that lies there is null."
)

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
        "status": pl.String,
        "leader_at_lowest": pl.String,
        "leader_at_highest": pl.String,
        "range_low": pl.Float64,
        "range_high": pl.Float64,
        "overtaken_by": pl.String,
        "budget_ratio": pl.Float64,
        "budget": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "low_beyond_range": pl.Boolean,
        "high_beyond_range": pl.Boolean,
        "share_of_resamples": pl.Float64,
        "lead_before": pl.Float64,
        "lead_after": pl.Float64,
    }
)


def find_crossovers(fits: Sequence[Fit], settings: CrossoverSettings) -> dict[str, Any]:
    """Return the record that `crossovers.json` holds: every pair of methods at each seed-set size.

    Each has a `status`: "one", "several" or "none" (crossings within the range of the data),
    "equal" (no difference anywhere), "too_few_budgets" (fewer than two budgets in common) or
    "no_fit".
    """
    records = []
    for fit in fits:
        for seeds in fit.seeds:
            for reference, method in combinations(fit.methods, 2):
                for basis in ("curve", "means"):
                    records.append(
                        {
                            **{
                                name: fit.record[name]
                                for name in (
                                    "fit",
                                    "task",
                                    "student",
                                    "teacher",
                                    "filter",
                                    "augmenter",
                                )
                            },
                            "seeds": seeds,
                            "reference": reference,
                            "method": method,
                            "basis": basis,
                            **_pair(fit, seeds, reference, method, basis, settings.confidence),
                        }
                    )
    return {"about": ABOUT, "settings": settings.model_dump(mode="json"), "crossovers": records}


def _pair(
    fit: Fit, seeds: int, reference: str, method: str, basis: str, confidence: float
) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "range": None,
        "leader_at_lowest": None,
        "leader_at_highest": None,
        "lead": None,
        "crossings": [],
        "resamples_without_crossing": None,
    }
    left, right = fit.means(seeds, reference), fit.means(seeds, method)
    if left is None or right is None:
        return empty | {"status": "too_few_budgets"}
    low = max(left.ratios.min(), right.ratios.min())
    high = min(left.ratios.max(), right.ratios.max())
    if low >= high:
        return empty | {"status": "too_few_budgets"}
    if basis == "curve":
        ratios = np.geomspace(low, high, GRID_POINTS)
        curves = [fit.curve(seeds, name, ratios) for name in (reference, method)]
        if curves[0] is None or curves[1] is None:
            return empty | {"status": "no_fit", "range": [low, high]}
        (left_at, left_draws), (right_at, right_draws) = curves
    else:
        known = np.concatenate([left.ratios, right.ratios])
        ratios = np.unique(known[(known >= low) & (known <= high)])
        left_at, left_draws = left.at(ratios)
        right_at, right_draws = right.at(ratios)
    found = crossings(np.log(ratios), right_at - left_at, right_draws - left_draws, confidence)
    name_of = {1: method, -1: reference, 0: None}
    return {
        "status": found["status"],
        "range": [float(low), float(high)],
        "leader_at_lowest": name_of[found["first_sign"]],
        "leader_at_highest": name_of[found["last_sign"]],
        "lead": float(np.abs(right_at - left_at).max()),
        "crossings": [
            {
                "budget_ratio": _exp(crossing["at"]),
                "budget": _exp(crossing["at"]) * seeds,
                "overtaken_by": name_of[crossing["direction"]],
                "low": _exp(crossing["low"]),
                "high": _exp(crossing["high"]),
                "low_beyond_range": crossing["low"] is None,
                "high_beyond_range": crossing["high"] is None,
                "share_of_resamples": crossing["share"],
                "lead_before": crossing["before"],
                "lead_after": crossing["after"],
            }
            for crossing in found["crossings"]
        ],
        "resamples_without_crossing": found["without"],
    }


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
        the stretch `before` and `after` it, up to the next crossing; and `without`, the share of
        resamples without any crossing.
    """
    found, first, last = sign_changes(positions, difference)
    of_draw = [sign_changes(positions, row) for row in draws]
    status = "equal" if first == 0 else {0: "none", 1: "one"}.get(len(found), "several")
    result: dict[str, Any] = {
        "status": status,
        "first_sign": first,
        "last_sign": last,
        "crossings": [],
        "without": float(np.mean([not changes for changes, _, _ in of_draw])),
    }
    tail = (1 - confidence) / 2
    edges = [-np.inf, *(at for at, _ in found), np.inf]
    leads = [
        float(np.abs(difference[(positions >= left) & (positions <= right)]).max(initial=0.0))
        for left, right in pairwise(edges)
    ]
    for index, (at, direction) in enumerate(found):
        lower, upper, hits = [], [], 0
        for changes, start, _ in of_draw:
            same = [place for place, turn in changes if turn == direction]
            if same:
                nearest = min(same, key=lambda place: abs(place - at))
                lower.append(nearest)
                upper.append(nearest)
                hits += 1
            elif changes or start == 0:
                # Only the opposite turn, or no difference: it says nothing about where this turn
                # is, so it widens the interval on both sides.
                lower.append(-np.inf)
                upper.append(np.inf)
            else:
                # One method leads throughout: the turn lies before or beyond the whole range.
                beyond = -np.inf if start == direction else np.inf
                lower.append(beyond)
                upper.append(beyond)
        # Quantiles that are draws, since infinities cannot be interpolated.
        low = float(np.quantile(lower, tail, method="lower"))
        high = float(np.quantile(upper, 1 - tail, method="higher"))
        result["crossings"].append(
            {
                "at": at,
                "direction": direction,
                "low": low if np.isfinite(low) else None,
                "high": high if np.isfinite(high) else None,
                "share": hits / len(draws),
                "before": leads[index],
                "after": leads[index + 1],
            }
        )
    return result


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
    for record in content["crossovers"]:
        low, high = record["range"] or (None, None)
        base = {name: record.get(name) for name in CSV_SCHEMA} | {
            "range_low": low,
            "range_high": high,
        }
        rows += [base | crossing for crossing in record["crossings"]] or [base]
    return pl.DataFrame(rows, schema=CSV_SCHEMA)


def describe(record: dict[str, Any], short: Any) -> str:
    """Return a crossover record as one plain sentence.

    Args:
        record: one of the `crossovers`.
        short: function from a method's name to its short title.
    """
    reference, method = short(record["reference"]), short(record["method"])
    if record["status"] == "no_fit":
        return f"{reference} and {method}: there is no fitted curve."
    if record["status"] == "too_few_budgets":
        return f"{reference} and {method}: fewer than two budgets in common."
    low, high = (f"{edge:.3g}" for edge in record["range"])
    if record["status"] == "equal":
        return f"{reference} and {method} do not differ anywhere from BR {low} to {high}."
    if record["status"] == "none":
        leader = short(record["leader_at_lowest"])
        other = method if leader == reference else reference
        hardly = ", but hardly" if record["lead"] < _HARDLY else ""
        over = f"over the whole range, BR {low} to {high}{hardly}"
        return f"{leader} leads {other} {over}: no crossover."
    parts = []
    for crossing in record["crossings"]:
        ahead = crossing["overtaken_by"]
        behind = record["reference"] if ahead == record["method"] else record["method"]
        at = ratio_text(crossing["budget_ratio"])
        parts.append(
            f"{short(ahead)} overtakes {short(behind)} at BR {at} "
            f"({interval_text(crossing, record['range'])})"
            + (", but hardly leads" if crossing["lead_after"] < _HARDLY else "")
        )
    return "; ".join(parts) + "."


def interval_text(crossing: dict[str, Any], limits: Sequence[float]) -> str:
    """Return the interval of a crossing as text, open where it reaches beyond the data."""
    low, high = crossing["low"], crossing["high"]
    low_text = f"below {limits[0]:.3g}" if low is None else ratio_text(low)
    high_text = f"above {limits[1]:.3g}" if high is None else ratio_text(high)
    return f"{low_text} to {high_text}"


def ratio_text(ratio: float) -> str:
    """Return a budget ratio that was estimated as text of two digits: more would mean nothing."""
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"
