"""The vLLM engine: continuous batching in this process, on GPUs or on a CPU."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from seedbed.architectures import Architecture
from seedbed.chats import encode_prompts, load_tokenizer
from seedbed.endings import ExpectedError
from seedbed.engines import Completion, Request
from seedbed.engines.settings import ADAPTERS_AT_ONCE, VLLMSettings
from seedbed.engines.thinking import without_thinking
from seedbed.imports import paused_collector
from seedbed.thinking import text_reader

if TYPE_CHECKING:
    from vllm import RequestOutput, SamplingParams
    from vllm.lora.request import LoRARequest

WAITING = 2
"""Multiple of vLLM's batch that is queued: the running requests, and as many to follow them.
Queueing all requests would delay the first answers until the last prompt is encoded."""
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values of `max_lora_rank` that vLLM accepts."""
ENVIRONMENT = {
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # In this process, so that a killed job leaves no other process that keeps the GPU.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # GiB for the KV cache on a CPU; the default is half of the machine's memory.
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}
"""vLLM's environment variables, unless the environment already sets them."""


class VLLMEngine:
    """A model in vLLM, with or without PEFT adapters.

    Attributes:
        room: most requests of a call that it takes at a time.
    """

    def __init__(
        self,
        model: Path,
        settings: VLLMSettings,
        lora_rank: int,
        threads: int,
        place: str = "",
    ) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        with paused_collector():
            self._load(model, settings, lora_rank, threads, place)
        self._ids: dict[Path, int] = {}
        self._number = 0
        self._calls: dict[str, _Call] = {}

    def _load(
        self, model: Path, settings: VLLMSettings, lora_rank: int, threads: int, place: str
    ) -> None:
        import torch

        if find_spec("vllm") is None:
            raise ModuleNotFoundError(
                "vLLM is not installed: `make env ENV=gpu` makes an environment that has it, "
                "`make vllm` adds its build for the CPU"
            )
        from vllm import EngineArgs, LLMEngine
        from vllm.usage.usage_lib import UsageContext

        torch.set_num_threads(threads)
        on_gpu = torch.cuda.is_available()
        special: dict[str, Any] = {}
        if lora_rank:
            special = {"enable_lora": True, "max_loras": ADAPTERS_AT_ONCE}
            special |= {"max_lora_rank": _room(lora_rank)}
        if not on_gpu:
            found = Architecture.of_folder(model)
            if found and (reason := found.not_in_vllm_on_cpu(adapters=bool(lora_rank))):
                raise ExpectedError(
                    f"{place}: vLLM cannot run this model on a CPU: {reason}. Set engine.kind to "
                    "transformers, or run it on a GPU"
                )
            # With a prompt in chunks, vLLM 0.32 rewinds the random generator after early draws,
            # which the CPU's generator cannot do ("CPU Generator does not use offset").
            special |= {"enable_chunked_prefill": False}
        self._tokenizer = load_tokenizer(model)
        self._decode = text_reader(self._tokenizer)
        options = dict(settings.options)
        self._template = options.pop("chat_template_kwargs", {})
        arguments = {
            "model": str(model),
            # If the folder also has Mistral's own files, use the same files as training does.
            "tokenizer_mode": "hf",
            "config_format": "hf",
            # The same as in the Transformers engine.
            "dtype": "bfloat16" if on_gpu else "float32",
            "tensor_parallel_size": max(1, (settings.gpus or 1) // settings.data_parallel_size),
            "gpu_memory_utilization": settings.gpu_memory,
            "max_model_len": settings.context,
            "enforce_eager": settings.eager or not on_gpu,
            "disable_log_stats": True,
            **({"max_num_seqs": settings.batch_size} if settings.batch_size else {}),
            **special,
            **options,
        }
        known = {one.name for one in fields(EngineArgs)}
        unknown = [name for name in options if name not in known]
        if unknown:
            raise ExpectedError(
                f"{place}: engine.options: {unknown[0]!r} is not an argument of this "
                f"vLLM; {_nearest(unknown[0], known)}"
            )
        # The context selects vLLM's default limits of tokens and sequences per step for this GPU:
        # those of offline inference, where many prompts wait.
        self._engine = LLMEngine.from_engine_args(EngineArgs(**arguments), UsageContext.LLM_CLASS)
        self._context = self._engine.model_config.max_model_len
        self.room: int = WAITING * self._engine.vllm_config.scheduler_config.max_num_seqs

    def complete(
        self, requests: Iterable[Request], adapter: Path | None = None
    ) -> Iterator[Completion]:
        """Yield one completion per request, as they finish.

        Several calls with different adapters may be iterated in turn. Their requests share each
        step.

        Raises:
            ValueError: if a prompt leaves no room for an answer in the model's context.
        """
        call = self.begin(adapter)
        coming, under_way = iter(requests), 0
        try:
            while True:
                new = list(islice(coming, self.room - under_way))
                self.add(call, new)
                under_way += len(new)
                if not under_way:
                    return
                while not (ended := self.take(call)):
                    self.step()
                for completion in ended:
                    under_way -= 1
                    yield completion
        finally:
            # If the caller stops iterating, its requests must not stay in the shared engine.
            self.leave(call)

    def begin(self, adapter: Path | None) -> str:
        """Start a call whose requests are answered with an adapter, and return its name."""
        from vllm.lora.request import LoRARequest

        lora = None
        if adapter is not None:
            number = self._ids.setdefault(adapter, len(self._ids) + 1)
            lora = LoRARequest(str(adapter), number, str(adapter))
        self._number += 1
        self._calls[str(self._number)] = _Call(lora)
        return str(self._number)

    def add(self, call: str, requests: Sequence[Request]) -> None:
        """Add requests to a call, which may have at most `room` of them under way.

        Raises:
            ValueError: if a prompt leaves no room for an answer in the model's context. Then no
                request is added.
        """
        own = self._calls[call]
        for request, ids in encode_prompts(
            self._tokenizer, requests, self._context, self._template
        ):
            prompt = self._engine.renderer.render_cmpl([{"prompt_token_ids": ids}])[0]
            name = f"{call}/{request.key}"
            self._engine.add_request(name, prompt, _sampling(request), lora_request=own.lora)
            own.under_way.add(name)

    def step(self) -> None:
        """Generate one or more tokens for the requests under way."""
        for output in self._engine.step():
            call = self._calls.get(output.request_id.partition("/")[0])
            if output.finished and call is not None:
                call.ended.append(cast("RequestOutput", output))

    def take(self, call: str) -> list[Completion]:
        """Return a call's completions that finished since the last time."""
        own = self._calls[call]
        ended, own.ended = own.ended, []
        own.under_way.difference_update(output.request_id for output in ended)
        return [
            self._completion(output, output.request_id.removeprefix(f"{call}/")) for output in ended
        ]

    def leave(self, call: str) -> None:
        """End a call, and abort its requests under way."""
        self._engine.abort_request(list(self._calls.pop(call).under_way))

    def _completion(self, output: RequestOutput, key: str) -> Completion:
        written = output.outputs[0]
        # Decoded as in the Transformers engine, which also keeps a partial character at the end.
        text = self._decode(written.token_ids)
        if isinstance(written.stop_reason, str):
            text = text.partition(written.stop_reason)[0]
        return without_thinking(
            Completion(
                key=key,
                text=text.strip(),
                finish_reason=written.finish_reason or "unknown",
                prompt_tokens=len(output.prompt_token_ids or ()),
                completion_tokens=len(written.token_ids),
            )
        )


@dataclass
class _Call:
    """The requests of one call, which use the same adapter.

    Attributes:
        lora: the adapter as a vLLM request; None for the model alone.
        under_way: names of its requests in vLLM.
        ended: vLLM's outputs of finished requests.
    """

    lora: LoRARequest | None
    under_way: set[str] = field(default_factory=set)
    ended: list[RequestOutput] = field(default_factory=list)


def _nearest(name: str, known: set[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else "see the documentation of its EngineArgs"


def _room(rank: int) -> int:
    """Return the lowest `max_lora_rank` for adapters of a rank.

    Raises:
        ValueError: if vLLM has no such value.
    """
    for room in LORA_RANKS:
        if rank <= room:
            return room
    raise ValueError(f"vLLM supports LoRA ranks up to {LORA_RANKS[-1]}, not {rank}")


def _sampling(request: Request) -> SamplingParams:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        seed=request.seed,
        stop=list(request.stop),
        # Only needed to find stop texts. The final text is decoded from the tokens once.
        detokenize=bool(request.stop),
        output_kind=RequestOutputKind.FINAL_ONLY,
    )
