"""The fits that a study's charts show side by side, with titles, methods and crossovers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from seedbed.analysis.curves import Curves
from seedbed.analysis.decide.crossovers import Crossover
from seedbed.analysis.report.charts.drawing import Row
from seedbed.analysis.settings import Titles
from seedbed.analysis.tables.outcomes import GROUP_COLUMNS


def all_methods(fits: Iterable[Curves]) -> list[str]:
    """Return the methods of all fits, as far as possible in the study's order.

    Each fit has its methods in that order. The methods of the fit with most methods come first, so
    that a method has the same colour in every figure.
    """
    ordered = sorted(fits, key=lambda fit: -len(fit.methods))
    return list(dict.fromkeys(method for fit in ordered for method in fit.methods))


def group_titles(fits: Sequence[Curves], titles: Titles) -> list[str]:
    """Return a title for each fit: its task, and the coordinates that differ within the task."""
    return place_titles([asdict(fit.group) for fit in fits], titles)


def by_place(
    rows: Sequence[Row], titles: Titles, columns: Iterable[str] = tuple(GROUP_COLUMNS)
) -> list[tuple[Row, str, list[Row]]]:
    """Group rows by place, and return each place with its title and its rows.

    Args:
        rows: rows of a table.
        titles: titles of tasks and models.
        columns: columns that distinguish places.
    """
    places: dict[tuple[object, ...], tuple[Row, list[Row]]] = {}
    for row in rows:
        place = {name: row[name] for name in columns}
        places.setdefault(tuple(place.values()), (place, []))[1].append(row)
    found = [*places.values()]
    named = place_titles([place for place, _ in found], titles)
    return [(place, title, part) for (place, part), title in zip(found, named, strict=True)]


def place_titles(places: Sequence[Row], titles: Titles) -> list[str]:
    """Return a title for each place: its task, and the coordinates that differ within the task.

    Args:
        places: mappings with `task` and coordinates.
        titles: titles of tasks and models.
    """
    made = []
    for place in places:
        names = [name for name in ("student", "teacher", "augmenter", "filter") if name in place]
        same_task = [other for other in places if other["task"] == place["task"]]
        varied = [name for name in names if len({other[name] for other in same_task}) > 1]
        parts = [f"{name} {titles.title(str(place[name]))}" for name in varied]
        made.append(", ".join([titles.title(place["task"]), *parts]))
    return made


def with_curves(fits: Sequence[Curves]) -> list[Curves]:
    """Return the fits in which at least two methods were measured at two budgets or more.

    The other fits are ablations at a single budget, which have their own figures. For a task
    without such a fit, all of its fits are returned.
    """
    curved = {
        fit.key: any(
            sum(len(fit.cells(seeds, method)) > 1 for method in fit.methods) > 1
            for seeds in fit.seeds
        )
        for fit in fits
    }
    tasks = {fit.group.task for fit in fits if curved[fit.key]}
    return [fit for fit in fits if curved[fit.key] or fit.group.task not in tasks]


def shown_crossovers(fit: Curves, seeds: int, crossovers: Sequence[Crossover]) -> list[Crossover]:
    """Return the crossovers with the first method that figures show.

    Args:
        fit: the fit.
        seeds: seed-set size.
        crossovers: records of `find_crossovers`.
    """
    return [
        record
        for record in crossovers
        if record.fit == fit.key and record.seeds == seeds and record.reference == fit.methods[0]
    ]
