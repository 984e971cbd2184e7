"""Check one task for free, without a study or a model.

Prints the sizes of the splits, and notes on rows that may be mistakes. Then scores every reference
answer of both splits by the task's own scorer, and names those that fail, with the lines that
exclude them. Then shows three rows as models will see them, by method.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from seedbed.command_line import option, optional, run
from seedbed.config.documents import read_document
from seedbed.config.folders import ConfigFolders
from seedbed.evaluation.references import describe_failures, failing_references
from seedbed.evaluation.scorers import make_scorer
from seedbed.streams.diversity import words
from seedbed.streams.settings import MethodConfig
from seedbed.streams.validity import requires_new_answer
from seedbed.study.reading import validate
from seedbed.study.task_files import load_task
from seedbed.tasks.items import TaskItem, gold_values
from seedbed.tasks.making import Made, make_items
from seedbed.tasks.prompts import answer_prompt, question_prompt
from seedbed.tasks.record import TaskCounts, TaskRecord
from seedbed.tasks.settings import FilesSource, TaskConfig, WorldSource

_MOST_GOLDS = 8
_CHARACTERS_A_TOKEN = 2
"""A low estimate for languages with an alphabet."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which task to check."""

    task: str = option(str, "name of a folder in config/tasks")
    data_dir: Path | None = optional(
        Path, "folder with data sets in the hub's layout; by default, the one in config.yaml"
    )
    rows: int = option(int, "how many rows to show as models see them", 3)


def check_task(
    name: str, folders: ConfigFolders, data_dir: Path | None = None, rows: int = 3
) -> tuple[str, bool]:
    """Return a report on a task, and whether all its reference answers are right.

    Args:
        name: name of the task's folder.
        folders: the folders of the configuration.
        data_dir: folder with data sets in the hub's layout; None downloads from the hub.
        rows: how many rows to show.

    Raises:
        ValueError: if the task's file is invalid, or its rows do not fit it.
    """
    config = load_task(name, folders)
    task_folder = folders.find(f"tasks/{name}/task.yaml").parent
    if isinstance(config.source, FilesSource):
        data_dir = task_folder
    with tempfile.TemporaryDirectory(prefix="check_task_") as temporary:
        folder = Path(temporary)
        made = make_items(config.source, data_dir, folder, config.prompt_columns)
        failing = []
        if config.judge is None:
            scorer = make_scorer(config.kind, config.scorer_options, folder, task_folder)
            with closing(scorer):
                failing = failing_references(made.splits, scorer, config.score)
    count = sum(map(len, made.splits.values()))
    lines = [f"{name}: {config.title} ({config.kind}, {config.score} reading)", ""]
    lines += _about(config, made)
    lines += ["", *_odd(config, made)]
    lines += [""]
    if failing:
        said = describe_failures(failing, count)
        lines += [said[0].upper() + said[1:]]
    elif config.judge is not None:
        lines += [
            f"Reference answers are not scored: the judge, {config.judge.judge}, would have to be "
            "paid for each."
        ]
    else:
        lines += [f"All {count:,} reference answers are right by the task's own scorer."]
    methods = _methods(folders)
    for item in made.splits["train"][:rows]:
        lines += ["", *_asked(item, config, methods)]
    return "\n".join(lines) + "\n", not failing


def _about(config: TaskConfig, made: Made) -> Iterator[str]:
    for split, items in made.splits.items():
        yield f"  {split:<11}{len(items):,} items" + _left_out(made.excluded.get(split, {}))
    train = made.splits["train"]
    counts = Counter(item.gold for item in train)
    values = gold_values(train)
    shown = ", ".join(f"{gold} ({n:,})" for gold, n in counts.most_common(_MOST_GOLDS))
    few = len(counts) <= _MOST_GOLDS
    yield f"  {'answers':<11}{values:,} different in train" + (f": {shown}" if few else "")
    record = TaskRecord(
        counts=TaskCounts(train_items=len(train), test_items=len(made.splits["test"])),
        gold_values=values,
    )
    needed = requires_new_answer(config.new_answer, config.kind, record)
    why = "" if config.new_answer else ", by the number of different answers"
    yield f"  {'new_answer':<11}{'required' if needed else 'not_required'}{why}"
    if made.revision:
        yield f"  {'revision':<11}{made.revision}"


