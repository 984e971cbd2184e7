"""Adoption: keep results that have no record in the manifest, or a record with other code.

Results of an earlier version, or copied without their manifest, are compared with the present
settings as far as they record their own. Results with other settings are never adopted.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from seedbed.artifacts import file_digest, read_json, read_metadata, whole_file
from seedbed.config.values import JsonObject
from seedbed.models import ModelRecord, fingerprint, read_fingerprint
from seedbed.run.explaining import cause_text, example, jobs_text
from seedbed.run.jobs import rule_name
from seedbed.run.manifest import Record
from seedbed.run.planning import Planner
from seedbed.study.equivalence import items_source, same_result
from seedbed.study.paths import STREAM_RULES
from seedbed.tasks.record import TaskRecord

if TYPE_CHECKING:
    from snakemake.jobs import Job

SETTINGS = "settings"

# Rules whose artifacts record the job's settings.
_SAY_SETTINGS = STREAM_RULES - {"check_answers", "verify_answers"} | {
    *("pretrain_model", "build_dataset", "train_student", "evaluate_student", "judge_student")
}
# Recorded settings that jobs receive through other parameters.
_KEPT_APART = frozenset({"stream"})
# Settings that earlier versions tracked although they change no result.
_CHECKS = frozenset({"license", "sha256", "excluded", "train_items", "test_items"})


@dataclass
class Review:
    """The result of reviewing all jobs for adoption.

    Attributes:
        noted: jobs whose record is valid.
        adopted: jobs that can be adopted, by rule and remarks.
        refused: jobs that cannot be adopted, by rule and reasons.
        absent: jobs whose files do not exist.
    """

    noted: list[Job] = field(default_factory=list)
    adopted: dict[tuple[str, str], list[Job]] = field(default_factory=lambda: defaultdict(list))
    refused: dict[tuple[str, str], list[Job]] = field(default_factory=lambda: defaultdict(list))
    absent: list[Job] = field(default_factory=list)

    def jobs(self) -> list[Job]:
        """Return the jobs that can be adopted."""
        return [job for jobs in self.adopted.values() for job in jobs]

    def text(self, confirmed: bool, command: str) -> str:
        """Return the review as text.

        Args:
            confirmed: whether the results have been adopted.
            command: the command that adopts them.
        """
        lines = [
            f"{jobs_text(len(self.noted))} of this study have a valid record.",
            *([f"{jobs_text(len(self.absent))} have not run yet."] if self.absent else []),
        ]
        if self.adopted:
            count = jobs_text(len(self.jobs()))
            done = "Adopted" if confirmed else "Can be adopted"
            lines += ["", f"{done}: {count}.", *_listed(self.adopted)]
        if self.refused:
            count = jobs_text(sum(map(len, self.refused.values())))
            lines += ["", f"Not adopted: {count}.", *_listed(self.refused)]
        if self.adopted and not confirmed:
            lines += [
                "",
                "The effects of code changes cannot be compared: CHANGELOG.md says of which "
                "versions results can be kept.",
                f"To adopt them: {command}",
            ]
        elif not self.adopted:
            lines += ["", "There is nothing to adopt."]
        return "\n".join(lines) + "\n"


def review(jobs: Iterable[Job], planner: Planner, notes: Callable[[str], Any]) -> Review:
    """Return which results can be recorded as made with the present settings and code.

    Args:
        jobs: all jobs of a run.
        planner: the run's planner.
        notes: returns Snakemake's own metadata of a file, with params and checksums of inputs.
    """
    found = Review()
    for job in jobs:
        if not job.output or not planner.manifest.covers(str(job.output[0])):
            continue
        if not all(planner.exists(str(path)) for path in job.output):
            found.absent.append(job)
            continue
        record = planner.record(job)
        if record is None:
            wrong, said = _unrecorded(job, planner, notes)
        else:
            wrong, said = _recorded(job, planner, record)
        if wrong:
            found.refused[rule_name(job), "; ".join(wrong)].append(job)
        elif record is not None and not said:
            found.noted.append(job)
        else:
            found.adopted[rule_name(job), "; ".join(said)].append(job)
    return found


def adopt(found: Review, planner: Planner) -> None:
    """Record the reviewed results in the manifest.

    Raises:
        OSError: if it cannot be written.
    """
    planner.made(found.jobs())


def _listed(by_rule: Mapping[tuple[str, str], list[Job]]) -> Iterator[str]:
    for (rule, said), jobs in by_rule.items():
        yield f"- {rule}, {jobs_text(len(jobs))}: {said}{example(jobs)}"


def _recorded(job: Job, planner: Planner, record: Record) -> tuple[list[str], list[str]]:
    """Return the reasons against adopting a job with a record, and remarks on it."""
    wrong, said = [], []
    same = _same_meaning(planner, record, planner.settings(job))
    for cause in planner.causes(job, record):
        texts = [*cause_text(planner, rule_name(job), cause)]
        if cause.kind in ("code", "engine"):
            said += texts
        elif cause.kind == "setting" and same:
            said.append(f"{cause.name} is written otherwise, and means the same")
        elif cause.kind not in ("queries", "failed"):
            wrong += texts
    return wrong, list(dict.fromkeys(said))


def _same_meaning(planner: Planner, record: Record, now: Mapping[str, object]) -> bool:
    """Return whether settings equal those of a record, apart from names and empty values."""

    def meanings(settings: Mapping[str, object]) -> list[str]:
        values = (_meaning(planner.shown(value)) for value in settings.values())
        return sorted(json.dumps(value, sort_keys=True) for value in values if value is not None)

    return meanings(record.settings) == meanings(now)


def _meaning(value: Any) -> Any:
    """Return a setting without its empty parts; None if nothing is left."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return value
    if isinstance(value, Mapping):
        parts = {key: _meaning(part) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part is not None} or None
    if isinstance(value, list | tuple):
        return [_meaning(part) for part in value] or None
    return None if value in ("", None) else value


