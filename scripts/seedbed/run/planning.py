"""Which jobs a run needs: those whose result could differ from the existing one.

A job is fresh if the manifest notes how its outputs were made, and the settings, the code and the
content of its inputs are still the same. Dates play no part. A job whose producers run again waits:
when they have run, and made what was there before, it is skipped.
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

# Where a job puts what it makes or keeps, how far it goes along a stream, and the digest of its
# code, which a record holds apart.
_NO_SETTINGS = frozenset({"cache", "folder", "output", "results", "pending", "stop", "code"})

ENGINE_MODULE = "seedbed.engines.{kind}_engine"

Kind = Literal["code", "engine", "setting", "input", "inputs", "queries", "failed"]


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that makes a job stale.

    Attributes:
        kind: what differs.
        name: of the setting or the input.
        was: what was noted: a setting's value, the digest of some code, or a number.
        now: what is there.
        paths: files whose content differs, or that the job reads and did not, or no longer reads.
    """

    kind: Kind
    name: str = ""
    was: Any = None
    now: Any = None
    paths: tuple[str, ...] = ()


@dataclass(slots=True)
class Status:
    """Where a job stands in a plan.

    Attributes:
        needed: whether it is to run, or waits for jobs that do.
        forced: whether the command line asks for it.
        missing: whether outputs are wanted that are not there.
        on_demand: whether jobs that wait want such outputs: if they need to run after all.
        causes: what makes it stale.
        recorded: whether the manifest notes how it was made.
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
        """Whether it runs whatever its producers make."""
        return self.forced or self.missing or bool(self.causes)

    @property
    def only_extends(self) -> bool:
        """Whether all that it does is to add queries to a shard."""
        kinds = {cause.kind for cause in self.causes}
        return kinds == {"queries"} and not (self.forced or self.missing or self.waits)


@dataclass
class Planner:
    """Compares jobs with the manifest, and notes there what a run makes.

    Attributes:
        manifest: what is noted.
        code: the code that the rules run.
        same_result: whether a job would make what is there though settings or inputs differ, by
            the name of its rule, its parameters, and its outputs by name.
        folders: where the configuration lies, whose files are noted by the same names wherever
            that is.
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
        """Return how a job's outputs were made, None if that was not noted."""
        return self.manifest.record(str(job.output[0]))

    def causes(self, job: Job, record: Record) -> tuple[Cause, ...]:
        """Return what differs from a job's record; nothing if the job is fresh."""
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
            # That of the engine that ran the model: to run it by another changes no result.
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
        """Return whether an input is unchanged; a missing one counts as unchanged."""
        found = self.current(noted.path, noted.state)
        return found is None or found.content == noted.content or self.continues(found, noted)

    def continues(self, found: State, noted: Input) -> bool:
        """Return whether a file is a shard that was extended since, and begins as it did."""
        record = self.manifest.record(noted.path)
        if record is None:
            return False
        versions = [digest for _, digest in record.versions]
        # A file that was damaged, or edited by hand, is none of them.
        return noted.content in versions and found.content in versions

    def _same_content(self, paths: Sequence[str], noted: Sequence[Input]) -> bool:
        """Return whether files that lie elsewhere are those that were noted, in their order."""
        if len(paths) != len(noted):
            return False
        found = (self.current(path, one.state) for path, one in zip(paths, noted, strict=True))
        return all(
            state is not None and state.content == one.content
            for state, one in zip(found, noted, strict=True)
        )

    def current(self, path: str, noted: State | None = None) -> State | None:
        """Return the state of a file now, None if it is not there.

        Args:
            path: the file.
            noted: what is known of a file that no job of the manifest made.
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
        """Return the tracked settings of a job, as records hold them."""
        names = self._tracked.get(job.rule.name)
        if names is None:
            names = self._tracked[job.rule.name] = tuple(_tracked(job.rule))
        params = job.params
        return {name: setting(params[name], self._shared) for name in names}

    def shown(self, value: Any) -> Any:
        """Return a setting of a record in full."""
        if not isinstance(value, list):
            return value
        return self._shared.get(value[0]) or self.manifest.shared(value[0])

    @staticmethod
    def stop(job: Job) -> int | None:
        """Return one past the last query that a job needs of its shard; None without a stream."""
        return job.params.get("stop") if rule_name(job) in STREAM_RULES else None

    # --- planning

    def exists(self, path: str) -> bool:
        """Return whether a file is there."""
        if path in self._states:
            return self._states[path] is not None
        return Path(path).exists()

    def status(self, job: Job) -> Status:
        """Return where a job stands by itself, whatever happens to its producers."""
        if not self.manifest.covers(str(job.output[0])):
            return Status(causes=_newer_inputs(job), recorded=True)
        record = self.record(job)
        if record is not None:
            return Status(causes=self.causes(job, record), recorded=True)
        wanted = self.stop(job)
        if wanted is not None and (held := _held(job)) is not None and held < wanted:
            # The result of an earlier version counts as it is, and goes on from there.
            return Status(causes=(Cause("queries", was=held, now=wanted),))
        return Status()

    def triggers(self, producer: Status, job: Job, files: Iterable[str]) -> bool:
        """Return whether a job has to wait for a producer that runs, to see what it makes.

        Not if the producer only adds queries to a shard: the job takes those that it took.
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
        """Keep in mind what the outputs of a job are before it runs."""
        for path in map(str, job.output):
            found = self.current(path) if self.manifest.state(path) is not None else None
            self._before[path] = None if found is None else found.content

    # --- while a run is under way

    def made(self, jobs: Iterable[Job]) -> None:
        """Note how jobs that have just ended were made.

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
        """Return how the outputs of a job are made, by what is there now."""
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
        """Return a record with what is known of a job when it has run."""
        inputs = {
            name: tuple(self._input(path) for path in paths)
            for name, paths in self._inputs(job).items()
        }
        record = replace(record, inputs=inputs)
        return record if self.stop(job) is None else self._shard(job, record)

    def begun(self, jobs: Iterable[Job]) -> str:
        """Return by what settings jobs make their files: for `ended`, if their run is killed.

        A line of JSON a job, and one with what they share.
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
        """Note how files were made whose jobs ended when their run was no longer there.

        Args:
            noted: what that run wrote by `begun`.
            jobs: all jobs of the present run.

        Returns:
            How many jobs were noted.
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
                # Not begun, or noted already. One file alone proves nothing: weights come out as
                # they were, and the record beside them says other seconds.
                continue
            made = self._described(job, replace(record, outputs=outputs))
            records.append(made)
        self.manifest.add(records, self._shared)
        return len(records)

    def unneeded(self, job: Job, status: Status, ran: Iterable[str]) -> bool:
        """Return whether a job that waited is fresh, now that its producers have run.

        Args:
            job: the job.
            status: where it stood in the plan.
            ran: its inputs that were made in this run.
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
        """Give the outputs of a skipped job the present time, so that other jobs see it is done."""
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
        """Note other dates of files, and other settings of jobs, that change no result.

        So they are not compared again.

        Nothing is done where the manifest may not be written.
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
        """Return what a job reads, by the name of the rule's input, as it is noted."""
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
        """Return the record of a shard, with the versions that it continues."""
        # Not for every plan: a table library takes half a second to import.
        import polars as pl

        from seedbed.streams.extension import rows_digest, was_left

        (path, state), *_ = record.outputs.items()
        before = self.manifest.record(path)
        try:
            rows = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError):
            return record  # Broken, which its readers will say.
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
    # Not for every plan: a table library takes half a second to import.
    import polars as pl

    from seedbed.streams.extension import held_until

    stop = held_until(Path(path))
    if stop is not None:
        return stop
    # Shards of earlier versions do not say it. Those of questions and answers have a row for each
    # query, and the others go as far as the answers that they are made from.
    source = dict(job.input.items()).get("answers", path)
    try:
        last = pl.scan_parquet(str(source)).select(pl.col("query").max()).collect().item()
    except (OSError, pl.exceptions.PolarsError):
        return None
    return None if last is None else last + 1


def _rewritten(was: Any, now: Any) -> bool:
    """Return whether a mapping holds what earlier versions wrote as flags of a command line."""
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
    """Return which inputs are newer than the outputs of a job of another workflow, as `make` does.

    A job whose outputs are not there is wanted by others, or not at all.
    """
    try:
        made = min(Path(path).stat().st_mtime_ns for path in map(str, job.output))
        dates = {path: Path(path).stat().st_mtime_ns for path in map(str, job.input)}
    except OSError:
        return ()
    newer = tuple(path for path, date in dates.items() if date > made)
    return (Cause("input", paths=newer),) if newer else ()


def _tracked(rule: Any) -> Iterator[str]:
    """Yield the names of a rule's tracked parameters: those that depend on wildcards alone."""
    for name, value in rule.params.items():
        if name in _NO_SETTINGS:
            continue
        if not callable(value) or len(signature(value).parameters) == 1:
            yield name
