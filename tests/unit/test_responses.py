"""What the body of a response means: each row is one that some provider or server sends."""

import json

import pytest

from seedbed.engines import Completion, Request
from seedbed.engines.responses import AgainError, read_completion, read_stream
from seedbed.thinking import split_thinking

REQUEST = Request("k", (("system", "Be short."), ("user", "What is 1 + 2?")), max_tokens=9)
USAGE = {"prompt_tokens": 20, "completion_tokens": 10}


def body(content="3", finish_reason="stop", usage=USAGE, **message):
    given = {"choices": [{"message": {"content": content, **message}}]}
    if finish_reason != "absent":
        given["choices"][0]["finish_reason"] = finish_reason
    return given if usage is None else given | {"usage": usage}


def read(payload, **settings):
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return read_completion(REQUEST, content, **settings)


@pytest.mark.parametrize(
    "name",
    [
        "stop", "STOP", "eos", "eos_token", "end", "end_turn", "stop_sequence", "", None, "absent",
        "FinishReason.STOP", "endTurn", "stop-sequence", "COMPLETE",
    ],
)  # fmt: skip
def test_an_answer_that_ended_by_itself(name):
    assert read(body(finish_reason=name)) == Completion("k", "3", "stop", 20, 10)


@pytest.mark.parametrize("name", ["length", "max_tokens", "maxTokens", "model_length"])
@pytest.mark.parametrize("content", [None, "", "1 + 2 is"])
def test_an_answer_that_was_cut_off(name, content):
    assert read(body(content, name)) == Completion("k", content or "", "length", 20, 10)
    absent = body(content, name)
    if content is None:
        del absent["choices"][0]["message"]["content"]
        assert read(absent) == Completion("k", "", "length", 20, 10)


@pytest.mark.parametrize(
    "payload",
    [
        body(None, "content_filter"), body("", "content_filter"),
        body(None, "content_filter: PROHIBITED_CONTENT"), body(None, "SAFETY"), body("", "refusal"),
        body(None, "stop", refusal="I cannot help with that."),
        body([{"type": "refusal", "refusal": "I cannot help with that."}]),
        body(None, "IMAGE_PROHIBITED_CONTENT"),
        {"choices": [{"index": 0, "finish_reason": "content_filter: SAFETY"}], "usage": USAGE},
    ],
)  # fmt: skip
def test_an_answer_that_a_filter_took(payload):
    assert read(payload) == Completion("k", "", "content_filter", 20, 10)


@pytest.mark.parametrize(
    "name",
    ["error", "abort", "overloaded", "insufficient_system_resource", "ERROR", "cancelled"],
)
@pytest.mark.parametrize("content", [None, "1 +"])
def test_an_answer_that_the_provider_failed_to_finish_is_none(name, content):
    with pytest.raises(AgainError) as again:
        read(body(content, name))
    assert again.value.kept is None


def test_an_end_that_nobody_knows_keeps_its_name():
    assert read(body(finish_reason="Weary")).finish_reason == "Weary"
    assert read(body(finish_reason="Weary"), ends={"Weary": "stop"}).finish_reason == "stop"
    assert len(read(body(finish_reason="w" * 1000)).finish_reason) <= 40
    assert read(body(finish_reason="<|?|>")).finish_reason == "<|?|>"


@pytest.mark.parametrize(
    ("usage", "counts", "estimated"),
    [
        ({"prompt_tokens": 20.0, "completion_tokens": 10.0}, (20, 10), False),
        ({"input_tokens": 20, "output_tokens": 10}, (20, 10), False),
        (None, (6, 1), True),
        ({}, (6, 1), True),
        ({"prompt_tokens": "20", "completion_tokens": "10"}, (20, 10), False),
        ({"prompt_tokens": "a few", "completion_tokens": True}, (6, 1), True),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, (6, 1), True),
        # Anthropic: what its cache holds is not part of the input.
        ({"input_tokens": 8, "output_tokens": 10, "cache_read_input_tokens": 10,
         "cache_creation_input_tokens": 2}, (20, 10), False),
        ({"prompt_tokens": -5, "completion_tokens": 3}, (6, 3), True),
        ({"prompt_tokens": 20}, (20, 1), True),
        ({"prompt_tokens": 20, "completion_tokens": 1.5}, (20, 1), True),
        ({"prompt_tokens": 20, "total_tokens": 30}, (20, 10), True),
        ({"prompt_tokens": 1e400, "completion_tokens": 3}, (6, 3), True),
    ],
)  # fmt: skip
def test_counts_are_taken_or_estimated(usage, counts, estimated):
    found = read(body(usage=usage))
    assert (found.prompt_tokens, found.completion_tokens) == counts
    assert found.estimated is estimated
    assert found.text == "3"


