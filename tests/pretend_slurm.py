"""Fake SLURM commands: they record submissions, and run nothing."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct")


@dataclass(frozen=True)
class Pretended:
    """The fake commands, in a folder of their own.

    Attributes:
        folder: the folder with the commands and records of their calls.
    """

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with which the commands are found."""
        return {"PATH": os.pathsep.join([str(self.folder), os.environ["PATH"]])}

    def sent(self) -> list[dict[str, str]]:
        """Return the options of each accepted call of sbatch."""
        return [options(words) for words in self._lines("sent") if "refused" not in words]

    def tries(self) -> int:
        """Return how often sbatch was called."""
        return len(self._lines("sent"))

    def cancelled(self) -> list[list[str]]:
        """Return the arguments of each call of scancel."""
        return self._lines("cancelled")

    def refuse(self, *said: str) -> None:
        """Let the next calls of sbatch fail with these errors."""
        (self.folder / "refusals.json").write_text(json.dumps(said))

    def lose(self, said: str) -> None:
        """Let the next call of sbatch accept the job, but fail with an error."""
        (self.folder / "loss.json").write_text(json.dumps(said))

    def say(self, command: str, text: str) -> None:
        """Let scontrol or sinfo print a text."""
        (self.folder / f"{command}.txt").write_text(text)

    def state(self, state: str, reason: str = "None") -> None:
        """Let squeue show this state for all jobs."""
        (self.folder / "state.json").write_text(json.dumps([state, reason]))

    def fail(self, times: int) -> None:
        """Let squeue fail a number of times when Snakemake asks it for the states of jobs."""
        (self.folder / "failures.json").write_text(json.dumps(times))

    def _lines(self, name: str) -> list:
        file = self.folder / f"{name}.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def options(words: list[str]) -> dict[str, str]:
    """Return the options of a command line, by name; True for those without a value."""
    found: dict[str, str] = {}
    place = 0
    while place < len(words):
        name, equals, value = words[place].partition("=")
        if not equals and place + 1 < len(words) and not words[place + 1].startswith("-"):
            value = words[place + 1]
            place += 1
        found[name] = value
        place += 1
    return found


def pretend(folder: Path) -> Pretended:
    """Make the commands in a folder."""
    folder.mkdir(parents=True)
    for name in COMMANDS:
        script = folder / name
        script.write_text(f"#!{sys.executable} -SE\n" + Path(__file__).read_text())
        script.chmod(0o755)
    return Pretended(folder)


def _command(name: str, words: list[str], folder: Path) -> int:
    def note(file: str, what: list[str]) -> int:
        with (folder / f"{file}.jsonl").open("a") as output:
            print(json.dumps(what), file=output)
        return len((folder / f"{file}.jsonl").read_text().splitlines())

    def read(file: str, default: Any) -> Any:
        path = folder / f"{file}.json"
        return json.loads(path.read_text()) if path.exists() else default

    if name == "sbatch":
        if refusals := read("refusals", []):
            note("sent", [*words, "refused"])
            (folder / "refusals.json").write_text(json.dumps(refusals[1:]))
            print(refusals[0], file=sys.stderr)
            return 1
        number = note("sent", words)
        if lost := read("loss", []):
            (folder / "loss.json").unlink()
            print(lost, file=sys.stderr)
            return 1
        print(number)
    elif name == "squeue":
        state, reason = read("state", ["RUNNING", "None"])
        long = any("%Z" in word for word in words)
        if not long and (failures := read("failures", 0)):
            (folder / "failures.json").write_text(json.dumps(failures - 1))
            print("slurm_load_jobs error: Unable to contact slurm controller", file=sys.stderr)
            return 1
        file = folder / "sent.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        for number, line in enumerate(lines, 1):
            if "refused" in (sent := json.loads(line)):
                continue
            about = options(sent)
            more = [about["--job-name"], about["-D"], reason, about["--comment"]]
            print(*[str(number), state, *(more if long else [])], sep="|")
    elif name == "scancel":
        note("cancelled", words)
        (folder / "state.json").write_text(json.dumps(["CANCELLED", "None"]))
    elif name == "sacct":
        return 1
    elif words[-1:] == ["config"]:
        print("MinJobAge = 86400 sec")
    elif (said := folder / f"{name}.txt").exists():
        print(said.read_text())
    return 0


if __name__ == "__main__":
    place = Path(sys.argv[0])
    sys.exit(_command(place.name, sys.argv[1:], place.parent))
