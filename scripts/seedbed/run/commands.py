"""Shell commands of rules, built from the names of a rule's inputs, outputs and params.

    rule draw_seeds:
        input:
            train=...
        output:
            drawn=...
        log:
            f"{RESULTS}/logs/draw_seeds/..."
        shell:
            command("draw_seeds", "seeds", "replicate")

runs `python .../draw_seeds.py --train FILE --drawn=FILE --seeds=16 --replicate=1 2> LOG`. The
script's options have the names in the rule, with `-` instead of `_`.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seedbed.run.snakemake_internals import command_of, complete_rule, log_of, rule_that_runs
from seedbed.run.terminal import hold_interrupts

LOG = " 2> {log:q}"
SHOWN_LOG = " 2> >(tee {log:q} >&2)"


def put_python_first() -> None:
    """Put the Python that runs Snakemake first on `PATH`, even if its environment is not active.

    An environment that Snakemake itself activates for a job still comes before it.
    """
    path = [str(Path(sys.executable).parent), *os.environ.get("PATH", "").split(os.pathsep)]
    os.environ["PATH"] = os.pathsep.join(dict.fromkeys(path))


class Command(str):
    """The start of a rule's command, before Snakemake has read the whole rule.

    Attributes:
        also: names of further options: `threads`, wildcards, resources, and constants.
        without: names of inputs, params and outputs that are no options.
        log: the shell's redirection of messages.
    """

    also: tuple[str, ...]
    without: tuple[str, ...]
    log: str


class Commands:
    """The commands of all rules.

    The names in a rule are known when Snakemake has read it: `complete` then adds the options.
    Snakemake evaluates `shell:` again when a job runs, in the thread that starts the job. This call
    returns the whole command.
    """

    def __init__(
        self,
        script: Callable[[str], str],
        environment: str,
        constants: Mapping[str, Sequence[str]],
    ) -> None:
        """Store the parts of commands that all rules share.

        Args:
            script: returns the command that runs a script, by the script's name.
            environment: the conda file of all rules, relative to their folder.
            constants: values of options that are the same for all jobs, by name.
        """
        self._script = script
        self._environment = environment
        self._constants = constants
        self._whole: dict[str, str] = {}

    def __call__(
        self,
        script: str,
        *also: str,
        without: tuple[str, ...] = (),
        shown: bool = False,
        start: str = "",
    ) -> str:
        """Return the command of a rule, for its `shell:`.

        Args:
            script: name of the script.
            also: names of further options: `threads`, wildcards, resources, and constants.
            without: names of inputs, params and outputs that are no options.
            shown: whether the terminal also shows the messages that the log receives.
            start: a word before the command.
        """
        rule = rule_that_runs()
        if rule in self._whole:
            hold_interrupts()
            return self._whole[rule]
        command = Command(f"{start} {self._script(script)}".lstrip())
        command.also, command.without = also, without
        command.log = SHOWN_LOG if shown else LOG
        return command

    def complete(self, rule: Any) -> None:
        """Set a rule's whole command, environment, benchmark, and message.

        The options are the rule's named inputs, params and outputs. A param replaces an input of
        the same name. The param `folder` replaces all outputs, which are in that folder.

        Args:
            rule: a rule of Snakemake. A rule without a `Command` is not changed.

        Raises:
            ValueError: if the command names something that the rule does not have.
        """
        command = command_of(rule)
        if not isinstance(command, Command):
            return
        inputs, params, outputs = (
            # A param without a value is left out: the shell would receive the word None.
            [name for name, value in names.items() if value is not None]
            for names in (rule.input, rule.params, rule.output)
        )
        options = {name: f" {{input.{name}:q}}" for name in inputs}
        options |= {name: f"={{params.{name}:q}}" for name in params}
        if "folder" not in params:
            options |= {name: f"={{output.{name}:q}}" for name in outputs}
        options |= {name: self._also(rule, name) for name in command.also}
        words = [
            f" --{name.replace('_', '-')}{value}"
            for name, value in options.items()
            if name not in ("code", *command.without)
        ]
        whole = self._whole[rule.name] = "".join([command, *words, command.log])
        folder, _, job = log_of(rule).rpartition("/logs/")
        job = job.removesuffix(".log")
        complete_rule(
            rule,
            command=whole,
            environment=self._environment,
            message=job.replace("/", " ", 1).replace("{", "{wildcards."),
            benchmark=f"{folder}/benchmarks/{job}.tsv" if outputs else None,
        )

    def _also(self, rule: Any, name: str) -> str:
        if name in self._constants:
            values = " ".join(map(shlex.quote, self._constants[name]))
            return " " + values.replace("{", "{{").replace("}", "}}")
        if name == "threads":
            return "={threads}"
        if name in rule.wildcard_names:
            return f"={{wildcards.{name}:q}}"
        if name in rule.resources:
            return f"={{resources.{name}}}"
        raise ValueError(f"rule {rule.name} has neither a wildcard nor a resource {name!r}")
