"""Scorers decide whether a model's output answers an item.

There is one scorer for each kind of task, and one for tasks with a function of their own. Each
gives two readings: `strict` requires the format that the prompts ask for, `flexible` finds the
answer in free text. Model output is untrusted: text of any length is scored, and no text makes a
scorer of this package raise or hang.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, get_args

from seedbed.config.values import Kind

if TYPE_CHECKING:
    from seedbed.tasks.items import TaskItem  # Slow to import for the code that only plans.

T = TypeVar("T")
R = TypeVar("R")
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Reading:
    """A final answer found in a text.

    Attributes:
        value: the answer in canonical form, or None if there is none.
        reason: why there is no answer, "" if there is one.
    """

    value: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one output.

    Attributes:
        strict: whether the output gives the right answer in the requested format.
        flexible: whether the output gives the right answer in a form that a reader would accept.
        extracted: the answer that the flexible rule found, None if it found none.
        reason: why no answer was found, or why it could not be judged; "" otherwise.
        grade: the grade, from 0 to 1, if answers are graded; None if they are right or wrong.
    """

    strict: bool
    flexible: bool
    extracted: str | None
    reason: str
    grade: float | None = None


class Scorer(Protocol):
    """Scores the outputs for one task."""

    def score(self, output: str, item: TaskItem) -> Score:
        """Return the score of a model's output as an answer to the item.

        Raises:
            ValueError: if the item itself is invalid, e.g. its gold answer cannot be read.
        """
        ...

    def close(self) -> None:
        """Stop the scorer's processes. It can be called more than once."""
        ...


class Comparing(Scorer, Protocol):
    """A scorer that can compare two answers to a question without a gold, e.g. by running them."""

    def problem(self, answer: str, question: str, seed: TaskItem) -> str:
        """Return why an answer to a new question is unusable, "" if no problem is found."""
        ...

    def same(self, first: str, second: str, question: str, seed: TaskItem) -> bool:
        """Return whether two answers to a question made from a seed mean the same."""
        ...


class PlainScorer:
    """A scorer without options, files and processes."""

    @classmethod
    def from_options(cls, options: Mapping[str, object], folder: Path) -> Self:
        """Return the scorer.

        Raises:
            ValueError: if an option is given. The message calls the kind by the module's name.
        """
        if options:
            kind = cls.__module__.rpartition(".")[2]
            raise ValueError(f"scorer {kind!r} has no option {', '.join(sorted(options))}")
        return cls()

    def close(self) -> None:
        """Do nothing: there are no processes."""


Scoring = Callable[[Any, str, "TaskItem"], Score]


def any_gold(score: Scoring) -> Scoring:
    """Decorate a scorer's method `score` to support items with several right answers."""

    @wraps(score)
    def scored(scorer: Any, output: str, item: TaskItem) -> Score:
        if not item.golds:
            return score(scorer, output, item)
        scores = [score(scorer, output, replace(item, gold=gold, golds=())) for gold in item.golds]
        return Score(
            strict=max(one.strict for one in scores),
            flexible=max(one.flexible for one in scores),
            extracted=scores[0].extracted,
            reason=scores[0].reason,
        )

    return scored


def make_scorer(
    kind: str,
    options: Mapping[str, object] | str,
    folder: Path,
    task_folder: Path | None = None,
) -> Scorer:
    """Return the scorer of a task.

    Args:
        kind: one of `KINDS`.
        options: the options of this kind's scorer (see `ScorerOptions`); or MODULE:FUNCTION, the
            task's own function, which then scores instead (see
            `seedbed.evaluation.scorers.function`).
        folder: the task's folder in the resources, with `databases/` if the task has any.
        task_folder: the folder of the task's file and of MODULE.py; required for a function.

    Raises:
        ValueError: if the kind or an option is unknown, or the function cannot be loaded.
    """
    module = _module(kind)
    if isinstance(options, str):
        module = import_module(f"{__name__}.function")
        return module.from_text(options, task_folder)
    return module.from_options(options, Path(folder))


def scoring_each(
    scorer: Scorer, work: Callable[[T], R], values: Iterable[T]
) -> Iterator[tuple[T, R]]:
    """Yield each value with the result of its work, in order; work in parallel if the scorer can.

    Args:
        scorer: the scorer that the work uses.
        work: called with each value.
        values: the values, consumed a few at a time.
    """
    workers = getattr(scorer, "parallel", 1)
    if workers == 1:
        for value in values:
            yield value, work(value)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[T, Future[R]]] = deque()
        for value in values:
            waiting.append((value, pool.submit(work, value)))
            if len(waiting) > 2 * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()


def scorer_modules(
    kind: str, options: Mapping[str, object] | str, task_folder: str | Path
) -> list[str | Path]:
    """Return the code that scores a task: modules by name, the task's own function's by path.

    No import statement names this code, so a digest of code must include it explicitly.
    """
    if isinstance(options, str):
        return [f"{__name__}.function", module_file(options, task_folder)]
    return [kind_module(kind)]


def comparing_modules(
    kind: str, options: Mapping[str, object] | str, task_folder: str | Path
) -> list[str | Path]:
    """Return the code that compares answers to a question without a gold; see `scorer_modules`."""
    own = isinstance(options, str) and brings_comparison(options, task_folder)
    return [kind_module(kind), *(scorer_modules(kind, options, task_folder) if own else ())]


def brings_comparison(function: str, task_folder: str | Path) -> bool:
    """Return whether the file of a task's own function also compares two answers."""
    return bool(import_module(f"{__name__}.function").compares(function, task_folder))


def kind_module(kind: str) -> str:
    """Return the module that reads and compares the answers of a kind of task."""
    return f"{__name__}.{kind}"


def module_file(function: str, task_folder: str | Path) -> Path:
    """Return the file of a task's own function, MODULE:FUNCTION."""
    return Path(task_folder) / f"{function.partition(':')[0]}.py"


def answers_equal(
    kind: str,
    first: str,
    second: str,
    first_choices: Sequence[str] = (),
    second_choices: Sequence[str] = (),
) -> bool:
    """Return whether two answers have the same final answer.

    Each may be a bare final answer or a worked one. Numbers are compared exactly by value; choices
    by their texts if the choices are given, else by label; SQL as text, ignoring spacing and letter
    case outside quotes; exact strings by the flexible reading of
    `seedbed.evaluation.scorers.exact`. An answer that cannot be read equals no other.

    Raises:
        ValueError: if the kind is unknown.
    """
    module = _module(kind)
    left = module.read_content(first, first_choices)
    right = module.read_content(second, second_choices)
    return left.value is not None and left.value == right.value


def read_answer(kind: str, answer: str, choices: Sequence[str] = ()) -> Reading:
    """Return the final answer of a worked one: a number, a choice's text or label, a query, ...

    Args:
        kind: the task's kind.
        answer: the worked answer.
        choices: the choices' texts in label order, if there are any and they are known.

    Raises:
        ValueError: if the kind is unknown.
    """
    return _module(kind).read_answer(answer, choices)


def _module(kind: str) -> Any:
    # Loaded by name, so that the code digest of one kind does not include the code of the others.
    if kind not in KINDS:
        raise ValueError(f"no scorer of kind {kind!r}; there are: {', '.join(KINDS)}")
    return import_module(kind_module(kind))
