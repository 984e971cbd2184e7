"""The resources that jobs need: GPUs, memory and time.

Profiles describe the machines. Nothing here changes a result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from seedbed.engines.settings import VLLMSettings
from seedbed.models import Quantization
from seedbed.study.estimate import (
    ANSWER_TOKENS,
    ATTEMPTS,
    CHECK_TOKENS,
    QUESTION_TOKENS,
    ROW_TOKENS,
    VERDICT_TOKENS,
    hours_of_tokens,
    shape_of,
    size,
    training_rows,
)
from seedbed.study.loading import Study
from seedbed.study.memory import CUDA_GB, TrainingMemory, loaded_gigabytes, training_memory
from seedbed.study.offers import within_offers
from seedbed.study.paths import Paths
from seedbed.study.sizes import HALF_GB, Size, architecture_of
from seedbed.training.micro_batches import CPU_ACTIVATION_BYTES

WEIGHTS_SHARE = 0.6
"""Largest share of a GPU's memory for weights; the rest is for generation."""

BASE_MB = 4_300
"""Memory of a job with a small model: 4,000 for torch and the model, and 300 for the two processes
of Snakemake that a job on a cluster has."""

PROCESS_MB = 4_000
"""Of each further process of a job that has several, for a training on several GPUs or copies of a
model: torch, and what it loads."""

ENDPOINT_MB = 800
"""Memory of a job that asks an endpoint, which loads no model."""

ENDPOINT = "endpoint"
ENDPOINT_ROOM = 32
ENDPOINT_JOB = 8
BATCH_JOB = 1
"""The resource that limits jobs at endpoints, which take no core: its name, the amount that a
machine offers, the amount of a job that sends requests, and that of a job that waits for a Batch
API."""

MB_PER_GB_OF_WEIGHTS = 1_250
"""Main memory for weights, which pass through it on their way to the GPU, with a reserve of a
quarter."""

START_MINUTES = 20
"""For the start of an engine, its compilation, and pending jobs."""

SAFETY = 4.0
"""Factor on estimated times, because a job that runs out of time must start again."""

SMALL_TOKENS_PER_SECOND = 3_000
"""Speed of a model of unknown size, e.g. one that the workflow trains; on two CPU cores, such
models wrote 10,000 and more."""

ENDPOINT_SECONDS = 20.0
"""Seconds for one query of an endpoint."""

PRETRAIN_SECONDS = 0.5
"""Seconds for one step of 64 texts when a model is trained from scratch; 0.15 were measured on two
CPU cores."""


def gpus(study: Study, model: str) -> int:
    """Return the number of GPUs that a model runs on, by its file or else its size.

    A model that the workflow trains needs none, unless vLLM runs it; a model of unknown size gets
    one. More than one is a power of two, because vLLM splits the heads of a layer among them.
    """
    engine = study.engine(model)
    if engine.kind == "openai":
        return 0
    if engine.gpus is not None:
        return engine.gpus
    many = copies(study, model)
    if study.pretrained(model) is not None:
        return many if engine.kind == "vllm" else 0
    found = size(study, model)
    if found is None or engine.kind == "transformers":
        return many
    return many * 2 ** max(
        0, math.ceil(math.log2(found.gigabytes / (study.gpu_gb * WEIGHTS_SHARE)))
    )


def copies(study: Study, model: str) -> int:
    """Return how many copies of a model answer requests in a job that runs it."""
    engine = study.engine(model)
    return engine.data_parallel_size if isinstance(engine, VLLMSettings) else 1


def trained_on(study: Study, model: str) -> int:
    """Return the number of GPUs that a student is trained on."""
    return study.trainer(model).fsdp_size if gpus(study, model) else 0


def job_gpus(study: Study, stage: str, model: str) -> int:
    """Return the number of GPUs of a job; 1 for a job without a GPU."""
    count = gpus(study, model)
    return max(1, trained_on(study, model) if stage == "training" else count)


