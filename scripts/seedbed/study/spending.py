"""The cost of a study so far, from its books (see `seedbed.engines.books`).

Everything that reports spending uses this module, so that all reports agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from seedbed.engines.books import NOTHING, Book, Books, Key, Spent, priced, total
from seedbed.engines.ledger import Amount, Ledger
from seedbed.engines.settings import OpenAISettings, Used
from seedbed.engines.spending import SpendingLine, SpendingRecord
from seedbed.study.cells import Grid
from seedbed.study.study import Study

FILE = "spending.json"
"""File in the results of a study."""

STAGES = ("questions", "answers", "verification", "training", "evaluation", "judging")
"""Stages in display order; other stages, such as `earlier`, come last."""

OPENED = "opened"
"""Marker in the folder of the books: a run has booked the results from before the books existed."""

EARLIER = "earlier"
"""Stage of spending by an earlier version, under a cap, whose answers no longer exist."""


@dataclass(frozen=True)
class Account:
    """The books of a study.

    Attributes:
        study: the study.
        books: the records of all spending on it.
    """

    study: Study
    books: Books

    @classmethod
    def of(cls, study: Study, ledger: Path | str) -> Account:
        """Return the account of a study from the folder of its ledger."""
        return cls(study, Books(Path(ledger)))

    def record(self) -> SpendingRecord:
        """Return the spending so far."""
        lines = []
        unpriced: list[str] = []
        for (stage, model), spent in sorted(self.books.spent().items(), key=_order):
            found = self._priced(model, spent)
            if found.unpriced != NOTHING:
                unpriced.append(model)
            line = _line(stage, model, found)
            free = self._own(model) and not found.usd
            lines.append(line.model_copy(update={"usd": None}) if free else line)
        return SpendingRecord(
            study=self.study.name,
            usd=_cents(sum(line.usd or 0.0 for line in lines)),
            unpriced=list(dict.fromkeys(unpriced)),
            doubts=sum(line.doubts for line in lines),
            doubts_usd=_cents(sum(line.doubts_usd for line in lines)),
            lines=lines,
        )

    def paid(self) -> Amount:
        """Return the teacher queries and the dollars that count towards a cap."""
        found = [self._priced(model, one) for (_, model), one in self.books.spent().items()]
        every = total(found)
        return every.queries, every.usd + every.doubts_usd

    def open(self, ledger: Path, grid: Grid, results: Path, limited: bool) -> None:
        """Start a run: before the first, book the answers without a book; open a cap's ledger.

        Answers have no book if an earlier version made them, or if results were copied without
        their response caches.

        Args:
            ledger: its folder.
            grid: of the study.
            results: folder of its results.
            limited: whether there is a cap.
        """
        opened = ledger / OPENED
        if not opened.exists():
            from seedbed.study.quote import answered

            books = self.books.spent()
            for key, spent in answered(self.study, grid, results).items():
                more = _beyond(spent, books.get(key, Spent()))
                if more != Spent():
                    _write(ledger, key, more)
            queries, usd = self.paid()
            former = Ledger(ledger).former()
            more = Spent(usd=max(0.0, former[1] - usd), queries=max(0, former[0] - queries))
            if more != Spent():
                _write(ledger, (EARLIER, "-"), more)
            ledger.mkdir(parents=True, exist_ok=True)
            opened.touch()
        if limited:
            Ledger(ledger).open(self.paid())

    def _priced(self, model: str, spent: Spent) -> Spent:
        """Return some spending, with the present price for the part that had none."""
        if model not in self.study.models:
            return spent
        price = self.study.models[model].price
        batch = getattr(self.study.engine(model), "batch", None) is not None
        found = priced(spent, price, batch)
        hours = found.gpu_seconds / 3600
        return replace(found, usd=found.usd + hours * (price.usd_per_gpu_hour or 0.0))

    def _own(self, model: str) -> bool:
        """Return whether a model runs in the study's own jobs, and has no price."""
        if model not in self.study.models:
            return False
        hosted = isinstance(self.study.engine(model), OpenAISettings)
        return not hosted and self.study.models[model].price.usd_per_gpu_hour is None


def _beyond(spent: Spent, booked: Spent) -> Spent:
    """Return the part of some spending that is not booked."""
    names = Used.__slots__
    used = Used(*(max(0, getattr(spent.used, n) - getattr(booked.used, n)) for n in names))
    return Spent(
        used,
        unpriced=used if spent.unpriced != NOTHING else NOTHING,
        gpu_seconds=max(0.0, spent.gpu_seconds - booked.gpu_seconds),
        queries=max(0, spent.queries - booked.queries),
    )


def _write(ledger: Path, key: Key, spent: Spent) -> None:
    # The name is fixed, so merged copies of results have this book only once.
    book = Book(ledger, *key, queries=False, name=f"opening-{'-'.join(key)}")
    book.add(spent)
    book.close()


def _order(item: tuple[Key, Spent]) -> tuple[int, str, str]:
    stage, model = item[0]
    return (STAGES.index(stage) if stage in STAGES else len(STAGES), stage, model)


def _line(stage: str, model: str, spent: Spent) -> SpendingLine:
    used = spent.used
    return SpendingLine(
        stage=stage,
        model=model,
        **{name: round(getattr(used, name)) for name in Used.__slots__},
        gpu_hours=round(spent.gpu_seconds / 3600, 6),
        usd=None if spent.unpriced != NOTHING else _cents(spent.usd),
        doubts=max(0, spent.doubts),
        doubts_usd=_cents(max(0.0, spent.doubts_usd)),
    )


def _cents(usd: float) -> float:
    """Return dollars rounded to nine digits, which removes the rounding errors of long sums."""
    return round(usd, 9)
