"""Mixtures: datasets that divide a budget among several methods."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from math import floor
from typing import Annotated, Any, Literal

from pydantic import PlainValidator, WithJsonSchema

from seedbed.config.values import Name, problem
from seedbed.config.words import MIXTURE

Share = float | Literal["all"]
Shares = tuple[tuple[str, Share], ...]
"""The weight of each method, in alphabetical order; `all` for real data, which costs no queries."""

_JSON_SHARES = {
    "type": "object",
    "minProperties": 2,
    "additionalProperties": {
        "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"enum": ["all"]}]
    },
}


def _shares(value: Any) -> Shares:
    if isinstance(value, tuple):
        return value  # Read before.
    if not isinstance(value, dict) or len(value) < 2:
        raise problem(
            "must give at least two methods their shares of the budget, as in "
            "{answer_augmentation: 0.5, new_question: 0.5}"
        )
    for method, share in value.items():
        number = isinstance(share, int | float) and not isinstance(share, bool)
        if share != "all" and not (number and 0 < share < float("inf")):
            raise problem(
                f"{share!r} is not a share: give a number above 0, or `all` for a method that "
                "trains on real data and asks no teacher",
                method,
            )
    return tuple(sorted((str(method), share) for method, share in value.items()))


def _mixture(value: Any) -> str | Shares:
    return value if isinstance(value, str) else _shares(value)


MixtureShares = Annotated[Any, PlainValidator(_shares), WithJsonSchema(_JSON_SHARES)]
"""Type of a configuration field with `Shares`."""

Mixture = Annotated[
    Any,
    PlainValidator(_mixture),
    WithJsonSchema({"anyOf": [{"type": "string"}, _JSON_SHARES]}),
]
"""Type of a configuration field with the name of a mixture, or `Shares`."""

Mixtures = dict[Name, MixtureShares]


def is_mixture(method: str) -> bool:
    """Return whether the `method` of a cell names a mixture."""
    return method.startswith(MIXTURE)


def coordinate(mixture: str | Shares) -> str:
    """Return the `method` coordinate of a mixture's cells.

    Equal shares give the same coordinate, whatever their order and their sum.
    """
    if isinstance(mixture, str):
        return f"{MIXTURE}{mixture}"
    parts = [
        f"{method}_{share if share == 'all' else f'{100 * share:.4g}'}"
        for method, share in sorted(fractions(mixture).items())
    ]
    return MIXTURE + "-".join(parts)


def fractions(shares: Shares) -> dict[str, float | Literal["all"]]:
    """Return the shares by method, scaled so that the numbers add up to 1."""
    total = sum(share for _, share in shares if share != "all")
    return {method: share if share == "all" else share / total for method, share in shares}


def split(shares: Shares, budget: int) -> dict[str, int]:
    """Divide a budget among methods by largest remainders; among equal ones, the first gets more.

    Args:
        shares: weights, taken exactly as written.
        budget: teacher queries.

    Returns:
        Queries by method, 0 for real data; their sum is the budget.
    """
    weights = {method: Fraction(str(share)) for method, share in shares if share != "all"}
    total = sum(weights.values())
    exact = {method: weight * budget / total for method, weight in weights.items()}
    found = {method: floor(queries) for method, queries in exact.items()}
    left = budget - sum(found.values())
    for method in sorted(exact, key=lambda name: found[name] - exact[name])[:left]:
        found[method] += 1
    return {method: found.get(method, 0) for method, _ in shares}


def triangles(
    mixtures: Mapping[str, Collection[str]], order: Sequence[str]
) -> list[tuple[tuple[str, str, str], list[str]]]:
    """Return the triples of methods that several mixtures combine, each with these mixtures.

    Args:
        mixtures: by name, the methods of a mixture; a mixture of two methods lies on a side of a
            triple.
        order: the study's methods, in the order in which a triple names them.
    """
    named = [method for method in order if any(method in of for of in mixtures.values())]
    found = []
    for triple in combinations(named, 3):
        within = [name for name, of in mixtures.items() if set(of) <= set(triple)]
        if len(within) > 1 and set(triple) == set().union(*(mixtures[name] for name in within)):
            found.append((triple, within))
    return found


def title(method: str, shares: Shares | None, short: Mapping[str, str]) -> tuple[str, str]:
    """Return the display title of a mixture, and its abbreviation.

    Args:
        method: as `coordinate` returns it.
        shares: its shares; None for `all_bought`.
        short: abbreviations of methods, in the order in which to name them.
    """
    name = method.removeprefix(MIXTURE)
    if shares is None:
        return "All that was bought", "all"
    of = fractions(shares)
    parts = [
        f"all {word}" if of[part] == "all" else f"{100 * of[part]:.3g}% {word}"
        for part, word in short.items()
        if part in of
    ]
    made = ", ".join(parts)
    if method == coordinate(shares):
        return made, made
    said = name.replace("_", " ")
    return f"{said[:1].upper()}{said[1:]} ({made})", said
