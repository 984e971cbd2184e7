"""Decide which jobs a run needs: those whose result could differ from the existing one.

A job is fresh if the manifest records how its outputs were made, and its settings, its code and the
content of its inputs are still the same. Modification times do not matter. A job whose producers
run again waits for them. If they reproduce the previous content, the job is skipped.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from seedbed.config.folders import ConfigFolders
from seedbed.config.values import JsonObject
from seedbed.run.jobs import inputs, rule_name
from seedbed.run.manifest import Input, Manifest, Record, State, read_state, setting
from seedbed.run.rule_code import RuleCode
from seedbed.study.equivalence import Params
from seedbed.study.paths import STREAM_RULES

if TYPE_CHECKING:
    from snakemake.jobs import Job

# Parameters that are no settings: paths that a job writes or reads, how far it continues its
# stream, and the digest of its code, which has its own field in a record.
_NO_SETTINGS = frozenset({"cache", "folder", "output", "results", "pending", "stop", "code"})

ENGINE_MODULE = "seedbed.engines.{kind}_engine"

Kind = Literal["code", "engine", "setting", "input", "inputs", "queries", "failed"]


@dataclass(frozen=True, slots=True)
class Cause:
    """A reason for which a job is stale.

    Attributes:
        kind: what differs.
        name: name of the setting, input or engine module.
        was: the recorded value: of a setting, a code digest, a number, or paths no longer read.
        now: the present value; for `inputs`, the paths that the job reads in addition.
        paths: input files whose content differs.
    """

    kind: Kind
    name: str = ""
    was: Any = None
    now: Any = None
    paths: tuple[str, ...] = ()


@dataclass(slots=True)
class Status:
    """The status of a job in a plan.

    Attributes:
        needed: whether it runs, or waits for jobs that run.
        forced: whether the command line, or an incomplete output, forces it to run.
        missing: whether required outputs are missing.
        on_demand: whether only waiting jobs require the missing outputs. The job then runs only if
            one of them turns out to run.
        causes: the reasons for which it is stale.
        recorded: whether the manifest records how its outputs were made.
        waits: whether a producer runs whose new output may differ.
    """

    needed: bool = False
    forced: bool = False
    missing: bool = False
    on_demand: bool = False
    causes: tuple[Cause, ...] = ()
    recorded: bool = False
    waits: bool = False

    @property
    def certain(self) -> bool:
        """Whether it runs regardless of its producers' outputs."""
        return self.forced or self.missing or bool(self.causes)

    @property
    def only_extends(self) -> bool:
        """Whether it only adds queries to a shard."""
        kinds = {cause.kind for cause in self.causes}
        return kinds == {"queries"} and not (self.forced or self.missing or self.waits)


