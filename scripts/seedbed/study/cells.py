"""The grid: a study's cells, and the seed sets, streams and datasets that they need.

Every one of these has a key, `name=value/name=value/...`, which is also its path below a folder of
the results. A key contains only the coordinates; everything else about a cell is in the
configuration.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from functools import cache
from math import ceil
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from seedbed.config.words import MATCHED, NONE, UNTRAINED, Coordinates
from seedbed.streams.mixtures import Shares, coordinate, is_mixture, split

if TYPE_CHECKING:
    from seedbed.streams.settings import MethodConfig
    from seedbed.study.config import Block
    from seedbed.study.study import Bought, Study


@dataclass(frozen=True, slots=True)
class _Point:
    """A point with some of the study's coordinates."""

    @property
    def key(self) -> str:
        """The point's identifier, and its path below the folder of its kind of artifact."""
        kind: Any = type(self)
        form, values = _form(kind)
        return form % values(self)

    @property
    def coordinates(self) -> Coordinates:
        """The coordinates by name, in the order of the key."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@cache
def _form(kind: Any) -> tuple[str, Callable[[_Point], tuple[Any, ...]]]:
    """Return the format of the key of a kind of point, and a getter of its values."""
    names = [field.name for field in fields(kind)]
    return "/".join(f"{name}=%s" for name in names), attrgetter(*names)


@dataclass(frozen=True, slots=True)
class SeedSet(_Point):
    """The first `seeds` items of one draw from a task's train split."""

    task: str
    seeds: int
    replicate: int


@dataclass(frozen=True, slots=True)
class QuestionStream(_Point):
    """The unlimited sequence of questions that an augmenter writes from a seed set."""

    task: str
    method: str
    augmenter: str
    seeds: int
    replicate: int

    @property
    def seed_set(self) -> SeedSet:
        """The seed set that the questions are written from."""
        return SeedSet(self.task, self.seeds, self.replicate)


@dataclass(frozen=True, slots=True)
class Stream(_Point):
    """The unlimited, numbered sequence of teacher queries of one method on one seed set."""

    task: str
    method: str
    augmenter: str
    teacher: str
    seeds: int
    replicate: int

    @property
    def seed_set(self) -> SeedSet:
        """The seed set of the stream."""
        return SeedSet(self.task, self.seeds, self.replicate)

    @property
    def question_stream(self) -> QuestionStream | None:
        """The stream of questions that the teacher answers; None for the seeds' own questions."""
        if self.augmenter == NONE:
            return None
        return QuestionStream(self.task, self.method, self.augmenter, self.seeds, self.replicate)


@dataclass(frozen=True, slots=True)
class Dataset(_Point):
    """The training rows from the first `budget` queries of a stream, after a filter.

    Without a teacher and with a budget of 0, it is the real data of the seed set. A mixture has the
    rows of several datasets, which the function `parts` returns.
    """

    task: str
    method: str
    augmenter: str
    teacher: str
    seeds: int
    replicate: int
    filter: str
    budget: int

    @property
    def mixed(self) -> bool:
        """Whether this is a mixture."""
        return is_mixture(self.method)

    @property
    def stream(self) -> Stream | None:
        """The stream that the dataset is cut from; None for real data and for mixtures."""
        if self.teacher == NONE or self.mixed:
            return None
        return Stream(
            self.task, self.method, self.augmenter, self.teacher, self.seeds, self.replicate
        )

    @property
    def question_stream(self) -> QuestionStream | None:
        """The stream of the dataset's questions; None for the seeds' own questions."""
        stream = self.stream
        return None if stream is None else stream.question_stream

    @property
    def seed_set(self) -> SeedSet:
        """The seed set of the dataset."""
        return SeedSet(self.task, self.seeds, self.replicate)

    @property
    def budget_ratio(self) -> float:
        """Teacher queries for each seed, BR."""
        return self.budget / self.seeds

    def cell(self, student: str) -> Cell:
        """Return the cell of a student that is trained on this dataset."""
        return Cell(**asdict(self), student=student)

    def reach(self, reach: float) -> int:
        """Return how many queries of the stream the dataset may use.

        The budget; for `verified_matched`, `reach` times as many.
        """
        return ceil(queries(reach, self.budget)) if self.filter == MATCHED else self.budget


