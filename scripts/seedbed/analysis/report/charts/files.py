"""Writing a figure: SVG, PNG, the chart itself (Vega-Lite), and the table behind it."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

import polars as pl
from pydantic import BaseModel

from seedbed.analysis.curves import FitsRecord
from seedbed.analysis.report.charts.drawing import Row
from seedbed.analysis.report.charts.theme import LIGHT
from seedbed.analysis.settings import Titles
from seedbed.artifacts import replacing
from seedbed.config.words import SPENDING
from seedbed.provenance import provenance
from seedbed.streams.record import DatasetRecord

if TYPE_CHECKING:
    import altair as alt

_SCALE = 2.5
"""Pixels of the PNG file per pixel of the chart."""


@dataclass(frozen=True)
class Output:
    """The files of a figure, with their titles and metadata.

    Attributes:
        path: path of the SVG file; the other files differ in their suffix.
        titles: titles of methods, tasks and models.
        provenance: metadata of the files: study, code and versions.
        missing: a line on missing results for the figure's foot, or "".
    """

    path: Path
    titles: Titles
    provenance: Mapping[str, object]
    missing: str = ""


def figure_output(
    script: str, study: str, figure: str | Path, titles: Titles, missing: str = ""
) -> Output:
    """Return the output of a script's figure.

    Args:
        script: the script's file.
        study: name of the study.
        figure: SVG file to write.
        titles: titles of methods, tasks and models.
        missing: a line on missing results, or "".
    """
    return Output(Path(figure), titles, {"study": study, **provenance(script)}, missing)


def write_figure(
    chart: alt.TopLevelMixin, table: pl.DataFrame, output: Output, title: str, about: str
) -> None:
    """Write a chart as SVG, PNG, Vega-Lite and CSV, each atomically.

    In the Vega-Lite file, the chart has no colours except those of the methods: a page supplies one
    of the configs in `theme`.

    Args:
        chart: the chart.
        table: the numbers that it shows.
        output: the files and their metadata.
        title: title of the chart, the first sentence of its caption.
        about: the rest of the caption, or "".

    Raises:
        ValueError: if the path does not end in .svg.
    """
    import vl_convert

    path = output.path
    if path.suffix != ".svg":
        raise ValueError(f"a figure's path must end in .svg, not {path}")
    caption = f"{title}. {about}".strip()
    # Altair validated each part on creation.
    spec = chart.to_dict(validate=False)
    del spec["config"]
    spec["datasets"] = {name: json.loads(rows) for name, rows in spec["datasets"].items()}
    spec |= {"description": caption, "usermeta": {"caption": caption}}
    text = json.dumps(spec, sort_keys=True, allow_nan=False, separators=(",", ":"))
    said = json.dumps(dict(output.provenance), sort_keys=True)
    svg = vl_convert.vegalite_to_svg(text, config=LIGHT)
    png = vl_convert.svg_to_png(svg, scale=_SCALE)
    with replacing(path.with_suffix(".csv")) as temporary:
        table.write_csv(temporary)
    with replacing(path.with_suffix(".vl.json")) as temporary:
        temporary.write_text(text, encoding="utf-8")
    with replacing(path.with_suffix(".png")) as temporary:
        temporary.write_bytes(_png_with(png, Title=title, Description=said))
    with replacing(path) as temporary:
        temporary.write_text(_svg_with(svg, title, caption, said), encoding="utf-8")


def _svg_with(svg: str, title: str, caption: str, description: str) -> str:
    """Return an SVG document with metadata, and with the caption as its alternative text."""
    head, rest = svg.split(">", 1)
    about = (
        '<metadata><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Description>'
        f"<dc:title>{escape(title)}</dc:title>"
        f"<dc:description>{escape(description)}</dc:description>"
        "</rdf:Description></rdf:RDF></metadata>"
    )
    return f'{head} role="img" aria-label={quoteattr(caption)}>{about}{rest}\n'


def _png_with(png: bytes, **texts: str) -> bytes:
    """Return a PNG file with texts added to its metadata."""
    # After the signature and the header, which have a fixed length.
    place = 8 + 25
    chunks = b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for name, text in texts.items()
        for kind, content in [(b"iTXt", f"{name}\0\0\0\0\0{text}".encode())]
    )
    return png[:place] + chunks + png[place:]


def made_from(options: Mapping[str, Any]) -> dict[str, object]:
    """Return the metadata from a chart's own options: settings, and counts of its cells."""
    settings: dict[str, object] = {}
    for name, value in options.items():
        if isinstance(value, BaseModel):
            settings[name] = value.model_dump(mode="json")
        elif name == "published":
            settings[name] = [one.model_dump(mode="json") for one in value]
        elif name == "prices":
            settings[name] = {model: price.content() for model, price in value.items()}
        elif name == "role":
            settings[name] = value
    return {"settings": settings, "summed_over_cells": _took(options)}


def _took(options: Mapping[str, Any]) -> dict[str, object]:
    """Return queries, tokens and seconds behind a figure, summed over its cells or datasets.

    The queries of a stream count once for each cell that uses it.
    """
    rows: list[Row] = []
    if "cells" in options:
        rows += pl.read_parquet(options["cells"]).to_dicts()
    elif "fits" in options:
        fits = FitsRecord.read(options["fits"]).fits
        rows = [cell.model_dump() for fit in fits for cell in fit.cells]
    elif "datasets" in options:
        for file in options["datasets"]:
            record = DatasetRecord.read(file)
            seconds = {"generation_seconds": record.seconds.generation}
            rows.append(record.counts.model_dump() | seconds)
    sums = {name: sum(row.get(name) or 0 for row in rows) for name in _TOTALS}
    return {"cells": len(rows), **sums}


_TOTALS = (*SPENDING, "generation_seconds", "training_seconds", "evaluation_seconds")
"""Counts of an evaluation or a dataset that are summed in a figure's metadata."""
