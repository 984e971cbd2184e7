"""The whole page of a simulated study, in a real browser: for everyone, on phones, from disk."""

from __future__ import annotations

from itertools import pairwise

import pytest
from analysis_simulation import simulate
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from whole_report import run_all

from browser import NARROW, WIDE, chromium, visit
from seedbed.analysis.report.captions import caption_of

RULES = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    },
    # Of WCAG 2.2, and off unless asked for.
    "rules": {"target-size": {"enabled": True}},
    "resultTypes": ["violations"],
}
DRAWN = "#map svg"
SIZES = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return run_all(folder, simulate(items=200)) / "report/index.html"


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


def open_all(page):
    page.evaluate("for (const one of document.querySelectorAll('details')) { one.open = true; }")


@SIZES
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser, page, size, scheme):
    with visit(browser, page, DRAWN, viewport=size, color_scheme=scheme) as seen:
        open_all(seen.page)
        found = Axe().run(seen.page, options=RULES).response["violations"]
    told = [(rule["id"], node["html"][:200]) for rule in found for node in rule["nodes"]]
    assert told == []


def test_axe_would_find_what_is_wrong(browser, page, tmp_path):
    broken = tmp_path / "page.html"
    text = page.read_text(encoding="utf-8")
    broken.write_text(text.replace('<label for="budget">', "<label>").replace(' lang="en"', ""))
    with visit(browser, broken, DRAWN) as seen:
        found = Axe().run(seen.page, options=RULES).response["violations"]
    assert {rule["id"] for rule in found} == {"html-has-lang", "label"}


@SIZES
def test_page_asks_for_nothing_and_has_no_complaints(browser, page, size):
    with visit(browser, page, DRAWN, viewport=size) as seen:
        for control in ("seeds", "budget"):
            seen.page.focus(f"#{control}")
            seen.page.keyboard.press("End")
        seen.page.click("#by-usd")
        open_all(seen.page)
        seen.page.wait_for_load_state("networkidle")
        assert seen.requests == [page.as_uri()]
        assert seen.complaints == []


def test_page_fits_a_phone(browser, page):
    with visit(browser, page, DRAWN, viewport=NARROW, has_touch=True, is_mobile=True) as seen:
        open_all(seen.page)
        # Also where a line of text is long, and when the controls have moved.
        seen.page.tap("#by-usd")
        assert seen.page.is_checked("#by-usd")
        assert "$" in seen.page.inner_text("#budget-shown")
        width = seen.page.evaluate("document.documentElement.scrollWidth")
        assert width <= NARROW["width"]
        for control in seen.page.locator("select, input, summary").all():
            box = control.bounding_box()
            assert box["height"] >= 24 and box["width"] >= 24
            assert box["x"] >= 0 and box["x"] + box["width"] <= NARROW["width"]
        # The sliders are moved by a finger's place on them.
        before = seen.page.inner_text("#answer")
        seen.page.locator("#budget").scroll_into_view_if_needed()
        box = seen.page.locator("#budget").bounding_box()
        seen.page.touchscreen.tap(box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2)
        expect(seen.page.locator("#answer")).not_to_have_text(before)
        # What is wider than the screen scrolls by itself, and by keys as well.
        table = seen.page.locator(".wide:has(.crossovers)")
        table.focus()
        assert table.evaluate("one => one === document.activeElement")
        assert table.evaluate("one => one.scrollWidth > one.clientWidth")


def test_landmarks_headings_and_names_of_figures(browser, page):
    with visit(browser, page, DRAWN) as seen:
        html = seen.page
        assert html.locator("main").count() == html.locator("h1").count() == 1
        levels = html.evaluate(
            "[...document.querySelectorAll('h1, h2, h3, h4')].map((one) => Number(one.tagName[1]))"
        )
        assert all(after <= before + 1 for before, after in pairwise(levels))
        tree = html.locator("main").aria_snapshot()
        for name in (
            "Accuracy by budget.",
            "Gain of each method over the first.",
            "Expected accuracy by budget.",
            "The best method by seeds and budget.",
        ):
            assert f'img "{name}"' in tree
        said = html.evaluate(
            """[...document.querySelectorAll("[role=img]")].map((one) =>
            document.getElementById(one.getAttribute("aria-describedby")).textContent)"""
        )
        assert len(said) == 4 and all(len(text) > 40 for text in said)


def test_figures_are_the_interactive_charts_where_scripts_run(browser, page):
    """The drawing of a figure gives way to its chart."""
    with visit(browser, page, DRAWN) as seen:
        seen.page.locator("#accuracy-chart").scroll_into_view_if_needed()
        seen.page.wait_for_selector("#accuracy-chart svg path", state="attached")
        expect(seen.page.locator(".drawn:has(#accuracy-chart) > svg")).to_have_count(0)
        chart = seen.page.locator("#accuracy-chart")
        assert chart.get_attribute("role") == "img"
        title, about = caption_of("accuracy")
        assert seen.page.inner_text("#accuracy-name") == f"{title}."
        assert seen.page.inner_text(f"#{chart.get_attribute('aria-describedby')}") == about
        assert seen.complaints == []
    with visit(browser, page, java_script_enabled=False) as seen:
        assert seen.page.locator(".drawn > svg").count() == 2


def test_text_of_figures_has_contrast(browser, page):
    """Of text in drawings axe sees too little to say."""
    with visit(browser, page, DRAWN, color_scheme="dark") as seen:
        faint = seen.page.evaluate(CONTRAST)
        assert seen.page.locator("figure svg text").count() > 100
    assert faint == []


CONTRAST = """
(() => {
  const light = (colour) => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((one) => one / 255)
      .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const faint = [];
  for (const text of document.querySelectorAll("figure svg text")) {
    // A halo is a text below the text, in the colour of the ground.
    const halo = (one) => getComputedStyle(one).stroke;
    if (!text.textContent.trim() || halo(text) !== "none") { continue; }
    text.scrollIntoView({ block: "center", inline: "center" });
    // What is painted below its middle: a shape with a colour, or the figure's own ground.
    const place = text.getBoundingClientRect();
    const behind = [...text.ownerSVGElement.querySelectorAll("text")].find((one) =>
      one.textContent === text.textContent && halo(one) !== "none");
    let ground = behind ? halo(behind) : null;
    for (const under of document.elementsFromPoint(place.x + place.width / 2,
      place.y + place.height / 2)) {
      if (behind || under === text || text.contains(under)) { continue; }
      const style = getComputedStyle(under);
      const paint = under.closest("svg") && under.tagName !== "svg"
        ? (under.tagName === "path" || under.tagName === "rect" ? style.fill : "none")
        : style.backgroundColor;
      if (paint === "none" || /, 0\\)$/.test(paint)) { continue; }
      ground = paint;
      break;
    }
    const two = [light(getComputedStyle(text).fill), light(ground || "rgb(255, 255, 255)")];
    const ratio = (Math.max(...two) + 0.05) / (Math.min(...two) + 0.05);
    if (ratio < 4.5) { faint.push([text.textContent, ratio.toFixed(2), ground]); }
  }
  return faint;
})()
"""
