"""A real LiteLLM proxy, in an environment of its own: its refusals, and its answers."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest
import yaml
from aiohttp import web

from endpoint import Endpoint, running
from seedbed.engines import EngineJob, Request, load_engine
from seedbed.engines.openai_engine import EndpointError

pytestmark = pytest.mark.slow
PROGRAM = Path(sys.prefix) / "litellm/bin/litellm"
REQUESTS = [
    Request(str(n), (("user", f"question {n}"),), max_tokens=9, temperature=0.7, seed=n)
    for n in range(12)
]


async def message(request):
    """Answer as the Messages API of Anthropic."""
    await request.json()
    return web.json_response(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-x",
            "content": [{"type": "text", "text": "It is 3."}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 5, "output_tokens": 3},
        }
    )


@pytest.fixture(scope="module")
def backend():
    with running(Endpoint(), messages=message) as served:
        yield served


@pytest.fixture(scope="module")
def proxy(backend, tmp_path_factory):
    """The proxy's address; its key is in LITELLM_TEST_KEY."""
    if not PROGRAM.is_file():
        pytest.skip("LiteLLM is not installed: `make models` adds it")
    folder = tmp_path_factory.mktemp("litellm")
    host = backend.url.removesuffix("/v1")
    models = {
        "claude": {"model": "anthropic/claude-haiku-4-5", "api_base": host},
        "plain": {"model": "openai/plain", "api_base": backend.url},
    }
    told = {
        "model_list": [
            {"model_name": name, "litellm_params": {"api_key": "none", "num_retries": 0} | one}
            for name, one in models.items()
        ],
        "litellm_settings": {"telemetry": False, "num_retries": 0},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(told))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = f"sk-{secrets.token_hex(16)}"
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [PROGRAM, "--config", folder / "config.yaml", "--host", "127.0.0.1", "--port", str(port)],
        cwd=folder,
        env=os.environ | {"LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    opener = build_opener(ProxyHandler({}))
    try:
        for _ in range(240):
            try:
                opener.open(f"http://127.0.0.1:{port}/health/liveliness", timeout=5).close()
                break
            except (URLError, OSError):
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.5)
        os.environ["LITELLM_TEST_KEY"] = key
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.environ.pop("LITELLM_TEST_KEY", None)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask(proxy, **settings):
    given = {"base_url": proxy, "key_variable": "LITELLM_TEST_KEY", "concurrency": 4} | settings
    return list(load_engine(None, EngineJob.of("openai", **given)).complete(REQUESTS))


def test_answers_come_through(proxy, backend):
    backend.asked.clear()
    assert {answer.text.split(" /")[0] for answer in ask(proxy, model="plain")} == {
        f"question {n}" for n in range(12)
    }
    assert len(backend.asked) == 12


def test_a_field_that_the_model_does_not_take_is_named_and_can_be_left_out(proxy):
    with pytest.raises(EndpointError) as refused:
        ask(proxy, model="claude")
    assert "UnsupportedParamsError" in str(refused.value)
    assert "engine.seed_field: null" in str(refused.value)
    answers = ask(proxy, model="claude", seed_field=None)
    assert {(answer.text, answer.finish_reason) for answer in answers} == {("It is 3.", "stop")}
    assert {answer.model for answer in answers} != {""}


def test_a_model_that_the_proxy_does_not_know_is_named(proxy):
    with pytest.raises(EndpointError, match="for the model 'nobody'"):
        ask(proxy, model="nobody")
