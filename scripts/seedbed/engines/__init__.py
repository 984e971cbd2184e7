"""Engines: what runs a language model.

Every engine takes requests, each with its own sampling seed, and gives back completions as they
finish, in whatever order that is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One query of a model.

    Attributes:
        key: the caller's name for it, unique among the requests of a call.
        messages: (role, content) pairs.
        max_tokens: the most tokens to generate.
        temperature: 0 for the likeliest token each time.
        top_p: nucleus of the distribution that is sampled from, in (0, 1].
        seed: of this request's sampling alone, so that its answer does not depend on its company.
        stop: texts that end the answer where the model writes one of them; they are not part of it.
    """

    key: str
    messages: tuple[tuple[str, str], ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()


def chat(content: str, system: str | None = None) -> tuple[tuple[str, str], ...]:
    """Return the messages that ask a model something, after the one that sets it up, if any."""
    asked = ("user", content)
    return (asked,) if system is None else (("system", system), asked)


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered to one request.

    Attributes:
        key: the request's.
        text: without special tokens and outer white space.
        finish_reason: "stop" (the model ended it, or wrote one of the request's `stop`) or "length"
            (cut at `max_tokens`); from an
            endpoint also "content_filter" and "rejected", with an empty text, or what it says.
        prompt_tokens: tokens read.
        completion_tokens: tokens written, the ending one included.
        seconds: its share of the time that the engine took, filled in by who asks: those of a run
            add up to the run's, the engine's start included.
    """

    key: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float = 0.0


UNFINISHED = {
    "length": "truncated",
    "content_filter": "content_filter",
    "rejected": "rejected",
}
"""By finish reason, why a text cannot be used; any other than "stop" is `not_finished`."""


@dataclass(frozen=True, slots=True)
class Cap:
    """How much may be asked; see `seedbed.engines.cap`.

    Attributes:
        ledger: folder with what all jobs have spent.
        max_teacher_queries: the most queries of teachers; None for no limit.
        max_usd: the most dollars; None for no limit.
        counts_queries: whether this model is asked as a teacher.
        usd_per_million_prompt_tokens: its price.
        usd_per_million_completion_tokens: its price.
    """

    ledger: str
    max_teacher_queries: int | None
    max_usd: float | None
    counts_queries: bool
    usd_per_million_prompt_tokens: float
    usd_per_million_completion_tokens: float


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How a model is run, which does not determine what it answers.

    Attributes:
        kind: "transformers" or "vllm", in this process; or "openai", behind an endpoint.
        batch_size: transformers, vllm: the most prompts that are generated from together.
        gpus: transformers, vllm: GPUs that it runs on, 0 for none.
        gpu_memory: vllm: share of a GPU's memory that it may take, in (0, 1].
        context: vllm: tokens that it makes room for; None takes the model's own limit.
        eager: vllm: whether not to compile the model first, which takes a minute or two.
        base_url: openai: address of the endpoint, up to the version of the API.
        name: openai: the model's name there.
        key_variable: openai: environment variable that holds the key; None sends none.
        concurrency: openai: the most requests under way at once.
        timeout: openai: seconds after which a request is given up, and asked again.
        limit_field: openai: how the endpoint calls the most tokens of an answer.
        cap: how much may be asked; None for no limit.
    """

    kind: str = "transformers"
    batch_size: int = 256
    gpus: int = 1
    gpu_memory: float = 0.9
    context: int | None = None
    eager: bool = False
    base_url: str = ""
    name: str = ""
    key_variable: str | None = None
    concurrency: int = 64
    timeout: float = 600.0
    limit_field: str = "max_tokens"
    cap: Cap | None = None

    @classmethod
    def from_json(cls, text: str) -> EngineSettings:
        """Read settings from JSON."""
        fields = json.loads(text)
        cap = fields.pop("cap", None)
        return cls(**fields, cap=None if cap is None else Cap(**cap))

    @property
    def module(self) -> str:
        """The engine's module."""
        return engine_module(self.kind)


def engine_module(kind: str) -> str:
    """Return the module of a kind of engine, which is imported only where that kind is used."""
    return f"seedbed.engines.{kind}_engine"


class Engine(Protocol):
    """A loaded model."""

    def complete(
        self, requests: Iterable[Request], adapter: Path | None = None
    ) -> Iterator[Completion]:
        """Yield one completion for each request, in the order in which they finish.

        Args:
            requests: with distinct keys.
            adapter: a folder in the PEFT layout; None uses the model as it is.
        """
        ...


def load_engine(
    model: Path,
    settings: EngineSettings | None = None,
    lora_rank: int = 0,
    threads: int = 1,
) -> Engine:
    """Load a model, to be used as it is or with LoRA adapters, which are not merged into it.

    Args:
        model: a folder in the Transformers layout; not looked at for an endpoint.
        settings: what runs it; by default, Transformers.
        lora_rank: highest rank of the adapters that it will be used with, 0 for none.
        threads: CPU threads.

    Raises:
        FileNotFoundError: if the folder is not there or holds no model. A library would take its
            path for a name on the hub, and ask there.
    """
    settings = settings or EngineSettings()
    if settings.kind == "openai":
        return _class(settings.module, "OpenAIEngine")(settings)
    if not (model / "config.json").is_file():
        raise FileNotFoundError(f"no config.json in {model}")
    name = {"transformers": "TransformersEngine", "vllm": "VLLMEngine"}[settings.kind]
    engine = _class(settings.module, name)(model, settings, lora_rank, threads)
    if settings.cap is None:
        return engine
    return _class("seedbed.engines.cap", "CappedEngine")(engine, settings.cap)


def _class(module: str, name: str) -> Any:
    # By name: code that is not run is not part of what made a result.
    return getattr(import_module(module), name)
