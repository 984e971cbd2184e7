"""Compare the speed of the vllm engine, response cache included, with vLLM's own `LLM.generate`.

Both get the same requests, each sampled with its own seed, alternating in new processes. The start
of the engine and its first request (one short answer) are not measured. Prints the tokens per
second of both in each round, and the median of the ratios.

    python tests/benchmarks/vllm_throughput.py --queries 2000 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tiny import make_model

BATCH = 256
TOKENS = 48


def requests_of(queries: int) -> list:
    """Return sampled requests of a generated world."""
    from seedbed.engines import Request
    from seedbed.tasks.worlds import load_world

    items = load_world("mini_math").items("train", queries, seed=1)
    return [
        Request(str(n), (("user", item.question),), TOKENS, 1.0, 1.0, n)
        for n, item in enumerate(items)
    ]


def seedbed(model: Path, queries: int) -> tuple[float, int]:
    """Return seconds and tokens of the engine with a response cache."""
    from seedbed.engines import EngineJob, load_engine
    from seedbed.streams.response_cache import ResponseCache

    requests = requests_of(queries)
    engine = load_engine(model, EngineJob.of("vllm", batch_size=BATCH), threads=2)
    list(engine.complete(requests[:1]))
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        journal = ResponseCache(Path(folder), "m")
        done = journal.complete(lambda: engine, requests, lambda text: None)
        tokens = sum(completion.completion_tokens for completion in done)
        return time.perf_counter() - start, tokens


def direct(model: Path, queries: int) -> tuple[float, int]:
    """Return seconds and tokens of vLLM's own interface, with the same settings."""
    import os

    from seedbed.engines.vllm_engine import ENVIRONMENT

    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import torch
    from vllm import LLM, SamplingParams

    torch.set_num_threads(2)
    requests = requests_of(queries)
    llm = LLM(
        str(model),
        dtype="float32",
        max_num_seqs=BATCH,
        enforce_eager=True,
        enable_chunked_prefill=False,
    )
    chats = [[{"role": role, "content": text} for role, text in r.messages] for r in requests]
    params = [
        SamplingParams(max_tokens=r.max_tokens, temperature=1.0, top_p=1.0, seed=r.seed)
        for r in requests
    ]
    llm.chat(chats[:1], params[:1], use_tqdm=False)
    start = time.perf_counter()
    outputs = llm.chat(chats, params, use_tqdm=False)
    seconds = time.perf_counter() - start
    return seconds, sum(len(output.outputs[0].token_ids) for output in outputs)


CLIENTS = {"seedbed": seedbed, "direct": direct}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.client:
        print(json.dumps(CLIENTS[args.client](args.model, args.queries)))
        return
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder) / "model", 128, 3, 100)
        for turn in range(args.rounds):
            took = {}
            for client in list(CLIENTS)[:: 1 if turn % 2 else -1]:
                words = ["--client", client, "--model", str(model), "--queries", str(args.queries)]
                done = subprocess.run(
                    [sys.executable, __file__, *words], capture_output=True, text=True
                )
                if done.returncode:
                    raise SystemExit(done.stderr)
                seconds, tokens = json.loads(done.stdout.splitlines()[-1])
                took[client] = tokens / seconds
            ratios.append(took["seedbed"] / took["direct"])
            said = ", ".join(f"{name} {took[name]:,.0f} tokens/s" for name in CLIENTS)
            print(f"round {turn + 1}: {said}, ratio {ratios[-1]:.3f}", flush=True)
    print(
        f"seedbed / direct: median {statistics.median(ratios):.3f}, "
        f"{min(ratios):.3f} to {max(ratios):.3f}"
    )


if __name__ == "__main__":
    main()
