"""An endpoint for tests that answers chat completions over HTTP, and fails on request."""

import asyncio
import json
import threading
import time
from collections import Counter
from contextlib import contextmanager

from aiohttp import web


def completion(text, finish_reason="stop", **message):
    """Return the body of an answer."""
    return {
        "choices": [{"message": {"content": text, **message}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3},
    }


def echo(body):
    """Return the parts of a request on which its answer must depend."""
    return f"{body['messages'][0]['content']} / {body['seed']}"


class Endpoint:
    """Answers with an echo, or with what `behave` returns.

    Attributes:
        behave: called with a request's body and how often it was sent before; returns None for an
            echo, a mapping for a JSON body, bytes for any body, or a `web.Response`. It may be a
            coroutine.
        asked: bodies of all requests, in the order of their arrival.
        headers: of all requests.
        paths: of all requests, with their parameters.
        latency: seconds before an answer.
        most: largest number of concurrent requests so far.
        url: its address.
    """

    def __init__(self):
        self.behave = lambda body, before: None
        self.asked = []
        self.headers = []
        self.paths = []
        self.latency = 0.0
        self.most = 0
        self.url = ""
        self._active = 0
        self._before = Counter()
        self._server = None

    def wait_until_left(self):
        """Wait until no client is connected, so that every request that was sent has arrived.

        Raises:
            TimeoutError: if a client is still connected after a minute.
        """
        end = time.monotonic() + 60
        while self._server.connections:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(self._server.connections)} are still connected")
            time.sleep(0.01)

    def times(self):
        """Return how often each question was sent."""
        return Counter(body["messages"][0]["content"] for body in self.asked)

    async def handle(self, request):
        body = await request.json()
        content = json.dumps(body)
        before = self._before[content]
        self._before[content] += 1
        self.asked.append(body)
        self.headers.append(request.headers)
        self.paths.append(request.path_qs)
        self._active += 1
        self.most = max(self.most, self._active)
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
            said = self.behave(body, before)
            if asyncio.iscoroutine(said):
                said = await said
        finally:
            self._active -= 1
        if said is None:
            said = completion(echo(body))
        if isinstance(said, bytes):
            return web.Response(body=said, content_type="application/json")
        return web.json_response(said) if isinstance(said, dict) else said


def error(status, message="no", code=None, details=None, **headers):
    """Return an error response in the OpenAI API's format."""
    content = {"error": {"message": message, "code": code}}
    if details is not None:
        content["error"]["details"] = details
    return web.json_response(content, status=status, headers=headers)


@contextmanager
def running(endpoint, **more):
    """Serve an endpoint on a free port of this machine.

    Args:
        endpoint: answers chat completions.
        more: handlers of other requests, by path below `/v1`.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", endpoint.handle)
    for path, handle in more.items():
        app.router.add_post(f"/v1/{path}", handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)

    async def start():
        await runner.setup()
        endpoint._server = runner.server
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return site._server.sockets[0].getsockname()[1]

    port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    endpoint.url = f"http://127.0.0.1:{port}/v1"
    try:
        yield endpoint
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
