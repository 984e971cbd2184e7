"""Datasets: the first queries of a stream, or real data, as rows to train on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np
import polars as pl

from seedbed.chats import THINKING
from seedbed.config.words import MATCHED, NONE
from seedbed.engines import UNFINISHED, messages_of, prompt_of
from seedbed.streams import diversity
from seedbed.streams.answers import SCHEMA as ANSWERS_SCHEMA
from seedbed.streams.answers import TEACHER_THINKING, is_whole, was_refused
from seedbed.streams.record import DatasetCounts, DatasetFacts, DatasetSeconds, Diversity
from seedbed.streams.settings import DatasetSettings
from seedbed.tasks.items import TaskItem
from seedbed.tasks.prompts import answer_prompt

_ROWS_AT_A_TIME = 32_768

_THINKING_TOKENS = "teacher_thinking_tokens"
_OPTIONAL = {_THINKING_TOKENS: pl.Int64, TEACHER_THINKING: pl.String}
"""Columns that only answers of a model that thinks have."""


@dataclass(frozen=True)
class Shards:
    """The files of the stream that a dataset is cut from, each list in order.

    Attributes:
        answers: the teacher's answers.
        questions: the augmenter's questions.
        samples: self-consistency samples.
        checks: validity checks of answers to new questions.
        labels: verification labels.
    """

    answers: Sequence[Path] = field(default=())
    questions: Sequence[Path] = field(default=())
    samples: Sequence[Path] = field(default=())
    checks: Sequence[Path] = field(default=())
    labels: Sequence[Path] = field(default=())


def build_dataset(
    settings: DatasetSettings,
    shards: Shards,
    seeds: Sequence[TaskItem],
    test: Sequence[TaskItem],
    keep: Callable[[pl.DataFrame], None],
) -> DatasetFacts:
    """Build the dataset of a budget part by part, and return its counts.

    Rows are left out, each for the first reason that applies: `truncated` (an answer cut at the
    token limit would teach the student to stop in the middle), `content_filter` and `rejected`
    (refused by an endpoint), `failed` (all attempts failed), `not_finished` (ended by anything
    else), `blank`, `test_overlap` (the question overlaps with one of the test split), the problem
    that the validity check found (`same_answer_as_seed`, `unreadable_answer`, `query_failed`,
    `no_rows`), and `not_verified`, if there is a filter.

    Args:
        settings: budget and filter.
        shards: the stream's files; without answers, the seeds themselves become the rows.
        seeds: the seed set, in order.
        test: items of the test split, all of them.
        keep: called with the rows, some at a time and in order, at least once (`query`, `seed_id`,
            `sample`, `question`, `answer`, `messages`, token counts). If the answers come with
            thinking, messages have it as `reasoning_content`.

    Raises:
        ValueError: if the shards do not contain each needed query exactly once.
    """
    thinking = any(TEACHER_THINKING in pl.read_parquet_schema(path) for path in shards.answers)
    if shards.answers:
        stream = _answers(shards.answers, settings.reach)
    else:
        stream = iter([_real_pairs(seeds, settings.prompt)])
    checks = _read(shards.checks, ["problem"], settings.reach) if shards.checks else None
    labels = None
    if settings.filter != NONE:
        labels = _read(shards.labels, ["verified"], settings.reach)
    questions = Questions(seeds, test, settings.overlap_words)
    cut = _Cut(settings)
    teacher = _Spent("teacher")
    dropped: Counter[str] = Counter()
    rows = answered = refused = thought = 0
    for answers in stream:
        frame = answers.with_columns(problem=pl.lit(""))
        if checks is not None:
            frame = _with(answers, checks)
        known = questions.split(frame)
        frame = frame.with_columns(reason=_reason(known.overlapping))
        _check_known(frame, pl.col("reason"))
        if labels is not None:
            frame = _with(frame, labels)
            _check_known(frame.filter(pl.col("reason") == ""), pl.col("verified"))
            wrong = (pl.col("reason") == "") & ~pl.col("verified")
            frame = frame.with_columns(
                reason=pl.when(wrong).then(pl.lit("not_verified")).otherwise(pl.col("reason"))
            )
        # The loop reads on to the end: an answer within reach that was not checked is an error.
        frame = frame[: cut.take(frame["reason"])]
        kept = frame.filter(pl.col("reason") == "")
        part = kept.select(
            *("query", "seed_id", "sample", "question", "answer"),
            messages=_messages(kept["prompt"], thinking),
            prompt_tokens="teacher_prompt_tokens",
            completion_tokens="teacher_completion_tokens",
            **({"thinking_tokens": _THINKING_TOKENS} if thinking else {}),
        )
        if part.height or not rows:
            keep(part)
        rows += part.height
        questions.count(known, frame["reason"] == "")
        given = frame.filter(pl.col("answer").is_not_null())["reason"]
        answered += len(given)
        refused += frame.select(was_refused().sum()).item()
        dropped.update(given.filter(given != ""))
        teacher.add(frame)
        thought += int(frame[_THINKING_TOKENS].sum())
    used, missing = cut.used(), cut.missing()
    augmenter, verification = _Spent("augmenter"), _Spent("verification")
    failed: Counter[str] = Counter()
    if shards.questions:
        columns = ["reason", "augmenter_queries", *augmenter.columns]
        written = _first_queries(shards.questions, used, columns)
        augmenter.add(written, int(written["augmenter_queries"].sum()))
        for text, times in written["reason"].value_counts().iter_rows():
            for reason in filter(None, text.split(",")):
                failed[reason] += times
    if shards.samples:
        sampled = _read(shards.samples, verification.columns, used)
        verification.add(sampled, sampled.height)
    counts = DatasetCounts(
        queries=used if shards.answers else 0,
        rows=rows,
        missing_rows=missing,
        empty_slots=used - answered,
        dropped=dict(sorted(dropped.items())),
        failed_questions=dict(sorted(failed.items())),
        teacher_queries=answered - refused if shards.answers else 0,
        augmenter_queries=augmenter.queries,
        verification_queries=verification.queries,
        **teacher.tokens(),
        **({_THINKING_TOKENS: thought} if thought else {}),
        **augmenter.tokens(),
        **verification.tokens(),
        **questions.counts(),
    )
    microseconds = sum(spent.microseconds for spent in (teacher, augmenter, verification))
    return DatasetFacts(
        counts=counts,
        diversity=questions.diversity(),
        seconds=DatasetSeconds(generation=round(microseconds / 1e6, 3)),
    )


def _unreadable(path: Path, error: Exception) -> ValueError:
    why = str(error).splitlines()[0]
    return ValueError(f"{path} cannot be read ({why}); delete it to have it made again")


def _read(shards: Sequence[Path], columns: Sequence[str], stop: int) -> pl.DataFrame:
    """Return columns of the shards, and `query`, for the queries before `stop`.

    Raises:
        ValueError: if a shard cannot be read, naming it.
    """
    found = []
    for path in shards:
        try:
            # The rows contain all that is needed, so folder names are not read as columns.
            rows = _complete(pl.scan_parquet(path, hive_partitioning=False))
            rows = rows.filter(pl.col("query") < stop)
            found.append(rows.select(list(dict.fromkeys(["query", *columns]))).collect())
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(path, error) from None
    return pl.concat(found)


def _complete(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return rows with the columns of thinking added, if they lack them."""
    known = rows.collect_schema()
    lacking = {name: kind for name, kind in _OPTIONAL.items() if name not in known}
    none = {name: pl.lit(0 if kind == pl.Int64 else None, kind) for name, kind in lacking.items()}
    return rows.with_columns(**none)


