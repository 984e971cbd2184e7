"""Errors for targets that no rule makes, with a suggestion."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seedbed.run.jobs import own_name
from seedbed.run.snakemake_internals import can_make

if TYPE_CHECKING:
    from snakemake.rules import Rule

# The most files with which a mistyped one is compared.
_MOST_COMPARED = 5_000


def wrong_kind(targets: Iterable[str], study: str, spends: bool) -> str | None:
    """Return an error for targets that belong to the other kind of study; None if there are none.

    Args:
        targets: rules and files.
        study: name of the study.
        spends: whether the study is a spend, which buys data instead of comparing methods.
    """
    asked = {*targets}
    if not spends and (found := asked & {"spend", "publish"}):
        return (
            f"study {study!r} compares methods, and has no {min(found)}: give --config study=NAME "
            "of a study with `spend`"
        )
    if spends and "quote" in asked:
        return f"study {study!r} has no quote: a spend costs its budget, and the trainings"
    return None


def unknown_target(
    rules: Sequence[Rule], target: str, files: Callable[[], Iterable[str]]
) -> str | None:
    """Return an error for a target that no rule makes; None if it exists or a rule makes it.

    Args:
        rules: all rules.
        target: a rule or a file.
        files: returns the study's files that rules with wildcards make.
    """
    names = {own_name(rule.name) for rule in rules}
    if target in names or Path(target).exists():
        return None
    if any(can_make(rule, target) for rule in rules):
        return None
    whole = [rule for rule in rules if not rule.has_wildcards()]
    if "/" not in target:
        shown = [rule.name for rule in whole]
        close = difflib.get_close_matches(target, shown, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"targets: {', '.join(sorted(shown))}"
        return f"there is no target {target!r}; {hint}"
    fixed = [str(file) for rule in whole for file in rule.output]
    # Only files of the same stage and study, because paths are long and similar.
    stage = "/".join(target.split("/")[:3])
    alike = [path for path in (*fixed, *files()) if path.startswith(stage)][:_MOST_COMPARED]
    close = difflib.get_close_matches(target, alike or fixed, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "`snakemake --list` shows the targets"
    return f"no rule of this study makes the file {target!r}; {hint}"
