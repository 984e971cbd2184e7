import asyncio
import json
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohttp import web

from endpoint import Endpoint, completion, error, running
from limits import FORMS, Window
from seedbed.engines import Completion, EngineJob, Request, load_engine
from seedbed.engines import openai_engine as module
from seedbed.engines.openai_engine import EndpointError
from seedbed.engines.suspects import REJECTIONS
from seedbed.streams.response_cache import ResponseCache

KEY = "sk-very-secret"
REQUESTS = [
    Request(
        key=f"k{n}",
        messages=(("user", f"question {n}"),),
        max_tokens=9,
        temperature=0.7,
        top_p=0.9,
        seed=2**30 + n,
    )
    for n in range(40)
]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT", 0.001)


@pytest.fixture
def endpoint():
    with running(Endpoint()) as served:
        yield served


def engine_of(endpoint, **settings):
    given = {"kind": "openai", "base_url": endpoint.url, "model": "some/model", **settings}
    return load_engine(None, EngineJob.of(**given))


def answers(endpoint, requests=REQUESTS, **settings):
    """Return the completions by key, and the error that ended the call."""
    found, problem = {}, None
    try:
        for answer in engine_of(endpoint, **settings).complete(requests):
            assert answer.key not in found
            found[answer.key] = answer
    except EndpointError as raised:
        problem = raised
    return found, problem


def echoes(requests=REQUESTS):
    return {
        request.key: Completion(
            request.key, f"{request.messages[0][1]} / {request.seed}", "stop", 5, 3
        )
        for request in requests
    }


def test_every_request_is_asked_once_with_all_that_determines_its_answer(endpoint):
    assert answers(endpoint) == (echoes(), None)
    assert set(endpoint.times().values()) == {1}
    assert endpoint.asked[0] == {
        "model": "some/model",
        "messages": [{"role": "user", "content": endpoint.asked[0]["messages"][0]["content"]}],
        "max_tokens": 9,
        "temperature": 0.7,
        "top_p": 0.9,
        "seed": endpoint.asked[0]["seed"],
    }
    assert "Authorization" not in endpoint.headers[0]


def test_conversations_and_system_prompts_are_sent_as_they_are(endpoint):
    request = replace(REQUESTS[0], messages=(("system", "Be short."), ("user", 'a "b"\n\u2028🌱')))
    answers(endpoint, [request])
    assert endpoint.asked[0]["messages"] == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": 'a "b"\n\u2028🌱'},
    ]


def test_the_newer_name_of_the_limit(endpoint):
    answers(endpoint, limit_field="max_completion_tokens")
    assert endpoint.asked[0]["max_completion_tokens"] == 9
    assert "max_tokens" not in endpoint.asked[0]


def test_no_requests_need_no_endpoint():
    assert (
        list(
            load_engine(None, EngineJob.of("openai", base_url="http://nowhere.invalid")).complete(
                []
            )
        )
        == []
    )


def test_no_more_are_under_way_than_allowed(endpoint):
    endpoint.latency = 0.02
    answers(endpoint, concurrency=7)
    assert endpoint.most == 7


def test_answers_are_handed_on_as_they_arrive(endpoint):
    arrived = []

    async def slow(body, before):
        if body["messages"][0]["content"] == "question 0":
            end = time.monotonic() + 30
            while len(arrived) < len(REQUESTS) - 1 and time.monotonic() < end:
                await asyncio.sleep(0.01)
            arrived.append("answered")

    endpoint.behave = slow
    for answer in engine_of(endpoint).complete(REQUESTS):
        arrived.append(answer.key)
    assert arrived[-2:] == ["answered", "k0"]
    assert len(arrived) == len(REQUESTS) + 1


def test_the_proxy_of_the_environment_is_used_but_for_hosts_that_it_leaves_out(
    endpoint, monkeypatch
):
    proxy = endpoint.url.removesuffix("/v1")
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    engine = load_engine(None, EngineJob.of("openai", base_url="http://elsewhere.invalid/v1"))
    assert {answer.key: answer for answer in engine.complete(REQUESTS)} == echoes()
    assert endpoint.headers[0]["Host"] == "elsewhere.invalid"
    assert answers(endpoint) == (echoes(), None)
    assert endpoint.headers[-1]["Host"] == proxy.removeprefix("http://")


# --- what fails for a while


async def reset(request):
    request.transport.abort()


