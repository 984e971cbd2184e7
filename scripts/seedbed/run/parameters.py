"""Params and inputs that several rules share, as functions of the jobs' wildcards.

Snakemake passes the arguments that a function names. Params whose functions take `input` as well
are not tracked, because they change no result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seedbed.run.pending import PendingJobs
from seedbed.study.job_settings import JobSettings, Settings
from seedbed.study.paths import Part


def fixed(value: str) -> Callable[..., str]:
    """Return a param with a constant value, which is not tracked."""
    return lambda wc, input: value


class JobParameters:
    """The params and inputs of jobs, for the rules of a study."""

    def __init__(self, flow: JobSettings, pending: PendingJobs, code: Callable[..., str]) -> None:
        """Store the study.

        Args:
            flow: the study.
            pending: its jobs by the model that they ask.
            code: returns the digest of a script's code.
        """
        self._flow = flow
        self._pending = pending
        self._code = code

    def items(self) -> dict[str, Callable[..., Any]]:
        """Return the params for a task's items; `data`, which decides the items, is tracked."""
        flow = self._flow
        return {
            "data": lambda wc: flow.items_source(wc.task),
            "source": lambda wc, input: flow.source(wc.task),
            "data_dir": lambda wc, input: flow.task_data_dir(wc.task),
            "scoring": lambda wc, input: flow.reference_scoring(wc.task),
            "task_folder": lambda wc, input: flow.task_folder(wc.task),
            "prompt_columns": lambda wc, input: flow.prompt_columns(wc.task),
        }

    def chart(self, module: str) -> dict[str, Callable[..., Any]]:
        """Return the module that draws a chart, and a code digest that excludes other charts."""
        drawing = f"seedbed.analysis.report.charts.{module}"
        return {"chart": fixed(module), "code": lambda wc: self._code("plot", drawing)}

    def shard(self, rule: str, stream: str) -> dict[str, Callable[..., Any]]:
        """Return the params for a shard: the queries that it holds, and how many are needed.

        Args:
            rule: name of the rule.
            stream: name of the wildcard with the stream's key.
        """
        flow = self._flow
        return {
            "start": lambda wc: flow.shard(getattr(wc, stream), wc.shard).start,
            "end": lambda wc: flow.shard_end(wc.shard),
            "stop": lambda wc, input: flow.stop(rule, wc),
        }

    def checking(self, answers: str) -> dict[str, str | Callable[..., Any]]:
        """Return the inputs of jobs that check or verify the answers of a shard.

        Args:
            answers: file of the answers, with wildcards.
        """
        flow = self._flow
        return {
            "answers": answers,
            "seeds": lambda wc: flow.seeds(wc.stream),
            "task": lambda wc: flow.task_record(wc.stream),
        }

    def checked(
        self, rule: str, settings: Callable[[str], Settings]
    ) -> dict[str, Callable[..., Any]]:
        """Return the params of jobs that check or verify the answers of a shard.

        Args:
            rule: name of the rule.
            settings: returns the settings for a stream.
        """
        flow = self._flow
        return {
            **self.shard(rule, "stream"),
            "settings": lambda wc: settings(wc.stream),
            "task_folder": lambda wc, input: flow.task_folder(flow.teacher(wc.stream)[1]),
        }

    def training(self, key: str) -> dict[str, Callable[..., Any]]:
        """Return the params for training a student, with the file of pending trainings.

        Args:
            key: name of the wildcard with the key of a cell.
        """
        flow, pending = self._flow, self._pending
        return {
            "settings": lambda wc: flow.training(getattr(wc, key)),
            "model": lambda wc: flow.model(*flow.student(getattr(wc, key))),
            "trainer": lambda wc, input: flow.trainer(getattr(wc, key)),
            "cache": lambda wc, input: f"{flow.state}/adapters/{getattr(wc, key)}",
            "pending": lambda wc, input: pending.trainings(getattr(wc, key)),
        }

    def answering(self, key: str) -> dict[str, Callable[..., Any]]:
        """Return the inputs of jobs in which a student answers test items.

        Args:
            key: name of the wildcard with the key of a cell.
        """
        flow = self._flow
        return {
            "test": lambda wc: flow.test_items(getattr(wc, key)),
            "model": lambda wc: flow.model_record(*flow.student(getattr(wc, key))),
            "adapter": lambda wc: flow.adapter(getattr(wc, key)),
        }

    def graded(self, key: str) -> dict[str, Callable[..., Any]]:
        """Return the inputs of jobs in which a judge grades a student's answers.

        Args:
            key: name of the wildcard with the key of a cell.
        """
        flow = self._flow
        return {
            "answers": lambda wc: flow.outputs(getattr(wc, key)),
            "test": lambda wc: flow.test_items(getattr(wc, key)),
            "model": lambda wc: flow.model_record(*flow.judge(getattr(wc, key))),
            "labels": lambda wc: flow.labels(flow.cell(getattr(wc, key)).task),
            "trained": lambda wc: flow.adapter(getattr(wc, key))[1:],
            "dataset": lambda wc: flow.dataset_record(getattr(wc, key)),
        }

    def asking(self, part: Part, key: str, stage: str) -> dict[str, str | Callable[..., Any]]:
        """Return the params for asking a model: the model, its engine, and pending jobs.

        Args:
            part: the role of the model.
            key: name of the wildcard with the key of a stream or a cell.
            stage: name of the folder of response caches.
        """
        flow = self._flow
        return {
            "cache": f"{flow.state}/{stage}/{{{key}}}",
            "model": lambda wc: flow.model(*getattr(flow, part)(getattr(wc, key))),
            "engine": lambda wc, input: flow.engine(part, getattr(wc, key)),
            "pending": lambda wc, input: self._pending.file(part, getattr(wc, key)),
        }
