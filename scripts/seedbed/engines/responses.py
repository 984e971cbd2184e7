"""Responses: reads the bodies of all providers' chat completions.

Providers agree on the frame of a response, and on little inside it. `ENDS` lists the known values
of `finish_reason`. All other parts of a response are read in this module only.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from seedbed.config.values import JsonObject
from seedbed.engines import Completion, Request
from seedbed.thinking import split_thinking

AGAIN = "again"
"""The meaning of a `finish_reason` with which a provider reports its own failure."""
_ENDS = {
    # The model ended its answer, or wrote a stop text.
    **dict.fromkeys(
        (
            "", "stop", "eos", "eos_token", "end", "end_turn", "stop_sequence", "stop_token",
            "stop_words", "stop_str", "complete", "completed", "finished", "finish", "done",
            "eot", "natural", "stopped",
        ),
        "stop",
    ),
    # The answer was cut off.
    **dict.fromkeys(
        (
            "length", "max_tokens", "max_token", "max_length", "max_output_tokens", "model_length",
            "max_completion_tokens", "max_new_tokens", "token_limit", "context_length",
            "model_context_window_exceeded", "max_context_length", "incomplete", "error_limit",
        ),
        "length",
    ),
    # A filter kept the model from answering.
    **dict.fromkeys(
        (
            "content_filter", "content_filtered", "filter", "filtered", "safety", "refusal",
            "recitation", "prohibited_content", "blocklist", "spii", "guardrail_intervened",
            "guardrails", "sensitive", "moderation", "flagged", "blocked", "language",
            "image_safety", "image_prohibited_content", "model_armor", "error_toxic",
        ),
        "content_filter",
    ),
    # The provider failed, so a partial text is no answer.
    **dict.fromkeys(
        (
            "error", "errored", "abort", "aborted", "cancelled", "canceled", "overload",
            "overloaded", "overloaded_error", "insufficient_system_resource", "server_error",
            "internal_error", "network_error", "timeout", "timed_out", "failed", "unavailable",
            "rate_limit", "load_shed", "preempted", "engine_overloaded", "malformed_response",
            "user_cancel",
        ),
        AGAIN,
    ),
    # The model called a tool although none was offered. A retry would not give an answer either.
    **dict.fromkeys(
        (
            "tool_calls", "tool_call", "tool_use", "function_call", "malformed_function_call",
            "unexpected_tool_call", "too_many_tool_calls",
        ),
        "tool_calls",
    ),
}  # fmt: skip


def _plain(name: str) -> str:
    """Normalize a name: `FinishReason.MAX_TOKENS` and `maxTokens` become the same."""
    # Some providers add details after a colon: "content_filter: PROHIBITED_CONTENT".
    known = name.partition(":")[0].strip()
    return re.sub(r"[\W_]", "", known.lower().removeprefix("finishreason."))


ENDS = {_plain(name): meaning for name, meaning in _ENDS.items()}
"""The meaning of a `finish_reason`, by its name in lower case without punctuation: "stop",
"length", "content_filter", "tool_calls", or `AGAIN`."""
CHARACTERS_PER_TOKEN = 4
"""Characters per token, to estimate tokens that a response does not count."""
NAME_CHARACTERS = 40
SHOWN_CHARACTERS = 300


class AgainError(Exception):
    """A failed attempt after which a retry may succeed.

    Attributes:
        wait: seconds that the endpoint asks to wait; None if it does not say.
        limited: whether a rate limit refused the request, which uses up no attempt.
        slow_down: whether the endpoint is overloaded.
        kept: completion to accept if every retry has the same result.
        slow_to_mend: whether the failure lasts long, so that few retries are worthwhile if no
            request was answered yet.
    """

    def __init__(
        self,
        said: str,
        wait: float | None = None,
        limited: bool = False,
        slow_down: bool = False,
        kept: Completion | None = None,
        slow_to_mend: bool = False,
    ) -> None:
        super().__init__(said)
        self.wait = wait
        self.limited = limited
        self.slow_down = slow_down or limited
        self.kept = kept
        self.slow_to_mend = slow_to_mend


def read_json(content: bytes) -> Any:
    """Return a body's JSON value; None if it is not JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def read_completion(
    request: Request, content: bytes, ends: Mapping[str, str] | None = None
) -> Completion:
    """Read the completion in the body of a response.

    Args:
        request: the request, from which uncounted prompt tokens are estimated.
        content: body of the response.
        ends: meanings of further values of `finish_reason`, as in `ENDS`.

    Returns:
        A completion, whose text does not include the thinking. Its `completion_tokens` are the
        billed tokens: if the total implies more than the response counts, that larger number. An
        unknown `finish_reason` stays as it is.

    Raises:
        AgainError: if the body has no completion, or the provider failed to finish it.
    """
    payload = read_json(content)
    if not isinstance(payload, dict):
        raise AgainError(f"an answer that is not a JSON object: {shown(content)}")
    choices = payload.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        raise AgainError(f"an answer without a completion: {shown(content)}")
    name, message = choice.get("finish_reason"), choice.get("message")
    if message is None and isinstance(name, str):
        message = {}  # Gemini's endpoint sends none if it cuts off or filters an answer.
    if not isinstance(message, dict):
        raise AgainError(f"an answer without a completion: {shown(content)}")
    text, thinking, refusal = _text(message.get("content"))
    if (name is not None and not isinstance(name, str)) or text is False:
        raise AgainError(f"an answer without a completion: {shown(content)}")
    meaning = _meaning(name, ends or {})
    thinking = "\n".join(filter(None, [_thinking(message), thinking]))
    if (message.get("refusal") or refusal) and not text:
        meaning = "content_filter"
    if meaning == AGAIN or any(is_error(one.get("error")) for one in (choice, payload)):
        raise AgainError(f"an answer that ended with {name!r}: {shown(content)}")
    if name is None and text is None:
        raise AgainError(f"an answer without a text and without an end: {shown(content)}")
    completion = _counted(request, payload.get("usage"), text or "", thinking, meaning)
    model = payload.get("model")
    if isinstance(model, str):
        completion = replace(completion, model=clean(model)[:200])
    if text is None and meaning == "stop" and not completion.thinking:
        raise AgainError(f"an answer without a text: {shown(content)}", kept=completion)
    return completion