def _unrecorded(
    job: Job, planner: Planner, notes: Callable[[str], Any]
) -> tuple[list[str], list[str]]:
    """Return the reasons against adopting a job without a record, and remarks on it."""
    try:
        for path in job.output:
            whole_file(str(path))
        about = _about(job)
    except (argparse.ArgumentTypeError, OSError, ValueError) as error:
        return [str(error)], []
    compared, wrong = [], [*_miscounted(job, about), *_otherwise_fetched(job, about)]
    now = {name: _meaning(planner.shown(value)) for name, value in planner.settings(job).items()}
    said = about.get(SETTINGS) if rule_name(job) in _SAY_SETTINGS else None
    if isinstance(said, dict):
        said = _with_all_items_unsaid(job, said)
        wrong += _differences(_meaning(said) or {}, now[SETTINGS] or {}, _KEPT_APART)
        compared.append("settings")
    if isinstance(about.get("model"), str) and "model" in now:
        if about["model"] != read_fingerprint(Path(job.params["model"])):
            wrong.append("it was made with another model than the present one")
        compared.append("model")
    snakemakes = notes(job.output[0])
    if snakemakes is not None:
        wrong += _changed_inputs(job, snakemakes.input_checksums or {})
        compared.append("inputs")
        if not wrong and SETTINGS not in compared:
            wrong += _snakemakes_differences(now, snakemakes.params or [])
            compared.append("settings")
    unknown = [name for name in ("settings", "inputs") if name not in compared]
    known = ", ".join(["files", *compared])
    return wrong, [f"compared: {known}; not known: {', '.join([*unknown, 'code'])}"]


def _with_all_items_unsaid(job: Job, said: JsonObject) -> JsonObject:
    """Return settings without `test_items` if it includes all test items, as jobs leave it out."""
    taken = said.get("test_items")
    if taken is None or taken < pq.read_metadata(job.input["test"]).num_rows:
        return said
    return said | {"test_items": None}


def _about(job: Job) -> JsonObject:
    """Return what a job's output files record about how they were made."""
    found: JsonObject = {}
    for path in map(Path, job.output):
        if path.suffix == ".json":
            said = read_json(path)
        elif path.suffix == ".parquet":
            said = read_metadata(path)
        else:
            continue
        found |= said if isinstance(said, dict) else {}
    return found


def _miscounted(job: Job, about: Mapping[str, object]) -> Iterator[str]:
    """Yield a text for each table whose number of rows differs from its record."""
    counts = about.get("counts")
    counts = counts if isinstance(counts, dict) else {}
    expected = {
        "dataset.parquet": counts.get("rows"),
        "predictions.parquet": about.get("items"),
        "train.parquet": counts.get("train_items"),
        "test.parquet": counts.get("test_items"),
    }
    for path in map(Path, job.output):
        wanted = expected.get(path.name)
        if wanted is not None and (found := pq.read_metadata(path).num_rows) != wanted:
            yield f"{path.name} has {found} rows, but its record says {wanted}"


def _otherwise_fetched(job: Job, about: Mapping[str, object]) -> Iterator[str]:
    """Yield differences between a task's or model's present source and its record."""
    if "source" in about:
        was = items_source(TaskRecord.read(job.output["record"]).source)
        now = items_source(job.params["source"])
        yield from _differences(_meaning(was), _meaning(now))
    if "fingerprint" in about:
        record = Path(job.output["record"])
        model = ModelRecord.read(record)
        if model.api is None and fingerprint(record.parent) != model.fingerprint:
            yield f"the weights or settings in {record.parent} differ from those in its record"
        if rule_name(job) != "get_model":
            return
        source = dict(job.params["source"])
        source.pop("template", None)  # The record does not hold the template's values.
        if "hub" in source:
            source.setdefault("revision", model.revision)  # The record's was then the newest.
        if not same_result("get_model", {"source": source}, {"record": record}):
            yield "it has another source or version"


def _differences(
    was: Mapping[str, object], now: Mapping[str, object], left_out: frozenset[str] = frozenset()
) -> Iterator[str]:
    for key in sorted((was.keys() | now.keys()) - left_out):
        before, value = was.get(key), now.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            yield from _differences(before, value)
        elif before != value:
            yield f"{key} was {json.dumps(before)} and is {json.dumps(value)}"


def _snakemakes_differences(now: Mapping[str, object], noted: list[str]) -> Iterator[str]:
    """Yield settings that differ from Snakemake's metadata, where the metadata has them."""
    for value in now.values():
        if isinstance(value, Mapping):
            dicts = [found for text in noted if (found := _dictionary(text)) is not None]
            alike = [found for found in dicts if found.keys() & value.keys()]
            differences = [[*_differences(found, value, _CHECKS)] for found in alike]
            yield from min(differences, key=len, default=[])


def _dictionary(text: str) -> JsonObject | None:
    """Return a parameter that holds JSON, from its `repr` in Snakemake's metadata."""
    try:
        found = ast.literal_eval(text)
        found = _meaning(found if isinstance(found, dict) else json.loads(found))
    except (ValueError, SyntaxError, TypeError):
        return None
    return found if isinstance(found, dict) else None


def _changed_inputs(job: Job, checksums: Mapping[str, str]) -> Iterator[str]:
    for path in job.input:
        noted = str(checksums.get(str(path)) or "").removeprefix("sha256:")
        if noted and Path(path).is_file() and file_digest(path) != noted:
            yield f"the content of {path} changed"
