"""Questions that an augmenter writes for the queries of a stream, and whether they are usable."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import polars as pl

from seedbed.engines import UNFINISHED, Completion, Engine, Request, chat
from seedbed.streams import sampling_seed, with_thinking
from seedbed.streams.diversity import words
from seedbed.streams.extension import spread_seconds
from seedbed.streams.response_cache import ResponseCache
from seedbed.streams.settings import QuestionSettings
from seedbed.tasks.choices import choices_of, split_choices
from seedbed.tasks.items import TaskItem
from seedbed.tasks.prompts import question_prompt

SCHEMA = pl.Schema(
    {
        "query": pl.Int64,
        "seed_id": pl.String,
        "sample": pl.Int64,
        "question": pl.String,
        "reason": pl.String,
        "attempts": pl.Int64,
        "augmenter_queries": pl.Int64,
        "augmenter_prompt_tokens": pl.Int64,
        "augmenter_completion_tokens": pl.Int64,
        "augmenter_seconds": pl.Float64,
    }
)
LONGEST_QUESTION_CHARACTERS = 4000

_NOT_A_QUESTION = {
    "special_tokens": re.compile(r"<\|[^<>|]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?s>"),
    "refusal": re.compile(
        r"\A\W*(?:I(?:'|’| a)m sorry|sorry|I (?:cannot|can(?:'|’)t|am unable)|as an AI"
        r"|unfortunately)\b",
        re.IGNORECASE,
    ),
    "preamble": re.compile(
        r"\A\W*(?:sure|certainly|of course)\b\W*[,!.:]"
        r"|\A\W*here(?: is| are|'s|’s)\b[^\n]{0,200}:\W*(?:\n|\Z)"
        r"|\A\W*(?:(?:the|a|new|rewritten|rephrased) )*(?:problem|question)\b\W{0,3}:",
        re.IGNORECASE,
    ),
    "has_answer": re.compile(
        r"####|^\W*(?:solution|answer|final answer|explanation|sql)\b\W{0,3}:",
        re.IGNORECASE | re.MULTILINE,
    ),
}
"""By reason, patterns that make an augmenter's text unusable, in the order in which they are
tried."""


@dataclass
class _Slot:
    query: int
    seed: TaskItem
    sample: int
    question: str | None = None
    reasons: list[str] = field(default_factory=list)
    attempts: int = 0
    queries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    thinking_tokens: int = 0
    seconds: float = 0.0

    def count(self, completion: Completion) -> None:
        self.queries += not completion.refused
        self.prompt_tokens += completion.prompt_tokens
        self.completion_tokens += completion.completion_tokens
        self.thinking_tokens += completion.thinking_tokens
        self.seconds += completion.seconds


def write_questions(
    settings: QuestionSettings,
    seeds: Sequence[TaskItem],
    queries: Sequence[int],
    engine: Callable[[], Engine],
    cache: ResponseCache,
    progress: Callable[[str], None],
) -> pl.DataFrame:
    """Write the questions of some queries of a stream, given in order.

    Query i starts from seed i mod S. If a question is unusable or its self-check rejects it, the
    augmenter tries again with another sampling seed. After `max_attempts`, the slot stays empty.

    Returns:
        One row per query, in order, with the columns of `SCHEMA`, and `augmenter_thinking_tokens`
        if there was thinking. `question` is null for an empty slot, and `reason` lists the reasons
        of failed attempts, separated by commas.
    """
    slots = [_Slot(i, seeds[i % len(seeds)], i // len(seeds)) for i in queries]
    for attempt in range(settings.max_attempts or 0):
        open_slots = {str(slot.query): slot for slot in slots if slot.question is None}
        if not open_slots:
            break
        progress(f"attempt {attempt + 1}: {len(open_slots)} questions to write")
        requests = [
            Request(
                key=key,
                messages=chat(question_prompt(settings.prompt, slot.seed), settings.system),
                max_tokens=settings.question_tokens,
                temperature=settings.temperature,
                top_p=settings.top_p,
                seed=sampling_seed(settings.stream, slot.query, "question", attempt),
                stop=settings.stop,
            )
            for key, slot in open_slots.items()
        ]
        drafts: dict[str, str] = {}
        for completion in cache.complete(engine, requests, progress):
            slot = open_slots[completion.key]
            slot.attempts += 1
            slot.count(completion)
            question, reason = read_question(completion, slot.seed, settings.keeps_answer)
            if question is None:
                slot.reasons.append(reason)
            elif settings.check_prompt is None:
                slot.question = question
            else:
                drafts[completion.key] = question
        if drafts and settings.check_prompt is not None:
            _check(settings, open_slots, drafts, engine, cache, progress)
    rows = pl.DataFrame(
        [
            {
                "query": slot.query,
                "seed_id": slot.seed.item_id,
                "sample": slot.sample,
                "question": slot.question,
                "reason": ",".join(slot.reasons),
                "attempts": slot.attempts,
                "augmenter_queries": slot.queries,
                "augmenter_prompt_tokens": slot.prompt_tokens,
                "augmenter_completion_tokens": slot.completion_tokens,
                "augmenter_seconds": slot.seconds,
            }
            for slot in slots
        ],
        schema=SCHEMA,
    )
    rows = with_thinking(rows, "augmenter", [slot.thinking_tokens for slot in slots])
    return spread_seconds(rows, "augmenter")


def _check(
    settings: QuestionSettings,
    slots: dict[str, _Slot],
    drafts: dict[str, str],
    engine: Callable[[], Engine],
    cache: ResponseCache,
    progress: Callable[[str], None],
) -> None:
    requests = [
        Request(
            key=key,
            messages=chat(
                question_prompt(settings.check_prompt or "", slots[key].seed, question),
                settings.system,
            ),
            max_tokens=settings.check_tokens,
            stop=settings.stop,
        )
        for key, question in drafts.items()
    ]
    for completion in cache.complete(engine, requests, progress):
        slot = slots[completion.key]
        slot.count(completion)
        sound = read_self_check(completion.text)
        if sound:
            slot.question = drafts[completion.key]
        elif completion.finish_reason == "failed":
            slot.reasons.append("failed")
        else:
            slot.reasons.append("check_unreadable" if sound is None else "check_no")


def read_question(
    completion: Completion, seed: TaskItem, keeps_answer: bool
) -> tuple[str | None, str]:
    """Return the question that an augmenter wrote, or None and the reason why it is unusable.

    Reasons: `truncated` (cut at the limit), `content_filter` and `rejected` (refused by an
    endpoint), `failed` (all attempts failed), `not_finished` (ended by anything else), `empty`,
    `too_long`, `control_characters`, `special_tokens` (of a chat template), `refusal`, `preamble`
    (words about the question before it, or a heading), `has_answer` (an answer below it),
    `no_question` (fewer than two words), and `same_as_seed` (equal except for spacing, letter case
    and punctuation). If the seed's question ends in choices: `no_choices` (not the same number in
    that layout), `repeated_choice`, and, if the seed's answer must remain right, `other_choices`
    (not the seed's).
    """
    text = completion.text.strip()
    if completion.finish_reason != "stop":
        return None, UNFINISHED.get(completion.finish_reason, "not_finished")
    if not text:
        return None, "empty"
    if len(text) > LONGEST_QUESTION_CHARACTERS:
        return None, "too_long"
    if any(ord(sign) < 32 and sign not in "\n\t" for sign in text):
        return None, "control_characters"
    for reason, form in _NOT_A_QUESTION.items():
        # If the seed has such a text itself, it is part of the task.
        if form.search(text) and not form.search(seed.question):
            return None, reason
    if len(words(split_choices(text)[0])) < 2:
        return None, "no_question"
    if words(text) == words(seed.question):
        return None, "same_as_seed"
    known = [_folded(choice) for choice in choices_of(seed.question)]
    if known:
        choices = [_folded(choice) for choice in choices_of(text)]
        if len(choices) != len(known):
            return None, "no_choices"
        if len(set(choices)) < len(set(known)):
            return None, "repeated_choice"
        if keeps_answer and choices != known:
            return None, "other_choices"
    return text, ""


def _folded(text: str) -> str:
    """Return a text in lower case with single spaces."""
    return " ".join(text.lower().split())


def read_self_check(text: str) -> bool | None:
    """Return whether a self-check begins with `yes` (True) or `no` (False), else None."""
    first = re.match(r"\W*(yes|no)\b", text, re.IGNORECASE)
    return None if first is None else first[1].lower() == "yes"
