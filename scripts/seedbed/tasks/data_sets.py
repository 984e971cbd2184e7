"""Items from data sets: on the hub, in a folder with the hub's layout, or in a task's own files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seedbed.tasks.choices import LETTERS, with_choices
from seedbed.tasks.databases import schema_text
from seedbed.tasks.item import TaskItem
from seedbed.tasks.selection import Chosen, Selection
from seedbed.tasks.settings import DataSource

_MOST_NAMED = 20
"""Maximum number of invalid rows that a message names."""

_LETTER = re.compile(r"\(?([A-Za-z])[).:]?")


def items_of(
    source: DataSource, selection: Selection, split: str, data_dir: Path | None = None
) -> list[TaskItem]:
    """Return the rows of a split as items.

    The final answer is in the column `gold`, or the first of `golds`. Without these columns, it is
    the text of the reference answer after the mark `gold_after`, or all of that answer. Choices are
    listed below the question, one per line, labelled with letters, whatever their labels in the
    data set. The context of an item on a database is the database's schema.

    Args:
        source: the data set.
        selection: its rows of the split.
        split: `train` or `test`, in the project's terms.
        data_dir: the folder with the databases, if there are any.

    Raises:
        FileNotFoundError: if an item's database does not exist.
        ValueError: if a row has no question or answer, its reference answer contains no final
            answer, its gold is not one of the choices, or anything else in a row is invalid. The
            message names each row, its position, its column, and the valid values.
    """
    items, wrong = [], []
    for row in selection.chosen:
        try:
            items.append(_Reader(source, row, split).item(data_dir))
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        more = len(wrong) - _MOST_NAMED
        lines = wrong[:_MOST_NAMED] + ([f"and {more:,} more rows"] if more > 0 else [])
        raise ValueError("\n  ".join(lines))
    return items


class _Reader:
    """Converts a row to an item."""

    def __init__(self, source: DataSource, row: Chosen, split: str) -> None:
        self._source = source
        self._row = row
        self._split = split

    def item(self, data_dir: Path | None) -> TaskItem:
        history, question, last = self._asked()
        answer = self._text("answer") if self._has("answer") else last
        if self._source.answer is None and not answer:
            raise self._wrong("answer", "has no answer")
        choices, labels = self._choices()
        golds = [self._in_letters(gold, choices, labels) for gold in self._golds(answer)]
        if choices:
            question = with_choices(question, choices)
        database = self._row.values.get("database") or ""
        context = self._text("context", needed=False)
        if database:
            file = database_file(self._source, database, data_dir)
            context = context or schema_text(file)
        if self._source.answer is not None:
            answer = self._source.answer.format(gold=golds[0])
        return TaskItem(
            item_id=self._row.item_id,
            question=question,
            context=context,
            answer=answer,
            gold=golds[0],
            choices=choices,
            database=f"{database}.sqlite" if database else "",
            cluster=str(self._row.values.get("cluster") or self._row.item_id),
            golds=tuple(golds) if len(golds) > 1 else (),
            history=history,
            columns=tuple((name, _shown(value)) for name, value in self._row.columns.items()),
        )

    def _wrong(self, key: str, said: str) -> ValueError:
        """Return the error for an invalid value of the row."""
        columns = ", ".join(map(repr, self._source.columns_of(key)))
        place = f" ({self._row.place}{f', column {columns}' if columns else ''})"
        item = f"item {self._row.item_id} of {self._split}"
        return ValueError(f"{self._source.name}: {item} {said}{place}")

    def _has(self, key: str) -> bool:
        return key in self._source.columns

    def _text(self, key: str, needed: bool = True) -> str:
        value = self._row.values.get(key)
        if value is None or (isinstance(value, str) and not value.strip()):
            if needed:
                raise self._wrong(key, f"has no {key}")
            return ""
        if not isinstance(value, str):
            raise self._wrong(key, f"has a {key} that is no text: {value!r:.80}")
        return value

    def _asked(self) -> tuple[tuple[tuple[str, str], ...], str, str]:
        """Return the messages before the question, the question, and the answer after it."""
        if not self._has("messages"):
            return (), self._text("question"), ""
        value = self._list("messages", "messages")
        messages = []
        for number, message in enumerate(value, start=1):
            role, content = (
                (message.get("role"), message.get("content"))
                if isinstance(message, dict)
                else (None, None)
            )
            if role not in ("system", "user", "assistant"):
                raise self._wrong(
                    "messages",
                    f"has the message {number} {message!r:.80}, which is not of the form "
                    '{"role": ..., "content": ...} with the role system, user or assistant',
                )
            if not isinstance(content, str) or not content.strip():
                raise self._wrong("messages", f"has no text in message {number} ({role})")
            messages.append((role, content))
        turns = [role for role, _ in messages]
        if turns[:1] == ["system"]:
            del turns[0]
        last = ""
        if turns[-1:] == ["assistant"] and not self._has("answer") and not self._source.answer:
            last = messages.pop()[1]
            turns.pop()
        if turns != [("user", "assistant")[n % 2] for n in range(len(turns))] or not len(turns) % 2:
            raise self._wrong(
                "messages",
                f"has messages of the roles {', '.join(role for role, _ in messages) or 'none'}: "
                "a system message may come first, then user and assistant take turns, and the "
                "last one is the user's",
            )
        return tuple(messages[:-1]), messages[-1][1], last

    def _list(self, key: str, noun: str) -> list[Any]:
        """Return a column's list, which may be JSON text."""
        value = self._row.values.get(key)
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except ValueError as error:
                raise self._wrong(key, f"has {noun} that are no list in JSON: {error}") from None
        if value in (None, "", []):
            raise self._wrong(key, f"has no {noun}")
        if not isinstance(value, list):
            raise self._wrong(
                key, f"has {noun} that are no list: {value!r:.80}; in a text, write a list in JSON"
            )
        return value

    def _choices(self) -> tuple[tuple[str, ...], list[str]]:
        """Return the texts of the choices, and their labels in the data set."""
        if not self._has("choices"):
            return (), []
        values = self._row.values
        labels: list[Any] | None = None
        if isinstance(values.get("choices"), dict):
            labels, found = map(list, zip(*values["choices"].items(), strict=True))
        else:
            found = self._list("choices", "choices")
        texts = ["" if _missing(value) else str(value).strip() for value in found]
        while texts and not texts[-1]:
            texts.pop()
        if "" in texts:
            raise self._wrong("choices", f"has no text for choice {texts.index('') + 1}")
        if not 2 <= len(texts) <= len(LETTERS):
            raise self._wrong(
                "choices", f"has {len(texts)} choices; there must be 2 to {len(LETTERS)}"
            )
        if self._has("labels"):
            labels = self._list("labels", "labels")
        if labels is not None and len(labels) < len(texts):
            raise self._wrong(
                "labels", f"has {len(texts)} choices, and {len(labels)} labels: one each is needed"
            )
        return tuple(texts), [str(label) for label in (labels or LETTERS)][: len(texts)]

    def _golds(self, answer: str) -> list[str]:
        """Return the final answers that are right, in order."""
        if self._has("tests"):
            return [self._tests()]
        found: list[str] = []
        if self._has("gold"):
            value = self._row.values["gold"]
            if isinstance(value, list):
                raise self._wrong("gold", "has a list for a gold: name its column 'golds'")
            if not _missing(value):
                found.append(self._final("gold", value))
        if self._has("golds"):
            found += [
                self._final("golds", value)
                for value in self._list("golds", "golds")
                if not _missing(value)
            ]
        if not {"gold", "golds"} & self._source.columns.keys():
            mark = self._source.gold_after
            last = ""
            if mark is not None and mark in answer:
                last = (answer.rpartition(mark)[2] if mark else answer).strip()
            if not last:
                said = (
                    f"has no final answer to read after {mark!r}"
                    if mark
                    else (
                        "has no final answer to read: there is no column for 'gold', and no "
                        "gold_after"
                    )
                )
                raise self._wrong("answer", said)
            found.append(last)
        if not found:
            raise self._wrong("gold", "has no final answer to read")
        return list(dict.fromkeys(found))

    def _tests(self) -> str:
        """Return the gold of a program as JSON: its unit tests, from one text or a list."""
        found = {}
        for key in ("tests", "entry", "setup"):
            value = self._row.values.get(key) or ""
            lines = [value] if isinstance(value, str) else value
            if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
                raise self._wrong(key, f"has {key} that are no text: {value!r:.80}")
            found[key] = "\n".join(lines)
        if not found["tests"].strip():
            raise self._wrong("tests", "has no tests")
        return json.dumps(found, ensure_ascii=False)

    def _final(self, key: str, value: Any) -> str:
        """Return a final answer as text."""
        if isinstance(value, float) and not math.isfinite(value):
            raise self._wrong(key, f"has the gold {value}, which is not an answer")
        words = self._source.gold_words
        if words is not None:
            said = str(value).lower() if isinstance(value, bool) else str(value).strip()
            if said in words:
                return words[said]
            folded = {known.casefold(): word for known, word in words.items()}
            if said.casefold() in folded:
                return folded[said.casefold()]
            raise self._wrong(
                key, f"has the gold {said!r}, and gold_words has words for {', '.join(words)}"
            )
        if isinstance(value, bool):
            raise self._wrong(
                key,
                f"has the gold {str(value).lower()}: say which words to use, as by "
                'gold_words: {"true": yes, "false": no}',
            )
        return _shown(value)

    def _in_letters(self, gold: str, choices: Sequence[str], labels: Sequence[str]) -> str:
        """Return the letter of a gold choice, or any other gold unchanged."""
        if not choices:
            return gold
        places = self._places(gold, choices, labels)
        form = self._source.gold_form
        named = self._has("labels") or isinstance(self._row.values["choices"], dict)
        if form is not None:
            found = places[form]
        elif named and places["label"]:
            found = places["label"]
        else:
            found = [*dict.fromkeys(places["label"] + places["text"])]
            indices = places["index_from_0"] + places["index_from_1"]
            if indices and not (places["label"] and not places["text"]):
                readings = ", ".join(name for name, numbers in places.items() if numbers)
                raise self._wrong(
                    "gold",
                    f"has the gold {gold!r} for the choices {', '.join(choices)}, which may be "
                    f"an index: state gold_form, one of {readings}",
                )
        if len(found) != 1:
            wanted = {
                "label": f"none of {[*labels]}",
                "text": "not the text of one choice",
                "index_from_0": f"no whole number from 0 to {len(choices) - 1}",
                "index_from_1": f"no whole number from 1 to {len(choices)}",
                None: f"none of {[*labels]}, nor the text of one choice",
            }[form]
            if len(places["text"]) > 1 and form != "label":
                wanted = f"the text of {len(places['text'])} choices ({', '.join(choices)}): "
                wanted += "leave the row out, or give a label as its gold"
            elif len(found) > 1:
                wanted = f"both a label and the text of another choice ({', '.join(choices)}): "
                wanted += "state gold_form"
            raise self._wrong("gold", f"has the gold {gold!r}, which is {wanted}")
        return LETTERS[found[0]]

    def _places(
        self, gold: str, choices: Sequence[str], labels: Sequence[str]
    ) -> dict[str, list[int]]:
        """Return the choices that a gold may refer to, by form."""
        folded = [label.casefold() for label in labels]
        letter = _LETTER.fullmatch(gold.strip())
        by_label = [n for n, label in enumerate(labels) if label == gold.strip()]
        if not by_label and letter:
            by_label = [n for n, label in enumerate(folded) if label == letter[1].casefold()]
        by_text = [n for n, choice in enumerate(choices) if choice == gold.strip()]
        whole = re.fullmatch(r"(\d{1,3})(?:\.0)?", gold.strip())
        number = int(whole[1]) if whole else -1
        return {
            "label": by_label,
            "text": by_text,
            "index_from_0": [number] if 0 <= number < len(choices) else [],
            "index_from_1": [number - 1] if 1 <= number <= len(choices) else [],
        }


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _shown(value: Any) -> str:
    """Return a value as text: JSON for lists and structures, "" for a missing value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def database_file(source: DataSource, name: str, data_dir: Path | None) -> Path:
    """Return the SQLite file of a database.

    Raises:
        FileNotFoundError: if it does not exist.
        ValueError: if the name is not a file name.
    """
    if Path(name).name != name or name == "..":
        raise ValueError(f"{source.name}: {name!r} cannot be the name of a database")
    if data_dir is None or source.databases is None:
        raise FileNotFoundError(f"{source.name} has no databases on the hub: give a folder")
    path = source.folder(data_dir) / source.databases.format(database=name)
    if not path.is_file():
        raise FileNotFoundError(f"no database {path}")
    return path