def _first_queries(shards: Sequence[Path], stop: int, columns: Sequence[str]) -> pl.DataFrame:
    """Return the rows of `_read`, in order of queries.

    Raises:
        ValueError: if the shards do not contain each query before `stop` once.
    """
    rows = _read(shards, columns, stop).sort("query")
    if not rows["query"].equals(pl.int_range(stop, eager=True)):
        raise ValueError(
            f"the shards {', '.join(map(str, shards))} do not hold queries 0 to {stop - 1} "
            "once each; delete them to have them made again"
        )
    return rows


def _answers(shards: Sequence[Path], stop: int) -> Iterator[pl.DataFrame]:
    """Yield the answers before `stop`, some rows at a time, in order of queries.

    PyArrow reads the rows in batches, because Polars' streaming engine reads several row groups
    ahead, and long answers would fill the memory.

    Raises:
        ValueError: if the shards do not contain each query once.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [*ANSWERS_SCHEMA, *_OPTIONAL]
    _first_queries(shards, stop, [])
    queries = {path: _read([path], [], stop)["query"] for path in shards}
    ordered = sorted(shards, key=lambda path: int(queries[path].to_numpy().min(initial=stop)))
    if not pl.concat([queries[path] for path in ordered]).is_sorted():
        # Shards of a stream are in order. Files from elsewhere may not be, and are sorted in
        # memory.
        yield from _first_queries(shards, stop, names).iter_slices(_ROWS_AT_A_TIME)
        return
    for path in ordered:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_ROWS_AT_A_TIME, columns=names, use_threads=False):
                    frame = _complete(pl.DataFrame(pl.from_arrow(batch)).lazy())
                    yield frame.select(names).filter(pl.col("query") < stop).collect()
        except (pa.ArrowInvalid, OSError, pl.exceptions.ColumnNotFoundError) as error:
            raise _unreadable(path, error) from None


def _with(frame: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    """Return rows, in order of queries, joined with the column of another table, or null."""
    if frame.height:
        said = said.filter(pl.col("query").is_between(frame["query"][0], frame["query"][-1]))
    return frame.join(said, on="query", how="left", maintain_order="left")


def _real_pairs(seeds: Sequence[TaskItem], prompt: str) -> pl.DataFrame:
    """Return the seeds with their reference answers, in the form of a teacher's answers."""
    rows = [
        {
            "query": number,
            "seed_id": item.item_id,
            "sample": 0,
            "question": item.question,
            "prompt": prompt_of(item.history, answer_prompt(prompt, item)),
            "answer": item.answer,
            "finish_reason": "stop",
            "teacher_prompt_tokens": 0,
            "teacher_completion_tokens": 0,
            "teacher_seconds": 0.0,
        }
        for number, item in enumerate(seeds)
    ]
    return _complete(pl.DataFrame(rows, schema=ANSWERS_SCHEMA).lazy()).collect()