def _meaning(name: str | None, ends: Mapping[str, str]) -> str:
    given = (name or "").strip()
    if given in ends:
        return ends[given]
    meaning = ENDS.get(_plain(given))
    # A name of punctuation alone is not the empty name.
    known = meaning is not None and bool(_plain(given)) == bool(given)
    return meaning if known and meaning is not None else clean(given)[:NAME_CHARACTERS]


def is_error(error: Any) -> bool:
    """Return whether the value of `error` is an error. Some answers have an empty one."""
    return any(error.values()) if isinstance(error, dict) else bool(error)


def _text(content: Any) -> tuple[Any, str, bool]:
    """Return a message's text (False if invalid), its thinking, and whether it is a refusal.

    The content may be a list of parts, with separate parts for thinking and refusals.
    """
    if content is None or isinstance(content, str):
        return content, "", False
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        return False, "", False
    texts, thoughts = [], []
    refusal = False
    for part in content:
        kind = str(part.get("type", "text"))
        if "think" in kind or "reason" in kind:
            thoughts.append(_flat(part))
        elif kind == "refusal":
            refusal = True
        elif isinstance(part.get("text"), str):
            texts.append(part["text"])
    return "".join(texts) if texts else None, "\n".join(filter(None, thoughts)), refusal


def _flat(part: Any) -> str:
    """Return all text in a thinking part, which may itself be a list of parts."""
    if isinstance(part, str):
        return part
    if isinstance(part, list):
        return "".join(map(_flat, part))
    if isinstance(part, dict):
        keys = ("thinking", "reasoning", "text", "content", "summary")
        return "".join(_flat(part.get(key)) for key in keys)
    return ""


def _thinking(message: Mapping[str, object]) -> str:
    for key in (
        *("reasoning_content", "reasoning", "thinking"),
        *("reasoning_text", "reasoning_details", "thinking_blocks"),
    ):
        if found := _flat(message.get(key)):
            return found
    return ""