def _left_out(excluded: Mapping[str, str]) -> str:
    return f", {len(excluded):,} excluded" if excluded else ""


def _odd(config: TaskConfig, made: Made) -> list[str]:
    """Return notes on rows that are valid but may be mistakes."""
    said = []
    places: dict[str, dict[tuple[tuple[str, ...], ...], str]] = {"train": {}, "test": {}}
    for split, items in made.splits.items():
        again = []
        for item in items:
            key = (tuple(words(item.surroundings)), tuple(words(item.question)))
            first = places[split].setdefault(key, item.item_id)
            if first != item.item_id:
                again.append(f"{item.item_id} is {first}")
        said += _some(f"questions are in {split} more than once", again)
    both = [
        f"{other} is {places['train'][key]}"
        for key, other in places["test"].items()
        if key in places["train"]
    ]
    said += _some("questions of test are also in train: rows that ask them are dropped", both)
    train, test = made.splits["train"], made.splits["test"]
    if gold_values(train) <= len(train) // 4:
        known = {gold for item in train for gold in (item.gold, *item.golds)}
        said += _some(
            "answers of test are not in train",
            [f"{item.item_id}: {item.gold}" for item in test if item.gold not in known],
        )
    limit = config.max_tokens.answer
    if not isinstance(config.source, WorldSource):
        said += _some(
            f"reference answers may be longer than max_tokens.answer ({limit})",
            [
                f"{item.item_id}: {len(item.answer):,} characters"
                for item in train
                if len(item.answer) > 2 * _CHARACTERS_A_TOKEN * limit
            ],
        )
    shown = config.prompts["answer"]
    if any(item.context for item in train) and "{context}" not in shown:
        said.append("note: items have a context, and the prompt 'answer' has no {context}")
    return said


def _some(what: str, found: Sequence[str]) -> list[str]:
    if not found:
        return []
    more = "" if len(found) <= 3 else f", and {len(found) - 3:,} more"
    return [f"note: {len(found):,} {what} ({', '.join(found[:3])}{more})"]


def _methods(folders: ConfigFolders) -> dict[str, MethodConfig]:
    """Return the methods that write questions, by name."""
    found = {}
    for path in folders.glob("methods/*.yaml"):
        config = validate(read_document(path), MethodConfig, [])
        if config is not None and config.writes_questions:
            found[path.stem] = config
    return found


def _asked(
    item: TaskItem, config: TaskConfig, methods: Mapping[str, MethodConfig]
) -> Iterator[str]:
    """Yield the prompts that models see for an item, and its reference answer."""
    yield f"=== {item.item_id} ==="
    for role, content in item.history:
        yield from (f"--- {role}", content)
    yield from ("--- asked of teacher and student", answer_prompt(config.prompts["answer"], item))
    golds = " or ".join(map(repr, item.golds or (item.gold,)))
    yield from (f"--- reference answer, which is read as {golds}", item.answer)
    for name, method in methods.items():
        own = method.prompts.get(config.kind)
        template = config.prompts.get(name) or (own and own.question)
        if not template:
            yield f"--- {name}: no prompt for tasks of the kind {config.kind!r}"
            continue
        yield from (f"--- {name}, asked of an augmenter", question_prompt(template, item))
        check = config.prompts.get("self_check") or (own and own.self_check)
        if method.self_check and check:
            yield from (f"--- {name}, self-check", question_prompt(check, item))


def job(args: Options) -> None:
    """Print the report on a task."""
    folders = ConfigFolders.of_run()
    data_dir = args.data_dir
    if data_dir is None:
        given = read_document(folders.find("config.yaml")).content.get("data_dir")
        data_dir = Path(given) if given else None
    text, right = check_task(args.task, folders, data_dir, args.rows)
    sys.stdout.write(text)
    if not right:
        sys.exit(1)


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, (ValueError, FileNotFoundError))


if __name__ == "__main__":
    main()