@dataclass(frozen=True, slots=True)
class Cell(_Point):
    """One evaluation of a student: trained on a dataset, or without training if `untrained`."""

    task: str
    method: str
    augmenter: str
    teacher: str
    seeds: int
    replicate: int
    filter: str
    budget: int
    student: str

    @property
    def untrained(self) -> bool:
        """Whether this is the baseline: the student without an adapter and without data."""
        return self.method == UNTRAINED

    @property
    def dataset(self) -> Dataset | None:
        """The dataset that the student is trained on; None for the baseline."""
        if self.untrained:
            return None
        return Dataset(
            self.task,
            self.method,
            self.augmenter,
            self.teacher,
            self.seeds,
            self.replicate,
            self.filter,
            self.budget,
        )

    @property
    def stream(self) -> Stream | None:
        """The stream of the dataset; None for baselines."""
        dataset = self.dataset
        return None if dataset is None else dataset.stream

    @property
    def question_stream(self) -> QuestionStream | None:
        """The dataset's question stream; None for baselines and for the seeds' own questions."""
        dataset = self.dataset
        return None if dataset is None else dataset.question_stream

    @property
    def seed_set(self) -> SeedSet | None:
        """The seed set of the dataset; None for the baseline."""
        dataset = self.dataset
        return None if dataset is None else dataset.seed_set

    @property
    def budget_ratio(self) -> float:
        """Teacher queries per seed (BR); 0 for the baseline."""
        return self.budget / self.seeds if self.seeds else 0.0


def untrained_cell(task: str, student: str) -> Cell:
    """Return the baseline cell of a student on a task."""
    return Cell(task, UNTRAINED, NONE, NONE, 0, 0, NONE, 0, student)


@dataclass(frozen=True)
class Grid:
    """Everything that a study makes, each item once, sorted by its coordinates.

    `cells` includes the baselines, which have no dataset, stream or seed set. `datasets` includes
    the parts of mixtures; `parts_by_key` maps a mixture's key to its parts. `judged` contains the
    tasks whose answers a judge grades.
    """

    cells: tuple[Cell, ...]
    datasets: tuple[Dataset, ...]
    streams: tuple[Stream, ...]
    question_streams: tuple[QuestionStream, ...]
    seed_sets: tuple[SeedSet, ...]
    cell_by_key: Mapping[str, Cell]
    dataset_by_key: Mapping[str, Dataset]
    parts_by_key: Mapping[str, tuple[Dataset, ...]]
    stream_by_key: Mapping[str, Stream]
    question_stream_by_key: Mapping[str, QuestionStream]
    seed_set_by_key: Mapping[str, SeedSet]
    largest_budget_by_key: Mapping[str, int]
    largest_verified_by_key: Mapping[str, int]
    judged: frozenset[str]

    def largest_budget(self, stream: Stream | QuestionStream) -> int:
        """Return how many queries of a stream the study needs.

        Raises:
            KeyError: if the study does not have the stream.
        """
        return self.largest_budget_by_key[stream.key]

    def largest_verified(self, stream: Stream) -> int:
        """Return how many queries of a stream need verified answers."""
        return self.largest_verified_by_key.get(stream.key, 0)


def queries(budget_ratio: float, seeds: int) -> Fraction:
    """Return the budget of a budget ratio.

    The ratio is taken exactly as written: 17.6 times 1,000 seeds is 17,600 queries.
    """
    return Fraction(str(budget_ratio)) * seeds


def budgets(block: Block, seeds: int) -> list[int]:
    """Return a block's budgets in teacher queries, for a size of the seed set.

    Raises:
        ValueError: if a budget ratio does not give a whole number of queries.
    """
    if block.budgets is not None:
        return list(block.budgets)
    found = [queries(ratio, seeds) for ratio in block.budget_ratios or ()]
    if any(budget.denominator != 1 for budget in found):
        raise ValueError(f"a budget ratio of block {block.name!r} times {seeds} is not whole")
    return [int(budget) for budget in found]


