"""Books: what every process spent, kept as it happens, in a folder that needs no locks.

Each process writes a book of its own, under a name that no other has: so none waits for another,
on whatever machine, and a copy of a book is the same book. A line is written before a request is
sent, and another when its fate is known. What a killed process had under way stays in doubt: it may
have been billed. A book that is closed is replaced by its sums.
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
    """What was spent on one model in one stage.

    Attributes:
        used: what its answers took.
        usd: dollars, by the prices that were known when they came.
        unpriced: of `used`, what came while the price was not known.
        doubts: requests whose fate is not known: under way, or given up or killed before an answer.
        doubts_usd: the most dollars that they can have cost.
        gpu_seconds: of the model's own GPUs.
        queries: of the answers and doubts, those that are queries of a teacher.
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
"""A stage and a model."""


class Book:
    """The book of one process, about one model in one stage."""

    def __init__(self, folder: Path, stage: str, model: str, queries: bool, name: str = "") -> None:
        """Begin a book; its file is made with its first line.

        Args:
            folder: of the books.
            stage: what the model is asked for.
            model: its name.
            queries: whether each request is a query of a teacher.
            name: of the book; by default a new one.
        """
        self._path = folder / f"{name or uuid.uuid4().hex}.jsonl"
        self._queries = queries
        self._head = {"stage": stage, "model": model, "queries": queries}
        self._file = -1
        self._sums = Spent()

    def begin(self, usd: float) -> None:
        """Note that a request is about to be sent, and the most dollars that it can cost."""
        self._note(["+", usd])

    def refused(self, usd: float) -> None:
        """Note that a request was refused, which costs nothing; `usd` as when it began."""
        self._note(["0", usd])

    def answered(self, usd: float, completion: Completion, cost: float | None) -> None:
        """Note an answer.

        Args:
            usd: as when the request began.
            completion: the answer.
            cost: its dollars; None if the price is not known.
        """
        used = used_by(completion)
        self._note(["-", usd, cost, *(getattr(used, name) for name in _AMOUNTS)])

    def add(self, more: Spent) -> None:
        """Note amounts that were found out in another way."""
        self._note(["=", _plain(more)])

    def close(self) -> None:
        """Replace the book by its sums."""
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
    """Return what an answer took; a refusal took nothing."""
    return Used(
        int(not completion.refused),
        completion.prompt_tokens,
        completion.cached_tokens,
        completion.completion_tokens,
        completion.thinking_tokens,
    )


def _of(entry: list[Any], queries: bool) -> Spent:
    """Return what an entry adds."""
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
    """What has been read of a book.

    Attributes:
        key: what it is about.
        sums: of the lines before `offset`.
        queries: see `Book`.
        offset: of the first byte that was not read.
        file: distinguishes its file from its replacement.
    """

    key: Key | None = None
    sums: Spent = field(default_factory=Spent)
    queries: bool = False
    offset: int = 0
    file: int = 0


class Books:
    """All books of a folder; each reading takes only the lines that are new."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, _Read] = {}

    def spent(self) -> dict[Key, Spent]:
        """Return what was spent, by stage and model.

        Raises:
            ValueError: if a whole line is not one of a book.
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
                    return  # Cut as its process died, or not whole yet.
                try:
                    content = json.loads(line)
                    if book.key is None:
                        book.key = (content["stage"], content["model"])
                        book.queries = content["queries"]
                    else:
                        book.sums += _of(content, book.queries)
                except (ValueError, TypeError, KeyError) as error:
                    raise ValueError(
                        f"a line of {path} is not one of a book ({error!r}): delete the line, and "
                        "what it says was spent is not counted"
                    ) from None
                book.offset += len(line)


def total(spent: Iterable[Spent]) -> Spent:
    """Return the sum."""
    return sum(spent, Spent())


def priced(spent: Spent, price: Price, batch: bool = False) -> Spent:
    """Return amounts with dollars for what came without a price, if it is known by now."""
    cost = price.usd(spent.unpriced, batch)
    if cost is None or spent.unpriced == NOTHING:
        return spent
    return replace(spent, usd=spent.usd + cost, unpriced=NOTHING)
