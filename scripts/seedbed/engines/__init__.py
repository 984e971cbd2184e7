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
    """

    key: str
    messages: tuple[tuple[str, str], ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered to one request.

    Attributes:
        key: the request's.
        text: without special tokens and outer white space.
        finish_reason: "stop" (the model ended it) or "length" (cut at `max_tokens`); from an
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
class EngineSettings:
    """How a model is run, which does not determine what it answers.

    Attributes:
        kind: "transformers", on this machine; or "openai", behind an endpoint.
        batch_size: transformers: prompts that are generated from together.
        base_url: openai: address of the endpoint, up to the version of the API.
        name: openai: the model's name there.
        key_variable: openai: environment variable that holds the key; None sends none.
        concurrency: openai: the most requests under way at once.
        timeout: openai: seconds after which a request is given up, and asked again.
        limit_field: openai: how the endpoint calls the most tokens of an answer.
    """

    kind: str = "transformers"
    batch_size: int = 256
    base_url: str = ""
    name: str = ""
    key_variable: str | None = None
    concurrency: int = 64
    timeout: float = 600.0
    limit_field: str = "max_tokens"

    @classmethod
    def from_json(cls, text: str) -> EngineSettings:
        """Read settings from JSON."""
        return cls(**json.loads(text))

    @property
    def module(self) -> str:
        """The engine's module."""
        return engine_module(self.kind)


def engine_module(kind: str) -> str:
    """Return the module of a kind of engine, which is imported only where that kind is used."""
    return f"seedbed.engines.{kind}_engine"


class Engine(Protocol):
    """A loaded model."""

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Yield one completion for each request, in the order in which they finish."""
        ...


def load_engine(
    model: Path,
    settings: EngineSettings | None = None,
    adapter: Path | None = None,
    threads: int = 1,
) -> Engine:
    """Load a model, and a LoRA adapter on it if one is given (it is not merged).

    Args:
        model: a folder in the Transformers layout; not looked at for an endpoint.
        settings: what runs it; by default, Transformers.
        adapter: a folder in the PEFT layout.
        threads: CPU threads.

    Raises:
        FileNotFoundError: if a folder is not there or holds no such model. A library would take its
            path for a name on the hub, and ask there.
        ValueError: if there is an adapter, and the engine takes none.
    """
    settings = settings or EngineSettings()
    if settings.kind == "openai":
        if adapter is not None:
            raise ValueError(f"an endpoint does not load the adapter {adapter}")
        return _class(settings, "OpenAIEngine")(settings)
    for folder, name in ((model, "config.json"), (adapter, "adapter_config.json")):
        if folder is not None and not (folder / name).is_file():
            raise FileNotFoundError(f"no {name} in {folder}")
    return _class(settings, "TransformersEngine")(model, adapter, settings.batch_size, threads)


def _class(settings: EngineSettings, name: str) -> Any:
    # By name: code that is not run is not part of what made a result.
    return getattr(import_module(settings.module), name)
