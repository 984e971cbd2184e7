"""Why jobs would run again: one line for each cause, in words.

Snakemake's own reasons show all settings of a job, before and now; here only those that differ,
each once for all the jobs that it concerns.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedbed.provenance import reached
from seedbed.study.watching import named

if TYPE_CHECKING:
    from snakemake.jobs import Job
    from snakemake.workflow import Workflow as Snakemake

LONGEST = 60
"""Characters of a setting's value that are shown."""

ABSENT = "not set"
CODE = "code"
_DIGEST = re.compile(r"[0-9a-f]{16}")
_SCRIPT = re.compile(r"scripts/\w+\.py")


def explanation(snakemake: Snakemake, rule: str) -> str:
    """Return why the targets of a run would be made again.

    Args:
        snakemake: a run whose jobs are known, before any of them started.
        rule: the rule that asks, and is left out.

    Returns:
        A line for each cause, with its jobs, and one on what follows from them.
    """
    dag = snakemake.dag
    needed = [job for job in dag.needrun_jobs() if job.rule.name != rule and job.output]
    by_cause = defaultdict(list)
    follows: Counter[str] = Counter()
    for job in needed:
        why = [*_causes(snakemake, job)]
        for cause in why:
            by_cause[job.rule.name, cause].append(job)
        if not why:
            follows[job.rule.name] += 1
    if len(dag.jobs) == 1:
        return f"Name what to explain: a rule or a file, as in `snakemake {rule} all`.\n"
    if not needed:
        return "Nothing would run: all of it is there and up to date.\n"
    lines = [f"{_jobs(len(needed))} would run."]
    for (name, cause), jobs in by_cause.items():
        lines.append(f"- {name}, {_jobs(len(jobs))}: {cause}{_example(jobs)}")
    if follows:
        rest = ", ".join(f"{name} {count}" for name, count in follows.items())
        lines.append(f"- and what is made of these: {rest}")
    return "\n".join(lines) + "\n"


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"


def _example(jobs: list[Job]) -> str:
    first = named(jobs[0].wildcards_dict)
    if not first:
        return ""
    return f" [{first}]" if len(jobs) == 1 else f" [the first: {first}]"


def _causes(snakemake: Snakemake, job: Job) -> Iterator[str]:
    """Yield what makes a job run by itself; nothing if it does as others run before it."""
    reason = snakemake.dag.reason(job)
    if reason.forced:
        yield "the command line asks for it (--force)"
        return
    if reason.incomplete_output:
        yield "a run was stopped while it was made"
    elif reason.missing_output:
        noted = any(snakemake.persistence.metadata(file) for file in reason.missing_output)
        yield "its result is gone" if noted else "it was not made yet"
    # What another job is to make first is no cause of its own.
    made = {str(file) for file in reason.updated_input_run}
    for file in sorted({str(file) for file in reason.updated_input} - made):
        yield f"the content of {file} changed"
    # Snakemake does not look at the settings of a job that runs anyway.
    changed = reason.params_changed or snakemake.persistence.params_changed(job)
    if changed:
        found = [*_settings(job, set(changed.only_old), set(changed.only_new), snakemake)]
        yield from found or ["a setting that it had is gone"]
    if reason.input_changed:
        yield "it is to read other files than before" + _inputs(snakemake, job)
    if reason.code_changed:
        yield "the rule's own text changed"
    if reason.software_stack_changed:
        yield "its environment in envs changed"


def _inputs(snakemake: Snakemake, job: Job) -> str:
    record = snakemake.persistence.metadata(job.output[0])
    if record is None or record.input is None:
        return ""
    before, now = {str(file) for file in record.input}, {str(file) for file in job.input}
    said = [f"also {file}" for file in sorted(now - before)[:1]]
    said += [f"no longer {file}" for file in sorted(before - now)[:1]]
    return f": {', '.join(said)}" if said else ""


def _settings(job: Job, before: set[str], now: set[str], snakemake: Snakemake) -> Iterator[str]:
    """Yield how tracked parameters differ, which Snakemake notes as values without their names."""
    old = [_value(text) for text in sorted(before)]
    for name, value in job.params.items():
        if repr(value) not in now:
            continue
        new = _value(repr(value))
        was = _counterpart(name, new, old)
        if was is not ABSENT:
            old.remove(was)
        if name == CODE:
            yield _code(snakemake, job)
        elif isinstance(new, dict) and isinstance(was, dict):
            yield from _differences(was, new)
        else:
            yield f"{name} was {_shown(was)} and is {_shown(new)}"


def _counterpart(name: str, new: Any, old: list[Any]) -> Any:
    """Return the value that a new one replaces: of the same form, and the most alike."""
    if name == CODE:
        alike = [value for value in old if isinstance(value, str) and _DIGEST.fullmatch(value)]
    elif isinstance(new, dict):
        alike = [value for value in old if isinstance(value, dict)]
        alike.sort(key=lambda value: len(value.keys() & new.keys()), reverse=True)
    else:
        alike = [value for value in old if type(value) is type(new)]
        alike = [value for value in alike if not _DIGEST.fullmatch(str(value))]
    return alike[0] if alike else ABSENT


def _differences(was: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key in sorted(was.keys() | now.keys()):
        a, b = was.get(key, ABSENT), now.get(key, ABSENT)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from _differences(a, b, f"{path}{key}.")
        elif a != b:
            yield f"{path}{key} was {_shown(a)} and is {_shown(b)}"


def _code(snakemake: Snakemake, job: Job) -> str:
    found = _SCRIPT.search(job.rule.shellcmd or "")
    said = (
        f"the code of {found[0] if found else 'its script'}, or of a module that it uses, changed"
    )
    record = snakemake.persistence.metadata(job.output[0])
    if found is None or record is None or record.endtime is None:
        return said
    root = Path(snakemake.basedir)
    newer = sorted(
        str(path.relative_to(root))
        for path in reached(root / found[0]).values()
        if path.is_relative_to(root) and path.stat().st_mtime > record.endtime
    )
    return f"{said} (newer than its result: {', '.join(newer[:3])})" if newer else said


def _value(text: str) -> Any:
    """Return a parameter as Snakemake notes it, and what it holds if it is JSON."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    if isinstance(value, str) and value.startswith("{"):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            pass
    return value


def _shown(value: Any) -> str:
    text = value if value is ABSENT else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
