"""The configuration's sections about training."""

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
    """Settings of a student's training: LoRA, with loss on the answers only."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("training",)
    LATER: ClassVar[tuple[str, ...]] = ("packing",)
    """Keys that later versions added. Those with their defaults are left out of records."""

    epochs: Count = Field(description="Passes over the dataset.")
    max_steps: Count | None = Field(
        None, description="Maximum number of optimiser steps, if the epochs have more."
    )
    learning_rate: Positive = Field(description="Peak learning rate.")
    batch_size: Count = Field(
        description="Rows in one optimiser step; with `packing`, blocks of rows."
    )
    packing: bool = Field(
        False,
        description="Whether to pack rows into blocks of at most `max_length` tokens, as TRL's "
        "`bfd` (best fit decreasing) does. `batch_size` then counts blocks, which gives fewer "
        "steps of more even size. The rows of a block do not attend to each other.",
    )
    lora_rank: Count = Field(description="LoRA rank of the adapter.")
    lora_alpha: Positive = Field(description="The adapter is scaled by alpha / rank.")
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Dropout in the adapter."
    )
    warmup_fraction: Fraction = Field(
        0.03, description="Share of the steps in which the learning rate rises."
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="Schedule of the learning rate after the warm-up."
    )
    max_length: Count = Field(description="Most tokens of a row, prompt and answer together.")
    weight_decay: NotNegative = Field(0.0, description="Weight decay of AdamW.")
    seed: Seed = Field(0, description="Seed of the adapter's initial weights and of the row order.")

    def content(self) -> JsonObject:
        """Return all settings for JSON, without later additions that have their defaults."""
        found = self.model_dump(mode="json")
        return {name: value for name, value in found.items() if name not in self.LATER or value}

    def rows_in_step(self, row_tokens: float) -> int:
        """Return the number of rows in an optimiser step.

        Args:
            row_tokens: mean number of tokens of a row.
        """
        blocks = self.batch_size
        return blocks * max(1, int(self.max_length / row_tokens)) if self.packing else blocks


class StudentTraining(SystemMessage, Training):
    """All settings of a training: `training`, and the student's `system` and `quantization`."""

    LATER: ClassVar[tuple[str, ...]] = (*Training.LATER, "quantization")
    quantization: Quantization | None = Field(
        None, description="Format of the student's weights, if they are quantized."
    )


class Pretrain(Section):
    """A small model that the workflow itself trains from scratch on a generated world."""

    STAGES: ClassVar[tuple[Stage, ...]] = ("models",)

    role: Role = Field(
        description="Training data of the model: everything for `teacher`; a different part of the "
        "forms for each of `student_a` and `student_b`."
    )
    steps: Count = Field(description="Optimiser steps.")
    batch_size: Count = Field(description="Examples in one step.")
    learning_rate: Positive = Field(description="Peak learning rate.")
    hidden_size: Count = Field(description="Width.")
    layers: Count = Field(description="Number of layers.")
    heads: Count = Field(description="Attention heads; `hidden_size` / `heads` must be even.")
    intermediate_size: Count = Field(description="Width of the feed-forward part.")
    checkpoints: Annotated[tuple[Count, ...], LISTED, DISTINCT] = Field(
        (), description="Steps after which a checkpoint is kept, for use as a weaker model."
    )
    seed: Seed = Field(0, description="Seed of the weights and of the examples.")

    @model_validator(mode="after")
    def _consistent(self) -> Pretrain:
        # Rotary position embeddings rotate pairs of a head's channels.
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
    """How the training of a student is run. These settings change no result."""

    STAGES: ClassVar[tuple[Stage, ...]] = ()

    save_minutes: Positive = Field(
        15.0,
        description="Minutes between two saves of a running training; after a kill, it resumes "
        "from the last one.",
    )
    micro_batch_tokens: Count | None = Field(
        None,
        description="Most tokens of a micro-batch, including padding. The rows of an optimiser "
        "step are cut accordingly. Null takes as many as the GPU's free memory allows.",
    )
    padding_free: bool | None = Field(
        None,
        description="Whether training is padding-free: rows are concatenated without padding, and "
        "an attention kernel keeps them apart. Null turns it on if the job has a GPU and a trial "
        "shows that the model supports it.",
    )
    fsdp_size: Count = Field(
        1,
        description="Number of GPUs of one machine over which FSDP divides the weights of a "
        "student that is too large for one GPU. Each trains on its share of a step's rows.",
    )