@dataclass
class Planner:
    """Compares jobs with the manifest, and records there how a run made its results.

    Attributes:
        manifest: the records of earlier jobs.
        code: the code that the rules run.
        same_result: returns whether a job would reproduce its existing outputs although settings or
            inputs differ, from the name of its rule, its parameters, and its outputs by name.
        folders: the folders of the configuration. The manifest names files in them independently of
            the folders' location.
    """

    manifest: Manifest
    code: RuleCode
    same_result: Callable[[str, Params, Mapping[str, Path]], bool]
    folders: ConfigFolders = field(default_factory=ConfigFolders)
    _states: dict[str, State | None] = field(default_factory=dict)
    _tracked: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _shared: JsonObject = field(default_factory=dict)
    _renewed: list[Job] = field(default_factory=list)
    _before: dict[str, str | None] = field(default_factory=dict)

    # --- comparing

    def record(self, job: Job) -> Record | None:
        """Return the record of how a job's outputs were made; None if there is none."""
        return self.manifest.record(str(job.output[0]))

    def causes(self, job: Job, record: Record) -> tuple[Cause, ...]:
        """Return the differences between a job and its record; none if the job is fresh."""
        code = (*self._code_causes(job, record), *self._query_causes(job, record))
        rest = (*self._setting_causes(job, record), *self._input_causes(job, record))
        if not rest or not all(self.exists(path) for path in record.outputs):
            return code + rest
        outputs = {name: Path(path) for name, path in job.output.items()}
        if not self.same_result(rule_name(job), job.params, outputs):
            return code + rest
        if not code:
            self._renewed.append(job)
        return code

    def _code_causes(self, job: Job, record: Record) -> Iterator[Cause]:
        now = job.params.get("code")
        if now != record.code:
            yield Cause("code", was=record.code, now=now)
        if record.engine is not None:
            # The recorded engine, not the present one: another engine makes no result stale.
            module, was = record.engine
            now = self.code.module(module)
            if now != was:
                yield Cause("engine", name=module, was=was, now=now)

    def _setting_causes(self, job: Job, record: Record) -> Iterator[Cause]:
        now = self.settings(job)
        if now == record.settings:
            return
        for name in [*now, *(record.settings.keys() - now.keys())]:
            was, found = record.settings.get(name, ABSENT), now.get(name, ABSENT)
            if was != found:
                was, found = self.shown(was), self.shown(found)
                if not _rewritten(was, found):
                    yield Cause("setting", name, was, found)

    def _query_causes(self, job: Job, record: Record) -> Iterator[Cause]:
        wanted = self.stop(job)
        if wanted is not None and record.stop is not None and record.stop < wanted:
            yield Cause("queries", was=record.stop, now=wanted)
        if record.failed:
            yield Cause("failed", was=record.failed)

    def _input_causes(self, job: Job, record: Record) -> Iterator[Cause]:
        now = self._inputs(job)
        for name in [*now, *(record.inputs.keys() - now.keys())]:
            paths, noted = now.get(name, ()), record.inputs.get(name, ())
            known = {one.path: one for one in noted}
            if {*paths} == known.keys():
                changed = tuple(path for path in paths if not self._holds(known[path]))
                if changed:
                    yield Cause("input", name, paths=changed)
            elif not self._same_content(paths, noted):
                gone = tuple(sorted(known.keys() - {*paths}))
                yield Cause("inputs", name, was=gone, now=tuple(sorted({*paths} - known.keys())))

    def _holds(self, noted: Input) -> bool:
        """Return whether an input is unchanged. A missing input counts as unchanged."""
        found = self.current(noted.path, noted.state)
        return found is None or found.content == noted.content or self.continues(found, noted)

    def continues(self, found: State, noted: Input) -> bool:
        """Return whether a file is a shard that extends the recorded version of it."""
        record = self.manifest.record(noted.path)
        if record is None:
            return False
        versions = [digest for _, digest in record.versions]
        # A damaged or edited file is not among the versions.
        return noted.content in versions and found.content in versions

    def _same_content(self, paths: Sequence[str], noted: Sequence[Input]) -> bool:
        """Return whether files at other paths have the recorded contents, in the same order."""
        if len(paths) != len(noted):
            return False
        found = (self.current(path, one.state) for path, one in zip(paths, noted, strict=True))
        return all(
            state is not None and state.content == one.content
            for state, one in zip(found, noted, strict=True)
        )

    def current(self, path: str, noted: State | None = None) -> State | None:
        """Return the present state of a file; None if it does not exist.

        Args:
            path: the file.
            noted: the recorded state of a file that no job in the manifest made.
        """
        if path in self._states:
            return self._states[path]
        known = self.manifest.state(path) or noted
        try:
            place = self.folders.locate(path)
            status = place.stat()
            if known is not None and known.holds_for(status):
                found = known
            else:
                found = read_state(place, known)
        except (FileNotFoundError, NotADirectoryError):
            found = None
        self._states[path] = found
        return found

    def settings(self, job: Job) -> JsonObject:
        """Return the tracked settings of a job, in the form of the records."""
        names = self._tracked.get(job.rule.name)
        if names is None:
            names = self._tracked[job.rule.name] = tuple(_tracked(job.rule))
        params = job.params
        return {name: setting(params[name], self._shared) for name in names}

    def shown(self, value: Any) -> Any:
        """Return the full value of a setting in a record."""
        if not isinstance(value, list):
            return value
        return self._shared.get(value[0]) or self.manifest.shared(value[0])

    @staticmethod
    def stop(job: Job) -> int | None:
        """Return one past the last query that a job's shard has to hold; None without a stream."""
        return job.params.get("stop") if rule_name(job) in STREAM_RULES else None

    # --- planning

    def exists(self, path: str) -> bool:
        """Return whether a file exists."""
        if path in self._states:
            return self._states[path] is not None
        return Path(path).exists()

    def status(self, job: Job) -> Status:
        """Return the status of a job by itself, regardless of its producers."""
        if not self.manifest.covers(str(job.output[0])):
            return Status(causes=_newer_inputs(job), recorded=True)
        record = self.record(job)
        if record is not None:
            return Status(causes=self.causes(job, record), recorded=True)
        wanted = self.stop(job)
        if wanted is not None and (held := _held(job)) is not None and held < wanted:
            # A shard of an earlier version without a record is kept and extended.
            return Status(causes=(Cause("queries", was=held, now=wanted),))
        return Status()

    def triggers(self, producer: Status, job: Job, files: Iterable[str]) -> bool:
        """Return whether a job has to wait for a producer that runs.

        It need not wait for a producer that only adds queries to a shard from which the job uses
        the earlier queries.
        """
        if not producer.only_extends:
            return True
        record = self.record(job)
        if record is None:
            return not job.output or not all(self.exists(str(path)) for path in job.output)
        noted = {one.path: one for files_ in record.inputs.values() for one in files_}
        return not all(
            str(path) in noted and self._known_version(noted[str(path)]) for path in files
        )

    def _known_version(self, noted: Input) -> bool:
        found = self.current(noted.path)
        return found is None or found.content == noted.content or self.continues(found, noted)

    def foresee(self, job: Job) -> None:
        """Remember the content of a job's outputs before it runs."""
        for path in map(str, job.output):
            found = self.current(path) if self.manifest.state(path) is not None else None
            self._before[path] = None if found is None else found.content

    # --- while a run is under way

    def made(self, jobs: Iterable[Job]) -> None:
        """Record how the outputs of jobs that have just finished were made.

        Raises:
            OSError: if the manifest cannot be written.
        """
        records = []
        for job in jobs:
            for path in map(str, job.output):
                self._states.pop(path, None)
            covered = job.output and self.manifest.covers(str(job.output[0]))
            if covered and all(Path(path).exists() for path in job.output):
                records.append(self.described(job))
        self.manifest.add(records, self._shared)
        for record in records:
            self._states.update(record.outputs)

    def described(self, job: Job) -> Record:
        """Return the record of a job, computed from its present inputs and outputs."""
        states = {
            path: read_state(path, self.manifest.state(path)) for path in map(str, job.output)
        }
        return self._described(job, replace(self._begun(job), outputs=states))

    def _begun(self, job: Job) -> Record:
        """Return the record of a job before it has run."""
        code = job.params.get("code") or ""
        self._shared.setdefault(code, dict(self.code.parts(code)))
        return Record(
            rule=rule_name(job),
            outputs={str(path): NOT_MADE for path in job.output},
            inputs={},
            settings=self.settings(job),
            code=code,
            engine=self._engine(job),
        )

    def _described(self, job: Job, record: Record) -> Record:
        """Add to a record what is known only after the job has run."""
        inputs = {
            name: tuple(self._input(path) for path in paths)
            for name, paths in self._inputs(job).items()
        }
        record = replace(record, inputs=inputs)
        return record if self.stop(job) is None else self._shard(job, record)

    def begun(self, jobs: Iterable[Job]) -> str:
        """Return the records of jobs before they run, for `ended` in case the run is killed.

        One line of JSON per job, after a line with the values that they share.
        """
        shared: JsonObject = {}
        lines = []
        for job in jobs:
            record = self._begun(job)
            for digest in record.shared_digests():
                shared[digest] = self._shared.get(digest) or self.manifest.shared(digest)
            lines.append(record.to_json())
        return "\n".join([json.dumps({"shared": shared}), *lines, ""])

    def ended(self, noted: str, jobs: Iterable[Job]) -> int:
        """Record how jobs that finished after their run was killed made their files.

        Args:
            noted: the text that `begun` returned in that run.
            jobs: all jobs of the present run.

        Returns:
            How many jobs were recorded.
        """
        begun: dict[str, Record] = {}
        for line in noted.splitlines():
            found = json.loads(line)
            if "shared" in found:
                self._shared |= found["shared"]
            else:
                begun[next(iter(found["outputs"]))] = Record.from_json(line)
        records = []
        for job in jobs:
            record = begun.get(str(job.output[0])) if job.output else None
            if record is None or not all(Path(path).exists() for path in job.output):
                continue
            found = ((path, self.current(path)) for path in record.outputs)
            outputs = {path: state for path, state in found if state is not None}
            known = {path: self.manifest.state(path) for path in outputs}
            if all(noted and noted.sha256 == outputs[path].sha256 for path, noted in known.items()):
                # The job has not run, or is recorded already. One unchanged file alone does not
                # prove that: a training may reproduce its weights, but not its duration.
                continue
            made = self._described(job, replace(record, outputs=outputs))
            records.append(made)
        self.manifest.add(records, self._shared)
        return len(records)

    def unneeded(self, job: Job, status: Status, ran: Iterable[str]) -> bool:
        """Return whether a job that waited is fresh, now that its producers have run.

        Args:
            job: the job.
            status: its status in the plan.
            ran: its inputs that jobs of this run made.
        """
        if status.certain or not job.output:
            return False
        if not all(Path(path).exists() for path in job.output):
            return False
        record = self.record(job)
        if record is not None:
            return not self.causes(job, record)
        return all(
            self._before.get(path) is not None
            and (found := self.current(path)) is not None
            and found.content == self._before[path]
            for path in ran
        )

    def skip(self, job: Job) -> None:
        """Touch the outputs of a skipped job, so that Snakemake takes it as done."""
        record = self.record(job)
        with suppress(OSError):
            for path in job.output:
                os.utime(path)
        if record is None or not all(Path(path).exists() for path in record.outputs):
            return
        outputs = {}
        for path, state in record.outputs.items():
            status = Path(path).stat()
            outputs[path] = (
                replace(state, mtime_ns=status.st_mtime_ns)
                if state.size == status.st_size
                else state
            )
            self._states.pop(path, None)
        self.manifest.add([replace(record, outputs=outputs)], self._shared)

    def restate(self) -> None:
        """Record new modification times and settings that change no result.

        The next plan then need not compare them again. Does nothing if the manifest is read-only.
        """
        other = {}
        for path, state in self._states.items():
            noted = self.manifest.state(path)
            if noted is None or state is None or state == noted:
                continue
            if state.sha256 == noted.sha256:
                other[path] = state
        renewed = [self.described(job) for job in self._renewed]
        self._renewed.clear()
        with suppress(OSError):
            self.manifest.add(renewed, self._shared)
            self.manifest.restate(other)
            self.manifest.compact()

    def _inputs(self, job: Job) -> dict[str, tuple[str, ...]]:
        """Return a job's inputs as the manifest names them, by the name of the rule's input."""
        found = inputs(job)
        return {name: tuple(map(self.folders.name, paths)) for name, paths in found.items()}

    def _input(self, path: str) -> Input:
        found = self.current(path)
        if found is None:
            return Input(path, "")
        return Input(path, found.content, None if self.manifest.state(path) else found)

    def _engine(self, job: Job) -> tuple[str, str] | None:
        engine = job.params.get("engine")
        if not engine:
            return None
        module = ENGINE_MODULE.format(kind=engine["kind"])
        digest = self.code.module(module) or ""
        self._shared.setdefault(digest, dict(self.code.parts(digest)))
        return module, digest

    def _shard(self, job: Job, record: Record) -> Record:
        """Add to a shard's record how far it goes, and the versions that it continues."""
        # Imported here because Polars takes half a second to import, and few plans need it.
        import polars as pl

        from seedbed.streams.extension import rows_digest, was_left

        (path, state), *_ = record.outputs.items()
        before = self.manifest.record(path)
        try:
            rows = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError):
            return record  # Unreadable: the jobs that read it will report that.
        stop = _held(job)
        stop = self.stop(job) or 0 if stop is None else stop
        versions: tuple[tuple[int, str], ...] = ()
        if (
            before is not None
            and before.stop is not None
            and before.stop <= stop
            and before.rows == rows_digest(rows.filter(pl.col("query") < before.stop))
        ):
            versions = before.versions
        version = (stop, state.content)
        if version not in versions:
            versions = (*versions, version)
        digest = rows_digest(rows.filter(pl.col("query") < stop))
        failed = rows.filter(was_left(rows.schema))["query"].n_unique()
        return replace(record, stop=stop, rows=digest, versions=versions, failed=failed)