@dataclass(frozen=True)
class _Asked:
    """The distinct questions of some rows, and the question of each row.

    Attributes:
        different: the distinct questions.
        texts: the same questions as word numbers.
        place: for each row, the index of its question in `different`; null without a question.
        overlapping: for each row, whether its question overlaps with one of the test split.
    """

    different: pl.Series
    texts: diversity.Texts
    place: pl.Series
    overlapping: pl.Series


class Questions:
    """Measures the diversity of questions, and counts those near the seeds and the test split."""

    def __init__(
        self, seeds: Sequence[TaskItem], test: Sequence[TaskItem], length: int | None
    ) -> None:
        self._seeds = seeds
        self._length = length
        self._vocabulary = diversity.Vocabulary()
        self._others = {
            name: diversity.Others([item.question for item in items], self._vocabulary)
            for name, items in (("seed", seeds), ("test", test))
        }
        self._overlaps = diversity.overlap_test(
            [item.surroundings for item in test], [item.question for item in test], length
        )
        self._near = dict.fromkeys(self._others, 0)
        self._distinct = {n: diversity.Distinct(n) for n in diversity.DISTINCT}
        self._unique = diversity.Different(columns=2)

    def split(self, frame: pl.DataFrame) -> _Asked:
        """Return the questions of some rows, and whether they overlap with the test split."""
        different = frame["question"].drop_nulls().unique(maintain_order=True)
        table = different.to_frame("question").with_row_index("place")
        place = frame.select("question").join(
            table, on="question", how="left", maintain_order="left"
        )["place"]
        texts = self._vocabulary.texts(different)
        possible = pl.Series(self._others["test"].may_overlap(texts, self._length))
        overlapping = np.zeros(frame.height, dtype=bool)
        asked = frame.select("query", "question", possible=possible.gather(place).fill_null(False))
        asked = asked.with_row_index("row").filter("possible")
        for row, query, question, _ in asked.iter_rows():
            context = self._seeds[query % len(self._seeds)].surroundings
            overlapping[row] = self._overlaps(context, question)
        return _Asked(different, texts, place, pl.Series(overlapping, dtype=pl.Boolean))

    def count(self, asked: _Asked, kept: pl.Series) -> None:
        """Count the questions of the rows that are kept; `kept` may cover only the first rows."""
        place = asked.place[: len(kept)].filter(kept).to_numpy()
        repeated = np.bincount(place.astype(np.int64), minlength=len(asked.different))
        for name, others in self._others.items():
            self._near[name] += int(repeated[others.near(asked.texts)].sum())
        for counted in self._distinct.values():
            counted.add(asked.texts, repeated)
        questions = asked.different.filter(pl.Series(repeated > 0, dtype=pl.Boolean))
        # Digests of 128 bits: a collision among a thousand million questions is practically
        # impossible.
        digests = [blake2b(text.encode(), digest_size=16).digest() for text in questions]
        numbers = np.frombuffer(b"".join(digests), dtype=np.uint64).reshape(-1, 2)
        self._unique.add(pl.from_numpy(numbers))

    def counts(self) -> dict[str, int]:
        """Return the counts of questions for a dataset's record."""
        near = {f"near_{name}_rows": count for name, count in self._near.items()}
        return {"unique_questions": self._unique.count(), **near}

    def diversity(self) -> Diversity:
        """Return distinct-n of all counted questions."""
        return Diversity(
            **{f"distinct_{n}": counted.share() for n, counted in self._distinct.items()}
        )


