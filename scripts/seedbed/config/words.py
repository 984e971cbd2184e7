"""Words that several rooms share: coordinates of a cell, what is counted, and reserved names."""

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
"""Some of them, by name."""

WRITERS = ("teacher", "augmenter", "verification")
"""What models are asked for whose answers a dataset is made of."""

SPENDING = tuple(
    f"{who}_{what}" for who in WRITERS for what in ("queries", "prompt_tokens", "completion_tokens")
)
"""What the models of a dataset were asked and wrote."""

DATASET_COUNTS = (*SPENDING, "empty_slots", "rows", "missing_rows", "unique_questions")
"""Counts of a dataset's record that its evaluations carry along."""

TRAINING_COUNTS = ("training_rows", "training_tokens", "too_long_rows", "steps")
"""Counts of a training's record that its evaluation carries along."""

FEW_STEPS = 20
"""Optimiser steps below which LoRA may leave a student like its base model, as warnings say."""

MIXTURE = "mix_"
"""How the method of a cell begins whose data several methods make, so that no method's name may."""

ALL_BOUGHT = "all_bought"
"""The mixture of all that a study buys for a seed set."""

NONE = "none"
UNTRAINED = "untrained"
RESERVED = (NONE, UNTRAINED)
"""Words that stand in keys for "no such model" and "no method", so that no file may have them."""

OWN_PROMPTS = ("answer", "self_check")
"""Prompts of a task that are no method's, so that no method may have their names."""

Filter = Literal["none", "verified", "verified_matched"]
FILTERS: tuple[Filter, ...] = get_args(Filter)
VERIFIED, MATCHED = FILTERS[1:]
"""Filters that choose which answers of a stream become training rows: all of them; those that are
found right; and those, from further along the stream as well, until they are as many as all."""

WORLDS = {"mini_math": "number", "mini_sql": "sql", "mini_qa": "choice"}
"""Generated worlds and their kinds."""
