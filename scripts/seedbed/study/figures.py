"""The figures that a study has cells for, and the message on missing cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from seedbed.config.words import ALL_BOUGHT, MIXTURE, NONE
from seedbed.streams.mixtures import is_mixture, triangles
from seedbed.study.cells import Cell, Grid

ABLATIONS = {
    "augmenters": "augmenter",
    "verification": "filter",
    "students": "student",
    "teachers": "teacher",
}
"""By figure of an ablation, the only coordinate that varies in it."""

_SHOWN = 5
"""Most kinds of missing cells that the message names."""


def figures(grid: Grid) -> list[str]:
    """Return the names of the figures that a study has cells for, the most informative first.

    Each is made by the rule `plot_NAME`.
    """
    spent = [cell for cell in grid.cells if cell.budget]
    methods = {cell.method for cell in spent if not is_mixture(cell.method)}
    several = len(methods) > 1
    return [
        *(["cost_effectiveness", "crossovers"] if several else []),
        "accuracy",
        *(["best_method"] if several else []),
        *(["mixtures"] if methods and len(methods) < len({cell.method for cell in spent}) else []),
        *(["shares"] if _has_triangle(grid) else []),
        *(name for name, coordinate in ABLATIONS.items() if varied(grid, coordinate)),
        "costs",
        "diversity",
    ]


def _has_triangle(grid: Grid) -> bool:
    """Return whether several mixtures of the same three methods have one budget at one place."""
    places: dict[tuple[str | int, ...], dict[str, set[str]]] = {}
    for cell in grid.cells:
        dataset = cell.dataset
        if dataset is None or not dataset.mixed or dataset.method == f"{MIXTURE}{ALL_BOUGHT}":
            continue
        parts = grid.parts_by_key[dataset.key]
        if all(part.teacher != NONE for part in parts):
            place = tuple(value for name, value in cell.coordinates.items() if name != "method")
            mixtures = places.setdefault(place, {})
            mixtures[cell.method] = {part.method for part in parts}
    return any(
        triangles(mixtures, sorted(set().union(*mixtures.values()))) for mixtures in places.values()
    )


def varied(grid: Grid, coordinate: str) -> list[Cell]:
    """Return the cells from which another cell differs only in one coordinate; no baselines."""

    def others(cell: Cell) -> tuple[str | int, ...]:
        return tuple(value for name, value in cell.coordinates.items() if name != coordinate)

    trained = [cell for cell in grid.cells if cell.budget and not is_mixture(cell.method)]
    places = [*map(others, trained)]
    alike = Counter(places)
    return [cell for cell, place in zip(trained, places, strict=True) if alike[place] > 1]


def missing_text(missing: Sequence[Cell], total: int) -> str:
    """Return a line on the cells that are missing out of a number of them; "" if none are."""
    if not missing:
        return ""
    several = len({cell.task for cell in missing}) > 1
    kinds = Counter(
        (f"{cell.task} " if several else "")
        + cell.method
        + (f" at BR {cell.budget_ratio:.3g}" if cell.budget else "")
        for cell in missing
    )
    named = [f"{kind} ({count})" for kind, count in kinds.most_common(_SHOWN)]
    left = sum(count for _, count in kinds.most_common()[_SHOWN:])
    if left:
        named.append(f"and {left} more")

    return f"{len(missing)} of {total} cells are missing: {', '.join(named)}."
