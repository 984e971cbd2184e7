"""The part of the report that one moves: a question, and the advice for it as it changes.

The advice is worked out beforehand, by the same function that answers `snakemake advise`, on a grid
of seeds and budgets; the page only looks it up. So it says what `advise` says, and needs no second
implementation of the statistics. Plots are Vega-Lite's, put into the page as one script.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.analysis.curves.fits import Fit
from seedbed.analysis.decide.advise import Advice, advise, leaders
from seedbed.analysis.decide.costs import Prices, cost_line
from seedbed.analysis.decide.design import Further, NextCell, further_cells, next_cells
from seedbed.analysis.report.charts.places import all_methods, group_titles, with_curves
from seedbed.analysis.report.charts.theme import colour
from seedbed.analysis.settings import Titles

SIZES = 7
BUDGETS = 25
"""Places of the controls for seeds and budget."""

_BEYOND = 2.0
"""How far beyond the budget ratios of the data the control goes."""


@dataclass(frozen=True)
class _Place:
    """Where advice was asked for: seeds, and a budget in queries or money."""

    seeds: int
    queries: int | None = None
    usd: float | None = None


def explorer_data(
    fits: Sequence[Fit], titles: Titles, confidence: float, prices: Prices
) -> dict[str, Any]:
    """Return what the page looks up, as JSON holds it.

    Args:
        fits: the fits.
        titles: titles of methods, tasks and models.
        confidence: coverage of the intervals.
        prices: by model, what its tokens cost.

    Returns:
        `methods` (name, title, short title and colour) and `fits`, each with its title, the cells
        that were measured, and by control ("queries", "usd") a list for each number of seeds:
        the seeds, and the advice for each budget.
    """
    shown = with_curves(fits)
    methods = all_methods(shown)
    titled = zip(shown, group_titles(shown, titles), strict=True)
    # What most of the study is about comes first, and is what the page opens with.
    titled = sorted(titled, key=lambda pair: -len(pair[0].record["cells"]))
    return {
        "confidence": confidence,
        "methods": [
            {
                "name": name,
                "title": titles.title(name),
                "short": titles.short(name),
                "colour": colour(methods, name),
            }
            for name in methods
        ],
        "fits": [
            {
                "title": title,
                "cells": [
                    {
                        "seeds": cell["seeds"],
                        "method": cell["method"],
                        "ratio": cell["budget_ratio"],
                        "accuracy": _short(cell["accuracy"]),
                        "low": _short(cell["low"]),
                        "high": _short(cell["high"]),
                    }
                    for cell in fit.record["cells"]
                ],
                "queries": _grid(fit, confidence, prices, _queries),
                "usd": _grid(fit, confidence, prices, _dollars),
                "usd_unknown": _unknown(fit, prices),
            }
            for fit, title in titled
        ],
    }


def _sizes(fit: Fit) -> list[int]:
    """Return the numbers of seeds of the control: those measured, and others between them."""
    if not fit.models or len(fit.seeds) == 1:
        return fit.seeds
    between = np.geomspace(fit.seeds[0], fit.seeds[-1], SIZES).round().astype(int)
    return sorted({*fit.seeds, *between.tolist()})


def _queries(fit: Fit, seeds: int, prices: Prices) -> list[_Place]:
    ratios = [cell["budget_ratio"] for cell in fit.record["cells"]]
    more = _BEYOND if fit.models else 1.0
    known = {cell["budget"] for cell in fit.record["cells"] if cell["seeds"] == seeds}
    first, last = min(ratios) * seeds, max(ratios) * seeds * more
    between = np.geomspace(first, last, BUDGETS).round().astype(int)
    return [_Place(seeds, queries=budget) for budget in sorted({*known, *between.tolist()})]


def _dollars(fit: Fit, seeds: int, prices: Prices) -> list[_Place]:
    nearest = min(fit.seeds, key=lambda size: abs(np.log(size / seeds)))
    lines = [
        cost_line(fit, nearest, method, "usd", prices)[0]
        for method in fit.methods
        if fit.cells(nearest, method)
    ]
    if not lines or any(line is None for line in lines):
        return []
    first = max(line.amounts[0] for line in lines)
    last = max(line.amounts[-1] for line in lines)
    # Two digits: what a person would type.
    amounts = {float(f"{amount:.2g}") for amount in np.geomspace(first, last, BUDGETS)}
    return [_Place(seeds, usd=amount) for amount in sorted(amounts)]


def _unknown(fit: Fit, prices: Prices) -> str:
    missing: dict[str, None] = {}
    for seeds in fit.seeds:
        for method in fit.methods:
            if fit.cells(seeds, method):
                missing |= dict.fromkeys(cost_line(fit, seeds, method, "usd", prices)[1])
    return "; ".join(missing)


def _grid(
    fit: Fit,
    confidence: float,
    prices: Prices,
    places: Callable[[Fit, int, Prices], list[_Place]],
) -> list[dict[str, Any]]:
    found = []
    for seeds in _sizes(fit):
        further = further_cells(fit, seeds, prices)
        rows = [
            row
            for place in places(fit, seeds, prices)
            for row in _row(fit, place, confidence, prices, further)
        ]
        if rows:
            leading = [
                {"methods": part.methods, "from": float(f"{part.low:.2g}")}
                for part in leaders(fit, seeds, confidence)
            ]
            found.append({"seeds": seeds, "rows": rows, "leading": leading})
    return found


def _row(
    fit: Fit, place: _Place, confidence: float, prices: Prices, further: Further
) -> list[dict[str, Any]]:
    try:
        advice = advise(
            fit, place.seeds, place.queries, confidence, place.usd, prices, look_further=False
        )
    except ValueError:
        # Some budgets are of no method there: between sizes, or too little money.
        return []
    cells = next_cells(fit, place.seeds, advice.leading, prices, further)
    return [{"at": place.queries or place.usd, **_said(advice, fit.methods), "next": _next(cells)}]


def _next(cells: Sequence[NextCell]) -> dict[str, Any] | None:
    if not cells:
        return None
    return {
        "before": _short(cells[0].doubt_before),
        "cells": [
            {
                "method": cell.method,
                "seeds": cell.seeds,
                "budget": cell.budget,
                "new": cell.new,
                "queries": cell.queries,
                "usd": cell.usd,
                "after": _short(cell.doubt_after),
            }
            for cell in cells
        ],
    }


def _leading(advice: Advice, methods: Sequence[str]) -> list[str]:
    found = {entry.method for entry in (advice.best, *advice.rivals)}
    return [method for method in methods if method in found]


def _said(advice: Advice, methods: Sequence[str]) -> dict[str, Any]:
    return {
        "beyond": float(f"{advice.beyond:.3g}"),
        "basis": advice.basis,
        # The methods that lead: one, or several that are statistically tied, in the study's order.
        "leading": _leading(advice, methods),
        "methods": [
            {
                "method": entry.method,
                "budget": entry.budget,
                "accuracy": _short(entry.accuracy),
                "low": _short(entry.low),
                "high": _short(entry.high),
                "best": _short(entry.probability_best),
                "regret": _short(entry.expected_regret),
                "usd": entry.costs.get("usd"),
            }
            for entry in advice.outlook
        ],
    }


def _short(share: float) -> float:
    """Return a share to the hundredth of a point: more would only make the page larger."""
    return round(share, 4)


def script_json(content: Mapping[str, Any]) -> str:
    """Return JSON that may stand in a script element, whatever text it holds."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def vega_bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script that needs nothing else."""
    import vl_convert

    return vl_convert.javascript_bundle(_BUNDLED).replace("</script", "<\\/script")