class JobResources:
    """Resources of a study's jobs, as functions of their wildcards for `resources:`."""

    def __init__(self, paths: Paths, gpu_model: str | None = None) -> None:
        """Prepare the resources of a study.

        Args:
            paths: those of the study.
            gpu_model: the cluster's name of the GPU model for jobs; None for any.
        """
        self._paths = paths
        self._study = paths.study
        self._gpu_model = gpu_model
        self._loaded = cache(self._size)

    def questions(self) -> dict[str, Callable[..., Any]]:
        """Return the resources to write a shard of questions."""
        tokens = ATTEMPTS * (QUESTION_TOKENS + CHECK_TOKENS)
        return self._of(
            lambda wc: self._paths.augmenter(wc.question_stream),
            lambda wc, model: self._generating(
                model, self._queries(wc.question_stream, wc.shard), tokens, 2 * ATTEMPTS
            ),
        )

    def answers(self) -> dict[str, Callable[..., Any]]:
        """Return the resources to answer a shard of questions."""
        return self._of(
            lambda wc: self._paths.teacher(wc.stream),
            lambda wc, model: self._generating(
                model, self._queries(wc.stream, wc.shard), ANSWER_TOKENS
            ),
        )

    def samples(self) -> dict[str, Callable[..., Any]]:
        """Return the resources to answer a shard again, as often as verification wants."""
        samples = self._study.config.verification.samples
        return self._of(
            lambda wc: self._paths.teacher(wc.stream),
            lambda wc, model: self._generating(
                model, samples * self._queries(wc.stream, wc.shard), ANSWER_TOKENS
            ),
        )

    def evaluation(self, key: str = "cell") -> dict[str, Callable[..., Any]]:
        """Return the resources to answer the test items.

        Args:
            key: name of the wildcard with the key of a cell.
        """

        def seconds(wc: Any, model: str) -> float:
            return self._generating(model, self._items(getattr(wc, key)), ANSWER_TOKENS)

        return self._of(lambda wc: self._paths.student(getattr(wc, key)), seconds)

    def judging(self) -> dict[str, Callable[..., Any]]:
        """Return the resources to grade a student's answers."""

        def seconds(wc: Any, model: str) -> float:
            # Twice, because a comparison is judged twice.
            return self._generating(model, self._items(wc.judged_cell), 2 * VERDICT_TOKENS, 2)

        return self._of(lambda wc: self._paths.judge(wc.judged_cell), seconds)

    def _items(self, key: str) -> int:
        """Return how many test items a cell is evaluated on."""
        task = self._study.tasks[self._paths.cell(key).task]
        return self._study.config.test_items or task.test_items

    def training(self) -> dict[str, Callable[..., Any]]:
        """Return the resources to train a student."""

        def seconds(wc: Any, model: str) -> float:
            rows = training_rows(self._study, self._paths.cell(wc.trained_cell))
            whole = self._seconds(model, rows * ROW_TOKENS, training=True)
            return whole / max(1, trained_on(self._study, model))

        return self._of(
            lambda wc: self._paths.student(wc.trained_cell),
            seconds,
            count=lambda model: trained_on(self._study, model),
        )

    def pretraining(self) -> dict[str, Callable[..., Any]]:
        """Return the resources to train a model from scratch."""

        def seconds(wc: Any, model: str) -> float:
            settings = self._study.models[model].pretrain
            assert settings is not None, f"{model} is not trained from scratch"
            return settings.steps * settings.batch_size / 64 * PRETRAIN_SECONDS

        return self._of(
            lambda wc: (wc.model, ""), seconds, count=lambda model: min(1, gpus(self._study, model))
        )

    def impossible(self, offered: int | None) -> str | None:
        """Return why a model cannot run on the available GPUs; None if all can.

        Args:
            offered: GPUs, as `--resources gpu=N` says; None if nothing limits them.
        """
        for name in sorted(self._study.models):
            if said := self._untrained(name) or self._too_large(name):
                return said
            needed = gpus(self._study, name)
            if offered is not None and needed > max(offered, 0):
                return (
                    f"model {name!r} runs on {needed} GPUs, and there are {offered} (`gpu` of "
                    f"`resources` in the profile): set engines.{name}.gpus in config.yaml, or in "
                    "its own file the key engine.gpus, to what it can do with"
                )
            trained = trained_on(self._study, name) if name in self._study.students else 0
            if offered is not None and trained > max(offered, 0):
                return (
                    f"student {name!r} is trained on {trained} GPUs (trainer.fsdp_size), and there "
                    f"are {offered} (`gpu` of `resources` in the profile): set "
                    f"trainers.{name}.fsdp_size in config.yaml to what there is"
                )
        return None

    def _untrained(self, name: str) -> str | None:
        """Return why a student cannot be trained with its form of weights; None if it can."""
        if name not in self._study.students:
            return None
        known = architecture_of(self._study.models[name], name)
        if known is None or (reason := known.untrained_because()) is None:
            return None
        return (
            f"student {name!r} cannot be trained: {reason}. Name its weights in 16 bits in "
            f"models/{name}.yaml; engine.quantization there loads them in 8 or 4"
        )

    def _too_large(self, name: str) -> str | None:
        """Return why a model does not fit into a GPU that it must fit into; None if it does.

        Models that run on a CPU or on several GPUs are not checked.
        """
        study = self._study
        engine, found = study.engine(name), self._loaded(name)
        if engine.kind == "openai" or found is None or not gpus(study, name):
            return None
        quantization = getattr(engine, "quantization", None)
        file, room = f"models/{name}.yaml", study.gpu_gb
        known = (
            f"By {file}, its weights or its name, it has {found.parameters:.1f} billion parameters "
            "(size there states another number), and gpu_gb in config.yaml is the memory of a GPU."
        )

        def asked(form: Quantization | None) -> float:
            return loaded_gigabytes(found, form) + CUDA_GB

        def needed(form: Quantization | None) -> float:
            trained = name in study.students
            return self._training(name, found, form).gigabytes if trained else asked(form)

        if engine.kind == "transformers" and asked(quantization) > room:
            return (
                f"model {name!r} is too large for one GPU of {room:g} GB, on which Transformers "
                f"runs it: {loaded_gigabytes(found, quantization):.1f} GB of weights and "
                f"{CUDA_GB:.1f} of CUDA's own. {self._smaller(name, needed)} {known}"
            )
        if name not in study.students:
            return None
        settings = study.training(name)
        if needed(quantization) <= room:
            return None
        many = study.trainer(name).fsdp_size
        place = f"each of {many} GPUs" if many > 1 else "one GPU"
        return (
            f"student {name!r} cannot be trained on {place} of {room:g} GB: "
            f"{self._training(name, found, quantization)}, with training.lora_rank "
            f"{settings.lora_rank} and training.max_length {settings.max_length}. "
            f"{self._smaller(name, needed)} {known}"
        )

    def _size(self, name: str) -> Size | None:
        """Return the size of a model, as Transformers loads it if it runs or trains the model."""
        study = self._study
        found = size(study, name)
        in_transformers = study.engine(name).kind == "transformers" or name in study.students
        if found is None or not in_transformers:
            return found
        known = architecture_of(study.models[name], name)
        if known is None or not known.whole_in_transformers:
            return found
        return Size(found.parameters, found.parameters * HALF_GB)

    def _training(
        self, name: str, found: Size, quantization: Quantization | None
    ) -> TrainingMemory:
        settings = self._study.training(name)
        shape = shape_of(self._study, name)
        many = 1 if quantization else self._study.trainer(name).fsdp_size
        return training_memory(
            found, shape, quantization, settings.lora_rank, settings.max_length, many
        )

    def _smaller(
        self,
        name: str,
        needed: Callable[[Quantization | None], float],
    ) -> str:
        """Return the form in which a model fits into a GPU, and the keys to set."""
        forms: tuple[tuple[Quantization, str], ...] = (("int8", "8"), ("nf4", "4"))
        more = (
            " Or divide it over GPUs for training, by trainer.fsdp_size there, and have vLLM "
            "evaluate it."
            if name in self._study.students
            else ""
        )
        for form, bits in forms:
            if needed(form) <= self._study.gpu_gb:
                return (
                    f"In {bits} bits it takes {needed(form):.1f} GB: set engine: {{kind: "
                    f"transformers, quantization: {form}}} in models/{name}.yaml.{more}"
                )
        least = f"In 4 bits it still takes {needed('nf4'):.1f} GB: take a smaller model."
        return least + more.replace(" there", f" in models/{name}.yaml")

    def unknown(self) -> str | None:
        """Return a message if the size of a model is unknown; None if all are known.

        On a cluster, jobs of a model of unknown size would request memory and time for a tiny one.
        """
        for name in sorted(self._study.models):
            runs_here = self._study.engine(name).kind != "openai"
            if runs_here and self._study.pretrained(name) is None and not size(self._study, name):
                return (
                    f"nothing tells how large model {name!r} is, by which its jobs ask for GPUs, "
                    f"memory and time: set size in models/{name}.yaml, in billions of parameters"
                )
        return None

    def _of(
        self,
        asked: Callable[[Any], tuple[str, str]],
        seconds: Callable[[Any, str], float],
        count: Callable[[str], int] | None = None,
    ) -> dict[str, Callable[..., Any]]:
        """Return the resources of a rule, each a function of wildcards, and of the attempt.

        Memory and time grow with each attempt, because a job may have failed for lack of them, up
        to the offers of a cluster's partitions.

        Args:
            asked: by wildcards, the model and its step.
            seconds: by wildcards and model, how long the job takes.
            count: by model, the GPUs of a job that trains it; None for a job that asks it.
        """
        trains = count is not None

        def taken(wildcards: Any) -> int:
            model = asked(wildcards)[0]
            return gpus(self._study, model) if count is None else count(model)

        def kind(wildcards: Any) -> str | None:
            # A job without a GPU must not name a GPU model, which would request one.
            return self._gpu_model if taken(wildcards) else None

        def time_and_memory(wildcards: Any, attempt: int) -> tuple[int, int]:
            model = asked(wildcards)[0]
            engine, needs = self._study.engine(model), taken(wildcards)
            local = engine.kind != "openai" or trains
            found = self._loaded(model) if local else None
            weights = 0.0 if found is None else found.gigabytes
            memory = BASE_MB + weights * MB_PER_GB_OF_WEIGHTS if local else ENDPOINT_MB
            processes = needs if trains else copies(self._study, model)
            memory += max(0, processes - 1) * PROCESS_MB
            if not needs and not trains:
                # On a CPU, each copy has weights of its own.
                memory += (processes - 1) * weights * MB_PER_GB_OF_WEIGHTS
            if found and trains and not needs:
                # Trained on a CPU, with the activations of a micro-batch, and in 32 bits. Quantized
                # weights take less, and pass through memory in 16 bits: 1.1 billion parameters took
                # 0.8 times those at their peak with nf4, and 0.7 times with int8.
                whole = getattr(engine, "quantization", None) is None
                memory += whole * weights * MB_PER_GB_OF_WEIGHTS + CPU_ACTIVATION_BYTES / 2**20
            needed = seconds(wildcards, model) / 60
            return within_offers(
                needs,
                attempt * math.ceil(START_MINUTES + needed * SAFETY),
                round(memory * (1 + attempt) / 2),
                least=(math.ceil(START_MINUTES + needed), round(memory)),
            )

        def mem_mb(wildcards: Any, attempt: int) -> int:
            return time_and_memory(wildcards, attempt)[1]

        def runtime(wildcards: Any, attempt: int) -> int:
            return time_and_memory(wildcards, attempt)[0]

        def endpoint(wildcards: Any) -> int:
            engine = self._study.engine(asked(wildcards)[0])
            if engine.kind != "openai" or trains:
                return 0
            return ENDPOINT_JOB if engine.batch is None else BATCH_JOB

        return {
            "gpu": taken,
            "gpu_model": kind,
            "mem_mb": mem_mb,
            "runtime": runtime,
            ENDPOINT: endpoint,
        }

    def _queries(self, key: str, index: str) -> int:
        shard = self._paths.shard(key, index)
        return shard.stop - shard.start

    def _generating(self, model: str, units: float, tokens: float, queries: float = 1.0) -> float:
        """Return the seconds of some units of work, with this many tokens and queries each."""
        engine = self._study.engine(model)
        if engine.kind == "openai":
            return units * queries * ENDPOINT_SECONDS / engine.concurrency
        return self._seconds(model, units * tokens) / copies(self._study, model)

    def _seconds(self, model: str, tokens: float, training: bool = False) -> float:
        found = hours_of_tokens(self._study, model, tokens, training)
        return tokens / SMALL_TOKENS_PER_SECOND if found is None else found * 3600


def limits(resources: Mapping[str, object]) -> int | None:
    """Return the number of GPUs that a run offers its jobs; None for no limit."""
    offered = resources.get("gpu")
    value = getattr(offered, "value", offered)
    return value if isinstance(value, int) else None
