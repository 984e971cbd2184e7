"""Compare the openai engine, response cache included, with a bare client that stores nothing.

Both send the same requests to a server on this machine that answers after a fixed time. They
alternate, so that other work on the machine affects both. The server has its own process. Prints
each round, the median of the ratios, and the peak memory of each. Imports are not measured.

    python tests/benchmarks/orchestration.py --queries 5000 --rounds 5

With --others, bespokelabs-curator and distilabel take turns too, with the same prompts and
concurrency; the files that they store by default go to a new folder. Their environments are made
once. The files in `clients/` describe their runs.

    python tests/benchmarks/orchestration.py --others --rounds 3

With --memory, prints instead how the peak memory of a process grows with its queries, with a server
that answers at once: queries that are sent and stored (`asked`), queries that are all in the cache
(`known`), and the queries of a shard, with its table (`shard`).

    python tests/benchmarks/orchestration.py --memory
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
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import ProxyHandler, build_opener

from other_tools import TOOLS, UnavailableError, make_environment, run_tool

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "scripts"))

QUESTION = (
    "A question of some length, as a word problem has it, with a number to tell it: {n}. " * 3
)
ANSWER = ("First this, then that, and so the answer is 12. " * 5).strip()
MODEL = "m"
SAMPLING = {"max_tokens": 100, "temperature": 0.7, "top_p": 1.0}
SEEDS = 1000
"""Seed questions of the measured shard."""
MEMORY_QUERIES = (5_000, 20_000, 100_000)


class Took(NamedTuple):
    """A run's time, and the peak memory of one of its processes."""

    seconds: float
    mib: float


def question(n: int) -> str:
    """Return the text of the nth request."""
    return QUESTION.format(n=n)