def _reason(overlapping: pl.Series) -> pl.Expr:
    """Return the expression for why a row is left out, apart from the filter; "" for none."""
    return (
        pl.when(pl.col("answer").is_null())
        .then(pl.lit("empty_slot"))
        .when(pl.col("finish_reason") != "stop")
        .then(pl.col("finish_reason").replace_strict(UNFINISHED, default="not_finished"))
        .when(~is_whole())
        .then(pl.lit("blank"))
        .when(pl.lit(overlapping))
        .then(pl.lit("test_overlap"))
        .otherwise(pl.col("problem"))
    )


def _check_known(frame: pl.DataFrame, column: pl.Expr) -> None:
    """Check that a column of checks or labels has a value in every row."""
    unknown = frame.filter(column.is_null())["query"]
    if len(unknown):
        raise ValueError(
            f"the answer to query {unknown[0]} was not checked; delete the checks to have them "
            "made again"
        )


class _Cut:
    """Finds the query of the stream at which a dataset ends."""

    def __init__(self, settings: DatasetSettings) -> None:
        self._matched = settings.filter == MATCHED
        self._budget = settings.budget
        self._seen = 0
        self._target = 0
        self._found = 0
        self._enough: int | None = None

    def take(self, reasons: pl.Series) -> int:
        """Return how many of the next rows are used."""
        start, height = self._seen, len(reasons)
        self._seen += height
        if not self._matched:
            return height
        # The target is the number of rows that the budget gives without the filter.
        within = max(0, min(height, self._budget - start))
        self._target += int(reasons[:within].is_in(["", "not_verified"]).sum())
        found = self._found + (reasons == "").cast(pl.Int64).cum_sum()
        if height:
            self._found = int(found[-1])
        if start + height < self._budget:
            return height
        if self._enough is None:
            enough = (found >= self._target).arg_true()
            if not len(enough):
                return height
            self._enough = max(self._budget, start + int(enough[0]) + 1)
        return max(0, min(height, self._enough - start))

    def used(self) -> int:
        """Return how many queries are used."""
        return self._seen if self._enough is None else self._enough

    def missing(self) -> int:
        """Return how many rows could not be found."""
        short = self._matched and self._enough is None
        return self._target - self._found if short else 0


class _Spent:
    """Adds up the queries, tokens and time of one model."""

    def __init__(self, who: str) -> None:
        names = (f"{who}_prompt_tokens", f"{who}_completion_tokens")
        self._tokens = dict.fromkeys(names, 0)
        self._seconds = f"{who}_seconds"
        self.columns = (*names, self._seconds)
        self.queries = 0
        # An integer, so the sum does not depend on how the rows are divided into parts.
        self.microseconds = 0

    def add(self, frame: pl.DataFrame, queries: int = 0) -> None:
        """Add the tokens and the time of some rows, and queries."""
        self.queries += queries
        for name in self._tokens:
            self._tokens[name] += int(frame[name].sum())
        self.microseconds += int((frame[self._seconds] * 1e6).round().cast(pl.Int64).sum())

    def tokens(self) -> dict[str, int]:
        """Return the token counts by column."""
        return dict(self._tokens)


def _messages(prompts: pl.Series, thinking: bool) -> pl.Expr:
    """Return the expression for a chat: the prompt, and the answer with or without its thinking."""
    none = {THINKING: None} if thinking else {}
    asked = [
        [{"role": role, "content": text, **none} for role, text in messages_of(prompt)]
        for prompt in prompts
    ]
    kind = {"role": pl.String, "content": pl.String} | dict.fromkeys(none, pl.String)
    answer = [pl.lit("assistant").alias("role"), pl.col("answer").alias("content")]
    thought = [pl.col(TEACHER_THINKING).alias(THINKING)] if thinking else []
    before = pl.lit(pl.Series("asked", asked, dtype=pl.List(pl.Struct(kind))))
    return pl.concat_list(before, pl.struct([*answer, *thought]))