FAULTS = {
    "too many": lambda: error(429, "slow down"),
    "too many, wait": lambda: error(429, "slow down", **{"Retry-After": "0.01"}),
    "too many, wait until": lambda: error(429, **{"Retry-After": formatdate(time.time())}),
    "too many, wait for nonsense": lambda: error(429, **{"Retry-After": "soon"}),
    "server error": lambda: error(500),
    "bad gateway, in HTML": lambda: web.Response(status=502, text="<h1>Bad gateway</h1>"),
    "unavailable": lambda: error(503), "overloaded": lambda: error(529),
    "timeout at the other end": lambda: error(408), "not JSON": lambda: b"{",
    "nothing": lambda: b"", "half a character": lambda: b'{"choices": "\xff"',
    "deep nesting": lambda: b"[" * 100_000, "no object": lambda: b"[]", "null": lambda: b"null",
    "no choices": lambda: {"choices": [], "usage": {}},
    "choices that are none": lambda: {"choices": 3},
    "choice without a message": lambda: {"choices": [{}]}, "no content": lambda: completion(None),
    "content that is no text": lambda: completion(["a"]),
    "an error with the status of success": lambda: {"error": {"message": "upstream"}},
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_now_and_then_is_asked_again(endpoint, fault):
    endpoint.behave = lambda body, before: (
        FAULTS[fault]() if before < 2 and body["seed"] % 3 == 0 else None
    )
    assert answers(endpoint) == (echoes(), None)
    assert sorted(set(endpoint.times().values())) == [1, 3]


def test_a_request_that_stalls_is_given_up_and_asked_again(endpoint):
    endpoint.behave = lambda body, before: (
        asyncio.sleep(60) if before == 0 and body["seed"] % 10 == 0 else None
    )
    assert answers(endpoint, timeout=0.3) == (echoes(), None)


def test_a_connection_that_breaks_is_made_again(endpoint):
    broken = []

    async def handle(request, usual=endpoint.handle):
        if len(broken) < 5:
            broken.append(request)
            request.transport.abort()
        return await usual(request)

    endpoint.handle = handle
    with running(endpoint):
        found, problem = answers(endpoint)
    assert (found, problem) == (echoes(), None)
    assert len(broken) == 5


def test_an_answer_without_end_is_not_read_to_its_end(endpoint, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_ANSWER", 100_000)
    endpoint.behave = lambda body, before: completion("x" * 10**6) if before == 0 else None
    assert answers(endpoint, REQUESTS[:2]) == (echoes(REQUESTS[:2]), None)


def test_mixed_faults_at_random_lose_nothing(endpoint):
    dice = random.Random(0)
    endpoint.behave = lambda body, before: (
        FAULTS[dice.choice(list(FAULTS))]() if dice.random() < 0.3 else None
    )
    requests = [replace(REQUESTS[0], key=str(n), seed=n) for n in range(500)]
    assert answers(endpoint, requests) == (echoes(requests), None)


def test_the_wait_that_the_endpoint_asks_for_holds_for_all(endpoint):
    moments = []

    def behave(body, before):
        moments.append(time.monotonic())
        if len(moments) == 1:
            return error(429, **{"Retry-After": "0.5"})
        return None

    endpoint.behave = behave
    assert answers(endpoint, concurrency=1) == (echoes(), None)
    assert moments[1] - moments[0] >= 0.5


def test_fewer_are_under_way_when_there_is_too_much_to_do(endpoint):
    endpoint.latency = 0.01
    room = 4
    refused = []

    def behave(body, before):
        if endpoint._active > room:
            refused.append(body)
            return error(429)
        return None

    endpoint.behave = behave
    requests = [replace(REQUESTS[0], key=str(n), seed=n) for n in range(400)]
    assert answers(endpoint, requests, concurrency=64) == (echoes(requests), None)
    # At a constant concurrency of 64 nearly all would be refused, over and over.
    assert len(refused) < 150


# --- what cannot succeed


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "invalid_api_key"), (403, None), (404, "model_not_found"), (429, "insufficient_quota")],
)
def test_a_refusal_ends_the_call_at_once(endpoint, status, code):
    endpoint.behave = lambda body, before: error(status, "because of this", code)
    found, problem = answers(endpoint, concurrency=4)
    assert found == {}
    assert f"refuses: HTTP {status}: because of this" in str(problem)
    assert len(endpoint.asked) <= 4


def test_a_redirection_is_not_followed(endpoint):
    endpoint.behave = lambda body, before: web.Response(
        status=307, headers={"Location": f"{endpoint.url}/elsewhere"}
    )
    found, problem = answers(endpoint, concurrency=1)
    assert found == {}
    assert "HTTP 307" in str(problem)
    assert len(endpoint.asked) == 1


def test_what_is_under_way_when_a_call_must_end_is_awaited_and_kept(endpoint):
    refused = []

    async def behave(body, before):
        if body["messages"][0]["content"] == "question 3":
            while len(endpoint.asked) < 8:
                await asyncio.sleep(0.01)
            refused.append(body)
            return error(401)
        while not refused:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)

    endpoint.behave = behave
    found, problem = answers(endpoint, concurrency=8)
    assert "HTTP 401" in str(problem)
    assert "start again, and only the rest is asked" in str(problem)
    assert found == {key: echoes()[key] for key in found}
    assert len(found) == len(endpoint.asked) - 1 == 7


