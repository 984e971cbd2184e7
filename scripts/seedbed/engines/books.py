"""Books: records of what every process spends, as it spends it, in a folder without locks.

Each process writes its own book, under a unique name. So no process waits for another on any
machine, and a copy of a book is the same book. A process writes one line before it sends a request,
and another when it knows the outcome. Requests that were under way when a process was killed stay
in doubt, because they may have been billed. Closing a book replaces its lines with their sums.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from seedbed.artifacts import grant, replacing
from seedbed.config.values import JsonObject
from seedbed.engines import Completion
from seedbed.engines.settings import Price, Used

NOTHING = Used()
_AMOUNTS = Used.__slots__


@dataclass(frozen=True, slots=True)
class Spent:
    """Spending on one model in one stage.

    Attributes:
        used: answers and their tokens.
        usd: dollars, at the prices known when the answers came.
        unpriced: the part of `used` that came while the price was unknown.
        doubts: number of requests with an unknown outcome: under way, given up, or killed before
            an answer.
        doubts_usd: the most dollars that these requests can have cost.
        gpu_seconds: seconds of the model's own GPUs.
        queries: number of answers and doubts that are teacher queries.
    """

    used: Used = NOTHING
    usd: float = 0.0
    unpriced: Used = NOTHING
    doubts: int = 0
    doubts_usd: float = 0.0
    gpu_seconds: float = 0.0
    queries: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(*(getattr(self, name) + getattr(other, name) for name in Spent.__slots__))


Key = tuple[str, str]
"""(stage, model)."""


class Book:
    """The book of one process, for one model in one stage."""

    def __init__(self, folder: Path, stage: str, model: str, queries: bool, name: str = "") -> None:
        """Start a book. The first entry creates its file.

        Args:
            folder: folder of the books.
            stage: the stage that queries the model.
            model: name of the model.
            queries: whether each request is a teacher query.
            name: name of the book; by default a new one.
        """
        self._path = folder / f"{name or uuid.uuid4().hex}.jsonl"
        self._queries = queries
        self._head = {"stage": stage, "model": model, "queries": queries}
        self._file = -1
        self._sums = Spent()

    def begin(self, usd: float) -> None:
        """Note that a request is about to be sent.

        Args:
            usd: the most dollars that it can cost.
        """
        self._note(["+", usd])

    def refused(self, usd: float) -> None:
        """Note that a request was refused, which costs nothing.

        Args:
            usd: the amount that `begin` noted.
        """
        self._note(["0", usd])

    def answered(self, usd: float, completion: Completion, cost: float | None) -> None:
        """Note an answer.

        Args:
            usd: the amount that `begin` noted.
            completion: the answer.
            cost: its cost in dollars; None if the price is unknown.
        """
        used = used_by(completion)
        self._note(["-", usd, cost, *(getattr(used, name) for name in _AMOUNTS)])

    def add(self, more: Spent) -> None:
        """Note amounts that were measured in another way."""
        self._note(["=", _plain(more)])

    def close(self) -> None:
        """Replace the book's entries with their sums."""
        if self._file < 0:
            return
        os.close(self._file)
        self._file = -1
        with replacing(self._path) as temporary:
            lines = [self._head, ["=", _plain(self._sums)]]
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def _note(self, entry: list[Any]) -> None:
        if self._file < 0:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            self._file = os.open(self._path, flags, 0o666)
            grant(self._path)
            self._write(self._head)
        self._sums += _of(entry, self._queries)
        self._write(entry)

    def _write(self, line: Any) -> None:
        content = (json.dumps(line) + "\n").encode()
        while content:
            content = content[os.write(self._file, content) :]


def used_by(completion: Completion) -> Used:
    """Return the usage of a completion. A refusal is no answer."""
    return Used(
        int(not completion.refused),
        completion.prompt_tokens,
        completion.cached_tokens,
        completion.completion_tokens,
        completion.thinking_tokens,
    )


def _of(entry: list[Any], queries: bool) -> Spent:
    """Return the amounts that an entry adds."""
    kind, first, *rest = entry
    count = int(bool(queries))
    if kind == "+":
        return Spent(doubts=1, doubts_usd=first, queries=count)
    if kind == "0":
        return Spent(doubts=-1, doubts_usd=-first, queries=-count)
    if kind == "-":
        cost, *amounts = rest
        used = Used(*amounts)
        if cost is None:
            return Spent(used, unpriced=used, doubts=-1, doubts_usd=-first)
        return Spent(used, usd=cost, doubts=-1, doubts_usd=-first)
    parts = {name: Used(*first[name]) for name in ("used", "unpriced")}
    return Spent(**{**first, **parts})


def _plain(spent: Spent) -> JsonObject:
    amounts = {name: getattr(spent, name) for name in Spent.__slots__}
    for name in ("used", "unpriced"):
        amounts[name] = [getattr(amounts[name], part) for part in _AMOUNTS]
    return amounts


@dataclass
class _Read:
    """The part of a book that has been read.

    Attributes:
        key: the book's stage and model.
        sums: sums of the lines before `offset`.
        queries: see `Book`.
        offset: position of the first unread byte.
        file: inode number, which distinguishes the file from its replacement.
    """

    key: Key | None = None
    sums: Spent = field(default_factory=Spent)
    queries: bool = False
    offset: int = 0
    file: int = 0


class Books:
    """All books of a folder. Each call of `spent` reads only new lines."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, _Read] = {}

    def spent(self) -> dict[Key, Spent]:
        """Return the spending by stage and model.

        Raises:
            ValueError: if a complete line is not a book's entry.
        """
        found: dict[Key, Spent] = {}
        names = []
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if entry.name.endswith(".jsonl") and not entry.name.startswith(".")
            )
        self._known = {name: self._known.get(name, _Read()) for name in names}
        for name, book in self._known.items():
            self._read(self._folder / name, book)
            if book.key is not None:
                found[book.key] = found.get(book.key, Spent()) + book.sums
        return found

    def _read(self, path: Path, book: _Read) -> None:
        with suppress(FileNotFoundError), path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_ino != book.file or status.st_size < book.offset:
                book.__init__(file=status.st_ino)  # type: ignore[misc]
            if status.st_size == book.offset:
                return
            file.seek(book.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # Its process died, or is still writing it.
                try:
                    content = json.loads(line)
                    if book.key is None:
                        book.key = (content["stage"], content["model"])
                        book.queries = content["queries"]
                    else:
                        book.sums += _of(content, book.queries)
                except (ValueError, TypeError, KeyError) as error:
                    raise ValueError(
                        f"a line of {path} is not a book's entry ({error!r}): delete the line; its "
                        "spending is then not counted"
                    ) from None
                book.offset += len(line)


def total(spent: Iterable[Spent]) -> Spent:
    """Return the sum."""
    return sum(spent, Spent())


def priced(spent: Spent, price: Price, batch: bool = False) -> Spent:
    """Return the amounts with unpriced usage priced, if the price is known by now."""
    cost = price.usd(spent.unpriced, batch)
    if cost is None or spent.unpriced == NOTHING:
        return spent
    return replace(spent, usd=spent.usd + cost, unpriced=NOTHING)
