"""Words that several packages share: coordinates of a cell, counts, and reserved names."""

from __future__ import annotations

from typing import Literal, get_args

MODELS = ("augmenter", "teacher", "student")
"""The parts that a model can have."""

COORDINATES: dict[str, type[str] | type[int]] = {
    "task": str,
    "method": str,
    "augmenter": str,
    "teacher": str,
    "seeds": int,
    "replicate": int,
    "filter": str,
    "budget": int,
    "student": str,
}
"""The coordinates of a cell by name, in the order of its key, with the type of each."""

Coordinates = dict[str, str | int]
"""Some coordinates, by name."""

WRITERS = ("teacher", "augmenter", "verification")
"""Purposes of the queries that a dataset costs."""

SPENDING = tuple(
    f"{who}_{what}" for who in WRITERS for what in ("queries", "prompt_tokens", "completion_tokens")
)
"""Queries and tokens of the models of a dataset."""

DATASET_COUNTS = (*SPENDING, "empty_slots", "rows", "missing_rows", "unique_questions")
"""Counts of a dataset's record that its evaluations repeat."""

TRAINING_COUNTS = ("training_rows", "training_tokens", "too_long_rows", "steps")
"""Counts of a training's record that its evaluation repeats."""

FEW_STEPS = 20
"""Optimiser steps below which a warning says that LoRA may leave a student like its base model."""

MIXTURE = "mix_"
"""Prefix of the `method` coordinate of mixtures; no method's name may begin with it."""

ALL_BOUGHT = "all_bought"
"""The mixture of all data that a study buys for a seed set."""

NONE = "none"
UNTRAINED = "untrained"
RESERVED = (NONE, UNTRAINED)
"""Words for "no such model" and "no method" in keys; no file may have these names."""

OWN_PROMPTS = ("answer", "self_check")
"""Prompts of a task that belong to no method; no method may have these names."""

Filter = Literal["none", "verified", "verified_matched"]
FILTERS: tuple[Filter, ...] = get_args(Filter)
VERIFIED, MATCHED = FILTERS[1:]
"""Filters of the answers that become training rows: `none` keeps all, `verified` keeps those found
right, and `verified_matched` adds right answers from further along the stream until there are as
many rows as with `none`."""

WORLDS = {"mini_math": "number", "mini_sql": "sql", "mini_qa": "choice"}
"""Generated worlds and their kinds."""