def _held(job: Job) -> int | None:
    """Return one past the last query that a job's shard holds; None if it cannot be read."""
    path = str(job.output[0])
    if not Path(path).exists():
        return None
    # Imported here because Polars takes half a second to import, and few plans need it.
    import polars as pl

    from seedbed.streams.extension import held_until

    stop = held_until(Path(path))
    if stop is not None:
        return stop
    # Shards of earlier versions do not record it. Shards of questions and answers have a row for
    # each query. Other shards hold the same queries as the answers that they are made from.
    source = dict(job.input.items()).get("answers", path)
    try:
        last = pl.scan_parquet(str(source)).select(pl.col("query").max()).collect().item()
    except (OSError, pl.exceptions.PolarsError):
        return None
    return None if last is None else last + 1


def _rewritten(was: Any, now: Any) -> bool:
    """Return whether a mapping equals the command-line flags that an earlier version recorded."""
    if not (isinstance(was, str) and was.startswith("--") and isinstance(now, str)):
        return False
    words = shlex.split(was)
    found = {
        flag.removeprefix("--"): json.loads(value) if value.startswith("{") else value
        for flag, value in zip(words[::2], words[1::2], strict=True)
    }
    return now == json.dumps(found, sort_keys=True)


ABSENT = "not set"
NOT_MADE = State("", "", 0, 0)


def _newer_inputs(job: Job) -> tuple[Cause, ...]:
    """Return the inputs that are newer than the outputs of another workflow's job, as `make` does.

    A missing output is no cause here: the job runs if another job requires it.
    """
    try:
        made = min(Path(path).stat().st_mtime_ns for path in map(str, job.output))
        dates = {path: Path(path).stat().st_mtime_ns for path in map(str, job.input)}
    except OSError:
        return ()
    newer = tuple(path for path, date in dates.items() if date > made)
    return (Cause("input", paths=newer),) if newer else ()


def _tracked(rule: Any) -> Iterator[str]:
    """Yield the names of a rule's tracked parameters, which depend on wildcards alone."""
    for name, value in rule.params.items():
        if name in _NO_SETTINGS:
            continue
        if not callable(value) or len(signature(value).parameters) == 1:
            yield name