def test_an_endpoint_that_is_not_there_is_down(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = Endpoint()
        nobody.url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    found, problem = answers(nobody)
    assert found == {}
    assert "is down: nothing was answered in 4 tries" in str(problem)
    assert nobody.url in str(problem)


def test_an_endpoint_that_goes_down_keeps_what_it_answered_and_goes_on_from_there(
    endpoint, tmp_path
):
    endpoint.behave = lambda body, before: error(500) if len(endpoint.asked) > 25 else None

    def ask():
        journal = ResponseCache(tmp_path, "m")
        return list(journal.complete(lambda: engine_of(endpoint), REQUESTS, lambda text: None))

    with pytest.raises(EndpointError, match="is down"):
        ask()
    endpoint.behave = lambda body, before: None
    endpoint.asked.clear()
    found = {answer.key: replace(answer, seconds=0.0) for answer in ask()}
    assert found == echoes()
    assert len(endpoint.asked) == 15


def test_a_request_that_never_succeeds_does_not_keep_the_others_from_it(endpoint):
    endpoint.latency = 0.002
    endpoint.behave = lambda body, before: (
        error(500, "cannot do this one") if body["messages"][0]["content"] == "question 3" else None
    )
    found, problem = answers(endpoint, concurrency=2)
    assert problem is None
    assert found.pop("k3") == Completion("k3", "", "failed", 0, 0)
    assert found == {key: answer for key, answer in echoes().items() if key != "k3"}


@pytest.mark.parametrize("place", ["last", "alone"])
def test_a_request_that_never_succeeds_is_told_from_an_endpoint_that_is_down(
    endpoint, tmp_path, capsys, place
):
    down = []
    endpoint.behave = lambda body, before: (
        error(500, "cannot do this one")
        if down or body["messages"][0]["content"] == "question 39"
        else None
    )
    asked = REQUESTS if place == "last" else REQUESTS[39:]

    def ask():
        cache = ResponseCache(tmp_path, "m")
        return list(cache.complete(lambda: engine_of(endpoint, concurrency=4), asked, print))

    assert [one.finish_reason for one in ask() if one.key == "k39"] == ["failed"]
    assert "cannot do this one" in capsys.readouterr().err
    down.append(True)
    with pytest.raises(EndpointError, match="is down"):
        ask()
    # It was not kept: the next run asks again, and for nothing else.
    endpoint.behave, before = (lambda body, before: None), len(endpoint.asked)
    assert {one.key: one.finish_reason for one in ask()}["k39"] == "stop"
    assert len(endpoint.asked) == before + 1


def test_where_many_requests_fail_it_is_the_endpoint(endpoint):
    endpoint.latency = 0.002
    some = {f"question {n}" for n in range(0, 40, 7)}
    endpoint.behave = lambda body, before: (
        error(500) if body["messages"][0]["content"] in some else None
    )
    found, problem = answers(endpoint, concurrency=8)
    assert "left 6 of 40 requests without an answer after 16 tries each" in str(problem)
    assert len(found) == 34


def test_what_failed_for_a_while_is_asked_again_after_all_others(endpoint):
    endpoint.latency = 0.002
    some = {f"question {n}" for n in range(8)}
    endpoint.behave = lambda body, before: (
        error(500) if body["messages"][0]["content"] in some and before < 10 else None
    )
    found, problem = answers(endpoint, concurrency=20)
    assert problem is None
    assert found == echoes()


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_request_is_tried_as_often_as_is_wanted(endpoint, capsys, attempts):
    endpoint.behave = lambda body, before: (
        error(500) if body["messages"][0]["content"] == "question 5" else None
    )
    found, problem = answers(endpoint, attempts=attempts)
    assert problem is None
    assert found["k5"].finish_reason == "failed"
    assert endpoint.times()["question 5"] == 2 * attempts
    assert f"failed in {2 * attempts} tries" in capsys.readouterr().err


def test_all_tries_together_are_bounded(endpoint):
    endpoint.behave = lambda body, before: error(500) if before < 6 else None
    found, problem = answers(endpoint, concurrency=4)
    assert "fails too often: 41 times; last, HTTP 500" in str(problem)
    assert found == {key: echoes()[key] for key in found}
    assert len(endpoint.asked) <= 73 + len(found) + 4


# --- what is refused for its content, or as wrong


@pytest.mark.parametrize(
    "said",
    [
        completion(None, "content_filter"),
        completion("", "content_filter"),
        completion(None, "stop", refusal="I cannot help with that."),
    ],
)
def test_a_refusal_to_answer_is_an_answer(endpoint, said):
    endpoint.behave = lambda body, before: said if body["seed"] == REQUESTS[3].seed else None
    found, problem = answers(endpoint)
    assert problem is None
    assert found.pop("k3") == Completion("k3", "", "content_filter", 5, 3)
    assert found == {key: answer for key, answer in echoes().items() if key != "k3"}
    assert len(endpoint.asked) == 40


def test_a_filter_that_answers_with_an_error_is_one_too(endpoint):
    endpoint.behave = lambda body, before: (
        error(400, "filtered", "content_filter") if body["seed"] == REQUESTS[3].seed else None
    )
    found, problem = answers(endpoint)
    assert problem is None
    assert found["k3"] == Completion("k3", "", "content_filter", 0, 0)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_taken_for_wrong_is_asked_once_and_stays_empty(endpoint, status):
    endpoint.behave = lambda body, before: (
        error(status, "too long") if body["seed"] % 4 == 0 else None
    )
    found, problem = answers(endpoint)
    assert problem is None
    assert sum(answer.finish_reason == "rejected" for answer in found.values()) == 10
    assert found["k0"] == Completion("k0", "", "rejected", 0, 0)
    assert len(endpoint.asked) == 40


@pytest.mark.parametrize("count", [1, 9, 40])
def test_if_all_are_taken_for_wrong_the_mistake_is_ours(endpoint, count):
    endpoint.behave = lambda body, before: error(400, "unknown field top_p")
    found, problem = answers(endpoint, REQUESTS[:count], concurrency=2)
    assert found == {}
    assert "rejects every request as invalid: HTTP 400: unknown field top_p" in str(problem)
    assert len(endpoint.asked) <= REJECTIONS + 1


def test_an_answer_that_was_cut_says_so(endpoint):
    endpoint.behave = lambda body, before: completion("half of", "length")
    assert answers(endpoint)[0]["k0"] == Completion("k0", "half of", "length", 5, 3)


def test_any_text_comes_through_and_halves_of_characters_do_not(endpoint):
    texts = ["", " a\n", "naïve 🌱\u2028.", "\ud83c half", '"\\', "\x00"]
    endpoint.behave = lambda body, before: json.dumps(
        completion(texts[body["seed"] - 2**30])
    ).encode()
    found, _ = answers(endpoint, REQUESTS[: len(texts)])
    assert [found[f"k{n}"].text for n in range(len(texts))] == [
        "", "a", "naïve 🌱\u2028.", "? half", '"\\', "\x00",
    ]  # fmt: skip


# --- keys


def test_the_key_is_sent_and_never_shown(endpoint, monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    endpoint.behave = lambda body, before: error(401, f"Incorrect API key provided: {KEY}")
    _, problem = answers(endpoint, key_variable="SOME_KEY")
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in str(problem)
    assert "Incorrect API key provided: (key)" in str(problem)


@pytest.mark.parametrize("value", [None, "", " "])
def test_a_missing_key_is_named(endpoint, monkeypatch, value):
    if value is None:
        monkeypatch.delenv("SOME_KEY", raising=False)
    else:
        monkeypatch.setenv("SOME_KEY", value)
    with pytest.raises(EndpointError, match="environment variable SOME_KEY is not set"):
        engine_of(endpoint, key_variable="SOME_KEY")


# --- a reader that goes


def test_a_reader_that_stops_leaves_nothing_running(endpoint):
    endpoint.latency = 0.05
    found = engine_of(endpoint, concurrency=4).complete(REQUESTS)
    next(found)
    found.close()
    asked = len(endpoint.asked)
    assert asked < 20
    time.sleep(0.2)
    assert len(endpoint.asked) == asked


# --- ends by other names, and answers without a text


def test_answers_without_a_text_that_were_cut_off_are_asked_for_once(endpoint):
    thought = completion(None, "length", reasoning_content="Let me see")
    endpoint.behave = lambda body, before: thought if body["seed"] % 8 == 0 else None
    found, problem = answers(endpoint)
    assert problem is None
    assert len(endpoint.asked) == len(found) == 40
    cut = [answer for answer in found.values() if answer.finish_reason == "length"]
    assert len(cut) == 5
    assert {(answer.text, answer.thinking) for answer in cut} == {("", "Let me see")}


def test_an_answer_that_is_empty_each_time_is_kept_as_such(endpoint):
    endpoint.behave = lambda body, before: (
        completion(None) if body["messages"][0]["content"] == "question 3" else None
    )
    found, problem = answers(endpoint)
    assert problem is None
    assert found["k3"] == Completion("k3", "", "stop", 5, 3)
    assert len(endpoint.asked) == 39 + module.ATTEMPTS_WITHOUT_TEXT


def test_an_end_that_nobody_knows_ends_the_run_after_a_handful(endpoint):
    endpoint.behave = lambda body, before: completion("3", "weary")
    found, problem = answers(endpoint, concurrency=2)
    assert "'weary'" in str(problem)
    assert "engine.ends" in str(problem)
    assert module.UNKNOWN_ENDS <= len(endpoint.asked) <= module.UNKNOWN_ENDS + 1
    assert {answer.finish_reason for answer in found.values()} == {"weary"}
    found, problem = answers(endpoint, ends={"weary": "stop"})
    assert problem is None
    assert {answer.finish_reason for answer in found.values()} == {"stop"}


# --- refused for the item, or for the account


def ask(endpoint, folder, requests=REQUESTS, **settings):
    """Return the completions of a call with a journal, and the error that ended it."""
    journal = ResponseCache(folder, "m")
    found = {}
    try:
        for answer in journal.complete(
            lambda: engine_of(endpoint, **settings), requests, lambda text: None
        ):
            found[answer.key] = answer
    except EndpointError as raised:
        return found, raised
    return found, None


ACCOUNT = {
    "credit": (400, "Your credit balance is too low to access the API."),
    "hard limit": (400, "Billing hard limit has been reached"),
    "budget": (422, "Budget has been exceeded! Current cost: 2, Max budget: 1"),
    "expired": (400, "API key expired. Please renew the API key."),
    "forbidden": (403, "Key limit exceeded (total limit)"),
    "quota": (429, "You exceeded your current quota, please check your plan and billing"),
    "payment": (402, "no"),
    "without a reason": (400, "no"),
    "forbidden without a reason": (403, "no"),
}


@pytest.mark.parametrize("trouble", ACCOUNT)
@pytest.mark.parametrize("concurrency", [1, 8, 64])
def test_an_account_in_trouble_ends_the_run_and_keeps_nothing_back_from_the_next(
    endpoint, tmp_path, trouble, concurrency
):
    requests = [replace(REQUESTS[0], key=str(n), seed=n) for n in range(64)]
    endpoint.behave = lambda body, before: (
        error(*ACCOUNT[trouble]) if len(endpoint.asked) > 30 else None
    )
    found, problem = ask(endpoint, tmp_path, requests, concurrency=concurrency)
    assert ACCOUNT[trouble][1] in str(problem)
    assert len(found) == 30
    assert {answer.finish_reason for answer in found.values()} == {"stop"}
    assert len(endpoint.asked) <= 30 + concurrency + REJECTIONS + 1
    endpoint.behave = lambda body, before: None
    endpoint.asked.clear()
    found, problem = ask(endpoint, tmp_path, requests, concurrency=concurrency)
    assert problem is None
    assert len(endpoint.asked) == 34
    assert {answer.finish_reason for answer in found.values()} == {"stop"}


@pytest.mark.parametrize("concurrency", [1, 4, 64])
@pytest.mark.parametrize("place", [0, 17, 39])
@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (403, "Forbidden", "rejected"),
        (403, "Your input was flagged for violence", "content_filter"),
        (400, "no", "rejected"),
        (400, "prompt is too long: 9 tokens > 8 maximum", "rejected"),
    ],
)
def test_an_item_that_is_refused_does_not_disturb_the_others(
    endpoint, concurrency, place, status, message, reason
):
    endpoint.behave = lambda body, before: (
        error(status, message) if body["messages"][0]["content"] == f"question {place}" else None
    )
    found, problem = answers(endpoint, concurrency=concurrency)
    assert problem is None
    assert found.pop(f"k{place}") == Completion(f"k{place}", "", reason, 0, 0)
    assert found == {key: answer for key, answer in echoes().items() if key != f"k{place}"}
    assert len(endpoint.asked) == 40


