"""Verification labels: whether answers are right, by the seed's answer or by self-consistency."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from seedbed.engines import Engine, Request, chat
from seedbed.evaluation.scorers import Score, Scorer, scoring_each
from seedbed.streams import sampling_seed, with_thinking
from seedbed.streams.answers import is_whole
from seedbed.streams.extension import spread_seconds
from seedbed.streams.response_cache import ResponseCache
from seedbed.streams.settings import SampleSettings
from seedbed.streams.validity import Judge, judges
from seedbed.tasks.items import TaskItem

SAMPLES_SCHEMA = pl.Schema(
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
LABELS_SCHEMA = pl.Schema(
    {
        "query": pl.Int64,
        "final": pl.String,
        "verified": pl.Boolean,
        "samples": pl.Int64,
        "agreeing": pl.Int64,
    }
)


def sample_answers(
    settings: SampleSettings,
    answers: pl.DataFrame,
    stop: int,
    engine: Callable[[], Engine],
    cache: ResponseCache,
    progress: Callable[[str], None],
) -> pl.DataFrame:
    """Query the teacher again for each question, `samples - 1` times with other sampling seeds.

    Args:
        settings: number of samples, and how they are sampled.
        answers: rows of `seedbed.streams.answers`; those without a whole answer are skipped.
        stop: one past the last query to ask.
        engine: returns the teacher; called only if the cache lacks an answer.
        cache: stores answers as they arrive.
        progress: called with a line of text from time to time.

    Returns:
        One row per answer, in order of query and sample, with the columns of `SAMPLES_SCHEMA`, and
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
            stop=settings.stop,
        )
        for query, prompt in asked.select("query", "prompt").iter_rows()
        for sample in range(1, settings.samples)
    ]
    rows = []
    thinking = []
    for completion in cache.complete(engine, requests, progress):
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
    samples = with_thinking(pl.DataFrame(rows, schema=SAMPLES_SCHEMA), "verification", thinking)
    return spread_seconds(samples.sort("query", "sample"), "verification")


def verify_answers(
    answers: pl.DataFrame,
    samples: pl.DataFrame | None,
    seeds: Sequence[TaskItem],
    kind: str,
    scorer: Scorer,
) -> pl.DataFrame:
    """Label every whole answer of a shard as verified or not.

    If the seed's answer remains right, an answer is verified if the scorer's flexible reading finds
    it right. The answer to a new question is verified if more than half of the teacher's answers
    agree with it, including itself (self-consistency, Wang et al. 2022). SQL answers agree if their
    queries return the same rows, code answers if their programs behave the same. An answer without
    any other sample is not verified.

    Args:
        answers: rows of `seedbed.streams.answers`.
        samples: self-consistency samples, rows of `sample_answers`; None if the seed's answer
            remains right.
        seeds: the seed set, in order.
        kind: the task's kind.
        scorer: the task's scorer.

    Returns:
        One row per whole answer, with the columns of `LABELS_SCHEMA`. Answers to new questions
        without samples are left out.
    """
    if samples is None:
        return _verified_by_seeds(answers, seeds, scorer)
    whole: dict[int, list[str]] = {}
    for query, answer in samples.filter(is_whole()).select("query", "answer").iter_rows():
        whole.setdefault(query, []).append(answer)
    # A truncated sample is a vote that agrees with no answer; a failed query is no vote.
    is_vote = ~pl.col("finish_reason").is_in(["failed", "rejected"])
    sampled = dict(samples.group_by("query").agg(is_vote.sum()).iter_rows())
    asked = answers.filter(pl.col("query").is_in(list(sampled)))
    rows = []

    def agreed(one: tuple[int, Judge]) -> int:
        return 1 + sum(map(one[1].agrees, whole.get(one[0], [])))

    found = scoring_each(scorer, agreed, judges(asked, seeds, kind, scorer))
    for (query, judge), agreeing in found:
        count = 1 + sampled[query]
        rows.append(
            {
                "query": query,
                "final": judge.final,
                "verified": judge.final is not None and count > 1 and 2 * agreeing > count,
                "samples": count,
                "agreeing": agreeing,
            }
        )
    return pl.DataFrame(rows, schema=LABELS_SCHEMA)


def _verified_by_seeds(
    answers: pl.DataFrame, seeds: Sequence[TaskItem], scorer: Scorer
) -> pl.DataFrame:
    rows = []

    def scored(row: tuple[int, str]) -> Score:
        return scorer.score(row[1], seeds[row[0] % len(seeds)])

    whole = answers.filter(is_whole()).select("query", "answer").iter_rows()
    for (query, _), score in scoring_each(scorer, scored, whole):
        rows.append(
            {
                "query": query,
                "final": score.extracted,
                "verified": score.flexible,
                "samples": 1,
                "agreeing": 1,
            }
        )
    return pl.DataFrame(rows, schema=LABELS_SCHEMA)
