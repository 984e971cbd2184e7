"""The Transformers engine: batches on this machine's CPU or GPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seedbed.engines import Completion, Request

if TYPE_CHECKING:
    import torch


class TransformersEngine:
    """A model of the Transformers library, with or without a PEFT adapter."""

    def __init__(self, model: Path, adapter: Path | None, batch_size: int, threads: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(threads)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._tokenizer = AutoTokenizer.from_pretrained(model)
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        dtype = torch.bfloat16 if self._device == "cuda" else torch.float32
        self._model = AutoModelForCausalLM.from_pretrained(model, dtype=dtype).to(self._device)
        if adapter is not None:
            from peft import PeftModel

            self._model = PeftModel.from_pretrained(self._model, str(adapter))
        self._model.eval()
        self._batch_size = batch_size

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Yield one completion for each request, batch by batch of prompts of like length.

        Raises:
            ValueError: if a prompt leaves no room for an answer in the model's context.
        """
        prompts = []
        for request in requests:
            messages = [{"role": role, "content": content} for role, content in request.messages]
            ids = self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, return_dict=True
            )["input_ids"]
            room = self._model.config.max_position_embeddings - len(ids)
            if room < request.max_tokens:
                raise ValueError(
                    f"request {request.key}: {len(ids)} prompt tokens and {request.max_tokens} to "
                    f"answer do not fit into {self._model.config.max_position_embeddings}"
                )
            prompts.append((len(ids), request, ids))
        # Batches of like length and limit waste little on padding.
        prompts.sort(key=lambda entry: (entry[1].max_tokens, entry[0], entry[1].key))
        for start in range(0, len(prompts), self._batch_size):
            batch = prompts[start : start + self._batch_size]
            yield from self._complete_batch([(request, ids) for _, request, ids in batch])

    def _complete_batch(self, batch: Sequence[tuple[Request, list[int]]]) -> list[Completion]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        requests = [request for request, _ in batch]
        limit = max(request.max_tokens for request in requests)
        inputs = self._tokenizer.pad(
            {"input_ids": [ids for _, ids in batch]}, return_tensors="pt"
        ).to(self._device)
        width = inputs["input_ids"].shape[1]
        ends = self._end_tokens()
        with torch.inference_mode():
            output = self._model.generate(
                **inputs,
                generation_config=GenerationConfig(
                    max_new_tokens=limit,
                    do_sample=False,  # sampling is in the processor, one seed a request
                    eos_token_id=ends,
                    pad_token_id=self._tokenizer.pad_token_id,
                ),
                logits_processor=LogitsProcessorList([SeededSampling(requests, width, limit)]),
            )
        completions = []
        for request, row, (_, ids) in zip(requests, output[:, width:].tolist(), batch, strict=True):
            written = row[: request.max_tokens]
            stop = next((k for k, token in enumerate(written) if token in ends), None)
            completions.append(
                Completion(
                    key=request.key,
                    text=self._tokenizer.decode(written[:stop], skip_special_tokens=True).strip(),
                    finish_reason="length" if stop is None else "stop",
                    prompt_tokens=len(ids),
                    completion_tokens=len(written) if stop is None else stop + 1,
                )
            )
        return completions

    def _end_tokens(self) -> list[int]:
        ends = self._model.generation_config.eos_token_id
        ends = [ends] if isinstance(ends, int) else list(ends or [])
        return sorted({*ends, self._tokenizer.eos_token_id})


class SeededSampling:
    """A logits processor that draws each row's next token with that row's own random numbers.

    A row's draws depend on its request's seed and the position alone, so an answer does not
    change with the batch it happens to be in. It draws by inverse transform, one uniform number a
    token, and leaves the drawn token as the only possible one.
    """

    def __init__(self, requests: Sequence[Request], prompt_width: int, limit: int) -> None:
        import numpy as np
        import torch

        self._prompt_width = prompt_width
        self._temperature = torch.tensor([[request.temperature] for request in requests])
        self._top_p = torch.tensor([[request.top_p] for request in requests])
        # Philox streams are cheap to start: one a request.
        uniforms = [
            np.random.Generator(np.random.Philox(request.seed)).random(limit, dtype=np.float32)
            for request in requests
        ]
        self._uniforms = torch.from_numpy(np.stack(uniforms))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores (rows x vocabulary) with everything but the drawn token at -inf."""
        import torch

        if not bool((self._temperature > 0).any()):
            return scores
        step = input_ids.shape[1] - self._prompt_width
        device = scores.device
        temperature = self._temperature.to(device)
        logits = scores.float() / temperature.clamp(min=1e-6)
        probabilities, order = torch.softmax(logits, dim=-1).sort(
            dim=-1, descending=True, stable=True
        )
        cumulative = probabilities.cumsum(dim=-1)
        # Keep the smallest set of likeliest tokens that reaches top_p.
        kept = cumulative - probabilities < self._top_p.to(device)
        mass = torch.where(kept, probabilities, torch.zeros_like(probabilities)).cumsum(dim=-1)
        aim = self._uniforms[:, step : step + 1].to(device) * mass[:, -1:]
        # Rounding may put the aim at the very end of the mass: the last kept token is meant.
        place = torch.searchsorted(mass, aim, right=True)
        place = torch.minimum(place, kept.sum(dim=-1, keepdim=True) - 1)
        drawn = order.gather(1, place)
        forced = torch.full_like(scores, float("-inf")).scatter(1, drawn, 0.0)
        return torch.where(temperature > 0, forced, scores)