def test_items_refused_at_once_while_answers_are_slow_are_items(endpoint):
    async def behave(body, before):
        if body["seed"] % 3 == 0:
            return error(400, "no")
        await asyncio.sleep(0.2)

    endpoint.behave = behave
    found, problem = answers(endpoint, concurrency=32)
    assert problem is None
    assert {answer.finish_reason for answer in found.values()} == {"stop", "rejected"}
    assert len(endpoint.asked) == len(found) == 40


def test_words_of_an_account_about_a_single_item_are_about_the_item(endpoint):
    endpoint.behave = lambda body, before: (
        error(403, "billing questions are unwanted")
        if body["messages"][0]["content"] == "question 3"
        else None
    )
    found, problem = answers(endpoint, concurrency=4)
    assert problem is None
    assert found["k3"].finish_reason == "rejected"
    assert len(found) == 40
    assert len(endpoint.asked) <= 42


def test_the_last_item_of_a_shard_is_not_taken_for_the_account(endpoint, tmp_path):
    ask(endpoint, tmp_path, REQUESTS[:39])
    endpoint.behave = lambda body, before: (
        error(403, "no") if body["messages"][0]["content"] == "question 39" else None
    )
    endpoint.asked.clear()
    found, problem = ask(endpoint, tmp_path)
    assert problem is None
    assert found["k39"].finish_reason == "rejected"
    assert len(endpoint.asked) == 2
    # Of the account, it is not.
    endpoint.behave = lambda body, before: error(403, "no")
    found, problem = ask(endpoint, tmp_path)
    assert "refuses: HTTP 403: no" in str(problem)
    assert "k39" not in found


