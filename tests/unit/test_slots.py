"""How many requests all processes of a machine together have under way at an endpoint."""

import asyncio
import subprocess
import sys
import time

import pytest

from endpoint import Endpoint, running
from project import ROOT

SCRIPT = """
import sys
sys.path.insert(0, {scripts!r})
from seedbed.engines import EngineJob, Request, load_engine
asked = [Request(str(n), (("user", "{name} " + str(n)),), 9, seed=n) for n in range({count})]
engine = load_engine(None, EngineJob.of("openai", base_url={url!r}, model="m", concurrency=6))
print(sum(1 for _ in engine.complete(asked)))
"""


def start(endpoint, name, count):
    script = SCRIPT.format(scripts=str(ROOT / "scripts"), url=endpoint.url, name=name, count=count)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def wait(condition, seconds=60):
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds
        time.sleep(0.01)


@pytest.fixture
def endpoint():
    with running(Endpoint()) as served:
        yield served


@pytest.mark.slow
def test_processes_share_the_concurrency_of_an_endpoint_and_a_killed_one_frees_its_part(endpoint):
    held = set()

    async def behave(body, before):
        name = body["messages"][0]["content"]
        held.add(name)
        while opened.get(name.split()[0]) is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        held.discard(name)

    def under_way(name):
        return sum(one.startswith(name) for one in held)

    opened = {}
    endpoint.behave = behave
    first = start(endpoint, "first", 300)
    wait(lambda: under_way("first") == 6)
    # The second one gets what the first one gives back, until both have their share.
    second = start(endpoint, "second", 40)
    time.sleep(1.5)
    assert under_way("second") == 0
    opened["first"] = True
    wait(lambda: under_way("second") == 3)
    time.sleep(0.3)
    assert under_way("second") == 3
    # A third one takes the part of one that was killed.
    second.kill()
    second.wait()
    third = start(endpoint, "third", 12)
    opened["third"] = True
    assert third.communicate(timeout=60)[0].strip() == "12"
    assert first.communicate(timeout=60)[0].strip() == "300"
    assert endpoint.most == 6
