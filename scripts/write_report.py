"""Write what a study found: a short text for the terminal, and one self-contained HTML page."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from seedbed.analysis.curves.fits import confidence_of, read_fits
from seedbed.analysis.decide.costs import Prices, add_prices_option
from seedbed.analysis.report.explorer import explorer_data
from seedbed.analysis.report.report import examples_of, report_page, summarise, summary_text
from seedbed.analysis.settings import PublishedShift, Titles, parse_published, parse_titles
from seedbed.analysis.tables.comparisons import read_comparisons
from seedbed.artifacts import listed_files, read_json, whole_file, write_text
from seedbed.provenance import provenance


def write_report(
    study: str,
    description: str,
    remarks: Sequence[str],
    missing: str,
    fits: Path,
    draws: Path,
    comparisons: Path,
    crossovers: Path,
    findings: Path,
    examples: Sequence[Path],
    figures: Sequence[Path],
    titles: Titles,
    prices: Prices,
    published: Sequence[PublishedShift],
    summary: Path,
    page: Path,
) -> None:
    """Write the summary and the page.

    Args:
        study: name of the study.
        description: what the study asks, or "".
        remarks: what to know in reading its findings.
        missing: a line on results that are missing, or "".
        fits: fits of `fit_decay`.
        draws: bootstrap draws of `fit_decay`.
        comparisons: table of `compare_methods` (CSV).
        crossovers: crossovers of `find_crossovers` (JSON).
        findings: tests of `check_findings` (JSON).
        examples: datasets to show rows of, in folders named by their coordinates.
        figures: SVG files to show in the page.
        titles: titles of methods, tasks and models.
        prices: by model, what its tokens cost.
        published: shifts that others saw.
        summary: text file to write.
        page: HTML file to write.
    """
    confidence = confidence_of(fits)
    crossed = read_json(crossovers)
    fitted = read_fits(fits, draws)
    found = summarise(
        fitted,
        read_comparisons(comparisons),
        [*crossed["crossovers"], *crossed["costs"]],
        titles,
        confidence,
        published,
    )
    made = provenance(__file__)
    explorer = explorer_data(fitted, titles, confidence, prices)
    tested = read_json(findings)["findings"]
    for test in (test for finding in tested for test in finding["tests"]):
        test["task_title"] = titles.title(test["task"])
        test["student_title"] = titles.title(test["student"])
    shown = [examples_of(path, titles) for path in examples]
    text = report_page(
        study,
        description,
        missing,
        found,
        tested,
        remarks,
        shown,
        figures,
        confidence,
        made,
        explorer,
    )
    write_text(page, text)
    write_text(summary, summary_text(study, missing, found, tested, remarks, str(page), confidence))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name of the study")
    parser.add_argument("--description", default="", help="what the study asks")
    parser.add_argument(
        "--remarks", type=json.loads, default=[], help="JSON: texts to read its findings by"
    )
    # Snakemake leaves an empty text out of the command.
    parser.add_argument(
        "--missing", nargs="?", const="", default="", help="a line on results that are missing"
    )
    parser.add_argument("--fits", type=whole_file, required=True, help="fits (JSON)")
    parser.add_argument("--draws", type=whole_file, required=True, help="bootstrap draws (Parquet)")
    parser.add_argument("--comparisons", type=whole_file, required=True, help="comparisons (CSV)")
    parser.add_argument("--crossovers", type=whole_file, required=True, help="crossovers (JSON)")
    parser.add_argument("--findings", type=whole_file, required=True, help="findings (JSON)")
    parser.add_argument(
        "--examples",
        type=lambda text: listed_files(text.removeprefix("@")),
        default=[],
        metavar="FILE",
        help="file that lists datasets (Parquet), one a line",
    )
    parser.add_argument(
        "--figures", type=Path, nargs="*", default=[], metavar="FILE", help="figures (SVG)"
    )
    parser.add_argument("--titles", default="{}", help='JSON: {name: {"title": ..., "short": ...}}')
    add_prices_option(parser)
    parser.add_argument(
        "--published",
        default="[]",
        help='JSON: [{"source": "...", "seeds": 100 or null, "student": null, "low": 27, '
        '"high": 51 or null}, ...]',
    )
    parser.add_argument("--summary", type=Path, required=True, help="summary to write (text)")
    parser.add_argument("--page", type=Path, required=True, help="page to write (HTML)")
    arguments = parser.parse_args()
    try:
        write_report(
            arguments.study,
            arguments.description,
            arguments.remarks,
            arguments.missing,
            arguments.fits,
            arguments.draws,
            arguments.comparisons,
            arguments.crossovers,
            arguments.findings,
            arguments.examples,
            arguments.figures,
            parse_titles(arguments.titles),
            arguments.prices,
            parse_published(arguments.published),
            arguments.summary,
            arguments.page,
        )
    except ValueError as error:
        sys.exit(f"write_report: {error}")


if __name__ == "__main__":
    main()
