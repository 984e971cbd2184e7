"""Turns a study's `spend` into a block, so that the checks of other studies apply to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from seedbed.config.documents import Problem
from seedbed.config.values import Part
from seedbed.config.words import NONE
from seedbed.study.config import RUN_CONFIG, Block, StudyConfig
from seedbed.study.reading import File

_KEYS: Mapping[Part, str] = {
    "augmenters": "augmenter",
    "teachers": "teacher",
    "students": "student",
}


def as_block(file: File[StudyConfig], task: str | None) -> File[StudyConfig]:
    """Return a study's file with a block in place of its `spend`; unchanged if it has none."""
    spend = file.config.spend
    if spend is None:
        return file
    block = Block.model_construct(
        name="spend",
        tasks=() if task is None else (task,),
        methods=spend.methods,
        mixtures=(),
        seeds=(1,),
        budgets=(1,),
        budget_ratios=None,
        augmenters=None if spend.augmenter is None else (spend.augmenter,),
        teachers=(spend.teacher,),
        students=() if spend.student is None else (spend.student,),
        filters=(NONE,),
        replicates=1,
    )
    return replace(file, config=file.config.model_copy(update={"blocks": (block,)}))


def as_spend(file: File[StudyConfig], problem: Problem) -> Problem:
    """Return a problem of the block as a problem of the key of `spend` that it comes from."""
    if problem.at[:2] != ("blocks", 0):
        return problem
    key, *place = problem.at[2:] or ("methods",)
    if key == "tasks":
        return Problem(RUN_CONFIG, ("task",), problem.text)
    at = ("spend", "methods", *place) if key == "methods" else ("spend", _KEYS.get(key, "methods"))
    return file.document.problem(problem.text, *at)
