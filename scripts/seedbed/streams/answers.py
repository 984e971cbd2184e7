"""A teacher's answers to the queries of a stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from seedbed.config.values import JsonObject
from seedbed.engines import Engine, Request, chat, prompt_of
from seedbed.streams import sampling_seed, with_thinking
from seedbed.streams.extension import spread_seconds
from seedbed.streams.response_cache import ResponseCache
from seedbed.streams.settings import AnswerSettings
from seedbed.tasks.items import TaskItem
from seedbed.tasks.prompts import answer_prompt

SCHEMA = pl.Schema(
    {
        "query": pl.Int64,
        "seed_id": pl.String,
        "sample": pl.Int64,
        "question": pl.String,
        "prompt": pl.String,
        "answer": pl.String,
        "finish_reason": pl.String,
        "teacher_prompt_tokens": pl.Int64,
        "teacher_completion_tokens": pl.Int64,
        "teacher_seconds": pl.Float64,
    }
)

TEACHER_THINKING = "teacher_thinking"
"""Column with the teacher's thinking before its answer, if the study keeps it."""
KEEPING_SCHEMA = pl.Schema([*SCHEMA.items(), (TEACHER_THINKING, pl.String)])


def columns_of(settings: AnswerSettings) -> pl.Schema:
    """Return the columns of the rows of answers."""
    return KEEPING_SCHEMA if settings.keep_thinking else SCHEMA


def answer_questions(
    settings: AnswerSettings,
    seeds: Sequence[TaskItem],
    questions: pl.DataFrame | None,
    queries: Sequence[int],
    engine: Callable[[], Engine],
    cache: ResponseCache,
    progress: Callable[[str], None],
) -> pl.DataFrame:
    """Answer queries of a stream.

    Args:
        settings: prompt and sampling.
        seeds: the seed set, in order.
        questions: rows of `seedbed.streams.questions` that cover the queries, or None if the
            teacher answers the seeds' own questions.
        queries: their numbers, in order.
        engine: returns the teacher; called only if the cache lacks an answer.
        cache: stores answers as they arrive.
        progress: called with a line of text from time to time.

    Returns:
        One row per query, in order, with the columns of `columns_of`, and `teacher_thinking_tokens`
        if there was thinking. An empty slot costs no query: its `answer` is null and its token
        counts are 0.

    Raises:
        ValueError: if `questions` lacks one of the queries.
    """
    written: dict[int, str | None] = {}
    if questions is not None:
        written = dict(questions.select("query", "question").iter_rows())
        absent = [i for i in queries if i not in written]
        if absent:
            raise ValueError(f"no row for query {absent[0]} of {settings.stream} in the questions")
    rows: dict[str, JsonObject] = {}
    requests = []
    thinking = dict.fromkeys(map(str, queries), 0)
    for i in queries:
        seed = seeds[i % len(seeds)]
        question = seed.question if questions is None else written[i]
        row: JsonObject = {
            "query": i,
            "seed_id": seed.item_id,
            "sample": i // len(seeds),
            "question": question,
            "prompt": None,
            "answer": None,
            "finish_reason": None,
            "teacher_prompt_tokens": 0,
            "teacher_completion_tokens": 0,
            "teacher_seconds": 0.0,
        }
        rows[str(i)] = row
        if question is None:
            continue
        prompt = prompt_of(seed.history, answer_prompt(settings.prompt, seed, question))
        row["prompt"] = prompt
        requests.append(
            Request(
                key=str(i),
                messages=chat(prompt, settings.system),
                max_tokens=settings.answer_tokens,
                temperature=settings.temperature,
                top_p=settings.top_p,
                seed=sampling_seed(settings.stream, i, "answer"),
                stop=settings.stop,
            )
        )
    for completion in cache.complete(engine, requests, progress):
        row = rows[completion.key]
        row["answer"] = completion.text
        row["finish_reason"] = completion.finish_reason
        row["teacher_prompt_tokens"] = completion.prompt_tokens
        row["teacher_completion_tokens"] = completion.completion_tokens
        thinking[completion.key] = completion.thinking_tokens
        row["teacher_seconds"] = completion.seconds
        if settings.keep_thinking:
            row[TEACHER_THINKING] = completion.thinking or None
    found = pl.DataFrame([*rows.values()], schema=columns_of(settings))
    found = with_thinking(found, "teacher", [*thinking.values()])
    return spread_seconds(found, "teacher")


def is_whole() -> pl.Expr:
    """Return the expression for an answer that exists, ended by itself, and is not blank."""
    answer = pl.col("answer")
    return (
        answer.is_not_null()
        & (pl.col("finish_reason") == "stop")
        & (answer.str.strip_chars() != "")
    )


def was_refused() -> pl.Expr:
    """Return the expression for an answer that is a refusal, which does not count as a query."""
    refused = pl.col("finish_reason").is_in(["rejected", "failed", "content_filter"])
    return refused & (pl.col("teacher_prompt_tokens") == 0)
