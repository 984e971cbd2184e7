"""Every rule that makes something has one script of its name; each script explains itself."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What a person calls, while Snakemake itself is busy, or before there is a study.
BY_HAND = ("check_task", "status")
# One rule a chart.
IN_A_LOOP = {"plot"}
FILES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]
SCRIPTS = sorted({path.stem for path in (ROOT / "scripts").glob("*.py")} - {*BY_HAND})


def rules_with_a_command() -> dict[str, str]:
    """Return rule -> text of every rule with a shell command."""
    found = {name: rule for path in FILES for name, rule in rules_of(path)}
    return {name: rule for name, rule in found.items() if name and "shell:" in rule}


def rules_of(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each rule in a file; of those in a loop, the name is empty."""
    lines = [*enumerate(path.read_text().splitlines())]
    for number, line in lines:
        if (start := re.match(r"( *)(?:rule|checkpoint)(?: (\w+))?:", line)) is None:
            continue
        rule = [line]
        for _, inner in lines[number + 1 :]:
            if inner.strip() and not inner.startswith(f"{start[1]} "):
                break
            rule.append(inner)
        yield start[2] or "", "\n".join(rule).strip()


def help_of(name: str) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / f"scripts/{name}.py", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rules_and_scripts_have_the_same_names():
    assert sorted({*rules_with_a_command(), *IN_A_LOOP}) == SCRIPTS


def test_rules_and_their_files_are_short_and_say_what_goes_in_and_out():
    for path in FILES:
        header = path.read_text().split('"""')[1]
        assert re.search(r"^In: .+\bOut: .", header, re.MULTILINE | re.DOTALL), path
    assert sum(len(path.read_text().splitlines()) for path in FILES) <= 800
    rules = [(path, name, rule) for path in FILES for name, rule in rules_of(path)]
    assert len(rules) == sum(
        len(re.findall(r"^ *(?:rule|checkpoint)\b.*:$", path.read_text(), re.MULTILINE))
        for path in FILES
    )
    for path, name, rule in rules:
        assert len(rule.splitlines()) <= 25, (path, name)


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name not in IN_A_LOOP])
def test_a_rule_calls_its_script_tracks_its_code_and_keeps_a_log(name):
    rule = rules_with_a_command()[name]
    assert re.search(rf'command\(\s*"{name}"', rule)
    assert re.search(rf'code\(\s*"{name}"', rule)
    assert "log:" in rule and '"""' in rule


@pytest.mark.parametrize("name", [*SCRIPTS, *BY_HAND])
def test_a_script_explains_itself(name):
    assert re.search(r"\n\n[A-Z][^\n]{20,}", help_of(name))
