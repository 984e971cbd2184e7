"""Jobs of a study that ask the same model: one that has it loaded may answer for others."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
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
        found = []
        for other, shard in self._after(jobs, (key, self._flow.shard(key, index))):
            found.append(self._shard("questions", other, shard, self._flow.questions(other)))
        return self._json("augmenter", key, found)

    def answers(self, key: str, index: str) -> str:
        """Return the shards that the same teacher answers."""
        jobs = self._answer_jobs[self._flow.teacher(key)]
        found = []
        for other, shard in self._after(jobs, (key, self._flow.shard(key, index))):
            questions = self._flow.questions_of_shard(other, str(shard.index))
            job = self._shard("answers", other, shard, self._flow.answers(other), questions)
            found.append(job | {"questions": questions[0] if questions else None})
        return self._json("teacher", key, found)

    def evaluations(self, key: str) -> str:
        """Return the cells that ask the same student the same items."""
        found = []
        for other in self._after(self._cells[self._flow.student(key)], key):
            adapter = self._flow.adapter(other)
            found.append(
                {
                    "output": self._flow.evaluation_file(self._flow.cell(other)),
                    "journal": f"{self._flow.results}/journal/evaluations/{other}",
                    "inputs": [self._flow.test_items(other), *adapter],
                    "adapter": str(Path(adapter[0]).parent) if adapter else None,
                }
            )
        return self._json("student", key, found)

    def _json(self, part: Part, key: str, found: list[dict[str, Any]]) -> str:
        # A model behind an endpoint is always up.
        engine = self._flow.study.engine(getattr(self._flow, part)(key)[0])
        others = [] if engine.kind == "openai" else found
        while True:
            text = json.dumps({"plan": self._plan, "others": others}, sort_keys=True)
            if len(text) <= LONGEST:
                return text
            others = others[: len(others) // 2]

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
    def _after(jobs: Sequence[Any], own: Any) -> list[Any]:
        place = jobs.index(own)
        return [*jobs[place + 1 :], *jobs[:place]][:MOST]

    @cached_property
    def _question_jobs(self) -> dict[Asked, list[tuple[str, Shard]]]:
        jobs = defaultdict(list)
        for key in self._flow.grid.question_stream_by_key:
            jobs[self._flow.augmenter(key)] += [(key, part) for part in self._flow.shards(key)]
        return jobs

    @cached_property
    def _answer_jobs(self) -> dict[Asked, list[tuple[str, Shard]]]:
        jobs = defaultdict(list)
        for key in self._flow.grid.stream_by_key:
            jobs[self._flow.teacher(key)] += [(key, part) for part in self._flow.shards(key)]
        return jobs

    @cached_property
    def _cells(self) -> dict[Asked, list[str]]:
        cells = defaultdict(list)
        for cell in self._flow.grid.cells:
            cells[self._flow.student(cell.key)].append(cell.key)
        return cells