@pytest.mark.parametrize("status", [404, 424, 498])
@pytest.mark.parametrize("place", [0, 17])
def test_a_single_failure_that_looks_final_is_tried_again(endpoint, status, place):
    endpoint.behave = lambda body, before: (
        error(status)
        if before == 0 and body["messages"][0]["content"] == f"question {place}"
        else None
    )
    assert answers(endpoint, concurrency=4) == (echoes(), None)
    assert len(endpoint.asked) == 41


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("asked", [REQUESTS, REQUESTS[:1], REQUESTS[:2]])
def test_an_item_that_is_always_answered_404_is_refused_after_a_few_tries(
    endpoint, concurrency, asked
):
    endpoint.behave = lambda body, before: (
        error(404, "Not Found") if body["messages"][0]["content"] == "question 0" else None
    )
    found, problem = answers(endpoint, asked, concurrency=concurrency)
    assert problem is None
    assert found.pop("k0") == Completion("k0", "", "rejected", 0, 0)
    assert found == {key: answer for key, answer in echoes(asked).items() if key != "k0"}
    tries = sum(body["messages"][0]["content"] == "question 0" for body in endpoint.asked)
    assert tries <= module.ATTEMPTS_MISSING + 1


# --- what a request holds


def sent(endpoint, request=REQUESTS[0], **settings):
    """Return the body and the headers of a request, and the parameters of its address."""
    endpoint.asked.clear()
    answers(endpoint, [request], **settings)
    return endpoint.asked[0]


