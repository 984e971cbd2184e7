"""Engines: what runs a language model.

Every engine takes requests, each with its own sampling seed, and gives back completions as they
finish, in whatever order that is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

VARIABLE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)\}")
"""An environment variable in the text of a header, or of a parameter of an address."""


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
            (cut at `max_tokens`); from an endpoint also "content_filter", "tool_calls", "rejected"
            with an empty text, or a name that is not known.
        prompt_tokens: tokens read.
        completion_tokens: tokens written and billed, thinking and the ending one included.
        seconds: its share of the time that the engine took, filled in by who asks: those of a run
            add up to the run's, the engine's start included.
        thinking: what the model wrote for itself before the text, which does not contain it.
        thinking_tokens: of the tokens written, those of the thinking.
        estimated: whether an endpoint did not count the tokens, so they are estimated.
        model: the model that answered, as an endpoint names it; it makes no answer another one.
    """

    key: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float = 0.0
    thinking: str = ""
    thinking_tokens: int = 0
    estimated: bool = False
    model: str = field(default="", compare=False)


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
        limit_field: openai: the endpoint's name for the most tokens of an answer; None leaves it
            out, and so for the other fields.
        temperature_field: openai: the same for the temperature.
        top_p_field: openai: the same for the nucleus.
        seed_field: openai: the same for the seed, of 31 bits.
        stop_field: openai: the same for the texts to stop at.
        send_defaults: openai: whether a temperature or nucleus of 1 is sent as well.
        body: openai: further fields of each request.
        headers: openai: further headers; `${NAME}` in them is an environment variable.
        query: openai: parameters of the address; `${NAME}` likewise.
        stream: openai: whether answers are sent as they are written.
        ends: openai: by further name of a finish reason, what it means.
        options: vllm: further arguments of the engine, by vLLM's names.
        thinking_tokens: tokens that the model may think beyond the limit of an answer.
        cap: how much may be asked; None for no limit.
        place: the file or key that says all this, for messages.
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
    limit_field: str | None = "max_tokens"
    temperature_field: str | None = "temperature"
    top_p_field: str | None = "top_p"
    seed_field: str | None = "seed"
    stop_field: str | None = "stop"
    send_defaults: bool = False
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    stream: bool = False
    ends: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    thinking_tokens: int = 0
    cap: Cap | None = None
    place: str = ""

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

    def identity(self, model: str) -> str:
        """Return what identifies the model of an answer, together with what changes what it says.

        Args:
            model: what identifies the model's weights.

        Returns:
            The same, where nothing is asked otherwise than by default.
        """
        differs = manner(self.kind, vars_of(self))
        if not differs:
            return model
        text = json.dumps([model, differs], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


SPEED_OPTIONS = frozenset(
    (
        "block_size", "compilation_config", "cpu_offload_gb", "data_parallel_size",
        "disable_custom_all_reduce", "disable_log_stats", "distributed_executor_backend",
        "download_dir", "enable_chunked_prefill", "enable_prefix_caching", "enforce_eager",
        "gpu_memory_utilization", "load_format", "max_model_len", "max_num_batched_tokens",
        "max_num_seqs", "max_parallel_loading_workers", "num_gpu_blocks_override",
        "pipeline_parallel_size", "swap_space", "tensor_parallel_size",
    )
)  # fmt: skip
"""vLLM's options that change how fast a model answers, and not what."""


def vars_of(settings: EngineSettings) -> dict[str, Any]:
    """Return settings by name."""
    return {name: getattr(settings, name) for name in settings.__slots__}


def manner(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a model is asked otherwise than by default, which its answers depend on.

    Addresses, headers and queries are not part of it: they say where and as whom it is asked.

    Args:
        kind: of the engine.
        settings: attributes of `EngineSettings`, or of the configuration, by name.

    Returns:
        By name, what differs; empty if nothing does.
    """
    found: dict[str, Any] = {"thinking_tokens": settings.get("thinking_tokens")}
    if kind == "openai":
        names = ("limit", "temperature", "top_p", "seed", "stop")
        found["left_out"] = [name for name in names if settings.get(f"{name}_field", "") is None]
        found |= {name: settings.get(name) for name in ("send_defaults", "body")}
    elif kind == "vllm":
        options = settings.get("options") or {}
        found["options"] = {
            name: value for name, value in options.items() if name not in SPEED_OPTIONS
        }
    return {name: value for name, value in found.items() if value}


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
    engine = _load(model, settings, lora_rank, threads)
    if not settings.thinking_tokens:
        return engine
    return _class("seedbed.engines.thinking", "ThinkingEngine")(engine, settings.thinking_tokens)


def _load(model: Path, settings: EngineSettings, lora_rank: int, threads: int) -> Engine:
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
