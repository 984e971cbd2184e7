"""The report as one HTML page that needs no other file and no network."""

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
    "../fits/decay.json": "every model that was fitted",
    "../fits/findings.json": "every test of a contrast",
}
"""Files beside the page, and what is in them."""


@dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Attributes:
        name: of its files.
        title: its title.
        caption: what it shows.
        description: its alternative text, if it differs from the caption; or "".
        svg: the drawing, as an element.
        chart: the same as Vega-Lite; None if there is none.
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
        ValueError: if the file is no SVG.
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
    """Return an SVG document as an element to stand in a page.

    The XML head goes, and every identifier gets the figure's name in front, since identifiers of
    several figures in one page would otherwise clash.

    Args:
        text: the document.
        name: of the figure.
        description: end of the identifier of the element that describes it.

    Raises:
        ValueError: if the text holds no SVG element.
    """
    start = text.find("<svg")
    if start < 0:
        raise ValueError(f"figure {name} is not an SVG file")
    text = re.sub(r"<metadata>.*?</metadata>", "", text[start:], flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|(?:xlink:)?href="#)', rf"\g<1>{name}-", text)
    # The element as a whole has a name and a description; its parts need none.
    text = re.sub(r'\s(?:role|aria-[a-z]+)="[^"]*"', "", text)
    # The view box scales it; fixed sizes would overflow a narrow screen.
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    words = f'aria-labelledby="{name}-name" aria-describedby="{name}-{description}"'
    return f'{head} role="img" {words}>{rest}'


@dataclass(frozen=True)
class Examples:
    """Rows of a dataset.

    Attributes:
        title: of what task and method.
        rows: questions and answers, cut where they are long.
    """

    title: str
    rows: tuple[tuple[str, str], ...]


def examples_of(dataset: Path, titles: Titles) -> Examples:
    """Return the first rows of a dataset in a folder that is named by its coordinates."""
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
    """Return the page. All that comes from a study is escaped, but for figures and the scripts.

    Args:
        report: what the study found.
        explorer: what `explorer_data` returned.
        figures: the figures.
        examples: rows of datasets.
        confidence: coverage of the intervals.
        provenance: code digest and versions.
        spending: what the study has cost; None if that is not known.
        tables: by path, what the tables beside the page hold; by default `TABLES`.
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
    """Return a page: the layout that all pages share, with a template's blocks in it.

    Args:
        template: the file with the blocks.
        scripts: the page's own scripts.
        provenance: code digest and versions.
        spending: what the study has cost; None if that is not known.
        **values: what else the template names. Text is escaped, unless it is Markup.
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
        # Only what this project wrote or drew is markup; data stands in it as JSON.
        style=Markup(style.read_text(encoding="utf-8")),
        scripts=[Markup(text) for text in scripts],
        policy=content_policy(scripts),
        cost_heads=HEADS,
        cost_rows=table(spending) if spending else [],
        provenance=provenance,
        **values,
    )


def content_policy(scripts: Sequence[str]) -> str:
    """Return what the page allows itself, as its Content-Security-Policy.

    Text that models wrote is escaped; were an escape missed, nothing in it would run or load.
    Styles may stand in the page: the figures' are theirs, and they can load nothing.

    Args:
        scripts: the page's own scripts, each as it stands between its tags.
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
    """Return JSON that may stand in a script element, whatever text it holds."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def vega_bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script that needs nothing else."""
    import vl_convert

    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", "<\\/script")
