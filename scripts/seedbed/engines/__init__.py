"""Engines: what runs a language model.

Every engine takes requests, each with its own sampling seed, and gives back completions as they
finish, in whatever order that is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from seedbed.endings import ExpectedError
from seedbed.engines.settings import EngineJob as EngineJob
from seedbed.engines.settings import VLLMSettings


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


Messages = tuple[tuple[str, str], ...]
"""Pairs of role and content."""


def prompt_of(history: Messages, content: str) -> str:
    """Return the text that stands for a user's message and those before it, as `chat` reads it."""
    if not history:
        return content
    messages = [*history, ("user", content)]
    return json.dumps(
        [{"role": role, "content": text} for role, text in messages], ensure_ascii=False
    )


def messages_of(prompt: str) -> Messages:
    """Return the messages of a prompt: the user's alone, unless `prompt_of` wrote several."""
    if prompt.startswith('[{"role": "'):
        with suppress(ValueError, TypeError, KeyError):
            found = tuple((one["role"], one["content"]) for one in json.loads(prompt))
            if prompt_of(found[:-1], found[-1][1]) == prompt:
                return found
    return (("user", prompt),)


def chat(prompt: str, system: str | None = None) -> Messages:
    """Return the messages that ask a model something, after its system message, if it has one.

    A prompt with a system message of its own needs no other.
    """
    messages = messages_of(prompt)
    if system is None or messages[0][0] == "system":
        return messages
    return (("system", system), *messages)


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered to one request.

    Attributes:
        key: the request's.
        text: without special tokens and outer white space.
        finish_reason: "stop" (the model ended it, or wrote one of the request's `stop`) or "length"
            (cut at `max_tokens`); from an endpoint also "content_filter", "tool_calls", "rejected"
            or "failed" with an empty text, or a name that is not known.
        prompt_tokens: tokens read.
        completion_tokens: tokens written and billed, thinking and the ending one included.
        seconds: its share of the time that the engine took, filled in by who asks: those of a run
            add up to the run's, the engine's start included.
        thinking: what the model wrote for itself before the text, which does not contain it.
        thinking_tokens: of the tokens written, those of the thinking.
        estimated: whether an endpoint did not count the tokens, so they are estimated.
        cached_tokens: of the tokens read, those that the provider had in its cache.
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
    cached_tokens: int = 0

    @property
    def refused(self) -> bool:
        """Whether the endpoint refused the request, which is no query and costs nothing."""
        refused = ("rejected", "failed", "content_filter")
        return self.finish_reason in refused and not self.prompt_tokens


UNFINISHED = {
    "length": "truncated",
    "content_filter": "content_filter",
    "rejected": "rejected",
    "failed": "failed",
}
"""By finish reason, why a text cannot be used; any other than "stop" is `not_finished`."""


class UnansweredError(ExpectedError):
    """Many requests were left without an answer, though each was tried often.

    Attributes:
        keys: theirs.
    """

    keys: tuple[str, ...] = ()


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
    job: EngineJob | None = None,
    lora_rank: int = 0,
    threads: int = 1,
) -> Engine:
    """Load a model, to be used as it is or with LoRA adapters, which are not merged into it.

    Args:
        model: a folder in the Transformers layout; not looked at for an endpoint.
        job: what runs it; by default, Transformers.
        lora_rank: highest rank of the adapters that it will be used with, 0 for none.
        threads: CPU threads.

    Raises:
        FileNotFoundError: if the folder is not there or holds no model. A library would take its
            path for a name on the hub, and ask there.
    """
    job = job or EngineJob()
    engine = _load(model, job, lora_rank, threads)
    thinking = job.settings.thinking_tokens
    if not thinking:
        return engine
    return _class("seedbed.engines.thinking", "ThinkingEngine")(engine, thinking)


def _load(model: Path, job: EngineJob, lora_rank: int, threads: int) -> Engine:
    if job.batched:
        start = _class(job.module, "BatchEngine")
        return start(job.settings, job.cap, job.place, Path(job.batches), job.wait)
    if job.kind == "openai":
        return _class(job.module, "OpenAIEngine")(job.settings, job.cap, job.place)
    if not (model / "config.json").is_file():
        raise FileNotFoundError(f"no config.json in {model}")
    if isinstance(job.settings, VLLMSettings):
        start = _class(job.module, "VLLMEngine")
        if job.settings.data_parallel_size > 1:
            start = _class("seedbed.engines.vllm_copies", "VLLMCopies")
        engine = start(model, job.settings, lora_rank, threads, job.place)
    else:
        start = _class(job.module, "TransformersEngine")
        engine = start(model, job.settings, lora_rank, threads)
    if job.cap is None:
        return engine
    return _class("seedbed.engines.cap", "CappedEngine")(engine, job.cap)


def _class(module: str, name: str) -> Any:
    # By name: code that is not run is not part of what made a result.
    return getattr(import_module(module), name)