def block_cells(block: Block, methods: Mapping[str, MethodConfig]) -> Iterator[Cell]:
    """Yield the cells of one block, each once, without untrained baselines.

    Args:
        block: a block that has been checked.
        methods: the study's methods by name. A method that writes no questions has no
            augmenter. A method of real data has neither augmenter nor teacher nor filter, its
            budget is 0, and its `seeds` are its pairs: those of the seed set, or as many as a
            budget.
    """
    for method in block.methods:
        pairs = methods[method].real_pairs
        if pairs is not None:
            counts = {
                count
                for seeds in block.seeds
                for count in ([seeds] if pairs == "seeds" else budgets(block, seeds))
            }
            for task, count, replicate, student in itertools.product(
                block.tasks, sorted(counts), range(1, block.replicates + 1), block.students
            ):
                yield Cell(task, method, NONE, NONE, count, replicate, NONE, 0, student)
            continue
        augmenters = (block.augmenters or ()) if methods[method].writes_questions else (NONE,)
        for task, augmenter, teacher, seeds, replicate in itertools.product(
            block.tasks,
            augmenters,
            block.teachers or (),
            block.seeds,
            range(1, block.replicates + 1),
        ):
            for chosen, budget, student in itertools.product(
                block.filters, budgets(block, seeds), block.students
            ):
                yield Cell(
                    task, method, augmenter, teacher, seeds, replicate, chosen, budget, student
                )


def bought(cells: Iterable[Cell]) -> Bought:
    """Return how many queries of each stream some cells need; mixtures do not count."""
    found: dict[tuple[str, str, int, int, str], dict[tuple[str, str], int]] = {}
    for cell in cells:
        if cell.budget and not is_mixture(cell.method):
            place = (cell.task, cell.teacher, cell.seeds, cell.replicate, cell.filter)
            streams = found.setdefault(place, {})
            stream = (cell.method, cell.augmenter)
            streams[stream] = max(cell.budget, streams.get(stream, 0))
    return found


def _bought_with(found: Bought, place: Any, augmenter: str) -> dict[tuple[str, str], int]:
    """Return the streams bought at a place with one augmenter."""
    streams = found.get(place, {})
    return {stream: budget for stream, budget in streams.items() if stream[1] in (augmenter, NONE)}


def mixed_cells(
    block: Block,
    shares: Mapping[str, Shares | None],
    methods: Mapping[str, MethodConfig],
    found: Bought,
) -> Iterator[Cell]:
    """Yield the cells of a block's mixtures, each once.

    Args:
        block: a block that has been checked.
        shares: the shares of the study's mixtures.
        methods: the study's methods by name.
        found: the queries that the study buys for its methods.
    """
    for mixture, task, teacher, seeds, replicate, chosen in itertools.product(
        map(coordinate, block.mixtures),
        block.tasks,
        block.teachers or (),
        block.seeds,
        range(1, block.replicates + 1),
        block.filters,
    ):
        of = shares[mixture]
        if of is None:
            place = (task, teacher, seeds, replicate, chosen)
            made = []
            for augmenter in block.augmenters or (NONE,):
                streams = _bought_with(found, place, augmenter)
                writers = {name for _, name in streams} - {NONE}
                if len(streams) > 1:
                    made.append((augmenter if writers else NONE, sum(streams.values())))
        else:
            writes = any(methods[method].writes_questions for method, _ in of)
            augmenters = (block.augmenters or ()) if writes else (NONE,)
            made = [*itertools.product(augmenters, budgets(block, seeds))]
        for (augmenter, budget), student in itertools.product(dict.fromkeys(made), block.students):
            yield Cell(task, mixture, augmenter, teacher, seeds, replicate, chosen, budget, student)


def parts(study: Study, dataset: Dataset) -> tuple[Dataset, ...]:
    """Return the datasets that a mixture combines; for any other dataset, the dataset itself."""
    if not dataset.mixed:
        return (dataset,)
    of = study.config.shares.get(dataset.method)
    if of is None:
        place = (dataset.task, dataset.teacher, dataset.seeds, dataset.replicate, dataset.filter)
        streams = _bought_with(study.bought, place, dataset.augmenter)
        return tuple(
            replace(dataset, method=method, augmenter=augmenter, budget=budget)
            for (method, augmenter), budget in streams.items()
        )
    found = []
    for method, budget in split(of, dataset.budget).items():
        config = study.methods[method]
        if config.real_pairs is not None:
            real = Dataset(
                dataset.task, method, NONE, NONE, dataset.seeds, dataset.replicate, NONE, 0
            )
            found.append(real)
        elif budget:
            augmenter = dataset.augmenter if config.writes_questions else NONE
            found.append(replace(dataset, method=method, augmenter=augmenter, budget=budget))
    return tuple(found)


PointT = TypeVar("PointT", SeedSet, QuestionStream, Stream, Dataset, Cell)


def _by_key(points: Iterable[PointT]) -> dict[str, PointT]:
    """Return the points by key, each once, in the order of their coordinates."""
    once = list(dict.fromkeys(points))
    if once:
        once.sort(key=attrgetter(*once[0].coordinates))
    return {point.key: point for point in once}


