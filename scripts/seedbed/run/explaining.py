"""The target `explain`: why jobs would run again, with one line per cause.

A cause is a difference that the planner found between a job and the manifest: settings with their
values, parts of the code, or files whose content changed. Modification times are no cause.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from seedbed.run.jobs import rule_name
from seedbed.run.planning import ABSENT, Cause, Planner, Status
from seedbed.run.progress import named

if TYPE_CHECKING:
    from snakemake.jobs import Job

LONGEST = 60
"""The most characters shown of a setting's value."""

SHOWN = 3
"""The most parts of some code, or files, that a line names."""


def explanation(
    planner: Planner, statuses: Mapping[Job, Status], *, rule: str, alone: bool, forced: bool
) -> str:
    """Return why the targets of a run would be made again.

    Args:
        planner: the planner of a run that is planned, before its first job starts.
        statuses: the status of each job.
        rule: the rule `explain`, named in the hint.
        alone: whether `explain` is the only target.
        forced: whether the command line forces jobs to run.

    Returns:
        A line for each cause, with its jobs, and a line with the jobs that depend on them.
    """
    # In the order in which jobs run.
    needed = [job for job, status in statuses.items() if status.needed and job.output]
    by_cause = defaultdict(list)
    follows: Counter[str] = Counter()
    for job in needed:
        why = [*_causes(planner, job, statuses[job], forced)]
        for cause in why:
            by_cause[rule_name(job), cause].append(job)
        if not why:
            follows[rule_name(job)] += 1
    if alone:
        return f"Name what to explain: a rule or a file, as in `snakemake {rule} all`.\n"
    if not needed:
        return "Nothing would run: all of it is there and up to date.\n"
    lines = [f"{jobs_text(len(needed))} would run."]
    for (name, cause), jobs in by_cause.items():
        lines.append(f"- {name}, {jobs_text(len(jobs))}: {cause}{example(jobs)}")
    if follows:
        rest = ", ".join(f"{name} {count}" for name, count in follows.items())
        lines.append(f"These depend on them: {rest}")
    return "\n".join(lines) + "\n"


def cause_text(planner: Planner, rule: str, cause: Cause) -> Iterator[str]:
    """Yield a cause in words.

    Args:
        planner: the planner that found it.
        rule: the name of the job's rule.
        cause: the cause.
    """
    if cause.kind == "code":
        yield f"the code of scripts/{rule}.py changed{_parts(planner, cause)}"
    elif cause.kind == "engine":
        name = cause.name.rpartition(".")[2]
        yield f"the code of {name}, which ran its model, changed{_parts(planner, cause)}"
    elif cause.kind == "setting":
        yield from _differences(cause.name, _value(cause.was), _value(cause.now))
    elif cause.kind == "input":
        yield f"the content of {_several(cause.paths)} changed"
    elif cause.kind == "inputs":
        said = [f"also {_several(cause.now)}"] if cause.now else []
        said += [f"no longer {_several(cause.was)}"] if cause.was else []
        yield f"it reads other files than before: {', '.join(said) or cause.name}"
    elif cause.kind == "failed":
        yield f"{cause.was:,} of its queries failed in all tries, and are asked again"
    else:
        yield f"it needs its stream up to query {cause.now}, and has it up to query {cause.was}"


def jobs_text(count: int) -> str:
    """Return a number of jobs in words."""
    return f"{count} job" if count == 1 else f"{count} jobs"


def example(jobs: list[Job]) -> str:
    """Return the wildcards of the first of some jobs, as an example."""
    first = named(jobs[0].wildcards_dict)
    if not first:
        return ""
    return f" [{first}]" if len(jobs) == 1 else f" [the first: {first}]"


def _causes(planner: Planner, job: Job, status: Status, forced: bool) -> Iterator[str]:
    """Yield a job's own causes; none if it runs only because its producers run."""
    if status.forced:
        if forced:
            yield "the command line asks for it (--force)"
        else:
            yield "a run was stopped while it was made"
    elif status.missing:
        yield "its result is gone" if status.recorded else "it was not made yet"
    for cause in status.causes:
        yield from cause_text(planner, rule_name(job), cause)


def _parts(planner: Planner, cause: Cause) -> str:
    """Return which parts of some code differ, if the manifest records the earlier parts."""
    before = planner.manifest.shared(cause.was)
    now = planner.code.parts(cause.now) if cause.now else {}
    if not isinstance(before, dict) or not before or not now:
        return ""
    names = [
        name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)
    ]
    return f" ({_several(names)})" if names else ""


def _several(names: Any) -> str:
    names = [*names]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _differences(name: str, was: Any, now: Any) -> Iterator[str]:
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in sorted(was.keys() | now.keys()):
            a, b = was.get(key, ABSENT), now.get(key, ABSENT)
            if a != b:
                yield from _differences(key if name in _WHOLE else f"{name}.{key}", a, b)
    else:
        yield f"{name} was {_shown(was)} and is {_shown(now)}"


# Parameters that hold a section of settings, whose keys need no prefix.
_WHOLE = frozenset({"settings", "data", "source", "dataset", "cell", "prices", "titles"})


def _value(value: Any) -> Any:
    """Return a parameter, decoded if it is JSON."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            pass
    return value


def _shown(value: Any) -> str:
    text = value if value is ABSENT else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
