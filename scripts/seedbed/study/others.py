"""Jobs of a study that ask the same model: one that has it loaded may answer for others."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from seedbed.study.cells import Shard
from seedbed.study.workflow import Part, Workflow

MOST = 32
"""Others that a job is told of: after so many answers, the start of an engine weighs little."""

LONGEST = 65_536
"""Characters that they may take on a job's command line; Linux takes twice as many."""

Asked = tuple[str, str]
"""A model, and the task that it is for."""


@dataclass(frozen=True)
class _Order:
    """Jobs in the order of the study, and the place of each."""

    order: list[Any]
    places: dict[Any, int]


class Others:
    """The jobs of a study by the model that they ask.

    What they return is JSON of what `seedbed.engines.sharing.Sharing` says: first the jobs that
    come after the own one in the order of the study, then those before it.
    """

    def __init__(self, flow: Workflow, plan: str) -> None:
        """Take note of a study.

        Args:
            flow: the study.
            plan: the file in which a run writes down what it is to make.
        """
        self._flow = flow
        self._plan = plan

    def questions(self, key: str, index: str) -> str:
        """Return the shards of questions that the same augmenter writes."""
        jobs = self._question_jobs[self._flow.augmenter(key)]
        others = map(self._question_job, self._after(jobs, (key, self._flow.shard(key, index))))
        return self._json("augmenter", key, others)

    def answers(self, key: str, index: str) -> str:
        """Return the shards that the same teacher answers."""
        jobs = self._answer_jobs[self._flow.teacher(key)]
        others = map(self._answer_job, self._after(jobs, (key, self._flow.shard(key, index))))
        return self._json("teacher", key, others)

    def evaluations(self, key: str) -> str:
        """Return the cells that ask the same student the same items."""
        jobs = self._cells[self._flow.student(key)]
        return self._json("student", key, map(self._evaluation, self._after(jobs, key)))

    def _json(self, part: Part, key: str, others: Iterable[str]) -> str:
        # A model behind an endpoint is always up.
        engine = self._flow.study.engine(getattr(self._flow, part)(key)[0])
        found = [] if engine.kind == "openai" else list(others)
        while True:
            text = f'{{"others": [{", ".join(found)}], "plan": {json.dumps(self._plan)}}}'
            if len(text) <= LONGEST:
                return text
            found = found[: len(found) // 2]

    # What stands in the list of many jobs is put together once.
    @cache  # noqa: B019
    def _question_job(self, job: tuple[str, Shard]) -> str:
        key, shard = job
        return json.dumps(self._shard("questions", key, shard, self._flow.questions(key)))

    @cache  # noqa: B019
    def _answer_job(self, job: tuple[str, Shard]) -> str:
        key, shard = job
        questions = self._flow.questions_of_shard(key, str(shard.index))
        about = self._shard("answers", key, shard, self._flow.answers(key), questions)
        return json.dumps(about | {"questions": questions[0] if questions else None})

    @cache  # noqa: B019
    def _evaluation(self, key: str) -> str:
        adapter = self._flow.adapter(key)
        return json.dumps(
            {
                "output": self._flow.evaluation_file(self._flow.cell(key)),
                "journal": f"{self._flow.results}/journal/evaluations/{key}",
                "inputs": [self._flow.test_items(key), *adapter],
                "adapter": str(Path(adapter[0]).parent) if adapter else None,
            }
        )

    def _shard(
        self, stage: str, key: str, shard: Shard, settings: str, asked: Iterable[str] = ()
    ) -> dict[str, Any]:
        results, seeds = self._flow.results, self._flow.seeds(key)
        return {
            "output": f"{results}/{stage}/{key}/shard={shard.index}/{stage}.parquet",
            "journal": f"{results}/journal/{stage}/{key}",
            "inputs": [seeds, *asked],
            "settings": {"stream": key, **json.loads(settings)},
            "seeds": seeds,
            "start": shard.start,
            "stop": shard.stop,
        }

    @staticmethod
    def _after(jobs: _Order, own: Any) -> list[Any]:
        """Return the jobs that come next, and after the last the first ones, without the own."""
        place = jobs.places[own]
        found = jobs.order[place + 1 : place + 1 + MOST]
        return found + jobs.order[: min(place, MOST - len(found))]

    @cached_property
    def _question_jobs(self) -> dict[Asked, _Order]:
        jobs = defaultdict(list)
        for key in self._flow.grid.question_stream_by_key:
            jobs[self._flow.augmenter(key)] += [(key, part) for part in self._flow.shards(key)]
        return _in_order(jobs)

    @cached_property
    def _answer_jobs(self) -> dict[Asked, _Order]:
        jobs = defaultdict(list)
        for key in self._flow.grid.stream_by_key:
            jobs[self._flow.teacher(key)] += [(key, part) for part in self._flow.shards(key)]
        return _in_order(jobs)

    @cached_property
    def _cells(self) -> dict[Asked, _Order]:
        cells = defaultdict(list)
        for cell in self._flow.grid.cells:
            cells[self._flow.student(cell.key)].append(cell.key)
        return _in_order(cells)


def _in_order(jobs: Mapping[Asked, list[Any]]) -> dict[Asked, _Order]:
    return {
        asked: _Order(order, {job: place for place, job in enumerate(order)})
        for asked, order in jobs.items()
    }
