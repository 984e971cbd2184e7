"""Other tools that send many requests to an endpoint, each run in its own environment."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLIENTS = Path(__file__).resolve().parent / "clients"
INSTALL_SECONDS = 1800
RUN_SECONDS = 900
QUIET = {
    "TELEMETRY_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_API_KEY": "none",
    "NO_PROXY": "127.0.0.1",
}
"""Environment variables with which the tools contact only the server."""


class UnavailableError(Exception):
    """A tool cannot be installed or run; the message is one line with the reason."""


@dataclass(frozen=True)
class Tool:
    """Another tool.

    Attributes:
        name: its name in the output.
        client: file in `clients/` that sends requests with it.
        requirements: packages of its environment, without their dependencies.
    """

    name: str
    client: str
    requirements: tuple[str, ...]


TOOLS = (
    Tool("curator", "curator_client.py", ("bespokelabs-curator==0.1.31",)),
    # It imports requests without declaring the dependency. With openai 1.109.1, which it also
    # accepts, it takes half as long again.
    Tool(
        "distilabel",
        "distilabel_client.py",
        ("distilabel[openai]==1.5.3", "openai==3.54.0", "requests==2.34.2"),
    ),
)


def make_environment(tool: Tool, folder: Path) -> Path:
    """Return the Python of a tool's environment, which is made if it does not exist yet.

    Raises:
        UnavailableError: if the tool cannot be installed.
    """
    environment = folder.resolve() / tool.name
    stamp = environment / "requirements.txt"
    python = environment / "bin" / "python"
    wanted = "\n".join(tool.requirements) + "\n"
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(environment, ignore_errors=True)
    environment.mkdir(parents=True)
    commands = (
        [sys.executable, "-m", "venv", str(environment)],
        [str(python), "-m", "pip", "install", "--quiet", "--prefer-binary", *tool.requirements],
    )
    for command in commands:
        output = environment / "output.txt"
        status = _run(command, environment, dict(os.environ), output, INSTALL_SECONDS)
        if status != "0":
            raise UnavailableError(f"does not install ({status}): {_reason(output)}")
    stamp.write_text(wanted)
    return python


def run_tool(tool: Tool, python: Path, task: dict[str, Any]) -> tuple[float, float]:
    """Return the seconds of a tool's run, and the peak MiB of one of its processes.

    Args:
        tool: the tool.
        python: the Python of its environment.
        task: `url`, `model`, `prompts`, `sampling`, `concurrency`, and the `answer` to all prompts.

    Raises:
        UnavailableError: if the run fails, or answers are missing.
    """
    with tempfile.TemporaryDirectory(prefix="orchestration-") as name:
        folder = Path(name)
        (folder / "task.json").write_text(json.dumps(task | {"result": str(folder / "result")}))
        # A new home folder, so that its stored files are new too; other settings are its defaults.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment |= QUIET | {
            "HOME": name,
            "XDG_CACHE_HOME": str(folder / "cache"),
            "HF_HOME": str(folder / "huggingface"),
        }
        command = [str(python), str(CLIENTS / tool.client), str(folder / "task.json")]
        output = folder / "output.txt"
        status = _run(command, folder, environment, output, RUN_SECONDS)
        if status != "0":
            raise UnavailableError(f"does not run ({status}): {_reason(output)}")
        result = json.loads((folder / "result").read_text())
    if result["right"] != len(task["prompts"]):
        raise UnavailableError(f"has {result['right']} of {len(task['prompts'])} answers")
    return result["seconds"], result["mib"]


def _run(
    command: list[str], folder: Path, environment: dict[str, str], output: Path, seconds: int
) -> str:
    """Return the exit status of a command after all its processes have ended."""
    with (
        output.open("wb") as file,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            return str(process.wait(seconds))
        except subprocess.TimeoutExpired:
            return f"not done in {seconds} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _reason(output: Path) -> str:
    """Return the line of an output that most likely states the error."""
    lines = [line.strip() for line in output.read_text(errors="replace").splitlines()]
    errors = [line for line in lines if "error" in line.lower()] or [line for line in lines if line]
    return errors[-1][:300] if errors else "it says nothing"
