"""The Transformers engine: generates in batches on this machine's CPU or GPU."""

from __future__ import annotations

import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedbed.chats import encode_prompts, load_tokenizer
from seedbed.engines import Completion, Request
from seedbed.engines.settings import TransformersSettings
from seedbed.engines.thinking import without_thinking
from seedbed.imports import paused_collector
from seedbed.models import Quantization, load_model, positions
from seedbed.thinking import text_reader
from seedbed.training.micro_batches import is_out_of_memory

if TYPE_CHECKING:
    import torch


KEPT_BACK_SECONDS = 30.0
"""Seconds that an answer may wait for others of its batch, and so the most that a kill loses."""


class TransformersEngine:
    """A model of the Transformers library, with or without PEFT adapters."""

    def __init__(
        self, model: Path, settings: TransformersSettings, lora_rank: int, threads: int
    ) -> None:
        with paused_collector():
            self._load(model, threads, settings.quantization)
        self._batch_size = settings.batch_size
        self._adapter: Path | None = None

    def _load(self, model: Path, threads: int, quantization: Quantization | None) -> None:
        import torch
        from transformers import GenerationConfig

        torch.set_num_threads(threads)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._tokenizer = load_tokenizer(model)
        self._tokenizer.padding_side = "left"
        self._decode = text_reader(self._tokenizer)
        base: Any = load_model(model, quantization)
        # Quantized weights are already on the device.
        self._base = base if quantization else base.to(self._device)
        # `generate` takes missing arguments, e.g. penalties, from here. The request alone must
        # determine sampling; only the end tokens are the model's own.
        self._base.generation_config = GenerationConfig(
            eos_token_id=self._base.generation_config.eos_token_id
        )
        self._model = self._base.eval()

    def _use(self, adapter: Path | None) -> None:
        """Load an adapter in place of the present one."""
        if adapter == self._adapter:
            return
        if self._adapter is not None:
            self._base = self._model.unload()
        self._model, self._adapter = self._base, None
        if adapter is not None:
            from peft import PeftModel

            self._model = PeftModel.from_pretrained(self._base, str(adapter))
            self._adapter = adapter
        self._model.eval()

    def complete(
        self, requests: Iterable[Request], adapter: Path | None = None
    ) -> Iterator[Completion]:
        """Yield one completion per request, in batches of prompts of similar length.

        If a batch does not fit into memory, the batch size is halved.

        Raises:
            ValueError: if a prompt leaves no room for an answer in the model's context.
        """
        self._use(adapter)
        context = positions(self._base.config) or sys.maxsize
        prompts = encode_prompts(self._tokenizer, requests, context)
        # Batches of similar lengths and limits need little padding.
        prompts.sort(key=lambda entry: (entry[0].max_tokens, len(entry[1]), entry[0].key))
        while prompts:
            batch = prompts[: self._batch_size]
            ended: set[str] = set()
            try:
                for completion in self._complete_batch(batch):
                    ended.add(completion.key)
                    yield completion
            except (RuntimeError, MemoryError) as error:
                if len(batch) == 1 or not is_out_of_memory(error):
                    raise
                self._batch_size = len(batch) // 2
            prompts = [entry for entry in batch if entry[0].key not in ended] + prompts[
                len(batch) :
            ]

    def _complete_batch(self, batch: Sequence[tuple[Request, list[int]]]) -> Iterator[Completion]:
        """Yield the completions of a batch.

        Most answers end long before the longest. So whenever half of the rows have ended, they are
        removed from the batch, and generation continues with the others and their cache.
        """
        import torch
        from transformers import (
            DynamicCache,
            GenerationConfig,
            LogitsProcessorList,
            StoppingCriteriaList,
        )

        rows = list(batch)
        inputs = self._tokenizer.pad(
            {"input_ids": [ids for _, ids in rows]}, return_tensors="pt"
        ).to(self._device)
        tokens, mask = inputs["input_ids"], inputs["attention_mask"]
        width = tokens.shape[1]
        longest = max(request.max_tokens for request, _ in rows)
        cache = DynamicCache(config=self._model.config)
        while rows:
            requests = [request for request, _ in rows]
            ended = HalfEnded(requests, width, self._end_tokens(), self._decode)
            with torch.inference_mode():
                tokens = self._model.generate(
                    input_ids=tokens,
                    attention_mask=mask,
                    past_key_values=cache,
                    generation_config=GenerationConfig(
                        max_length=width + longest,
                        do_sample=False,  # the logits processor samples, one seed per request
                        eos_token_id=self._end_tokens(),
                        pad_token_id=self._tokenizer.pad_token_id,
                    ),
                    logits_processor=LogitsProcessorList([SeededSampling(requests, width)]),
                    stopping_criteria=StoppingCriteriaList([ended]),
                )
            leave = ended.rows(tokens)
            for (request, ids), gone, row in zip(
                rows, leave.tolist(), tokens[:, width:].tolist(), strict=True
            ):
                if gone:
                    yield self._completion(request, len(ids), row)
            stay: Any = (~leave).nonzero().squeeze(1)
            rows = [rows[k] for k in stay.tolist()]
            # Unlike batch_select_indices, this also selects the states of linear attention.
            cache.reorder_cache(stay)
            tokens = tokens[stay]
            mask = torch.cat(
                [mask[stay], mask.new_ones(len(rows), tokens.shape[1] - mask.shape[1])], dim=1
            )

    def _completion(self, request: Request, prompt_tokens: int, row: list[int]) -> Completion:
        """Return the completion in a row of generated tokens, which may continue after its end."""
        written = row[: request.max_tokens]
        ends = self._end_tokens()
        end = next((k for k, token in enumerate(written) if token in ends), None)
        text = self._decode(written[:end])
        tokens = len(written) if end is None else end + 1
        places = [text.index(stop) for stop in request.stop if stop in text]
        if places:
            # Count the tokens up to the one that completes the first stop text.
            tokens = bisect_left(
                range(tokens),
                True,
                key=lambda n: any(stop in self._decode(written[:n]) for stop in request.stop),
            )
            text = text[: min(places)]
        return without_thinking(
            Completion(
                key=request.key,
                text=text.strip(),
                finish_reason="length" if end is None and not places else "stop",
                prompt_tokens=prompt_tokens,
                completion_tokens=tokens,
            )
        )

    def _end_tokens(self) -> list[int]:
        ends = self._model.generation_config.eos_token_id
        ends = [ends] if isinstance(ends, int) else list(ends or [])
        return sorted({*ends, self._tokenizer.eos_token_id})


