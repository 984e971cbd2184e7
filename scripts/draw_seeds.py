"""Draw a seed set from a task's train split.

The seed sets of one replicate are nested: its first 100 seeds are the same whether 100 or 1,000 are
drawn. The result has the columns of the train split, and its rows are in the order of the draw.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedbed.artifacts import PROVENANCE, whole_file, write_json, write_parquet
from seedbed.command_line import option, run
from seedbed.provenance import provenance
from seedbed.tasks.items import MORE, SCHEMA


def draw_seeds(train: pl.DataFrame, seeds: int, replicate: int) -> pl.DataFrame:
    """Return `seeds` rows of the train split, in random order.

    Raises:
        ValueError: if the split has fewer rows.
    """
    if seeds > train.height:
        raise ValueError(f"{seeds} seeds asked for, but the train split has {train.height} items")
    order = list(range(train.height))
    random.Random(f"seeds/{replicate}").shuffle(order)
    return train[order[:seeds]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which seed set to draw."""

    train: Path = option(whole_file, "train.parquet of a task")
    seeds: int = option(int, "size of the seed set")
    replicate: int = option(int, "number of the draw")
    drawn: Path = option(Path, "Parquet file to write")


def job(args: Options) -> None:
    """Draw a seed set."""
    train = pl.read_parquet(args.train)
    train = train.select([name for name in (*SCHEMA, *MORE) if name in train.columns])
    settings = {"seeds": args.seeds, "replicate": args.replicate}
    # Without provenance, so that the same seeds are the same bytes.
    seeds = draw_seeds(train, args.seeds, args.replicate)
    write_parquet(args.drawn, seeds, {"settings": settings})
    write_json(args.drawn.with_name(PROVENANCE), provenance(__file__))


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__)


if __name__ == "__main__":
    main()
