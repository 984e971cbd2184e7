"""What processes know together of an endpoint's limits, and what a killed one leaves behind."""

import asyncio
import math
import os
import subprocess
import sys
import time
import uuid

import pytest

from endpoint import Endpoint, error, running
from limits import Window
from project import ROOT
from seedbed.engines.rate_limits import Pace
from seedbed.engines.shared_limits import LONGEST_WAIT, SharedLimits
from seedbed.engines.slots import shared_file

PRELUDE = f"""
import os, sys, time
sys.path.insert(0, {str(ROOT / "scripts")!r})
"""
ASKING = """
from seedbed.engines import EngineJob, Request, load_engine
asked = [Request(str(n), (("user", "{name} " + str(n)),), 9, seed=n) for n in range({count})]
engine = load_engine(None, EngineJob.of("openai", base_url={url!r}, model="m", concurrency=8))
print(sum(1 for _ in engine.complete(asked)))
"""
# Holds the file while it changes it, as the one that tries, until it is killed.
CHANGING = """
from seedbed.engines.shared_limits import SharedLimits
shared = SharedLimits({name!r}, time.monotonic)
with shared.change() as limits:
    limits.closed = limits.next_try = limits.trying = time.monotonic()
if {within}:
    with shared.change():
        print("changes", flush=True)
        time.sleep(600)
print("tries", flush=True)
time.sleep(600)
"""


def started(script, **values):
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script.format(**values)], stdout=subprocess.PIPE, text=True
    )


@pytest.fixture
def name():
    return f"test {uuid.uuid4()}"


@pytest.fixture
def endpoint():
    with running(Endpoint()) as served:
        yield served


@pytest.mark.slow
def test_what_one_process_is_told_all_wait_for(endpoint):
    arrived, told = [], []

    def behave(body, before):
        arrived.append((time.monotonic(), body["messages"][0]["content"].split()[0]))
        if not told:
            told.append(time.monotonic() + 4)
        left = told[0] - time.monotonic()
        return error(429, **{"retry-after-ms": f"{1000 * left:.0f}"}) if left > 0 else None

    endpoint.behave = behave
    first = started(ASKING, name="first", count=3, url=endpoint.url)
    while not told:
        time.sleep(0.01)
    second = started(ASKING, name="second", count=3, url=endpoint.url)
    for process in (first, second):
        assert process.communicate(timeout=60)[0].strip() == "3"
    # The second one joined within the wait, and was never refused.
    assert min(at for at, who in arrived if who == "second") >= told[0] - 0.01
    assert sum(who == "second" for _, who in arrived) == 3


@pytest.mark.slow
def test_an_unknown_limit_is_tried_by_one_process_for_all(endpoint):
    arrived, limit = [], Window(4, 3.0, "nothing")

    def behave(body, before):
        arrived.append(time.monotonic())
        return limit(body, before)

    endpoint.behave = behave
    asking = [started(ASKING, name=f"p{n}", count=4, url=endpoint.url) for n in range(3)]
    for process in asking:
        assert process.communicate(timeout=60)[0].strip() == "4"
    # By itself each would try every half second, and more often than that all together.
    assert limit.refused < 3 * 8 + 2 * (arrived[-1] - arrived[0])


@pytest.mark.parametrize("within", [True, False])
def test_a_killed_process_keeps_no_other_from_asking(name, within):
    killed = started(CHANGING, name=name, within=within)
    killed.stdout.readline()

    async def enter():
        pace = Pace(4, time.monotonic, endpoint=name)
        begun = time.monotonic()
        await asyncio.wait_for(pace.enter(asyncio.Event()), 30)
        pace.close()
        return time.monotonic() - begun

    if within:
        # It cannot be asked while the other one changes the file.
        with pytest.raises(subprocess.TimeoutExpired):
            other = started(CHANGING, name=name, within=False)
            other.communicate(timeout=2)
        killed.kill()
        killed.wait()
        assert other.stdout.readline() == "tries\n"
        other.kill()
        other.wait()
    else:
        killed.kill()
        killed.wait()
    assert asyncio.run(enter()) < 5


def test_what_the_last_process_left_closed_is_open_for_the_next_one(name):
    first = SharedLimits(name, time.monotonic)
    with first.change() as limits:
        limits.closed, limits.next_try = time.monotonic(), time.monotonic() + 500
        limits.resume, limits.early, limits.late = time.monotonic() + 900, 50.0, 60.0
    first.close()
    found = SharedLimits(name, time.monotonic).look()
    assert math.isnan(found.closed)
    assert (found.resume, found.next_try) == (0, 0)
    # But how long it lasted is known.
    assert (found.early, found.late) == (50, 60)


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 4096, b"\0" * 4096, b"\x7f" * 4096])
def test_content_of_others_is_no_wait(name, content):
    shared = SharedLimits(name, time.monotonic)
    file = shared_file(name, "limits")
    os.ftruncate(file, 0)
    os.pwrite(file, content, 0)
    pace = Pace(4, time.monotonic, endpoint=name)
    assert pace.waits == 0
    asyncio.run(asyncio.wait_for(pace.enter(asyncio.Event()), 2))
    shared.close()


def test_times_of_a_clock_that_began_anew_are_none(name):
    now = SharedLimits(name, time.monotonic)
    before = SharedLimits(name, lambda: 1e6)
    with before.change() as limits:
        limits.closed = limits.since = 1e6
        limits.resume = limits.next_try = 1e6 + 100
    found = now.look()
    assert math.isnan(found.closed)
    assert (found.resume, found.next_try, found.since) == (0, 0, 0)


def test_a_wait_that_ends_a_run_is_not_shared(name):
    async def refused():
        pace = Pace(4, time.monotonic, endpoint=name)
        sent = await pace.enter(asyncio.Event())
        pace.leave(sent, slow_down=True, limited=True, wait=LONGEST_WAIT * 5)
        return pace

    pace = asyncio.run(refused())
    assert pace.waits > LONGEST_WAIT
    assert Pace(4, time.monotonic, endpoint=name).waits == 0