def serve(latency: float) -> None:
    """Answer chat completions after `latency` seconds, and print the port."""
    from aiohttp import web

    body = {
        "id": "0",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": ANSWER},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 60, "completion_tokens": 60, "total_tokens": 120},
    }
    content = json.dumps(body).encode()
    active = most = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal active, most
        active += 1
        most = max(most, active)
        try:
            await request.read()
            await asyncio.sleep(latency)
        finally:
            active -= 1
        return web.Response(body=content, content_type="application/json")

    async def tell(request: web.Request) -> web.Response:
        nonlocal most
        told, most = most, 0
        return web.Response(text=str(told))

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        app.router.add_get("/v1/most", tell)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(site._server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(run())


@contextmanager
def server(latency: float) -> Iterator[str]:
    """Yield the address of a server, which has its own process."""
    words = [sys.executable, str(Path(__file__).resolve()), "--serve", str(latency)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.kill()


def most_at_once(url: str) -> int:
    """Return the server's largest number of concurrent requests since the last call."""
    with build_opener(ProxyHandler({})).open(f"{url}/most", timeout=60) as response:
        return int(response.read())


def bare(url: str, queries: int, concurrency: int) -> None:
    """Send requests with the least possible work, and store nothing."""
    import aiohttp

    async def work(session: aiohttp.ClientSession, left: Iterator[int]) -> None:
        for n in left:
            body = {
                "model": MODEL,
                "messages": [{"role": "user", "content": question(n)}],
                **SAMPLING,
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


def seedbed(url: str, queries: int, concurrency: int, folder: Path | None = None) -> None:
    """Send requests with the engine, with a new response cache or the one in `folder`."""
    from seedbed.engines import EngineJob, Request, load_engine
    from seedbed.streams.response_cache import ResponseCache

    if folder is None:
        with tempfile.TemporaryDirectory() as name:
            return seedbed(url, queries, concurrency, Path(name))
    settings = EngineJob.of("openai", base_url=url, model=MODEL, concurrency=concurrency)
    requests = (
        Request(str(n), (("user", question(n)),), seed=n, **SAMPLING) for n in range(queries)
    )
    journal = ResponseCache(folder, MODEL)
    done = journal.complete(lambda: load_engine(Path(), settings), requests, lambda text: None)
    assert sum(completion.text == ANSWER for completion in done) == queries


def shard(url: str, queries: int, concurrency: int, folder: Path) -> None:
    """Send the queries of one shard, like `scripts/answer_questions.py`."""
    from seedbed.engines import EngineJob, load_engine
    from seedbed.streams.answers import answer_questions
    from seedbed.streams.response_cache import ResponseCache
    from seedbed.streams.settings import AnswerSettings
    from seedbed.tasks.items import TaskItem

    settings = EngineJob.of("openai", base_url=url, model=MODEL, concurrency=concurrency)
    sampling = {"temperature": SAMPLING["temperature"], "top_p": SAMPLING["top_p"]}
    answers = answer_questions(
        AnswerSettings(
            stream="memory",
            prompt="{question}",
            answer_tokens=SAMPLING["max_tokens"],
            **sampling,
        ),
        [TaskItem(str(n), question(n), "", "12", "12") for n in range(SEEDS)],
        None,
        range(queries),
        lambda: load_engine(Path(), settings),
        ResponseCache(folder, MODEL),
        lambda text: None,
    )
    assert (answers["answer"] == ANSWER).sum() == queries


OURS = {"bare": bare, "seedbed": seedbed}


def measure(name: str, run: Callable[[], None]) -> Took:
    """Return the time and memory of a run in a new process."""
    pipe, other = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            start = time.perf_counter()
            run()
            seconds = time.perf_counter() - start
            mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            os.write(other, json.dumps([seconds, mib]).encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(other)
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"{name} failed")
    with os.fdopen(pipe) as said:
        return Took(*json.load(said))


def spread(values: list[float]) -> str:
    """Return the median of ratios, and their range."""
    return f"median {statistics.median(values):.3f}, {min(values):.3f} to {max(values):.3f}"


def compare(args: argparse.Namespace) -> None:
    """Print the measurements of each round, and the ratios."""
    # Imports are not measured.
    import aiohttp  # noqa: F401

    import seedbed.engines.openai_engine
    import seedbed.streams.response_cache  # noqa: F401

    others = {}
    for tool in TOOLS if args.others else ():
        try:
            others[tool.name] = (tool, make_environment(tool, args.environments))
            print(f"{tool.name}: {', '.join(tool.requirements)}", flush=True)
        except UnavailableError as problem:
            print(f"{tool.name} {problem}", flush=True)
    ideal = args.queries / args.concurrency * args.latency
    print(f"{args.queries} queries, {args.concurrency} at a time, ideal {ideal:.2f} s")
    rounds: list[dict[str, Took]] = []
    with server(args.latency) as url:
        task = {
            "url": url,
            "model": MODEL,
            "prompts": [question(n) for n in range(args.queries)],
            "sampling": SAMPLING,
            "concurrency": args.concurrency,
            "answer": ANSWER,
        }
        for turn in range(args.rounds):
            order = [*OURS, *others]
            took: dict[str, Took] = {}
            said: dict[str, str] = {}
            for name in order if turn % 2 == 0 else reversed(order):
                try:
                    if name in OURS:
                        run, size = OURS[name], (url, args.queries, args.concurrency)
                        took[name] = measure(name, lambda run=run, size=size: run(*size))
                    else:
                        took[name] = Took(*run_tool(*others[name], task))
                except UnavailableError as problem:
                    print(f"{name} {problem}", flush=True)
                    del others[name]
                    most_at_once(url)
                    continue
                seconds, mib = took[name]
                said[name] = f"{name} {seconds:.2f} s {mib:.0f} MiB ({most_at_once(url)} at once)"
            rounds.append(took)
            told = ", ".join(said[name] for name in order if name in said)
            print(f"round {turn + 1}: {told}", flush=True)
    for name in [name for name in rounds[0] if name != "bare"]:
        for base in ("bare", "seedbed"):
            ratios = [took[name].seconds / took[base].seconds for took in rounds if name in took]
            if name != base:
                print(f"{name} / {base}: {spread(ratios)}")


def grow(args: argparse.Namespace) -> None:
    """Print how memory grows with a process's queries."""
    cases = {"asked": seedbed, "known": seedbed, "shard": shard}
    before: dict[str, tuple[int, float]] = {}
    with server(0.0) as url:
        for queries in MEMORY_QUERIES:
            with tempfile.TemporaryDirectory() as asked, tempfile.TemporaryDirectory() as other:
                for name, run in cases.items():
                    folder = Path(other if name == "shard" else asked)
                    size = (url, queries, args.concurrency, folder)
                    seconds, mib = measure(name, lambda run=run, size=size: run(*size))
                    growth = ""
                    if name in before:
                        fewer, less = before[name]
                        each = (mib - less) * 2**20 / (queries - fewer)
                        growth = f", {each:.0f} bytes a query from {fewer:,} on"
                    before[name] = (queries, mib)
                    print(
                        f"{name}: {queries:,} queries, {mib:.1f} MiB at most in {seconds:.0f} s"
                        f"{growth}",
                        flush=True,
                    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds to an answer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--others", action="store_true", help="compare with other tools too")
    parser.add_argument(
        "--environments",
        type=Path,
        default=REPOSITORY / ".benchmarks",
        help="folder that keeps the environments of other tools",
    )
    parser.add_argument("--memory", action="store_true", help="measure memory instead")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        serve(args.serve)
    elif args.memory:
        grow(args)
    else:
        compare(args)


if __name__ == "__main__":
    main()