_BUNDLED = "window.vegaEmbed = vegaEmbed;"

CONTROLS = """
<section aria-labelledby="question">
<h2 id="question">Your question</h2>
<noscript><p>The controls here need JavaScript. What they would say of the study's own budgets
stands below, in <a href="#advice">Advice</a>.</p></noscript>
<div id="explorer" hidden>
<form>
<p><label for="fit">Task and models</label> <select id="fit"></select></p>
<p><label for="seeds">Seed questions: <output id="seeds-shown"></output></label>
<input type="range" id="seeds" min="0" value="0" step="1"></p>
<fieldset><legend>Budget</legend>
<label><input type="radio" name="unit" id="by-queries" value="queries" checked>
teacher queries</label>
<label><input type="radio" name="unit" id="by-usd" value="usd"> money</label>
<span id="usd-unknown" class="soft"></span>
</fieldset>
<p><label for="budget">Budget: <output id="budget-shown"></output></label>
<input type="range" id="budget" min="0" value="0" step="1"></p>
</form>
<p id="answer" role="status" aria-live="polite"></p>
<div class="wide" role="group" aria-labelledby="outlook-title" tabindex="0">
<table id="outlook"><caption id="outlook-title">What to expect of each method</caption>
<thead><tr><th scope="col">method</th><th scope="col">queries</th>
<th scope="col">accuracy, %</th><th scope="col">interval</th><th scope="col">best in, %</th>
<th scope="col">regret, points</th><th scope="col">cost</th></tr></thead>
<tbody></tbody></table></div>
<div id="next-group">
<p id="next-title" class="soft"></p>
<div class="wide" role="group" aria-labelledby="next-title" tabindex="0">
<table id="next" aria-labelledby="next-title">
<thead><tr><th scope="col">measure</th><th scope="col">seeds</th><th scope="col">queries</th>
<th scope="col">queries to ask</th><th scope="col">cost</th>
<th scope="col">error left, points</th></tr></thead>
<tbody></tbody></table></div>
</div>
<figure class="moving">
<div id="curves" role="img" aria-labelledby="curves-name" aria-describedby="curves-text">
<div></div></div>
<figcaption><strong id="curves-name">Expected accuracy by budget.</strong>
<span id="curves-text"></span></figcaption></figure>
<figure class="moving">
<div id="map" role="img" aria-labelledby="map-name" aria-describedby="map-text">
<div></div></div>
<figcaption><strong id="map-name">The best method by seeds and budget.</strong>
<span id="map-text"></span></figcaption></figure>
</div>
</section>
"""

