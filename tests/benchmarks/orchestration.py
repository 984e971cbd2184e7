"""How much longer the openai engine takes, journal and all, than a bare client that keeps nothing.

Both ask the same requests of a server on this machine that answers after a fixed time, turn by
turn, so that what else the machine does meets both. The server is a process of its own. Prints each
round, and the median of the ratios; and how much memory each took at most.

    python tests/benchmarks/orchestration.py --queries 5000 --rounds 5
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

QUESTION = (
    "A question of some length, as a word problem has it, with a number to tell it: {n}. " * 3
)
ANSWER = "First this, then that, and so the answer is 12. " * 5


def messages(n: int) -> list[dict[str, str]]:
    """Return the messages of the nth request."""
    return [{"role": "user", "content": QUESTION.format(n=n)}]


def serve(latency: float) -> None:
    """Answer chat completions after `latency` seconds, and print the port."""
    from aiohttp import web

    body = {
        "choices": [{"message": {"content": ANSWER}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 60, "completion_tokens": 60},
    }
    content = json.dumps(body).encode()

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(latency)
        return web.Response(body=content, content_type="application/json")

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(site._server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


@contextmanager
def server(latency: float) -> Iterator[str]:
    """Yield the address of a server, in a process of its own."""
    words = [sys.executable, str(Path(__file__).resolve()), "--serve", str(latency)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.kill()


def bare(url: str, queries: int, concurrency: int) -> None:
    """Ask with as little as it takes, and keep nothing."""
    import aiohttp

    async def work(session: aiohttp.ClientSession, left: Iterator[int]) -> None:
        for n in left:
            body = {
                "model": "m",
                "messages": messages(n),
                "max_tokens": 100,
                "temperature": 0.7,
                "top_p": 1.0,
                "seed": n,
            }
            async with session.post(f"{url}/chat/completions", json=body) as response:
                json.loads(await response.read())["choices"][0]["message"]["content"]

    async def run() -> None:
        left = iter(range(queries))
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(work(session, left) for _ in range(concurrency)))

    asyncio.run(run())


def seedbed(url: str, queries: int, concurrency: int) -> None:
    """Ask with the engine, through the journal."""
    from seedbed.engines import EngineSettings, Request, load_engine
    from seedbed.streams.journal import Journal

    settings = EngineSettings("openai", base_url=url, name="m", concurrency=concurrency)
    requests = (
        Request(str(n), (("user", messages(n)[0]["content"]),), 100, 0.7, 1.0, n)
        for n in range(queries)
    )
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder), "m")
        done = journal.complete(lambda: load_engine(Path(), settings), requests, lambda text: None)
        assert sum(completion.text == ANSWER.strip() for completion in done) == queries


CLIENTS = {"bare": bare, "seedbed": seedbed}


def measure(client: str, url: str, queries: int, concurrency: int) -> tuple[float, float]:
    """Return the seconds that a client takes in a process of its own, and its most MiB."""
    pipe, other = os.pipe()
    child = os.fork()
    if child == 0:
        start = time.perf_counter()
        CLIENTS[client](url, queries, concurrency)
        seconds = time.perf_counter() - start
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        os.write(other, json.dumps([seconds, most]).encode())
        os._exit(0)
    os.close(other)
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"{client} failed")
    return tuple(json.loads(os.read(pipe, 1000)))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds to an answer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        return serve(args.serve)
    # Imports are no part of what is measured.
    import aiohttp  # noqa: F401

    import seedbed.engines.openai_engine
    import seedbed.streams.journal  # noqa: F401

    ideal = args.queries / args.concurrency * args.latency
    print(f"{args.queries} queries, {args.concurrency} at a time, ideal {ideal:.2f} s")
    ratios = []
    with server(args.latency) as url:
        for turn in range(args.rounds):
            order = list(CLIENTS) if turn % 2 == 0 else list(CLIENTS)[::-1]
            took = {name: measure(name, url, args.queries, args.concurrency) for name in order}
            ratios.append(took["seedbed"][0] / took["bare"][0])
            said = ", ".join(
                f"{name} {took[name][0]:.2f} s {took[name][1]:.0f} MiB" for name in CLIENTS
            )
            print(f"round {turn + 1}: {said}, ratio {ratios[-1]:.3f}", flush=True)
    print(
        f"seedbed / bare: median {statistics.median(ratios):.3f}, "
        f"{min(ratios):.3f} to {max(ratios):.3f}"
    )


if __name__ == "__main__":
    main()
