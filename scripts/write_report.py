"""Write the report of a study: a short text for the terminal, and one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seedbed.analysis.curves import confidence_of, read_curves
from seedbed.analysis.decide.contrasts import ContrastsRecord
from seedbed.analysis.decide.costs import PRICES, Prices
from seedbed.analysis.decide.crossovers import CrossoversRecord
from seedbed.analysis.report import sentences
from seedbed.analysis.report.cautions import cautions
from seedbed.analysis.report.page import FILES, filling
from seedbed.analysis.report.page.explorer import explorer_data
from seedbed.analysis.report.summary import Report, findings_of, summarise
from seedbed.analysis.report.text import summary_text
from seedbed.analysis.settings import TITLES, ModelPrice, PublishedShift, Titles
from seedbed.analysis.tables.comparisons import read_comparisons
from seedbed.artifacts import read_json, whole_file, write_text
from seedbed.command_line import json_of, json_value, option, optional, run, several
from seedbed.config.messages import problems
from seedbed.engines.spending import SpendingRecord
from seedbed.provenance import provenance


@dataclass(frozen=True, kw_only=True)
class Options:
    """The results of a study, and where to write its report."""

    study: str = option(str, "name of the study")
    description: str | None = optional(str, "the study's question")
    remarks: Sequence[str] = option(json_value, "notes on its contrasts", "[]")
    missing: str | None = optional(str, "a line on results that are missing")
    cells: Path = option(whole_file, "table of cells (Parquet)")
    fits: Path = option(whole_file, "fits (JSON)")
    draws: Path = option(whole_file, "draws (Parquet)")
    comparisons: Path = option(whole_file, "comparisons (CSV)")
    crossovers: Path = option(whole_file, "crossovers (JSON)")
    findings: Path = option(whole_file, "tests of contrasts (JSON)")
    examples: tuple[Path, ...] = several("datasets to show rows of (Parquet)")
    figures: tuple[Path, ...] = several("figures (SVG)", Path)
    charts: tuple[Path, ...] = several("the same as Vega-Lite (NAME.vl.json)", Path)
    titles: Titles = option(json_of(Titles, problems), TITLES, "{}")
    prices: Prices = option(json_of(dict[str, ModelPrice], problems), PRICES, "{}")
    published: Sequence[PublishedShift] = option(
        json_of(tuple[PublishedShift, ...], problems),
        'JSON: [{"source": "...", "seeds": 100 or null, "student": null, "low": 27, '
        '"high": 51 or null}, ...]',
        "[]",
    )
    spending: Path | None = optional(Path, "the study's spending (JSON), if it exists")
    summary: Path = option(Path, "summary to write (text)")
    page: Path = option(Path, "page to write (HTML)")


def job(args: Options) -> None:
    """Write the summary and the page."""
    confidence = confidence_of(args.fits)
    crossed = CrossoversRecord.read(args.crossovers)
    fitted = read_curves(args.fits, args.draws)
    report = Report(
        study=args.study,
        description=args.description or "",
        remarks=tuple(args.remarks),
        missing=args.missing or "",
        intervals=sentences.INTERVALS.format(coverage=100 * confidence),
        fits=summarise(
            fitted,
            read_comparisons(args.comparisons),
            [*crossed.crossovers, *crossed.costs],
            args.titles,
            confidence,
            args.published,
        ),
        findings=findings_of(ContrastsRecord.read(args.findings).findings, args.titles),
        cautions=cautions(args.cells),
    )
    by_name = {path.name.removesuffix(".vl.json"): read_json(path) for path in args.charts}
    spending = args.spending
    text = filling.page(
        report,
        explorer_data(fitted, args.titles, confidence, args.prices),
        [filling.read_figure(path, by_name.get(path.stem)) for path in args.figures],
        [filling.examples_of(path, args.titles) for path in args.examples],
        confidence,
        provenance(__file__, FILES),
        SpendingRecord.read(spending) if spending and spending.is_file() else None,
    )
    write_text(args.page, text)
    write_text(args.summary, summary_text(report, str(args.page)))


def main() -> None:
    """Run the command line."""
    run(Options, job, __doc__, ValueError)


if __name__ == "__main__":
    main()
