"""Every rule that makes something has one script of its name; each script explains itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What a person calls, while Snakemake itself is busy, or before there is a study.
BY_HAND = ("check_task", "status")
# One rule a chart.
IN_A_LOOP = {"plot"}
SCRIPTS = sorted({path.stem for path in (ROOT / "scripts").glob("*.py")} - {*BY_HAND})


def rules_with_a_command() -> dict[str, str]:
    """Return rule -> text of every rule with a shell command."""
    texts = [path.read_text() for path in sorted((ROOT / "rules").glob("*.smk"))]
    rules = [
        rule
        for text in texts
        for rule in re.split(r"^(?:rule|checkpoint) ", text, flags=re.MULTILINE)[1:]
    ]
    named = {rule.partition(":")[0]: rule for rule in rules}
    return {name: rule for name, rule in named.items() if "shell:" in rule}


def help_of(name: str) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / f"scripts/{name}.py", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rules_and_scripts_have_the_same_names():
    assert sorted({*rules_with_a_command(), *IN_A_LOOP}) == SCRIPTS


def test_rules_and_their_files_are_short_and_say_what_goes_in_and_out():
    files = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]
    for path in files:
        header = path.read_text().split('"""')[1]
        assert {"in", "out"} <= set(re.findall(r"\w+", header.lower())), path
    assert sum(len(path.read_text().splitlines()) for path in files) <= 800
    for name, rule in rules_with_a_command().items():
        assert len(rule.strip().split("\n\n\n")[0].splitlines()) <= 25, name


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name not in IN_A_LOOP])
def test_a_rule_calls_its_script_tracks_its_code_and_keeps_a_log(name):
    rule = rules_with_a_command()[name]
    assert re.search(rf'command\(\s*"{name}"', rule)
    assert re.search(rf'code\(\s*"{name}"', rule)
    assert "log:" in rule and '"""' in rule


@pytest.mark.parametrize("name", [*SCRIPTS, *BY_HAND])
def test_a_script_explains_itself(name):
    assert re.search(r"\n\n[A-Z][^\n]{20,}", help_of(name))
