"""Batches: what a provider's Batch API is sent, and what becomes of what it gives back."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from batch_server import BatchServer, serving
from endpoint import completion
from project import ROOT
from seedbed.engines import Completion, EngineJob, Request, load_engine
from seedbed.engines import batch_engine as module
from seedbed.engines.batch_engine import UnderWayError
from seedbed.engines.books import Books, Spent
from seedbed.engines.ledger import Ledger
from seedbed.engines.openai_engine import EndpointError
from seedbed.engines.settings import Cap, Price
from seedbed.run.progress import batches_under_way
from seedbed.streams.response_cache import ResponseCache

REQUESTS = [
    Request(f"k{n}", (("user", f"question {n}"),), max_tokens=9, temperature=0.7, seed=2**30 + n)
    for n in range(40)
]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    for name in ("FIRST_PAUSE", "LONGEST_PAUSE", "FULL_PAUSE", "LONGEST_FULL_PAUSE"):
        monkeypatch.setattr(module, name, 0.01)


@pytest.fixture
def server():
    with serving(BatchServer()) as served:
        yield served


def ask(server, folder, requests=REQUESTS, wait=True, cap=None, batch=None, **settings):
    """Return the completions by key, and the error that ended the call; answers are kept."""
    found, problem = {}, None
    job = EngineJob.of(
        "openai", cap, base_url=server.url, model="m", batch=batch or {}, **settings
    ).model_copy(update={"batches": str(folder / "batches"), "wait": wait})
    cache = ResponseCache(folder, "m")
    try:
        for answer in cache.complete(lambda: load_engine(None, job), requests, print):
            assert answer.key not in found
            found[answer.key] = replace(answer, seconds=0.0)
    except (EndpointError, RuntimeError) as raised:
        problem = raised
    return found, problem


def echoes(requests=REQUESTS):
    return {
        one.key: Completion(one.key, f"{one.messages[0][1]} / {one.seed}", "stop", 5, 3)
        for one in requests
    }


@pytest.mark.parametrize("form", ["openai", "together", "mistral"])
def test_a_batch_is_sent_waited_for_and_read(tmp_path, form, capsys):
    with serving(BatchServer(form)) as server:
        server.looks = 3
        key = {"headers": {"Authorization": "Bearer ${BATCH_KEY}"}}
        os.environ["BATCH_KEY"] = "sk-secret"
        found, problem = ask(server, tmp_path, batch={"form": form}, **key)
    assert problem is None
    assert found == echoes()
    assert set(server.answered.values()) == {1}
    assert len(server.batches) == 1
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer sk-secret"}
    assert not list((tmp_path / "batches").iterdir())
    said = capsys.readouterr().err
    assert "the next start collects it" in said
    assert "sk-secret" not in said


def test_a_line_of_a_file_holds_what_is_sent_otherwise(server, tmp_path):
    ask(server, tmp_path, REQUESTS[:1], body={"reasoning_effort": "low"}, stream=True)
    line = json.loads(server.files["file-0"])
    assert line["method"] == "POST" and line["url"] == "/v1/chat/completions"
    assert line["body"] == {
        "model": "m",
        "messages": [{"role": "user", "content": "question 0"}],
        "max_tokens": 9,
        "temperature": 0.7,
        "seed": REQUESTS[0].seed,
        "reasoning_effort": "low",
    }
    assert len(line["custom_id"]) <= 64


def test_the_same_question_twice_has_two_answers(server, tmp_path):
    twice = [replace(REQUESTS[0], key="a"), replace(REQUESTS[0], key="b")]
    found, problem = ask(server, tmp_path, twice)
    assert problem is None
    assert found == echoes(twice)


@pytest.mark.parametrize("end", ["expired", "cancelled"])
def test_what_ends_early_gives_what_it_has_and_the_rest_is_asked_again(server, tmp_path, end):
    server.ends = [end, end]
    found, problem = ask(server, tmp_path)
    assert problem is None
    assert found == echoes()
    assert set(server.answered.values()) == {1}
    assert len(server.batches) == 3


def test_lines_that_are_lost_or_fail_are_asked_again(server, tmp_path):
    def behave(body, before):
        number = int(body["messages"][0]["content"].split()[1])
        if number == 3:
            return (400, {"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}})
        if number == 5:
            return (400, {"error": {"code": "content_filter", "message": "no"}})
        if number == 7:
            return (500, {"error": {"message": "cannot do this one"}})
        if number % 4 == 0 and before == 0:
            return "lost"
        return (500, {"error": {"message": "busy"}}) if number % 4 == 1 and before == 0 else None

    server.behave = behave
    found, problem = ask(server, tmp_path)
    assert problem is None
    ends = {key: found.pop(key).finish_reason for key in ("k3", "k5", "k7")}
    assert ends == {"k3": "rejected", "k5": "content_filter", "k7": "failed"}
    assert found == {key: one for key, one in echoes().items() if key not in ends}
    assert max(server.answered.values()) == module.ROUNDS
    # Neither a rejected nor a failed request, left alone, ends the next run.
    found, problem = ask(server, tmp_path)
    assert problem is None
    assert found["k3"].finish_reason == "rejected"


def test_limits_of_a_provider_split_a_shard(server, tmp_path):
    found, problem = ask(server, tmp_path, batch={"requests": 15})
    assert problem is None and found == echoes()
    sizes = [len(server.files[b["file"]].splitlines()) for b in server.batches.values()]
    assert sizes == [15, 15, 10]


def test_the_bytes_of_a_file_are_limited(server, tmp_path):
    found, problem = ask(server, tmp_path, batch={"megabytes": 0.002})
    assert problem is None and found == echoes()
    sent = [server.files[batch["file"]] for batch in server.batches.values()]
    assert len(sent) > 3 and max(map(len, sent)) <= 2000


def test_tokens_in_the_queue_are_limited(server, tmp_path):
    # Three tokens each, as estimated: never more than ten requests at a time.
    most = []
    server.behave = lambda body, before: most.append(
        sum(batch["looks"] < server.looks for batch in server.batches.values())
    )
    server.looks = 2
    found, problem = ask(server, tmp_path, batch={"tokens": 40})
    assert problem is None and found == echoes()
    assert len(server.batches) >= 4 and max(most) == 1


@pytest.mark.parametrize("times", [1, 3])
def test_a_queue_that_is_full_is_waited_for_and_the_batch_split(server, tmp_path, capsys, times):
    server.full = times
    found, problem = ask(server, tmp_path)
    assert problem is None and found == echoes()
    assert set(server.answered.values()) == {1}
    assert "queue is full" in capsys.readouterr().err


@pytest.mark.parametrize("call", ["upload", "make", "look", "content", "list"])
def test_answers_that_the_network_loses_cost_nothing(server, tmp_path, call):
    server.lose[call] = 2 if call != "list" else 0
    if call == "list":
        server.lose.update(make=1, list=2)
    found, problem = ask(server, tmp_path)
    assert problem is None and found == echoes()
    assert set(server.answered.values()) == {1}


def test_a_server_that_is_away_for_a_while_is_asked_again(tmp_path, monkeypatch):
    server = BatchServer()
    with serving(server):
        _, problem = ask(server, tmp_path, wait=False)
        assert isinstance(problem, UnderWayError)
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            again.__enter__()

    again = serving(server, server.port)
    monkeypatch.setattr(module.time, "sleep", sleep)
    try:
        found, problem = ask(server, tmp_path)
    finally:
        again.__exit__(None, None, None)
    assert problem is None and found == echoes()
    assert len(server.batches) == 1


def test_a_run_that_does_not_wait_ends_and_the_next_start_collects(server, tmp_path):
    server.looks = 2
    for _ in range(2):
        found, problem = ask(server, tmp_path, wait=False)
        assert isinstance(problem, UnderWayError)
        assert "has 40 requests under way in 1 batches (batch-0)" in str(problem)
        assert found == {}
    found, problem = ask(server, tmp_path, wait=False)
    assert problem is None and found == echoes()
    assert set(server.answered.values()) == {1}


@pytest.mark.parametrize("others", [0, 5])
def test_a_batch_without_an_id_here_is_found_in_the_list(server, tmp_path, others):
    """A process died after the batch was made, and before its id was written."""
    ask(server, tmp_path, wait=False)
    (note,) = (tmp_path / "batches").glob("*.json")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"batch": ""}))
    for n in range(others):
        server.batches[f"other-{n}"] = {
            "id": f"other-{n}",
            "ends": "failed",
            "looks": 9,
            "file": "f",
        }
    found, problem = ask(server, tmp_path)
    assert problem is None and found == echoes()
    assert set(server.answered.values()) == {1}


def test_a_batch_that_was_never_made_is_made(server, tmp_path):
    """A process died after the upload, and before it asked for the batch."""
    ask(server, tmp_path, wait=False)
    (note,) = (tmp_path / "batches").glob("*.json")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"batch": ""}))
    server.batches.clear(), server.answered.clear()
    found, problem = ask(server, tmp_path)
    assert problem is None and found == echoes()
    assert set(server.answered.values()) == {1}


@pytest.mark.parametrize("how", ["ends", "dies", "dies before", "leaves in between"])
def test_the_bill_of_a_batch_that_another_process_collects_is_exact(server, tmp_path, how):
    price = Price(
        usd_per_million_prompt_tokens=10.0,
        usd_per_million_completion_tokens=20.0,
        batch_factor=0.5,
        date="2026-11-28",
    )
    ledger = tmp_path / "ledger"
    cap = Cap(ledger=str(ledger), model="m", stage="answers", price=price, max_usd=9.0, batch=True)

    def begin():
        spent = sum(Books(ledger).spent().values(), Spent())
        Ledger(ledger).open((spent.queries, spent.usd + spent.doubts_usd))

    begin()
    if how in ("dies", "dies before"):
        context = multiprocessing.get_context("fork")
        child = context.Process(target=die, args=(server.url, tmp_path, cap, how == "dies"))
        child.start()
        child.join()
        assert child.exitcode == 9
    elif how == "leaves in between":
        job = EngineJob.of("openai", cap, base_url=server.url, model="m", batch={})
        job = job.model_copy(update={"batches": str(tmp_path / "batches")})
        cache = ResponseCache(tmp_path, "m")
        some = cache.complete(lambda: load_engine(None, job), REQUESTS, print)
        next(some), next(some)
        some.close()
    else:
        ask(server, tmp_path, wait=False, cap=cap)
    if how != "dies before":
        (spent,) = Books(ledger).spent().values()
        assert spent.doubts >= 38
    begin()
    found, problem = ask(server, tmp_path, cap=cap)
    assert problem is None and len(found) == 40
    assert set(server.answered.values()) == {1}
    (spent,) = Books(ledger).spent().values()
    # Who leaves between two answers has not booked the one that is kept.
    late = how == "leaves in between"
    assert spent.doubts == late
    assert spent.used.requests == 40 - late
    assert spent.queries == 40
    assert spent.usd == pytest.approx((40 - late) * (5 * 10 + 3 * 20) / 1e6 / 2)
    assert Ledger(ledger).spent().usd == pytest.approx(spent.usd + spent.doubts_usd)


def die(url, folder, cap, made):
    """Send a batch, and die as soon as it was made, or before."""
    if made:
        module._Call._look = lambda call, batch: os._exit(9)
    else:
        module._Call._make = lambda call, batch, file: os._exit(9)
    ask(SimpleNamespace(url=url), folder, cap=cap)


@pytest.mark.parametrize("content", ["{", '{"batch": "b", "file": "f"}'])
def test_a_note_of_a_batch_that_cannot_be_read_is_named_and_nothing_is_sent(
    server, tmp_path, content
):
    (tmp_path / "batches").mkdir()
    note = tmp_path / "batches/one.json"
    note.write_text(content)
    found, problem = ask(server, tmp_path)
    assert not found and not server.batches and note.exists()
    assert isinstance(problem, EndpointError) and str(note) in str(problem)


def test_batches_of_other_requests_are_left_alone(server, tmp_path):
    ask(server, tmp_path, wait=False)
    others = [replace(one, temperature=0.1) for one in REQUESTS]
    found, problem = ask(server, tmp_path, others)
    assert problem is None and found == echoes()
    assert len(server.batches) == 2
    # Asked as before again, the first one is collected.
    found, problem = ask(server, tmp_path / "elsewhere", others[:0])
    (tmp_path / "kept").mkdir()
    (tmp_path / "batches").rename(tmp_path / "kept/batches")
    found, problem = ask(server, tmp_path / "kept")
    assert problem is None and found == echoes()
    assert len(server.batches) == 2


def test_trouble_of_the_account_ends_the_run_and_keeps_what_was_answered(server, tmp_path):
    said = {"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}
    broke = [True]
    server.behave = lambda body, before: (429, said) if broke and body["seed"] % 2 else None
    _, problem = ask(server, tmp_path)
    assert "You exceeded your current quota" in str(problem)
    assert set(server.answered.values()) == {1}
    broke.clear()
    found, problem = ask(server, tmp_path)
    assert problem is None and found == echoes()
    assert sorted(server.answered.values()) == [1] * 20 + [2] * 20


def test_a_collection_that_is_interrupted_books_nothing_twice(server, tmp_path, monkeypatch):
    """Of 40 requests, three have no text at first, and two fail at first."""

    def behave(body, before):
        number = int(body["messages"][0]["content"].split()[1])
        if before == 0 and number in (1, 2, 3):
            return completion(None)
        return (500, {"error": {"message": "busy"}}) if before == 0 and number in (5, 6) else None

    server.behave = behave
    price = Price(
        usd_per_million_prompt_tokens=1.0, usd_per_million_completion_tokens=1.0, date="2026-11-29"
    )
    cap = Cap(ledger=str(tmp_path / "ledger"), model="m", stage="answers", price=price, batch=True)
    lines, files = module._Call._lines, []

    def interrupted(call, batch, file):
        files.append(file)
        if len(files) == 2:
            raise EndpointError("no permission")
        return lines(call, batch, file)

    monkeypatch.setattr(module._Call, "_lines", interrupted)
    _, problem = ask(server, tmp_path, cap=cap)
    assert "no permission" in str(problem)
    found, problem = ask(server, tmp_path, cap=cap)
    assert problem is None and len(found) == 40
    (spent,) = Books(tmp_path / "ledger").spent().values()
    assert (spent.used.requests, spent.queries, spent.doubts) == (43, 43, 0)
    assert spent.doubts_usd == pytest.approx(0)


def test_a_batch_that_the_provider_no_longer_knows_names_its_note(server, tmp_path):
    ask(server, tmp_path, wait=False)
    server.batches.clear()
    _, problem = ask(server, tmp_path)
    (note,) = (tmp_path / "batches").glob("*.json")
    assert f"delete {note}" in str(problem) and "40 requests" in str(problem)
    note.unlink()
    found, problem = ask(server, tmp_path)
    assert problem is None and found == echoes()


@pytest.mark.parametrize("status", [None, "200", 200, "fine"])
def test_status_and_errors_are_read_in_every_form(server, tmp_path, status):
    def run(content):
        keys = [json.loads(line)["custom_id"] for line in content.splitlines()]
        response = {"status_code": status, "body": completion("four")}
        error = {"code": None, "message": ""}
        lines = [{"custom_id": key, "response": response, "error": error} for key in keys]
        return "".join(json.dumps(line) + "\n" for line in lines)

    server.run = run
    found, problem = ask(server, tmp_path)
    assert problem is None and {one.text for one in found.values()} == {"four"}
    assert len(server.batches) == 1


def test_a_batch_that_no_job_waits_for_is_not_said_to_be_under_way(server, tmp_path):
    folder = tmp_path / "state/answers"
    ask(server, folder, wait=False)
    (note,) = folder.glob("batches/*.json")
    job = folder / "batches/job"
    job.mkdir()
    note = note.rename(job / note.name)
    orphan = folder / "batches/dead.requests"
    orphan.write_text("x")
    assert "Batch API: 1." in batches_under_way(tmp_path, note.stat().st_mtime)
    assert batches_under_way(tmp_path, note.stat().st_mtime + 1) == ""
    ask(server, folder)
    assert not orphan.exists()


def test_a_batch_that_is_not_taken_says_why(server, tmp_path):
    server.ends = ["failed"]
    server.behave = lambda body, before: "lost"
    _, problem = ask(server, tmp_path)
    assert "did not take the batch batch-0" in str(problem)


def test_if_all_are_taken_for_wrong_the_mistake_is_ours(server, tmp_path):
    server.behave = lambda body, before: (400, {"error": {"message": "no"}})
    _, problem = ask(server, tmp_path)
    assert "rejects every request as invalid: HTTP 400: no" in str(problem)
    assert len(server.batches) == 1


@pytest.mark.parametrize("count", [1, 9])
def test_few_that_are_refused_without_a_reason_are_told_from_a_mistake_of_ours(
    server, tmp_path, count
):
    def behave(body, before):
        refused = body["messages"][0]["content"].startswith("question")
        return (400, {"error": {"message": "no"}}) if refused else None

    server.behave = behave
    ledger = tmp_path / "ledger"
    price = Price(
        usd_per_million_prompt_tokens=1, usd_per_million_completion_tokens=1, date="2026-11-28"
    )
    cap = Cap(ledger=str(ledger), price=price, batch=True)
    found, problem = ask(server, tmp_path, REQUESTS[:count], cap=cap)
    assert problem is None
    assert found == {one.key: Completion(one.key, "", "rejected", 0, 0) for one in REQUESTS[:count]}
    # The probe is billed, and answers no item.
    assert len(server.batches) == 2
    (spent,) = Books(ledger).spent().values()
    assert (spent.queries, spent.used.requests) == (1, 1)
    # Where the model answers nothing, it is not the items.
    server.behave = lambda body, before: (400, {"error": {"message": "no"}})
    found, problem = ask(server, tmp_path, REQUESTS[:count])
    assert "rejects every request as invalid: HTTP 400: no" in str(problem)
    assert not found
    assert not list((tmp_path / "batches").iterdir())


def test_what_was_asked_of_a_model_that_refuses_is_read_by_the_next_start(server, tmp_path):
    def behave(body, before):
        if body["messages"][0]["content"].startswith("question"):
            return (400, {"error": {"message": "no"}})
        server.looks = 2  # The batch with what is harmless takes longer.
        return None

    server.behave, server.looks = behave, 0
    _, problem = ask(server, tmp_path, REQUESTS[:2], wait=False)
    assert isinstance(problem, UnderWayError)
    assert len(server.batches) == 2
    server.looks = 0
    found, problem = ask(server, tmp_path, REQUESTS[:2], wait=False)
    assert problem is None
    assert {one.finish_reason for one in found.values()} == {"rejected"}
    # The two were asked again, and what is harmless was not.
    assert len(server.batches) == 3


def test_unknown_ends_and_thinking_are_read_as_elsewhere(server, tmp_path):
    server.behave = lambda body, before: completion("<think>2</think>\nfour", "eos")
    found, problem = ask(server, tmp_path)
    assert problem is None
    assert {(one.text, one.thinking, one.finish_reason) for one in found.values()} == {
        ("four", "2", "stop")
    }
    server.behave = lambda body, before: completion("four", "odd")
    _, problem = ask(server, tmp_path / "other")
    assert "'odd'" in str(problem)


SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
import test_engine_batch as tests
from seedbed.engines import batch_engine as module
module.FIRST_PAUSE = module.LONGEST_PAUSE = 0.02
class Served: url = {url!r}
print(len(tests.ask(Served, Path({folder!r}))[0]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["KILL", "INT"])
def test_a_process_that_dies_at_any_moment_sends_nothing_twice(server, tmp_path, kind):
    """Each start lives a little longer than the one before, until one comes to the end."""
    server.looks = 5
    paths = [str(ROOT / "tests/unit"), str(ROOT / "tests"), str(ROOT / "scripts")]
    script = SCRIPT.format(paths=paths, url=server.url, folder=str(tmp_path))
    starts = 0
    while True:
        starts += 1
        # It dies in the middle of each call that it makes, one after the other.
        server.held = len(server.calls) + starts
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while len(server.calls) < server.held and process.poll() is None:
            time.sleep(0.001)
        if process.poll() is None:
            process.send_signal(getattr(signal, f"SIG{kind}"))
        said, problem = process.communicate(timeout=30)
        if process.returncode == 0 and kind == "KILL":
            break
        if said.strip() == "40":
            break
        assert starts < 40, problem
    assert said.strip() == "40"
    assert starts > 3
    assert set(server.answered.values()) == {1}
    assert len(server.answered) == 40
