"""The commands that a dry run prints: what a person runs by hand."""

from __future__ import annotations

import re
import subprocess

from project import BIN, planned


def printed(clone, target, rule):
    """Return the command of a rule's job that `snakemake -n -p TARGET` prints."""
    asked = (target, "-n", "-p", "--forcerun", rule, "--config", "study=micro")
    said = planned(clone.folder, *asked)
    (command,) = re.findall(
        rf"^ *(?:Shell command: )?((?:exec )?python .*/{rule}\.py'? .*)$", said, re.M
    )
    return command


def run(command, folder, **options):
    """Run a command in a shell, with the environment's programs."""
    return subprocess.run(
        ["bash", "-c", f'PATH="{BIN}:$PATH"; {command}'], cwd=folder, check=True, **options
    )


def test_a_printed_command_runs_as_it_stands(finished, tmp_path):
    clone = finished.copy(tmp_path / "a clone; with 'quotes'")
    made = clone.folder / "results/micro/tables/comparisons.json"
    before = made.read_bytes()
    command = printed(clone, "compare_methods", "compare_methods")
    made.unlink()
    run(command, clone.folder)
    assert made.read_bytes() == before


def test_scripts_know_the_options_that_rules_give_them(fresh):
    said = planned(fresh.folder, "-n", "-p", "--forceall", "all", "--config", "study=micro")
    given = {}
    for script, rest in re.findall(r"python \S+/scripts/(\w+)\.py(.*)$", said, re.MULTILINE):
        without_values = re.sub(r"'[^']*'", "", rest)
        given.setdefault(script, set()).update(re.findall(r" --([a-z-]+)", without_values))
    assert len(given) >= 18
    for script, options in given.items():
        command = [BIN / "python", f"scripts/{script}.py", "--help"]
        shown = subprocess.run(command, cwd=fresh.folder, capture_output=True, text=True).stdout
        assert options <= set(re.findall(r"--([a-z-]+)", shown)), script


def test_it_names_what_the_rule_names_and_gives_settings_as_json(finished):
    cell = finished.results("evaluations/**/method=untrained/**/evaluation.json")[0]
    command = printed(finished, str(cell.relative_to(finished.folder)), "evaluate_student")
    options = set(re.findall(r" --([a-z-]+)", command))
    assert {"test", "task", "model", "adapter", "dataset", "settings", "cell"} < options
    assert {"engine", "pending", "scores", "predictions", "threads", "runtime"} < options
    assert "code" not in options
    assert re.search(r"""--settings='\{"answer_tokens": \d+, "kind": "number",""", command)