@pytest.mark.parametrize("field", ["limit", "temperature", "top_p", "seed", "stop"])
def test_each_field_can_be_left_out_and_renamed(endpoint, field):
    endpoint.behave = lambda body, before: completion("3")
    request = replace(REQUESTS[0], stop=("##",))
    usual = sent(endpoint, request)
    name = {"limit": "max_tokens"}.get(field, field)
    value = usual.pop(name)
    assert sent(endpoint, request, **{f"{field}_field": None}) == usual
    assert sent(endpoint, request, **{f"{field}_field": "other"}) == usual | {"other": value}


def test_defaults_are_not_sent_unless_they_are_wanted(endpoint):
    endpoint.behave = lambda body, before: completion("3")
    request = replace(REQUESTS[0], temperature=1.0, top_p=1.0, seed=2**62 + 5)
    body = sent(endpoint, request)
    assert body.keys() == {"model", "messages", "max_tokens", "seed"}
    assert body["seed"] == 5
    body = sent(endpoint, request, send_defaults=True)
    assert (body["temperature"], body["top_p"]) == (1.0, 1.0)
    assert 0 <= sent(endpoint, replace(request, seed=2**63 - 1))["seed"] < 2**31
    # The likeliest token is not the default.
    assert sent(endpoint, replace(request, temperature=0.0))["temperature"] == 0.0