def grid(study: Study, cells: Iterable[Cell] = (), datasets: Iterable[Dataset] = ()) -> Grid:
    """Return everything that a study makes. Only this function turns blocks into cells.

    In addition to the cells of the blocks, the grid has an untrained baseline for each student on
    each task that it is trained for.

    Args:
        study: the study.
        cells: cells in addition to those of the blocks.
        datasets: datasets without a student, in addition to those of the cells.
    """
    reach = study.config.verification.reach
    found: dict[Cell, None] = {}
    shares = study.config.shares
    for block in study.config.blocks:
        found.update(dict.fromkeys(block_cells(block, study.methods)))
        found.update(dict.fromkeys(mixed_cells(block, shares, study.methods, study.bought)))
        for task, student in itertools.product(block.tasks, block.students):
            found[untrained_cell(task, student)] = None

    cell_by_key = _by_key([*found, *cells])
    trained = [*filter(None, (cell.dataset for cell in cell_by_key.values())), *datasets]
    parts_by_key = {one.key: parts(study, one) for one in trained if one.mixed}
    dataset_by_key = _by_key([*trained, *itertools.chain.from_iterable(parts_by_key.values())])
    streams = _by_key(dataset.stream for dataset in dataset_by_key.values() if dataset.stream)
    question_streams = _by_key(
        stream.question_stream for stream in streams.values() if stream.question_stream
    )
    seed_sets = _by_key(dataset.seed_set for dataset in dataset_by_key.values())

    largest: dict[str, int] = {}
    verified: dict[str, int] = {}
    for dataset in dataset_by_key.values():
        for stream in (dataset.stream, dataset.question_stream):
            if stream is not None:
                largest[stream.key] = max(dataset.reach(reach), largest.get(stream.key, 0))
                if dataset.filter != NONE:
                    verified[stream.key] = max(dataset.reach(reach), verified.get(stream.key, 0))

    return Grid(
        cells=tuple(cell_by_key.values()),
        datasets=tuple(dataset_by_key.values()),
        streams=tuple(streams.values()),
        question_streams=tuple(question_streams.values()),
        seed_sets=tuple(seed_sets.values()),
        cell_by_key=cell_by_key,
        dataset_by_key=dataset_by_key,
        parts_by_key=parts_by_key,
        stream_by_key=streams,
        question_stream_by_key=question_streams,
        seed_set_by_key=seed_sets,
        largest_budget_by_key=largest,
        largest_verified_by_key=verified,
        judged=frozenset(name for name, task in study.tasks.items() if task.judge is not None),
    )


KINDS = ("seed_set", "question_stream", "stream", "dataset", "cell", "judged_cell", "trained_cell")
"""Kinds of keys: `judged_cell` is for cells whose answers a judge grades, `cell` for all other
cells, and `trained_cell` for cells with an adapter, i.e. all but baselines."""


def wildcard_pattern(grid: Grid, kind: str) -> str:
    """Return a regular expression for the keys of one kind, without capturing groups.

    It matches every key of the grid, and no key with a coordinate value that the grid does not
    have. A wildcard with this constraint therefore never splits a path in the wrong place.

    Args:
        grid: the study's grid.
        kind: one of `KINDS`.

    Raises:
        ValueError: if there is no such kind.
    """
    points: dict[str, tuple[_Point, ...]] = {
        "seed_set": grid.seed_sets,
        "question_stream": grid.question_streams,
        "stream": grid.streams,
        "dataset": grid.datasets,
        "cell": tuple(cell for cell in grid.cells if cell.task not in grid.judged),
        "judged_cell": tuple(cell for cell in grid.cells if cell.task in grid.judged),
        "trained_cell": tuple(cell for cell in grid.cells if not cell.untrained),
    }
    if kind not in points:
        raise ValueError(f"no kind of key {kind!r}; there are: {', '.join(points)}")
    values: dict[str, set[str | int]] = {}
    for point in points[kind]:
        for name, value in point.coordinates.items():
            values.setdefault(name, set()).add(value)
    if not values:
        return NOTHING
    return "/".join(
        f"{name}=(?:{'|'.join(re.escape(str(value)) for value in sorted(some))})"
        for name, some in values.items()
    )


NOTHING = r"(?!)"
"""A regular expression that matches nothing, e.g. for question streams of a study without
augmenters."""