def _counted(request: Request, usage: Any, text: str, thinking: str, meaning: str) -> Completion:
    usage = usage if isinstance(usage, dict) else {}
    prompt = _count(usage, "prompt_tokens")
    if prompt is None and (prompt := _count(usage, "input_tokens")) is not None:
        # Anthropic counts cache reads and writes separately from the input.
        beside = ("cache_read_input_tokens", "cache_creation_input_tokens")
        prompt += sum(_count(usage, name) or 0 for name in beside)
    written = _count(usage, "completion_tokens", "output_tokens")
    total = _count(usage, "total_tokens")
    if meaning != "content_filter" and (text or thinking):
        # Gateways that do not count tokens may send zeros.
        prompt, written, total = prompt or None, written or None, total or None
    estimated = prompt is None or written is None
    if prompt is None:
        asked = sum(len(content) for _, content in request.messages)
        prompt = _estimate(asked) if total is None else max(0, total - (written or 0))
    whole = len(text) + len(thinking)
    if written is None:
        written = _estimate(whole) if total is None else max(0, total - prompt)
    details = usage.get("completion_tokens_details")
    thought = _count(details if isinstance(details, dict) else {}, "reasoning_tokens")
    thought = thought or _count(usage, "reasoning_tokens") or 0
    if total is None and thought > written:
        written += thought  # There are more of them, so `written` cannot include them.
    if total is not None and total - prompt > written:
        # Thinking that is billed in addition to the counted tokens.
        thought = max(thought, total - prompt - written)
        written = total - prompt
    inner, text = split_thinking(clean(text).strip())
    thinking = "\n".join(filter(None, [clean(thinking).strip(), inner]))
    if thinking and not thought:
        share = len(thinking) / (len(thinking) + len(text))
        thought = round(share * written)
    return Completion(
        request.key,
        text,
        meaning,
        prompt,
        written,
        thinking=thinking,
        thinking_tokens=min(thought, written),
        estimated=estimated,
        cached_tokens=min(_cached(usage), prompt),
    )


def _cached(usage: Mapping[str, object]) -> int:
    """Return the number of prompt tokens that were in the provider's cache."""
    for key in ("prompt_tokens_details", "input_tokens_details"):
        details = usage.get(key)
        if isinstance(details, dict) and (found := _count(details, "cached_tokens")):
            return found
    names = ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
    return _count(usage, *names) or 0


def _count(usage: Mapping[str, object], *names: str) -> int | None:
    """Return the first named count that is a non-negative integer, if any."""
    for name in names:
        value = usage.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if math.isfinite(value) and value == int(value) and 0 <= value < 2**40:
            return int(value)
    return None


def _estimate(characters: int) -> int:
    return math.ceil(characters / CHARACTERS_PER_TOKEN)


def clean(text: str) -> str:
    """Replace lone surrogates, which JSON can encode but UTF-8 files cannot."""
    return text.encode("utf-8", "replace").decode()


def shown(content: bytes) -> str:
    """Return the start of a body for an error message."""
    return " ".join(content[:SHOWN_CHARACTERS].decode("utf-8", "replace").split()) or "(nothing)"


def read_stream(lines: list[bytes]) -> bytes:
    """Assemble the events of a streamed response into the body of an unstreamed one.

    Args:
        lines: lines of the stream of server-sent events.

    Raises:
        AgainError: if the stream ends before the answer.
    """
    texts: dict[str, list[str]] = {"content": [], "reasoning_content": [], "refusal": []}
    choice: JsonObject = {}
    payload: JsonObject = {}
    ended = False
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            ended = True
        if data in (b"", b"[DONE]"):
            continue
        event = read_json(data)
        if not isinstance(event, dict):
            raise AgainError(f"an event that is not a JSON object: {shown(data)}")
        if is_error(event.get("error")):
            return json.dumps({"error": event["error"]}).encode()
        own = event.get("x_groq")
        for source in (own if isinstance(own, dict) else {}, event):
            for key in ("usage", "model"):
                if source.get(key):
                    payload[key] = source[key]
        choices = event.get("choices")
        part = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(part, dict):
            continue
        if part.get("finish_reason") is not None:
            choice["finish_reason"] = part["finish_reason"]
            ended = True
        # Some providers send the whole message although a stream was requested.
        delta = part.get("delta") or part.get("message")
        delta = delta if isinstance(delta, dict) else {}
        text, thinking, refusal = _text(delta.get("content"))
        texts["content"].append(text or "")
        texts["reasoning_content"].append(thinking + _thinking(delta))
        texts["refusal"].append(str(delta.get("refusal") or refusal or ""))
    if not ended:
        raise AgainError("an answer whose stream broke off")
    message: JsonObject = {key: "".join(parts) or None for key, parts in texts.items()}
    choice.setdefault("finish_reason", None)
    return json.dumps({**payload, "choices": [{**choice, "message": message}]}).encode()
