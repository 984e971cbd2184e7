"""How long requests take under a limit, against the time that the limit allows at best.

Each form in which endpoints tell a limit, in a window and in a bucket that fills steadily:

    python tests/benchmarks/rate_limits.py --most 20 --seconds 20 --requests 70
"""

import argparse
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "scripts")]


def measured(limit, requests, latency):
    """Return the seconds that some requests take under a limit."""
    from endpoint import Endpoint, running
    from seedbed.engines import EngineJob, Request, load_engine

    asked = [Request(str(n), (("user", f"question {n}"),), max_tokens=9) for n in range(requests)]
    with running(Endpoint()) as endpoint:
        endpoint.behave, endpoint.latency = limit, latency
        engine = load_engine(None, EngineJob.of("openai", base_url=endpoint.url, model="m"))
        start = time.monotonic()
        assert sum(1 for _ in engine.complete(asked)) == requests
        return time.monotonic() - start


def main():
    """Run the command line."""
    from limits import FORMS, Bucket, Window

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=20, help="requests in a window")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a window")
    parser.add_argument("--requests", type=int, default=70, help="to be answered")
    parser.add_argument("--latency", type=float, default=0.5, help="seconds of an answer")
    parser.add_argument("--forms", nargs="*", default=list(FORMS), help="in which limits are told")
    args = parser.parse_args()
    print(f"{'limit':10} {'told by':14} {'seconds':>8} {'best':>8} {'ratio':>6} {'refused':>8}")
    for kind in (Window, Bucket):
        for form in args.forms:
            limit = kind(args.most, args.seconds, form)
            seconds = measured(limit, args.requests, args.latency)
            # An answer takes its time after the last request, whatever the limit.
            best = limit.best(args.requests) + args.latency
            print(
                f"{kind.__name__:10} {form:14} {seconds:8.2f} {best:8.2f} {seconds / best:6.3f} "
                f"{limit.refused:8}",
                flush=True,
            )


if __name__ == "__main__":
    main()
