"""The report as a self-contained HTML page that needs no network."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from seedbed.analysis.report import sentences
from seedbed.analysis.report.captions import caption_of
from seedbed.analysis.report.charts.theme import DARK, LIGHT
from seedbed.analysis.report.page import FILES, SHARED
from seedbed.analysis.report.summary import COMPARED, Report
from seedbed.analysis.settings import Titles
from seedbed.engines.spending import HEADS, SpendingRecord, sentence, table

_EXAMPLES = 3
_EXAMPLE_CHARACTERS = 600

TABLES = {
    "../tables/cells.csv": "every cell",
    "../tables/comparisons.csv": "every comparison of two methods",
    "../fits/crossovers.csv": "every crossover",
    "../fits/decay.json": "every fitted model",
    "../fits/findings.json": "every test of a contrast",
}
"""Files next to the page, with their contents."""


@dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Attributes:
        name: name of its files, without suffix.
        title: title of the figure.
        caption: caption without the title.
        description: alternative text if it differs from the caption; otherwise "".
        svg: the drawing as an SVG element.
        chart: its Vega-Lite specification; None if there is none.
    """

    name: str
    title: str
    caption: str
    description: str
    svg: str
    chart: Mapping[str, Any] | None


def read_figure(path: Path, chart: Mapping[str, Any] | None) -> Figure:
    """Return a figure from its SVG file and its Vega-Lite specification.

    Raises:
        ValueError: if the file is not SVG.
    """
    name = path.stem
    title, caption = caption_of(name)
    whole = (chart or {}).get("usermeta", {}).get("caption", f"{title}. {caption}")
    title, _, caption = whole.partition(". ")
    description = (chart or {}).get("description", whole)
    if description == whole:
        description = ""
    svg = inline_svg(path.read_text(encoding="utf-8"), name, "text" if description else "about")
    return Figure(name, title, caption, description, svg, chart)


def inline_svg(text: str, name: str, description: str = "about") -> str:
    """Return an SVG document as an element to embed in a page.

    The XML head is removed. Identifiers get the figure's name as a prefix, so that those of several
    figures do not clash.

    Args:
        text: the document.
        name: name of the figure.
        description: suffix of the identifier of the describing element.

    Raises:
        ValueError: if the text contains no SVG element.
    """
    start = text.find("<svg")
    if start < 0:
        raise ValueError(f"figure {name} is not an SVG file")
    text = re.sub(r"<metadata>.*?</metadata>", "", text[start:], flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|(?:xlink:)?href="#)', rf"\g<1>{name}-", text)
    # The SVG element has a label and a description, so its parts need none.
    text = re.sub(r'\s(?:role|aria-[a-z]+)="[^"]*"', "", text)
    # The view box scales the drawing; a fixed size would overflow a narrow screen.
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    words = f'aria-labelledby="{name}-name" aria-describedby="{name}-{description}"'
    return f'{head} role="img" {words}>{rest}'


@dataclass(frozen=True)
class Examples:
    """Rows of a dataset.

    Attributes:
        title: titles of the task and the method.
        rows: questions and answers, long ones cut.
    """

    title: str
    rows: tuple[tuple[str, str], ...]


def examples_of(dataset: Path, titles: Titles) -> Examples:
    """Return the first rows of a dataset whose path contains its coordinates."""
    place = dict(part.split("=", 1) for part in dataset.parts if "=" in part)
    table = pl.scan_parquet(dataset).select("question", "answer").head(_EXAMPLES).collect()

    def cut(text: str) -> str:
        return text if len(text) <= _EXAMPLE_CHARACTERS else text[:_EXAMPLE_CHARACTERS] + " ..."

    return Examples(
        f"{titles.title(place['task'])}: {titles.title(place['method'])}",
        tuple((cut(question), cut(answer)) for question, answer in table.rows()),
    )


def page(
    report: Report,
    explorer: Mapping[str, Any],
    figures: Sequence[Figure],
    examples: Sequence[Examples],
    confidence: float,
    provenance: Mapping[str, object],
    spending: SpendingRecord | None = None,
    tables: Mapping[str, str] | None = None,
) -> str:
    """Return the page. All content of a study is escaped, except figures and scripts.

    Args:
        report: the report.
        explorer: the result of `explorer_data`.
        figures: the figures.
        examples: rows of datasets.
        confidence: coverage of the intervals.
        provenance: code digest and versions.
        spending: cost of the study; None if unknown.
        tables: descriptions of the tables next to the page, by path; by default `TABLES`.
    """
    from markupsafe import Markup

    template, script, *_ = FILES
    charts = {figure.name: figure.chart for figure in figures if figure.chart is not None}
    scripts: list[str] = []
    if explorer["fits"] or charts:
        scripts = [vega_bundle(), script.read_text(encoding="utf-8")]
    pairs = [pair for fit in report.fits for size in fit.sizes for pair in size.pairs]
    rows = [row for fit in report.fits for size in fit.sizes for row in size.rows]
    short = {row.short: row.title for row in rows if row.short not in ("", row.title)}
    return render(
        template,
        scripts,
        provenance,
        spending,
        report=report,
        say=sentences,
        explorer=bool(explorer["fits"]),
        heads=explorer["heads"]["budget"],
        data=Markup(
            script_json(
                {"explorer": explorer, "figures": charts, "themes": {"light": LIGHT, "dark": DARK}}
            )
        ),
        figures=[{**vars(figure), "svg": Markup(figure.svg)} for figure in figures],
        examples=examples,
        compared=[*COMPARED.values()],
        any_published=any(pair.published for pair in pairs),
        short_titles=", ".join(f"{name}: {title}" for name, title in short.items()),
        coverage=f"{100 * confidence:g}",
        cost=sentence(spending) if spending else "",
        tables=TABLES if tables is None else tables,
    )


def render(
    template: Path,
    scripts: Sequence[str],
    provenance: Mapping[str, object],
    spending: SpendingRecord | None,
    **values: object,
) -> str:
    """Return a page: the shared layout, filled with the blocks of a template.

    Args:
        template: the file with the blocks.
        scripts: the page's own scripts.
        provenance: code digest and versions.
        spending: cost of the study; None if unknown.
        **values: further variables of the template. Text is escaped unless it is Markup.
    """
    import jinja2
    from markupsafe import Markup

    style, layout, _ = SHARED
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, layout.parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(
        # Only the project's own files and drawings are markup. Data is embedded as JSON.
        style=Markup(style.read_text(encoding="utf-8")),
        scripts=[Markup(text) for text in scripts],
        policy=content_policy(scripts),
        cost_heads=HEADS,
        cost_rows=table(spending) if spending else [],
        provenance=provenance,
        **values,
    )


def content_policy(scripts: Sequence[str]) -> str:
    """Return the page's Content-Security-Policy.

    Model outputs are escaped. If an escape were missed, the policy would still keep the output from
    running or loading anything. Inline styles are allowed because figures need them, and they
    cannot load anything.

    Args:
        scripts: the page's own scripts, exactly as between their tags.
    """
    digests = [base64.b64encode(sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {allowed}",
            "style-src 'unsafe-inline'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def script_json(content: Mapping[str, object]) -> str:
    """Return JSON that is safe inside a script element, whatever text it contains."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def vega_bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one self-contained script."""
    import vl_convert

    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", "<\\/script")
