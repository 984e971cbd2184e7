"""Scorer for answers that are a JSON object, compared by content.

The order of keys, spacing and the form of numbers (`1`, `1.0`) do not count. Letter case, the order
of lists, and missing or additional keys do. The strict rule requires the object and nothing else,
or `Answer: OBJECT` as the last line. The flexible rule takes the last object in the text. Neither
rule reads the parts that `seedbed.evaluation.scorers.outputs` removes.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, InvalidOperation
from typing import Any

from seedbed.evaluation.scorers import PlainScorer, Reading, Score, any_gold
from seedbed.evaluation.scorers.outputs import final_part
from seedbed.tasks.items import TaskItem

# Only the end of a longer text is read: the final answer is at the end.
MAX_CHARACTERS = 20_000
_MAX_STARTS = 1_000
_MARKER = "Answer: "
# Long numbers, such as identifiers, are not rounded.
_EXACT = Context(prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX)


class JsonScorer(PlainScorer):
    """Scores outputs whose final answer is a JSON object."""

    @any_gold
    def score(self, output: str, item: TaskItem) -> Score:
        """Return the score of an output; see `seedbed.evaluation.scorers.Scorer`."""
        gold = _whole(item.gold)
        if gold is None:
            raise ValueError(f"gold of item {item.item_id!r} is not a JSON object: {item.gold!r}")
        flexible = read_json(output)
        return Score(
            strict=gold in _strict_readings(output),
            flexible=flexible.value == gold,
            extracted=flexible.value,
            reason=flexible.reason,
        )


from_options = JsonScorer.from_options


def read_content(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read the content of an answer: its object, by the flexible rule."""
    return read_json(answer)


def read_answer(answer: str, choices: Sequence[str] = ()) -> Reading:
    """Read an answer's final answer, as `read_content` does."""
    return read_content(answer, choices)


def read_json(output: str) -> Reading:
    """Read the last JSON object of a free text, in canonical form."""
    text = final_part(output, lambda head, tail: _last(head) is not None)
    found = _last(text)
    return Reading(None, "no JSON object") if found is None else Reading(found)


def _strict_readings(output: str) -> list[str | None]:
    text = final_part(output, lambda head, tail: _last(head) is not None).strip()
    last = text.rpartition("\n")[2]
    return [_whole(text), _whole(last.removeprefix(_MARKER)) if last.startswith(_MARKER) else None]


def _last(text: str) -> str | None:
    """Return the last object in a text in canonical form, None if there is none."""
    text, found, start = text[-MAX_CHARACTERS:], None, 0
    for _ in range(_MAX_STARTS):
        start = text.find("{", start)
        if start < 0:
            break
        try:
            value, end = _DECODER.raw_decode(text, start)
            found, start = _form(value), end
        except (ValueError, InvalidOperation, RecursionError):
            start += 1
    return found


def _whole(text: str) -> str | None:
    """Return a text that is an object in canonical form, None if it is anything else."""
    text = text.strip()
    if not text.startswith("{"):
        return None
    try:
        value, end = _DECODER.raw_decode(text)
        return _form(value) if end == len(text) else None
    except (ValueError, InvalidOperation, RecursionError):
        return None


def _form(value: Any) -> str:
    """Return a value as JSON in canonical form: equal content has equal text."""
    if isinstance(value, dict):
        parts = sorted((_text(key), _form(inner)) for key, inner in value.items())
        return "{" + ", ".join(f"{key}: {inner}" for key, inner in parts) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_form, value)) + "]"
    if isinstance(value, Decimal):
        return str(_EXACT.normalize(value)) if value else "0"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    return json.dumps(unicodedata.normalize("NFC", text), ensure_ascii=False)


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no number in JSON")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse)
