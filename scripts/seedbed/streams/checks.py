"""Checks: whether answers stand, by the seed's answer or by the teacher's further ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from seedbed.engines import Engine, Request, chat
from seedbed.evaluation.scorers import Scorer, answers_equal, read_answer
from seedbed.streams import sampling_seed, with_thinking
from seedbed.streams.answers import is_whole
from seedbed.streams.extension import spread_seconds
from seedbed.streams.journal import Journal
from seedbed.tasks.choices import choices_of
from seedbed.tasks.items import TaskItem
from seedbed.tasks.record import TaskRecord

VOTES_SCHEMA = pl.Schema(
    {
        "query": pl.Int64,
        "sample": pl.Int64,
        "answer": pl.String,
        "finish_reason": pl.String,
        "verification_prompt_tokens": pl.Int64,
        "verification_completion_tokens": pl.Int64,
        "verification_seconds": pl.Float64,
    }
)
CHECKS_SCHEMA = pl.Schema({"query": pl.Int64, "final": pl.String, "problem": pl.String})
VERDICTS_SCHEMA = pl.Schema(
    {
        "query": pl.Int64,
        "final": pl.String,
        "verified": pl.Boolean,
        "samples": pl.Int64,
        "agreeing": pl.Int64,
    }
)

LABEL_KINDS = ("exact", "choice")
"""Kinds of task whose answers may be labels."""
MOST_LABELS = 20
FEWEST_ITEMS_A_LABEL = 4


@dataclass(frozen=True)
class VoteSettings:
    """How further answers are sampled.

    Attributes:
        stream: key of the stream.
        samples: answers to a question in all, the stream's own included.
        answer_tokens: the longest answer, in tokens.
        temperature: of the answers.
        top_p: nucleus of the answers.
        system: message that sets the model up, or None.
        stop: texts that end what it writes.
        manner: how the model is asked otherwise than by default; the engine's settings say so too.
    """

    stream: str
    samples: int
    answer_tokens: int
    temperature: float
    top_p: float
    system: str | None = None
    stop: tuple[str, ...] = ()
    manner: dict[str, Any] | None = None


def sample_votes(
    settings: VoteSettings,
    answers: pl.DataFrame,
    stop: int,
    engine: Callable[[], Engine],
    journal: Journal,
    progress: Callable[[str], None],
) -> pl.DataFrame:
    """Ask the teacher again what it answered, `samples - 1` times with other sampling seeds.

    Args:
        settings: how often, and how answers are sampled.
        answers: rows of `seedbed.streams.answers`; those without a whole answer are not asked.
        stop: one past the last query to ask.
        engine: called for the teacher once there is something to ask.
        journal: where answers are kept as they arrive.
        progress: called with a line of text now and then.

    Returns:
        One row an answer, in order of query and sample, with the columns of `VOTES_SCHEMA`, and
        `verification_thinking_tokens` if there was thinking.
    """
    asked = answers.filter((pl.col("query") < stop) & is_whole())
    requests = [
        Request(
            key=f"{query}/{sample}",
            messages=chat(prompt, settings.system),
            max_tokens=settings.answer_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
            seed=sampling_seed(settings.stream, query, "vote", sample),
            stop=tuple(settings.stop),
        )
        for query, prompt in asked.select("query", "prompt").iter_rows()
        for sample in range(1, settings.samples)
    ]
    rows = []
    thinking = []
    for completion in journal.complete(engine, requests, progress):
        thinking.append(completion.thinking_tokens)
        query, sample = completion.key.split("/")
        rows.append(
            {
                "query": int(query),
                "sample": int(sample),
                "answer": completion.text,
                "finish_reason": completion.finish_reason,
                "verification_prompt_tokens": completion.prompt_tokens,
                "verification_completion_tokens": completion.completion_tokens,
                "verification_seconds": completion.seconds,
            }
        )
    votes = with_thinking(pl.DataFrame(rows, schema=VOTES_SCHEMA), "verification", thinking)
    return spread_seconds(votes.sort("query", "sample"), "verification")


def requires_new_answer(setting: str | None, kind: str, record: TaskRecord) -> bool:
    """Return whether a new question is useless whose answer is the seed's.

    With few labels, half of all sound questions have the seed's.

    Args:
        setting: `required` or `not_required`, or None to go by how many answers there are.
        kind: the task's kind.
        record: the task's `task.json`.
    """
    if setting is not None:
        return setting == "required"
    values = record.gold_values
    if kind not in LABEL_KINDS or values is None:
        return True
    return values > MOST_LABELS or values * FEWEST_ITEMS_A_LABEL > record.counts.train_items


def check_answers(
    answers: pl.DataFrame,
    seeds: Sequence[TaskItem],
    kind: str,
    scorer: Scorer,
    any_form: bool = False,
    new_answer: bool = True,
) -> pl.DataFrame:
    """Check every whole answer of a shard to new questions.

    Args:
        answers: rows of `seedbed.streams.answers`.
        seeds: the seed set, in order.
        kind: the task's kind.
        scorer: the task's scorer.
        any_form: whether answers will do that cannot be read by the kind, as where the task has a
            scorer of its own.
        new_answer: whether the final answer must differ from the seed's.

    Returns:
        One row a whole answer, with the columns of `CHECKS_SCHEMA`: `final` is the final answer as
        it is read, `problem` why the row does not do for a new question, "" if it does:
        `same_answer_as_seed`, `unreadable_answer`, and in SQL `query_failed` or `no_rows`.
    """
    judges = _judges(answers, seeds, kind, scorer)
    rows = [
        {"query": query, "final": judge.final, "problem": judge.problem(any_form, new_answer)}
        for query, judge in judges
    ]
    return pl.DataFrame(rows, schema=CHECKS_SCHEMA)


def verify_answers(
    answers: pl.DataFrame,
    votes: pl.DataFrame | None,
    seeds: Sequence[TaskItem],
    kind: str,
    scorer: Scorer,
) -> pl.DataFrame:
    """Say of every whole answer of a shard whether it is verified.

    Where the seed's answer stays right, an answer is verified if the scorer finds it right by the
    flexible reading. For a new question, which has votes, it is verified if more than half of the
    teacher's answers agree with it, itself among them (self-consistency, Wang et al. 2022); in SQL
    those agree whose queries find the same.

    Args:
        answers: rows of `seedbed.streams.answers`.
        votes: rows of `sample_votes`, or None where the seed's answer stays right.
        seeds: the seed set, in order.
        kind: the task's kind.
        scorer: the task's scorer.

    Returns:
        One row a whole answer that can be verified, with the columns of `VERDICTS_SCHEMA`: those of
        new questions are left out that have no votes.
    """
    if votes is None:
        return _verified_by_seeds(answers, seeds, scorer)
    voted: dict[int, list[str]] = {}
    for query, answer in votes.filter(is_whole()).select("query", "answer").iter_rows():
        voted.setdefault(query, []).append(answer)
    # A vote that was cut counts as well, and agrees with nothing.
    sampled = dict(votes.group_by("query").len().iter_rows())
    asked = answers.filter(pl.col("query").is_in(list(sampled)))
    rows = []
    for query, judge in _judges(asked, seeds, kind, scorer):
        samples = 1 + sampled[query]
        agreeing = 1 + sum(map(judge.agrees, voted.get(query, [])))
        rows.append(
            {
                "query": query,
                "final": judge.final,
                "verified": judge.final is not None and 2 * agreeing > samples,
                "samples": samples,
                "agreeing": agreeing,
            }
        )
    return pl.DataFrame(rows, schema=VERDICTS_SCHEMA)


def _verified_by_seeds(
    answers: pl.DataFrame, seeds: Sequence[TaskItem], scorer: Scorer
) -> pl.DataFrame:
    rows = []
    for query, answer in answers.filter(is_whole()).select("query", "answer").iter_rows():
        score = scorer.score(answer, seeds[query % len(seeds)])
        rows.append(
            {
                "query": query,
                "final": score.extracted,
                "verified": score.flexible,
                "samples": 1,
                "agreeing": 1,
            }
        )
    return pl.DataFrame(rows, schema=VERDICTS_SCHEMA)


def _judges(
    answers: pl.DataFrame, seeds: Sequence[TaskItem], kind: str, scorer: Scorer
) -> Iterator[tuple[int, _Judge]]:
    whole = answers.filter(is_whole()).select("query", "question", "answer")
    for query, question, answer in whole.iter_rows():
        yield query, _Judge(kind, scorer, seeds[query % len(seeds)], question, answer)


class _Judge:
    """What can be said of one answer to a new question."""

    def __init__(
        self, kind: str, scorer: Scorer, seed: TaskItem, question: str, answer: str
    ) -> None:
        self._kind = kind
        self._scorer = scorer
        self._seed = seed
        self._answer = answer
        self._choices = choices_of(question) if seed.choices else ()
        self.final = read_answer(kind, answer, self._choices).value

    def problem(self, any_form: bool, new_answer: bool) -> str:
        """Return why the row does not do for a new question, "" if it does; see `check_answers`."""
        seed = self._seed
        if new_answer and answers_equal(
            self._kind, self._answer, seed.answer, self._choices, seed.choices
        ):
            return "same_answer_as_seed"
        if self._kind != "sql":
            return "" if any_form or self.final is not None else "unreadable_answer"
        if self.final is None:
            return "query_failed"
        result = self._scorer.run(seed.database, self.final)
        if result.error:
            return "query_failed"
        return "" if result.rows else "no_rows"

    def agrees(self, other: str) -> bool:
        """Return whether another answer to the same question says the same."""
        if self.final is None:
            return False
        if self._kind == "sql":
            item = replace(self._seed, gold=self.final)
            return self._scorer.score(other, item).flexible
        return answers_equal(self._kind, self._answer, other, self._choices, self._choices)