class HalfEnded:
    """A stopping criterion: all rows stop when half of them have ended.

    A row ends with an end token, one of the request's stop texts, or its `max_tokens`.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        prompt_width: int,
        ends: list[int],
        decode: Callable[[list[int]], str],
    ) -> None:
        import torch

        self._prompt_width = prompt_width
        self._limits = torch.tensor([request.max_tokens for request in requests])
        self._ends = torch.tensor(ends)
        self._decode = decode
        self._stops = {row: request.stop for row, request in enumerate(requests) if request.stop}
        self._stopped = torch.zeros(len(requests), dtype=torch.bool)
        self._until = time.monotonic() + KEPT_BACK_SECONDS

    def rows(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return which rows have ended (rows, boolean)."""
        import torch

        written = input_ids[:, self._prompt_width :]
        full = self._limits.to(written.device) <= written.shape[1]
        ended = torch.isin(written, self._ends.to(written.device)).any(dim=1)
        for row, stops in self._stops.items():
            if not self._stopped[row] and not full[row] and not ended[row]:
                self._stopped[row] = self._has_stop(written[row], stops)
        return full | ended | self._stopped.to(written.device)

    def _has_stop(self, written: torch.Tensor, stops: tuple[str, ...]) -> bool:
        # A token has at least one byte, so a new stop text is within the last tokens. The whole
        # text decides, because these may start in the middle of a character.
        last = max(len(stop.encode()) for stop in stops) + 1
        if not any(stop in self._decode(written[-last:].tolist()) for stop in stops):
            return False
        return any(stop in self._decode(written.tolist()) for stop in stops)

    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        """Return which rows stop: the ended rows, or all rows once half of them have ended.

        After `KEPT_BACK_SECONDS` one ended row stops all, so that its answer is cached.
        """
        ended = self.rows(input_ids)
        enough = 2 * ended.sum() >= len(ended)
        if time.monotonic() > self._until:
            enough |= ended.any()
        return ended | enough


