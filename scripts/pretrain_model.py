"""Train a small Llama-architecture model from scratch on a generated world.

Writes a folder with the model in final/, the requested checkpoints in step=N/, and a model.json in
each, with the settings and a fingerprint of the weights. A killed run resumes from its last save.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seedbed.command_line import json_of, json_value, option, run
from seedbed.engines.devices import use_gpus
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.tasks.worlds import load_world
from seedbed.training.pretraining import pretrain
from seedbed.training.settings import Pretrain


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which model to train, on which world."""

    world: str = option(str, "generated world, e.g. mini_math")
    settings: Pretrain = option(json_of(Pretrain), "`pretrain` of the model's file, as JSON")
    prompts: dict[str, str] = option(json_value, "prompt of each skill, as JSON")
    threads: int = option(int, "CPU threads", 1)
    gpu: int = option(int, "GPUs, 0 to train on the CPU", 1)
    folder: Path = option(Path, "folder to write")


def job(args: Options) -> None:
    """Train a model from scratch."""
    report = reporter(f"pretrain_model {args.folder.parent.name}")
    use_gpus(args.gpu, report)
    about: dict[str, object] = {
        "world": args.world,
        "settings": args.settings.model_dump(mode="json", exclude_unset=True),
        "prompts": args.prompts,
    }
    about |= {**provenance(__file__, [f"seedbed.tasks.worlds.{args.world}"])}
    pretrain(
        args.settings,
        load_world(args.world),
        args.prompts,
        args.folder,
        about,
        report,
        args.threads,
    )


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
