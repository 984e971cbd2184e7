"""Train a small Llama-architecture model from scratch on a generated world.

The folder that is written holds the model in final/, the checkpoints that were asked for in
step=N/, and model.json beside each, with the settings and a fingerprint of the weights. A run that
was killed goes on from its last save.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from seedbed.engines.devices import use_gpus
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.tasks.worlds import load_world
from seedbed.training.pretraining import pretrain
from seedbed.training.settings import Pretrain


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", required=True, help="generated world, e.g. mini_math")
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="`pretrain` of the model's file, as JSON"
    )
    parser.add_argument(
        "--prompts", type=json.loads, required=True, help="prompt of each skill, as JSON"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--gpus", type=int, default=1, help="0 to train on the CPU")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    args = parser.parse_args()
    report = reporter(f"pretrain_model {args.output.parent.name}")
    use_gpus(args.gpus, report)
    settings = Pretrain.model_validate(args.settings)
    about = {"world": args.world, "settings": args.settings, "prompts": args.prompts}
    about |= provenance(__file__, [f"seedbed.tasks.worlds.{args.world}"])
    pretrain(
        settings,
        load_world(args.world),
        args.prompts,
        args.output,
        about,
        report,
        args.threads,
    )


if __name__ == "__main__":
    main()