def test_further_fields_headers_and_parameters_are_sent(endpoint, monkeypatch):
    monkeypatch.setenv("GATEWAY_KEY", KEY)
    endpoint.behave = lambda body, before: error(401, f"wrong: {KEY}")
    _found, problem = answers(
        endpoint,
        body={"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": False}},
        headers={"api-key": "${GATEWAY_KEY}", "X-Project": "seeds"},
        query={"api-version": "2024-10-21"},
        concurrency=1,
    )
    assert endpoint.asked[0]["reasoning_effort"] == "low"
    assert endpoint.asked[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert endpoint.headers[0]["api-key"] == KEY
    assert endpoint.headers[0]["X-Project"] == "seeds"
    assert endpoint.paths[0] == "/v1/chat/completions?api-version=2024-10-21"
    assert KEY not in str(problem)
    monkeypatch.delenv("GATEWAY_KEY")
    with pytest.raises(EndpointError, match="GATEWAY_KEY is not set"):
        engine_of(endpoint, headers={"api-key": "${GATEWAY_KEY}"})


def test_an_allowance_for_thinking_is_added_to_every_limit(endpoint):
    endpoint.behave = lambda body, before: completion("3")
    for request in (REQUESTS[0], Request("check", (("user", "Well?"),), max_tokens=4)):
        assert sent(endpoint, request, thinking_tokens=100)["max_tokens"] == (
            request.max_tokens + 100
        )


def test_what_is_sent_and_left_out_is_part_of_an_answers_identity():
    def identity(kind="openai", **settings):
        given = {"base_url": "http://h/v1"} if kind == "openai" else {}
        return EngineJob.of(kind, **given | settings).identity("m")

    assert identity() == "m"
    # Where it is asked, and as whom, is not.
    assert (
        identity(base_url="http://u", key_variable="K", headers={"a": "b"}, query={"c": "d"}) == "m"
    )
    assert identity(concurrency=3, stream=True, limit_field="max_completion_tokens") == "m"
    others = [
        identity(temperature_field=None), identity(top_p_field=None), identity(seed_field=None),
        identity(limit_field=None), identity(send_defaults=True),
        identity(body={"reasoning_effort": "low"}), identity(body={"reasoning_effort": "high"}),
        identity(thinking_tokens=9), identity("vllm", options={"quantization": "fp8"}),
    ]  # fmt: skip
    assert len({"m", *others}) == 1 + len(others)
    assert identity("vllm", options={"max_num_seqs": 9}) == "m"


def test_a_model_that_refuses_a_field_names_the_key_that_leaves_it_out(endpoint):
    said = (
        "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default "
        "(1) value is supported."
    )
    endpoint.behave = lambda body, before: (
        error(400, said, "unsupported_value") if "temperature" in body else completion("3")
    )
    found, problem = answers(endpoint, concurrency=4, place="config/models/hosted.yaml")
    assert found == {}
    assert len(endpoint.asked) <= 4
    assert "config/models/hosted.yaml" in str(problem)
    assert "engine.temperature_field: null" in str(problem)
    assert "start again" not in str(problem)
    found, problem = answers(endpoint, temperature_field=None)
    assert (len(found), problem) == (40, None)


def test_a_404_shows_the_address_that_was_asked(endpoint):
    _found, problem = answers(endpoint, base_url=f"{endpoint.url}/api", concurrency=4)
    assert f"{endpoint.url}/api/chat/completions" in str(problem)
    assert "without /chat/completions" in str(problem)


def test_an_address_of_web_pages_shows_itself(endpoint):
    endpoint.behave = lambda body, before: b"<!DOCTYPE html><p>Welcome</p>"
    _found, problem = answers(endpoint, concurrency=4)
    assert f"was sent to {endpoint.url}/chat/completions" in str(problem)
    assert "with a web page" in str(problem)
    assert len(endpoint.asked) <= 4


def test_an_address_that_begins_with_https_where_http_is_spoken_says_so(endpoint):
    address = endpoint.url.replace("http:", "https:")
    _found, problem = answers(endpoint, base_url=address, concurrency=1)
    assert "engine.base_url must begin with http://" in str(problem)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("temperature: ensure this value is less than 1", "engine.temperature_field: null"),
        ("max_tokens or model output limit was reached", "Raise engine.thinking_tokens"),
        ("Argument not supported on this model: stop", "engine.stop_field: null"),
    ],
)
def test_what_to_change_is_said_where_all_are_refused(endpoint, said, advice):
    endpoint.behave = lambda body, before: error(400, said)
    _found, problem = answers(endpoint, concurrency=4)
    assert said in str(problem)
    assert advice in str(problem)


@pytest.mark.parametrize(
    "firewall",
    [
        lambda: web.Response(status=403, body=b"<p>You have been blocked by the security service"),
        lambda: error(404, "No endpoints found matching your data policy."),
    ],
)
def test_a_place_that_is_closed_half_way_keeps_nothing_from_the_next_run(
    endpoint, tmp_path, firewall
):
    endpoint.behave = lambda body, before: firewall() if len(endpoint.asked) > 20 else None
    found, problem = ask(endpoint, tmp_path, concurrency=4)
    assert problem is not None
    assert {answer.finish_reason for answer in found.values()} == {"stop"}
    endpoint.behave = lambda body, before: None
    found, problem = ask(endpoint, tmp_path)
    assert problem is None
    assert {answer.finish_reason for answer in found.values()} == {"stop"}


def test_a_gateway_that_fails_with_the_status_of_a_wrong_request_is_asked_again(endpoint):
    endpoint.behave = lambda body, before: (
        error(400, "Upstream request failed") if before == 0 and body["seed"] % 5 == 0 else None
    )
    assert answers(endpoint) == (echoes(), None)