SCRIPT = r"""
(() => {
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const find = (id) => document.getElementById(id);
  const known = Object.fromEntries(data.methods.map((one) => [one.name, one]));
  const whole = new Intl.NumberFormat("en-US");
  const percent = (share) => (100 * share).toFixed(1);
  const dollars = (amount) => amount === null || amount === undefined ? "-"
    : "$" + (amount >= 100 ? whole.format(Math.round(amount))
      : amount >= 0.1 ? amount.toFixed(2) : Number(amount.toPrecision(2)));
  const clamp = (value, list) => Math.max(0, Math.min(list.length - 1, value));
  const state = { fit: 0, unit: "queries" };

  data.fits.forEach((fit, index) => {
    const option = document.createElement("option");
    option.value = index;
    option.textContent = fit.title;
    find("fit").append(option);
  });

  function nearest(list, value) {
    const far = list.map((one) => Math.abs(Math.log(one / value)));
    return far.indexOf(Math.min(...far));
  }

  function current() {
    const fit = data.fits[state.fit];
    const sizes = fit[state.unit];
    const size = sizes[clamp(Number(find("seeds").value), sizes)];
    const row = size.rows[clamp(Number(find("budget").value), size.rows)];
    return { fit, size, row };
  }

  function choose(fit) {
    state.fit = fit;
    const priced = data.fits[fit].usd.length > 0;
    if (!priced) { state.unit = "queries"; find("by-queries").checked = true; }
    find("by-usd").disabled = !priced;
    find("usd-unknown").textContent = priced ? ""
      : "Money is not known: " + data.fits[fit].usd_unknown;
    const sizes = data.fits[fit][state.unit];
    find("seeds").max = sizes.length - 1;
    find("seeds").value = 0;
    resize(0.5);
  }

  function resize(share) {
    const sizes = data.fits[state.fit][state.unit];
    const rows = sizes[clamp(Number(find("seeds").value), sizes)].rows;
    find("budget").max = rows.length - 1;
    find("budget").value = Math.round(share * (rows.length - 1));
  }

  function cell(text, kind) {
    const found = document.createElement(kind || "td");
    found.textContent = text;
    return found;
  }

  function say() {
    const { fit, size, row } = current();
    const amount = state.unit === "usd" ? dollars(row.at)
      : whole.format(row.at) + " teacher queries";
    find("seeds-shown").textContent = whole.format(size.seeds);
    find("budget-shown").textContent = state.unit === "usd" ? amount
      : amount + " (BR " + Number((row.at / size.seeds).toPrecision(2)) + ")";
    find("seeds").setAttribute("aria-valuetext", size.seeds + " seeds");
    find("budget").setAttribute("aria-valuetext", amount);
    const best = row.methods[0];
    const next = row.methods[1];
    const also = row.leading.filter((one) => one !== best.method);
    let text = "With " + whole.format(size.seeds) + " seeds and " + amount + ", use "
      + known[best.method].title + ": expected accuracy " + percent(best.accuracy) + "% ("
      + percent(best.low) + " to " + percent(best.high) + ")";
    if (next) {
      text += ", best in " + Math.round(100 * best.best) + "% of resamples; next is "
        + known[next.method].title + " with " + percent(next.accuracy) + "%";
    }
    if (also.length) {
      text += ". It is statistically tied with "
        + also.map((one) => known[one].title).join(" and ");
    }
    text += ".";
    if (row.beyond > 1) {
      text += " This is " + row.beyond + " times beyond the data: the intervals are widened.";
    }
    find("answer").textContent = text;
    const body = document.querySelector("#outlook tbody");
    body.replaceChildren(...row.methods.map((one) => {
      const line = document.createElement("tr");
      line.dataset.method = one.method;
      const name = cell(known[one.method].title, "th");
      name.scope = "row";
      line.append(name, cell(whole.format(one.budget)), cell(percent(one.accuracy)),
        cell(percent(one.low) + " to " + percent(one.high)), cell(Math.round(100 * one.best)),
        cell((100 * one.regret).toFixed(1)), cell(dollars(one.usd)));
      return line;
    }));
    sayNext(row);
    draw(fit, size, row);
  }

  function sayNext(row) {
    find("next-group").hidden = !row.next;
    if (!row.next) { return; }
    const [best, other] = row.methods.map((one) => known[one.method].title);
    find("next-title").textContent = "What to measure next, to know whether " + best
      + " is better than " + other + ": the standard error of that difference is "
      + (100 * row.next.before).toFixed(2) + " points";
    document.querySelector("#next tbody").replaceChildren(...row.next.cells.map((one) => {
      const line = document.createElement("tr");
      const name = cell(known[one.method].title + (one.new ? ", a new cell" : ", again"), "th");
      name.scope = "row";
      line.append(name, cell(whole.format(one.seeds)), cell(whole.format(one.budget)),
        cell(one.queries ? whole.format(one.queries) : "none, its data is there"),
        cell(dollars(one.usd)), cell((100 * one.after).toFixed(2)));
      return line;
    }));
  }

  function theme() {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const ink = dark ? "#ececec" : "#1c1c1c";
    const line = dark ? "#3b3f45" : "#d9d9d9";
    return {
      background: null, font: "system-ui, sans-serif",
      axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line,
        tickColor: line, labelFontSize: 12, titleFontSize: 12 },
      legend: { labelColor: ink, titleColor: ink, labelFontSize: 12, orient: "bottom", columns: 1,
        title: null, labelLimit: 400, symbolOpacity: 1, symbolStrokeWidth: 0 },
      view: { stroke: line },
      // The plots' elements have names and descriptions of their own.
      aria: false, mark: { aria: false },
    };
  }

  const domain = data.methods.map((one) => one.title);
  const scale = { domain, range: data.methods.map((one) => one.colour) };
  // Beside the colour, for eyes that do not tell colours apart: one legend shows all three.
  const dashes = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2], [4, 4], [10, 3]];
  const strokeDash = { field: "method", type: "nominal",
    scale: { domain, range: domain.map((_, index) => dashes[index % dashes.length]) } };
  const shapes = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"];
  const shape = { field: "method", type: "nominal",
    scale: { domain, range: domain.map((_, index) => shapes[index % shapes.length]) } };
  const views = {};
  const waiting = {};

  function embed(id, spec) {
    // One drawing at a time: the last of those that are asked for meanwhile is drawn next.
    if (waiting[id]) { waiting[id] = spec; return; }
    waiting[id] = true;
    if (views[id]) { views[id].finalize(); }
    // With the interpreter of expressions, as the page lets no text become code; and in an element
    // of its own, as Vega gives that a role.
    vegaEmbed(find(id).firstElementChild, { ...spec, config: theme() }, { actions: false,
      renderer: "svg", tooltip: false, ast: true, defaultStyle: false }).then((made) => {
      views[id] = made;
      const more = waiting[id];
      waiting[id] = false;
      if (more !== true) { embed(id, more); }
    });
  }

  function draw(fit, size, row) {
    const money = state.unit === "usd";
    const x = { field: "at", type: "quantitative", scale: { type: "log", nice: false },
      axis: { title: money ? "budget, US dollars" : "budget ratio, teacher queries per seed",
        format: money ? "$,.2~r" : ",.3~r", tickCount: 6, labelOverlap: true } };
    const at = (value) => money ? value : value / size.seeds;
    const values = size.rows.flatMap((one) => one.methods.map((entry) => ({
      at: at(one.at), method: known[entry.method].title, accuracy: 100 * entry.accuracy,
      low: 100 * entry.low, high: 100 * entry.high })));
    const points = money ? [] : fit.cells.filter((one) => one.seeds === size.seeds).map((one) => ({
      at: one.ratio, method: known[one.method].title, accuracy: 100 * one.accuracy }));
    const y = { field: "accuracy", type: "quantitative", scale: { zero: false },
      axis: { title: "accuracy, %" } };
    const paint = { field: "method", type: "nominal", scale };
    embed("curves", { width: "container", height: 260, data: { values }, layer: [
      { mark: { type: "area", opacity: 0.18 }, encoding: { x, color: paint,
        y: { field: "low", type: "quantitative", scale: { zero: false } },
        y2: { field: "high" } } },
      { mark: { type: "line", strokeWidth: 2.5 }, encoding: { x, y, color: paint,
        strokeDash } },
      // Between the measured sizes there are none, and no data has no extent.
      ...(points.length ? [{ data: { values: points },
        mark: { type: "point", filled: true, size: 60 },
        encoding: { x, y, color: paint, shape } }] : []),
      { data: { values: [{ at: at(row.at) }] },
        mark: { type: "rule", strokeDash: [4, 3], strokeWidth: 2, color: theme().axis.labelColor },
        encoding: { x } },
    ] });
    find("curves-text").textContent = "With "
      + whole.format(size.seeds) + " seeds, and its " + 100 * data.confidence
      + "% intervals; " + (points.length ? "points are measured cells, " : "")
      + "the dashed line is your budget, where "
      + row.methods.map((one) => known[one.method].title + " is expected to reach "
        + percent(one.accuracy) + "%").join(", ") + ".";
    const sizes = fit[state.unit];
    const tiles = sizes.flatMap((one) => one.rows.flatMap((entry, index) => {
      const place = (other) => money ? other.at : other.at / one.seeds;
      const before = one.rows[Math.max(0, index - 1)];
      const after = one.rows[Math.min(one.rows.length - 1, index + 1)];
      const low = Math.sqrt(place(before) * place(entry));
      const high = Math.sqrt(place(entry) * place(after));
      // One shade for all that is tied: noise alone has the best of them change.
      const sure = entry.leading.length > 1 ? 0.6 : entry.methods[0].best;
      // Stripes of the methods that are statistically tied.
      const edge = (share) => low * (high / low) ** share;
      return entry.leading.map((name, stripe) => ({ seeds: String(one.seeds), sure,
        at: edge(stripe / entry.leading.length), to: edge((stripe + 1) / entry.leading.length),
        method: known[name].title }));
    }));
    embed("map", { width: "container", height: 22 * sizes.length + 20, data: { values: tiles },
      layer: [
        { mark: { type: "rect" }, encoding: {
          x, x2: { field: "to" }, color: paint,
          y: { field: "seeds", type: "nominal", sort: null, axis: { title: "seeds" } },
          opacity: { field: "sure", type: "quantitative", legend: null,
            scale: { domain: [0.33, 1], range: [0.25, 1] } } } },
        { data: { values: [{ at: at(row.at), seeds: String(size.seeds) }] },
          mark: { type: "point", size: 130, strokeWidth: 3, color: theme().axis.labelColor },
          encoding: { x, y: { field: "seeds", type: "nominal", sort: null } } },
      ] });
    const either = (names) => names.map((one) => known[one].title).join(" or ");
    const parts = money ? [] : size.leading.map((one) => [either(one.methods), "BR " + one.from]);
    for (const entry of money ? size.rows : []) {
      const name = either(entry.leading);
      if (parts.length && parts[parts.length - 1][0] === name) { continue; }
      parts.push([name, dollars(entry.at)]);
    }
    find("map-text").textContent = "It is fainter where it is less sure, and striped where "
      + "methods are statistically tied; the circle is your question. With "
      + whole.format(size.seeds) + " seeds: "
      + (parts.map((part) => part[0] + " from " + part[1]).join(", ") || "no method leads") + ".";
  }

  document.querySelector("#explorer form").addEventListener("submit",
    (event) => event.preventDefault());
  find("fit").addEventListener("input", (event) => { choose(Number(event.target.value)); say(); });
  find("seeds").addEventListener("input", () => {
    resize(Number(find("budget").value) / Math.max(1, Number(find("budget").max)));
    say();
  });
  find("budget").addEventListener("input", say);
  for (const one of document.querySelectorAll("input[name=unit]")) {
    one.addEventListener("input", () => {
      const seeds = current().size.seeds;
      state.unit = one.value;
      const sizes = data.fits[state.fit][state.unit];
      find("seeds").max = sizes.length - 1;
      find("seeds").value = nearest(sizes.map((size) => size.seeds), seeds);
      resize(0.5);
      say();
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", say);
  find("explorer").hidden = false;
  choose(0);
  say();
})();
"""
