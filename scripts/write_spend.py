"""Write the results of a spend: the data and the adapter with their cards, and a page.

The page explains the decisions. The data are one Parquet and one JSONL file with the method of each
row, in the layout of the hub.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from seedbed.analysis.decide.purchases import PurchaseRecord, read_scores, without_rows
from seedbed.analysis.report.spend import FILES
from seedbed.analysis.report.spend.about import About
from seedbed.analysis.report.spend.cards import data_card, model_card
from seedbed.analysis.report.spend.outcome import outcome
from seedbed.analysis.report.spend.page import page
from seedbed.artifacts import replacing, whole_file, write_text
from seedbed.command_line import json_of, option, optional, run, several
from seedbed.engines.spending import SpendingRecord
from seedbed.progress import reporter
from seedbed.provenance import provenance
from seedbed.streams.record import DatasetRecord


@dataclass(frozen=True, kw_only=True)
class Options:
    """The results of a spend, and where to write them."""

    study: str = option(str, "name of the study")
    about: About = option(json_of(About), "titles, licences and prompts, as JSON: see About")
    purchases: tuple[Path, ...] = several("the decisions, the final one last")
    rows: Path = option(whole_file, "dataset.parquet with all purchased rows")
    dataset: Path = option(whole_file, "dataset.json of these rows")
    parts: tuple[Path, ...] = several("dataset.json of each data set in the mixture")
    evaluations: tuple[Path, ...] = several("evaluation.json of the students")
    predictions: tuple[Path, ...] = several("predictions.parquet of each of them")
    adapter: tuple[Path, ...] = several("files of the final adapter, its weights first")
    spending: Path | None = optional(Path, "the study's spending (JSON), if it exists")
    folder: Path = option(Path, "folder to write to")


def job(args: Options) -> None:
    """Write the data, the adapter, their cards, and the page."""
    purchases = [PurchaseRecord.read(path) for path in args.purchases]
    record = DatasetRecord.read(args.dataset)
    rows = pl.read_parquet(args.rows, hive_partitioning=False)
    if "method" not in rows.columns:
        rows = rows.with_columns(method=pl.lit(str(record.dataset["method"])))
    spending = None
    if args.spending is not None and args.spending.is_file():
        spending = SpendingRecord.read(args.spending)
    scores = read_scores(args.evaluations, purchases[-1].request.task)
    left_out = without_rows(map(DatasetRecord.read, args.parts))
    found = outcome(args.about, purchases, record, rows, scores, spending, left_out)
    data, adapter = args.folder / "dataset", args.folder / "adapter"
    with replacing(data / "data/train.parquet") as temporary:
        rows.write_parquet(temporary)
    with replacing(data / "data/train.jsonl") as temporary:
        rows.write_ndjson(temporary)
    (spending or SpendingRecord(study=args.study)).write(data / "spending.json")
    write_text(data / "README.md", data_card(found))
    if args.adapter:
        for name in ("adapter_model.safetensors", "adapter_config.json"):
            with replacing(adapter / name) as temporary:
                shutil.copyfile(args.adapter[0].with_name(name), temporary)
        write_text(adapter / "README.md", model_card(found))
    else:
        shutil.rmtree(adapter, ignore_errors=True)
    write_text(args.folder / "index.html", page(found, args.study, provenance(__file__, FILES)))
    report = reporter("write_spend")
    for line in found.summary():
        report(line)


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, ValueError)


if __name__ == "__main__":
    main()