def test_a_host_that_nobody_knows_says_so_within_seconds(monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT", 0.5)
    start = time.monotonic()
    engine = load_engine(None, EngineJob.of("openai", base_url="http://nowhere.invalid/v1"))
    with pytest.raises(EndpointError, match=r"nowhere\.invalid.* cannot be found"):
        list(engine.complete(REQUESTS))
    assert time.monotonic() - start < 10


def test_a_stream_is_read_as_an_answer(endpoint):
    async def behave(body, before):
        assert body["stream"] and body["stream_options"] == {"include_usage": True}
        parts = [
            {"choices": [{"delta": {"content": "It is"}}]},
            {"choices": [{"delta": {"content": " 3."}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}},
        ]
        lines = [f"data: {json.dumps(part)}\n\n" for part in parts]
        broken = before == 0 and body["seed"] % 5 == 0
        text = "".join(lines[:1] if broken else [*lines, "data: [DONE]\n\n"])
        return web.Response(text=text, content_type="text/event-stream")

    endpoint.behave = behave
    found, problem = answers(endpoint, stream=True)
    assert problem is None
    assert {answer.text for answer in found.values()} == {"It is 3."}
    assert len(endpoint.asked) == 48


# --- limits of requests a time


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_limit_is_waited_for_however_it_is_told(endpoint, form):
    # Windows so long that a busy machine adds little.
    limit = Window(10, 2.0, form)
    endpoint.behave = limit
    start = time.monotonic()
    assert answers(endpoint, REQUESTS[:25]) == (echoes(REQUESTS[:25]), None)
    # `benchmarks/rate_limits.py` measures it.
    assert limit.best(25) <= time.monotonic() - start < 2 * limit.best(25)


def test_a_limit_uses_up_no_tries_and_makes_no_endpoint_down(endpoint, monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)
    endpoint.behave = Window(1, 0.5, "nothing")
    assert answers(endpoint, REQUESTS[:6], concurrency=6) == (echoes(REQUESTS[:6]), None)
    # More than twice the tries of a request, and nothing was answered between them.
    assert endpoint.behave.refused > 2 * 8


def test_a_limit_that_is_waited_for_is_told(endpoint, monkeypatch, capsys):
    monkeypatch.setattr(module, "SAY_AFTER", 0.2)
    endpoint.behave = Window(3, 0.5, "seconds")
    assert answers(endpoint, REQUESTS[:6]) == (echoes(REQUESTS[:6]), None)
    assert capsys.readouterr().err.count("limits requests: waiting") == 1


@pytest.mark.parametrize("headers", [{"Retry-After": "0"}, {"x-ratelimit-reset-tokens": "1ms"}])
def test_a_wait_of_nothing_that_does_not_hold_is_not_believed(endpoint, monkeypatch, headers):
    monkeypatch.setattr(module, "FIRST_WAIT", 0.1)
    since = time.monotonic()
    endpoint.behave = lambda body, before: (
        error(429, **headers) if time.monotonic() - since < 0.5 else None
    )
    assert answers(endpoint, concurrency=4) == (echoes(), None)
    # Each of those under way goes on believing it for a moment, and then one alone tries.
    assert len(endpoint.asked) <= 40 + 4 * (1 + module.WAITS_BELIEVED) + 10


def test_a_limit_that_never_opens_ends_the_run_though_short_waits_are_told(endpoint, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.4)
    endpoint.behave = lambda body, before: (
        error(429, "tokens per day", **{"Retry-After": "0.15"}) if body["seed"] % 2 else None
    )
    found, problem = answers(endpoint, concurrency=4)
    assert "has refused all requests because of a rate limit" in str(problem)
    assert "tokens per day" in str(problem)
    assert {answer.finish_reason for answer in found.values()} == {"stop"}


def test_a_limit_of_days_ends_the_run_and_says_so(endpoint):
    endpoint.behave = lambda body, before: error(
        429, "a day's requests", **{"Retry-After": "50000"}
    )
    found, problem = answers(endpoint)
    assert found == {}
    assert "asks to wait 13.9 hours" in str(problem)
    assert "start again" in str(problem)


# --- Ctrl-C


INTERRUPTED = """
import sys, threading, time
sys.path.insert(0, {scripts!r})
from dataclasses import dataclass
from seedbed.command_line import run
from seedbed.engines import EngineJob, Request, load_engine

@dataclass
class Options:
    pass

def main(options):
    engine = load_engine(None, EngineJob.of("openai", base_url={url!r}, model="m", concurrency=4))
    requests = (Request(str(n), (("user", f"q {{n}}"),), max_tokens=9) for n in range(100))
    print("ready", flush=True)
    for answer in engine.complete(requests):
        print(answer.key, flush=True)

run(Options, main, "")
"""


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_stops_asking_and_keeps_what_is_under_way(endpoint, times):
    opened = []

    async def behave(body, before):
        while not opened:
            await asyncio.sleep(0.01)

    endpoint.behave = behave
    scripts = str(Path(__file__).parents[2] / "scripts")
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED.format(scripts=scripts, url=endpoint.url)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(endpoint.asked) < 4:
        time.sleep(0.01)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(1)
    # The second one does not wait for answers: there are none.
    opened += ["now"] if times == 1 else []
    said, problem = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in problem
    assert len(endpoint.asked) == 4
    if times == 1:
        assert set(said.split()) == {"ready", "0", "1", "2", "3"}
        assert "start again, and only the rest is asked" in problem
    else:
        assert said.split() == ["ready"]
