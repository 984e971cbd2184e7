"""Engines: what runs a language model.

Every engine takes requests, each with its own sampling seed, and gives back completions as they
finish, in whatever order that is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


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
        finish_reason: "stop" (the model ended it) or "length" (cut at `max_tokens`).
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


class Engine(Protocol):
    """A loaded model."""

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Yield one completion for each request, in the order in which they finish."""
        ...


def load_engine(
    model: Path, adapter: Path | None = None, batch_size: int = 256, threads: int = 1
) -> Engine:
    """Load a model, and a LoRA adapter on it if one is given (it is not merged).

    Args:
        model: a folder in the Transformers layout.
        adapter: a folder in the PEFT layout.
        batch_size: prompts that are generated from together.
        threads: CPU threads.

    Raises:
        FileNotFoundError: if a folder is not there or holds no such model. A library would take its
            path for a name on the hub, and ask there.
    """
    for folder, name in ((model, "config.json"), (adapter, "adapter_config.json")):
        if folder is not None and not (folder / name).is_file():
            raise FileNotFoundError(f"no {name} in {folder}")
    from seedbed.engines.transformers_engine import TransformersEngine

    return TransformersEngine(model, adapter, batch_size, threads)
