"""Compare the time of requests under a rate limit with the minimum that the limit allows.

Tests each form in which endpoints report a limit, with a time window and with a token bucket that
fills steadily; one or several processes send requests at once:

    python tests/benchmarks/rate_limits.py --most 20 --seconds 20 --requests 70 --processes 3
"""

import argparse
import multiprocessing
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "scripts")]


def ask(url, keys, start, done):
    """Send some requests once all processes are ready."""
    import aiohttp  # noqa: F401

    from seedbed.engines import EngineJob, Request, load_engine

    asked = [Request(str(n), (("user", f"question {n}"),), max_tokens=9) for n in keys]
    engine = load_engine(None, EngineJob.of("openai", base_url=url, model="m"))
    start.wait()
    done.put(sum(1 for _ in engine.complete(asked)))


def measured(limit, requests, latency, processes):
    """Return the seconds that some requests take under a limit."""
    from endpoint import Endpoint, running

    spawn = multiprocessing.get_context("spawn")
    start, done = spawn.Barrier(processes + 1), spawn.Queue()
    with running(Endpoint()) as endpoint:
        endpoint.behave, endpoint.latency = limit, latency
        parts = [range(part, requests, processes) for part in range(processes)]
        asking = [
            spawn.Process(target=ask, args=(endpoint.url, part, start, done)) for part in parts
        ]
        for process in asking:
            process.start()
        start.wait()
        began = time.monotonic()
        assert sum(done.get() for _ in parts) == requests
        seconds = time.monotonic() - began
        for process in asking:
            process.join()
        return seconds


def main():
    """Run the command line."""
    from limits import FORMS, Bucket, Window

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=20, help="requests in a window")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a window")
    parser.add_argument("--requests", type=int, default=70, help="to be answered")
    parser.add_argument("--latency", type=float, default=0.5, help="seconds of an answer")
    parser.add_argument("--processes", type=int, default=1, help="that ask at once")
    parser.add_argument("--forms", nargs="*", default=list(FORMS), help="in which limits are told")
    args = parser.parse_args()
    print(f"{'limit':10} {'told by':14} {'seconds':>8} {'best':>8} {'ratio':>6} {'refused':>8}")
    for kind in (Window, Bucket):
        for form in args.forms:
            limit = kind(args.most, args.seconds, form)
            seconds = measured(limit, args.requests, args.latency, args.processes)
            # The last answer takes its latency, whatever the limit.
            best = limit.best(args.requests) + args.latency
            print(
                f"{kind.__name__:10} {form:14} {seconds:8.2f} {best:8.2f} {seconds / best:6.3f} "
                f"{limit.refused:8}",
                flush=True,
            )


if __name__ == "__main__":
    main()