class SeededSampling:
    """A logits processor that draws each row's next token with that row's own random numbers.

    A row's draws depend only on its request's seed and the position, so an answer does not depend
    on the rest of the batch. It draws by inverse transform sampling, with one uniform number per
    token, and masks all other tokens.
    """

    def __init__(self, requests: Sequence[Request], prompt_width: int) -> None:
        import numpy as np
        import torch

        limit = max(request.max_tokens for request in requests)
        self._prompt_width = prompt_width
        self._temperature = torch.tensor([[request.temperature] for request in requests])
        self._top_p = torch.tensor([[request.top_p] for request in requests])
        # Philox streams are cheap to start, so each request has its own.
        uniforms = [
            np.random.Generator(np.random.Philox(request.seed)).random(limit, dtype=np.float32)
            for request in requests
        ]
        self._uniforms = torch.from_numpy(np.stack(uniforms))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores (rows x vocabulary) with all but the drawn token at -inf."""
        import torch

        if not bool((self._temperature > 0).any()):
            return scores
        step = input_ids.shape[1] - self._prompt_width
        device = scores.device
        temperature = self._temperature.to(device)
        logits = scores.float() / temperature.clamp(min=1e-6)
        probabilities = torch.softmax(logits, dim=-1)
        aim = self._uniforms[:, step : step + 1].to(device)
        drawn = _draw(probabilities, self._top_p.to(device), aim)
        forced = torch.full_like(scores, float("-inf")).scatter(1, drawn, 0.0)
        return torch.where(temperature > 0, forced, scores)


def _draw(
    probabilities: torch.Tensor, top_p: torch.Tensor, aim: torch.Tensor, likeliest: int = 32
) -> torch.Tensor:
    """Draw a token for each row from the smallest set of likeliest tokens that reaches top_p.

    Sorting a whole vocabulary is slow, and nearly every draw is one of a few tokens. So only rows
    that need more than the `likeliest` tokens are sorted further.

    Args:
        probabilities: rows x vocabulary.
        top_p: top_p of each row, rows x 1.
        aim: fraction of the set's probability at which to draw, rows x 1.
        likeliest: number of tokens to sort first.

    Returns:
        Tokens, rows x 1.
    """
    import torch

    size = probabilities.shape[1]
    ordered, order = probabilities.topk(min(likeliest, size), dim=-1)
    reached = ordered.cumsum(dim=-1)
    kept = reached - ordered < top_p
    mass = torch.where(kept, ordered, torch.zeros_like(ordered)).cumsum(dim=-1)
    all_mass = probabilities.sum(dim=-1, keepdim=True)
    target = aim * torch.where(top_p < 1, mass[:, -1:], all_mass)
    place = torch.searchsorted(mass, target, right=True)
    # Rounding may put the aim at the end of the mass, which means the last kept token.
    place = torch.minimum(place, kept.sum(dim=-1, keepdim=True) - 1)
    drawn = order.gather(1, place)
    known = (reached[:, -1:] >= top_p) | ((top_p >= 1) & (target < mass[:, -1:]))
    rest = ~known.squeeze(1)
    if likeliest < size and bool(rest.any()):
        drawn[rest] = _draw(probabilities[rest], top_p[rest], aim[rest], size)
    return drawn
