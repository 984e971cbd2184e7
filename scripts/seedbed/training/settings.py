"""The sections of the configuration on how models are trained."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from seedbed.config.sections import Section
from seedbed.config.values import (
    DISTINCT,
    LISTED,
    Count,
    Fraction,
    JsonObject,
    NotNegative,
    Positive,
    Role,
    Seed,
    Stage,
    problem,
)
from seedbed.engines.settings import SystemMessage
from seedbed.models import Quantization


class Training(Section):
    """How a student is trained: LoRA, with loss on the answers only."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("training",)
    LATER: ClassVar[tuple[str, ...]] = ("packing",)
    """Keys that came later, which are left out where they are as before."""

    epochs: Count = Field(description="Passes over the dataset.")
    max_steps: Count | None = Field(
        None, description="Most optimiser steps, if that is less than the epochs take."
    )
    learning_rate: Positive = Field(description="Peak learning rate.")
    batch_size: Count = Field(
        description="Rows in one optimiser step; with `packing`, blocks of rows."
    )
    packing: bool = Field(
        False,
        description="Packs rows into blocks of at most `max_length` tokens, best fit first, as TRL "
        "does with `bfd`, and counts blocks in `batch_size`: fewer steps of more even size. Rows "
        "of a block do not see each other.",
    )
    lora_rank: Count = Field(description="Rank of the adapter.")
    lora_alpha: Positive = Field(description="The adapter is scaled by alpha / rank.")
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Dropout in the adapter."
    )
    warmup_fraction: Fraction = Field(
        0.03, description="Part of the steps in which the learning rate rises."
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="How the learning rate goes on after the warm-up."
    )
    max_length: Count = Field(description="Tokens of a row, prompt and answer together.")
    weight_decay: NotNegative = Field(0.0, description="Weight decay of AdamW.")
    seed: Seed = Field(0, description="Seed of the adapter's start and of the order of rows.")

    def content(self) -> JsonObject:
        """Return all settings for JSON, without those that came later where they are as before."""
        found = self.model_dump(mode="json")
        return {name: value for name, value in found.items() if name not in self.LATER or value}

    def rows_in_step(self, row_tokens: float) -> int:
        """Return how many rows of some length an optimiser step has."""
        blocks = self.batch_size
        return blocks * max(1, int(self.max_length / row_tokens)) if self.packing else blocks


class StudentTraining(SystemMessage, Training):
    """What a training depends on: `training`, and the student's `system` and `quantization`."""

    LATER: ClassVar[tuple[str, ...]] = (*Training.LATER, "quantization")
    quantization: Quantization | None = Field(
        None, description="The form in which the weights of the student are loaded, if quantized."
    )


class Pretrain(Section):
    """A small model, trained from scratch on a generated world by the workflow itself."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("models",)

    role: Role = Field(
        description="What it gets to see: `teacher` everything, `student_a` and `student_b` each "
        "a part of the forms."
    )
    steps: Count = Field(description="Optimiser steps.")
    batch_size: Count = Field(description="Examples in one step.")
    learning_rate: Positive = Field(description="Peak learning rate.")
    hidden_size: Count = Field(description="Width.")
    layers: Count = Field(description="Number of layers.")
    heads: Count = Field(description="Attention heads; `hidden_size` / `heads` must be even.")
    intermediate_size: Count = Field(description="Width of the feed-forward part.")
    checkpoints: Annotated[tuple[Count, ...], LISTED, DISTINCT] = Field(
        (), description="Steps after which the model is kept as well, for weaker models."
    )
    seed: Seed = Field(0, description="Seed of the weights and of the examples.")

    @model_validator(mode="after")
    def _consistent(self) -> Pretrain:
        # Rotary position embeddings turn pairs of a head's channels.
        if self.hidden_size % (2 * self.heads):
            raise problem(
                f"{self.hidden_size} does not divide into {self.heads} heads of even width",
                "hidden_size",
            )
        for index, step in enumerate(self.checkpoints):
            if step >= self.steps:
                raise problem(f"{step} is not below steps, {self.steps}", "checkpoints", index)
        return self


class Trainer(Section):
    """How the training of a student is run, which changes no result."""

    STAGES: ClassVar[tuple[Stage, ...]] = ()

    save_minutes: Positive = Field(
        15.0,
        description="Minutes between two saves of a running training; after a kill, it resumes "
        "from the last one.",
    )
    micro_batch_tokens: Count | None = Field(
        None,
        description="Most tokens, padding included, that go through the model at once; the rows of "
        "an optimiser step are cut accordingly. Null takes what the GPU's free memory allows.",
    )
    padding_free: bool | None = Field(
        None,
        description="Whether rows go through the model one after the other, without padding, and a "
        "kernel keeps them apart. Null does so on a GPU, where a trial shows that the model can.",
    )
    fsdp_size: Count = Field(
        1,
        description="GPUs of one machine over which FSDP divides the weights of a student that is "
        "too large for one GPU. Each trains on its share of a step's rows.",
    )
