"""A provider's Batch API for tests, with files and batches that fail on request."""

import asyncio
import json
import random
import threading
from collections import Counter
from contextlib import contextmanager

from aiohttp import web

from endpoint import completion, echo


class BatchServer:
    """Answers batches with echoes, in OpenAI's form or in another provider's.

    Attributes:
        behave: called with a request's body and how often it was answered before; returns None for
            an echo, a body, a pair of a status and a body, or "lost", "expired" for no answer.
        looks: number of requests for a batch's state before the batch has ended.
        held: number of the first call, from 1, whose answer is held back until this is None.
        lose: how many more answers get lost, by the name of the call.
        ends: final states of batches, in the order of their creation; the others are completed.
        listed: whether the list of batches includes them.
        form: the provider whose API this is.
        full: number of the next batches for which the queue has no room.
        files: content by id.
        batches: the state of each batch, by its id.
        run: makes the file of answers from the file of requests, in place of `behave`, if given.
        answered: how often each request was answered, by its question and seed.
        calls: method and path of all calls.
        url: its address.
    """

    def __init__(self, form="openai"):
        self.behave = lambda body, before: None
        self.looks = 1
        self.held = None
        self.lose = Counter()
        self.ends = []
        self.form = form
        self.full = 0
        self.run = None
        self.files, self.batches = {}, {}
        self.answered = Counter()
        self.calls = []
        self.headers = []
        self.url = ""
        self._random = random.Random(0)

    def app(self):
        app = web.Application(client_max_size=2**26, middlewares=[self._middleware])
        upload = "/v1/files/upload" if self.form == "together" else "/v1/files"
        batches = "/v1/batch/jobs" if self.form == "mistral" else "/v1/batches"
        app.router.add_post(upload, self.upload)
        app.router.add_get("/v1/files/{id}", self.file)
        app.router.add_get("/v1/files/{id}/content", self.content)
        app.router.add_post(batches, self.make)
        app.router.add_get(batches, self.list)
        app.router.add_get(batches + "/{id}", self.look)
        return app

    @web.middleware
    async def _middleware(self, request, handler):
        self.calls.append((request.method, request.path))
        self.headers.append(request.headers)
        response = await handler(request)
        while self.held is not None and len(self.calls) >= self.held:
            await asyncio.sleep(0.001)
        if self.lose[handler.__name__] > 0:
            self.lose[handler.__name__] -= 1
            request.transport.close()
        return response

    async def upload(self, request):
        form = await request.post()
        assert form["purpose"] == ("batch-api" if self.form == "together" else "batch")
        name = f"file-{len(self.files)}"
        self.files[name] = form["file"].file.read().decode()
        return web.json_response({"id": name, "status": "pending"})

    async def file(self, request):
        return web.json_response({"id": request.match_info["id"], "status": "processed"})

    async def make(self, request):
        asked = await request.json()
        file = asked["input_files"][0] if self.form == "mistral" else asked["input_file_id"]
        assert asked["endpoint"] == "/v1/chat/completions"
        name = f"batch-{len(self.batches)}"
        status = self.ends[len(self.batches)] if len(self.batches) < len(self.ends) else "completed"
        batch = {"id": name, "status": "validating", "ends": status, "looks": 0, "file": file}
        self.batches[name] = batch
        if self.full > 0:
            self.full -= 1
            batch["ends"], batch["looks"] = "failed", self.looks
            error = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}
            batch["errors"] = {"data": [error]}
        else:
            # `run` may start another program, which takes time.
            await asyncio.to_thread(self.answer, batch)
        return web.json_response(self.shown(batch, made=True))

    def answer(self, batch):
        if self.run is not None:
            try:
                found = self.run(self.files[batch["file"]])
            except Exception as error:
                batch |= {"ends": "failed", "errors": {"data": [{"message": str(error)}]}}
            else:
                batch["output"] = f"file-{len(self.files)}"
                self.files[batch["output"]] = found
            return
        good, bad = [], []
        for line in self.files[batch["file"]].splitlines():
            line = json.loads(line)
            body = line["body"]
            key = (body["messages"][0]["content"], body.get("seed", body.get("random_seed")))
            said = self.behave(body, self.answered[key])
            if batch["ends"] in ("expired", "cancelled") and said is None and len(good) > 4:
                said = "expired"
            if said == "expired":
                error = {"code": "batch_expired", "message": "This request could not be executed"}
                bad.append({"custom_id": line["custom_id"], "response": None, "error": error})
                continue
            self.answered[key] += 1
            if said == "lost":
                continue
            status, said = said if isinstance(said, tuple) else (200, said)
            text = echo({"seed": key[1], **body})
            response = {"status_code": status, "body": said or completion(text)}
            found = {"custom_id": line["custom_id"], "response": response, "error": None}
            (good if status == 200 else bad).append(found)
        good += self._random.sample(good, min(2, len(good)))
        self._random.shuffle(good)
        for kind, lines in (("output", good), ("error", bad)):
            if lines:
                batch[kind] = f"file-{len(self.files)}"
                self.files[batch[kind]] = "".join(json.dumps(line) + "\n" for line in lines)

    def shown(self, batch, made=False):
        done = batch["looks"] >= self.looks
        status = batch["ends"] if done else "in_progress"
        names = {"output_file_id": batch.get("output"), "error_file_id": batch.get("error")}
        found = {"id": batch["id"], "input_file_id": batch["file"], "status": status}
        if self.form == "mistral":
            names = {"output_file": batch.get("output"), "error_file": batch.get("error")}
            known = {
                "completed": "SUCCESS",
                "expired": "TIMEOUT_EXCEEDED",
                "in_progress": "RUNNING",
            }
            found = {"id": batch["id"], "input_files": [batch["file"]]}
            found["status"] = known.get(status, status.upper())
        if self.form == "together":
            found["status"] = status.upper()
        found |= names if done else {}
        found["errors"] = batch.get("errors")
        return {"job": found} if made and self.form == "together" else found

    async def look(self, request):
        batch = self.batches.get(request.match_info["id"])
        if batch is None:
            return web.json_response({"error": {"message": "No batch found"}}, status=404)
        found = self.shown(batch)
        batch["looks"] += 1
        return web.json_response(found)

    async def list(self, request):
        found = [self.shown(batch) for batch in reversed(self.batches.values())]
        if self.form == "together":
            return web.json_response(found)
        size = 3
        after = request.query.get("after")
        begin = 1 + [one["id"] for one in found].index(after) if after else 0
        if self.form == "mistral":
            begin, size = int(request.query["page"]) * 100, 100
        page = found[begin : begin + size]
        return web.json_response({"data": page, "has_more": begin + size < len(found)})

    async def content(self, request):
        return web.Response(text=self.files[request.match_info["id"]])


@contextmanager
def serving(server, port=0):
    """Serve on a port of this machine; the same server can be served again on the same port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = web.AppRunner(server.app(), shutdown_timeout=0.1)

    async def start():
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, reuse_address=True)
        await site.start()
        return site._server.sockets[0].getsockname()[1]

    server.port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    server.url = f"http://127.0.0.1:{server.port}/v1"
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