@pytest.mark.parametrize(
    ("usage", "billed", "thinking"),
    [
        # OpenAI: thinking is part of what is counted
        (USAGE | {"completion_tokens_details": {"reasoning_tokens": 7}}, 10, 7),
        # Gemini, xAI: it is not, and the total has it
        (USAGE | {"total_tokens": 120}, 100, 90),
        (USAGE | {"total_tokens": 120, "completion_tokens_details": {"reasoning_tokens": 90}}, 100,
         90),
        (USAGE | {"completion_tokens_details": {"reasoning_tokens": 90}}, 100, 90),
        (USAGE | {"total_tokens": 30, "completion_tokens_details": {"reasoning_tokens": 12}}, 10,
         10),
        (USAGE | {"total_tokens": 30}, 10, 0),
        # A total that is too small is wrong, and takes nothing away.
        (USAGE | {"total_tokens": 5}, 10, 0), (USAGE | {"completion_tokens_details": None}, 10, 0),
    ],
)  # fmt: skip
def test_billed_tokens_are_those_of_the_total(usage, billed, thinking):
    found = read(body(usage=usage))
    assert (found.completion_tokens, found.thinking_tokens) == (billed, thinking)


@pytest.mark.parametrize(
    "message",
    [
        {"reasoning_content": "1 and 2"}, {"reasoning": "1 and 2"},
        {"reasoning": {"content": "1 and 2"}},
        {"reasoning_details": [{"type": "reasoning.text", "text": "1 and 2"}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "1 and 2"}]},
        {"content": "<think>1 and 2</think>\n\n3"}, {"content": "1 and 2</think>3"},
        {"content": "<THINK> 1 and 2 </THINK> 3"}, {"content": "[THINK]1 and 2[/THINK]3"},
        {"content": [{"type": "thinking", "thinking": "1 and 2"}, {"type": "text", "text": "3"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "1 and 2"}]},
         {"type": "text", "text": "3"}]},
    ],
)  # fmt: skip
def test_thinking_is_told_apart(message):
    found = read(body(**{"content": "3", **message}))
    assert (found.text, found.thinking, found.finish_reason) == ("3", "1 and 2", "stop")
    assert 0 < found.thinking_tokens < 10


def test_one_that_was_cut_off_while_it_thought_has_no_text():
    for message in ({"content": None, "reasoning_content": "1 and"}, {"content": "<think>1 and"}):
        found = read(body(finish_reason="length", **message))
        assert (found.text, found.thinking, found.finish_reason) == ("", "1 and", "length")
        assert found.thinking_tokens == 10
    # It ended, and said nothing after its thinking: paid for, and not asked again.
    found = read(body(None, "stop", reasoning_content="1 and 2"))
    assert (found.text, found.finish_reason) == ("", "stop")


def test_a_list_of_parts_is_its_text():
    parts = [{"type": "text", "text": "It is"}, {"type": "text", "text": " 3."}]
    assert read(body(parts)).text == "It is 3."
    assert read(body([], "length")).text == ""


