"""Scorers: whether one model output answers one task item.

There is one scorer for each kind of task, and one for tasks that bring a function of their own.
Each gives two scores: `strict` asks for the format that the prompts ask for, `flexible` takes the
answer from free text. Model output is untrusted: any text of any length is scored, and none makes a
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
    from seedbed.tasks.items import TaskItem  # Too heavy for those that only plan.

T = TypeVar("T")
R = TypeVar("R")
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Reading:
    """A final answer as found in a text.

    Attributes:
        value: the answer in canonical form, or None if there is none to be found.
        reason: why there is none, "" if there is one.
    """

    value: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """How one output fared.

    Attributes:
        strict: the output gives the right answer in the format that was asked for.
        flexible: the output gives the right answer in a form that a reader would accept.
        extracted: the answer that the flexible rule found, None if it found none.
        reason: why no answer was found, or could not be judged; "" otherwise.
        grade: how good the output is, from 0 to 1, where answers are graded; None where they are
            right or wrong.
    """

    strict: bool
    flexible: bool
    extracted: str | None
    reason: str
    grade: float | None = None


class Scorer(Protocol):
    """Scores outputs of one task."""

    def score(self, output: str, item: TaskItem) -> Score:
        """Return the score of a model's output as an answer to the item.

        Raises:
            ValueError: if the item itself is at fault, e.g. its gold answer cannot be read.
        """
        ...

    def close(self) -> None:
        """End the scorer's processes; it can be called more than once."""
        ...


class Comparing(Scorer, Protocol):
    """A scorer that can compare two answers to a question that has no gold, by what they do."""

    def problem(self, answer: str, question: str, seed: TaskItem) -> str:
        """Return why an answer to a new question is no use, "" if it may be some."""
        ...

    def same(self, first: str, second: str, question: str, seed: TaskItem) -> bool:
        """Return whether two answers to a question made from a seed mean the same."""
        ...


class PlainScorer:
    """A scorer that takes no options, needs no files, and holds nothing that must end."""

    @classmethod
    def from_options(cls, options: Mapping[str, object], folder: Path) -> Self:
        """Return the scorer of a kind: the module's name.

        Raises:
            ValueError: if there is an option.
        """
        if options:
            kind = cls.__module__.rpartition(".")[2]
            raise ValueError(f"scorer {kind!r} has no option {', '.join(sorted(options))}")
        return cls()

    def close(self) -> None:
        """Do nothing: there is nothing to end."""


Scoring = Callable[[Any, str, "TaskItem"], Score]


def any_gold(score: Scoring) -> Scoring:
    """Return the method `score` of a scorer for items that have several right answers, too."""

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
        options: options of the scorer of that kind (see `ScorerOptions`). Or the task's own
            function as text, MODULE:FUNCTION (see `seedbed.evaluation.scorers.function`), which
            then scores instead.
        folder: the task's folder in the resources, which holds `databases/` if the task has any.
        task_folder: the folder of the task's file, where MODULE.py lies; needed for a function.

    Raises:
        ValueError: for an unknown kind or option, or a function that cannot be loaded.
    """
    module = _module(kind)
    if isinstance(options, str):
        module = import_module(f"{__name__}.function")
        return module.from_text(options, task_folder)
    return module.from_options(options, Path(folder))


def scoring_each(
    scorer: Scorer, work: Callable[[T], R], values: Iterable[T]
) -> Iterator[tuple[T, R]]:
    """Yield values with what work on each gives, in order, with as many at a time as a scorer can.

    Args:
        scorer: the scorer that the work uses.
        work: called with each value.
        values: taken a few at a time.
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
    """Return the code that scores a task beside this module: modules by name, a task's own by path.

    None of it shows in import statements, so a digest of code must include it explicitly.
    """
    if isinstance(options, str):
        return [f"{__name__}.function", module_file(options, task_folder)]
    return [kind_module(kind)]


def comparing_modules(
    kind: str, options: Mapping[str, object] | str, task_folder: str | Path
) -> list[str | Path]:
    """Return what compares answers to a question that has no gold, as `scorer_modules` does."""
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
    """Return whether two final answers mean the same.

    Each may be a bare final answer or a worked one. Numbers are compared exactly by value; choices
    by the text behind the label where the choices are given, else by label; SQL as text without
    regard to spacing and letter case outside quotes; exact strings by the flexible reading of
    `seedbed.evaluation.scorers.exact`. An answer that cannot be read equals no other.

    Raises:
        ValueError: for an unknown kind.
    """
    module = _module(kind)
    left = module.read_content(first, first_choices)
    right = module.read_content(second, second_choices)
    return left.value is not None and left.value == right.value


def read_answer(kind: str, answer: str, choices: Sequence[str] = ()) -> Reading:
    """Return the final answer of a worked one: a number, a choice's text or label, or a query.

    Args:
        kind: the task's kind.
        answer: what a model wrote.
        choices: texts of the choices in label order, if there are any and they are known.

    Raises:
        ValueError: for an unknown kind.
    """
    return _module(kind).read_answer(answer, choices)


def _module(kind: str) -> Any:
    # Loaded by name, so that the code behind one kind of task does not count as that of another.
    if kind not in KINDS:
        raise ValueError(f"no scorer of kind {kind!r}; there are: {', '.join(KINDS)}")
    return import_module(kind_module(kind))
