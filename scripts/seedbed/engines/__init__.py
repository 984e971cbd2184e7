"""Engines: they run language models.

Every engine takes requests, each with its own sampling seed, and yields their completions in the
order in which they finish.
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
    """One query to a model.

    Attributes:
        key: the caller's name for it, unique among the requests of a call.
        messages: (role, content) pairs.
        max_tokens: maximum number of tokens to generate.
        temperature: 0 for greedy decoding.
        top_p: probability mass of nucleus sampling, in (0, 1].
        seed: sampling seed of this request alone, so that its answer does not depend on the other
            requests of its batch.
        stop: texts that end the answer when the model writes one of them. The answer does not
            include them.
    """

    key: str
    messages: tuple[tuple[str, str], ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()


Messages = tuple[tuple[str, str], ...]
"""(role, content) pairs."""


def prompt_of(history: Messages, content: str) -> str:
    """Return a user's message and the messages before it as one text, which `chat` can read."""
    if not history:
        return content
    messages = [*history, ("user", content)]
    return json.dumps(
        [{"role": role, "content": text} for role, text in messages], ensure_ascii=False
    )


def messages_of(prompt: str) -> Messages:
    """Return the messages of a prompt: one user message, unless `prompt_of` wrote several."""
    if prompt.startswith('[{"role": "'):
        with suppress(ValueError, TypeError, KeyError):
            found = tuple((one["role"], one["content"]) for one in json.loads(prompt))
            if prompt_of(found[:-1], found[-1][1]) == prompt:
                return found
    return (("user", prompt),)


def chat(prompt: str, system: str | None = None) -> Messages:
    """Return the messages of a prompt, after the model's system message, if it has one.

    A system message in the prompt replaces the model's.
    """
    messages = messages_of(prompt)
    if system is None or messages[0][0] == "system":
        return messages
    return (("system", system), *messages)


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's answer to one request.

    Attributes:
        key: the request's key.
        text: the answer, without special tokens and surrounding white space.
        finish_reason: "stop" (the model ended the answer, or wrote one of the request's `stop`) or
            "length" (cut at `max_tokens`). Endpoints also give "content_filter", "tool_calls",
            "rejected" or "failed" with an empty text, or an unknown name.
        prompt_tokens: number of prompt tokens.
        completion_tokens: number of generated and billed tokens, including thinking and the
            end-of-sequence token.
        seconds: its share of the engine's time, filled in by the caller. The shares of a run add
            up to the run's time, including the engine's start.
        thinking: the model's thinking before the text, which does not contain it.
        thinking_tokens: number of completion tokens that are thinking.
        estimated: whether token counts are estimates, because the endpoint did not count.
        cached_tokens: number of prompt tokens that the provider had in its cache.
        model: the model that answered, as the endpoint names it. Comparisons ignore it.
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
        """Whether the endpoint refused the request, which then is no query and costs nothing."""
        refused = ("rejected", "failed", "content_filter")
        return self.finish_reason in refused and not self.prompt_tokens


UNFINISHED = {
    "length": "truncated",
    "content_filter": "content_filter",
    "rejected": "rejected",
    "failed": "failed",
}
"""Why a text cannot be used, by finish reason. Any other reason than "stop" is `not_finished`."""


class UnansweredError(ExpectedError):
    """Many requests got no answer after several attempts each.

    Attributes:
        keys: the keys of these requests.
    """

    keys: tuple[str, ...] = ()


class Engine(Protocol):
    """A loaded model."""

    def complete(
        self, requests: Iterable[Request], adapter: Path | None = None
    ) -> Iterator[Completion]:
        """Yield one completion per request, in the order in which they finish.

        Args:
            requests: requests with distinct keys.
            adapter: folder of an adapter in the PEFT layout; None for the model alone.
        """
        ...


def load_engine(
    model: Path,
    job: EngineJob | None = None,
    lora_rank: int = 0,
    threads: int = 1,
) -> Engine:
    """Load a model for use alone or with LoRA adapters, which are not merged into it.

    Args:
        model: folder in the Transformers layout; ignored for an endpoint.
        job: the engine and its settings; by default Transformers.
        lora_rank: highest LoRA rank of the adapters; 0 for no adapters.
        threads: number of CPU threads.

    Raises:
        FileNotFoundError: if the folder does not exist or contains no model. Transformers would
            take its path for a name on the hub, and try to download that.
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
    # Imported by name, so that a result's code digest covers only the engine that made it.
    return getattr(import_module(module), name)