def test_an_answer_without_text_or_thinking_is_asked_again_and_kept_in_the_end():
    with pytest.raises(AgainError) as again:
        read(body(None))
    assert again.value.kept == Completion("k", "", "stop", 20, 10)
    with pytest.raises(AgainError) as again:
        read(body(None, None))
    assert again.value.kept is None


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"null", b"[]", b"[" * 100_000, {"choices": []}, {"choices": 3},
        {"choices": [{}]}, {"choices": [None]}, body(["a"]), body({"text": "a"}), body("a", 3),
        {"choices": [{"message": {"content": "3"}, "finish_reason": "stop", "error": {"code": 1}}]},
        {"choices": [{"message": {"content": ""}, "finish_reason": None}], "error": {"code": 502}},
        {"choices": [{"message": None, "finish_reason": None}]},
    ],
)  # fmt: skip
def test_what_is_no_completion_is_asked_again(payload):
    with pytest.raises(AgainError):
        read(payload)


def test_the_model_that_answered_is_named_and_makes_no_answer_another_one():
    assert read(body() | {"model": "x"}) == read(body())
    assert read(body() | {"model": "gpt-x-2026-01-31"}).model == "gpt-x-2026-01-31"
    assert read(body() | {"model": None}).model == ""


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("No thinking.", ("", "No thinking.")), ("a < b and b > c", ("", "a < b and b > c")),
        ("<think></think>\n3", ("", "3")), ("<think>a</think>3<think>b</think>", ("a\nb", "3")),
        ("a</think>b</think>3", ("a</think>b", "3")), ("<think>a", ("a", "")), ("", ("", "")),
    ],
)  # fmt: skip
def test_tags_of_thinking(text, parts):
    assert split_thinking(text) == parts


def events(*parts):
    return [
        b"data: " + (part if isinstance(part, bytes) else json.dumps(part).encode())
        for part in parts
    ]


def delta(finish_reason=None, **message):
    return {"choices": [{"delta": message, "finish_reason": finish_reason}], "model": "m"}


def test_a_stream_is_the_answer_that_it_makes_up():
    lines = events(
        delta(role="assistant", content=""),
        delta(reasoning_content="1 and"),
        delta(reasoning_content=" 2"),
        delta(content="It is"),
        delta(content=" 3."),
        delta("eos"),
        {"choices": [], "usage": USAGE},
        b"[DONE]",
    )
    found = read(read_stream([b": a comment", b"", *lines]))
    expected = Completion("k", "It is 3.", "stop", 20, 10, thinking="1 and 2", model="m")
    assert found.thinking_tokens > 0
    assert Completion(*found_fields(found)) == Completion(*found_fields(expected))


def found_fields(completion):
    return (
        completion.key,
        completion.text,
        completion.finish_reason,
        20,
        10,
        0.0,
        completion.thinking,
        0,
        False,
        completion.model,
    )


@pytest.mark.parametrize(
    "lines",
    [
        [b"", b": PROCESSING", b"data:", *events(delta("stop", content="3"))],
        # A whole answer at once, though a stream was asked for.
        events({"choices": [{"message": {"content": "3"}, "finish_reason": "stop"}]}),
        events(delta("stop", content="3"), {"choices": [], "error": {"code": None}}),
    ],
)
def test_streams_as_others_send_them(lines):
    found = read(read_stream(lines))
    assert (found.text, found.finish_reason) == ("3", "stop")


def test_counts_of_a_stream_may_stand_in_a_place_of_their_own():
    found = read(read_stream(events({**delta("stop", content="3"), "x_groq": {"usage": USAGE}})))
    assert (found.prompt_tokens, found.completion_tokens, found.estimated) == (20, 10, False)


def test_a_refusal_in_a_stream_is_one():
    for part in ({"refusal": "No."}, {"content": [{"type": "refusal", "refusal": "No."}]}):
        assert read(read_stream(events(delta("stop", **part)))).finish_reason == "content_filter"


def test_a_stream_that_breaks_off_is_no_answer():
    with pytest.raises(AgainError):
        read_stream(events(delta(content="It is")))
    with pytest.raises(AgainError):
        read_stream(events(delta(content="It is"), b"{"))
    assert b"overloaded" in read_stream(
        events(delta(content="It"), {"error": {"message": "overloaded"}})
    )
