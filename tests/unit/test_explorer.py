"""The page's controls, moved in a real browser, against what `advise` says."""

from __future__ import annotations

import html
import re
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import vl_convert
from analysis_simulation import METHODS, simulate

from browser import Elements, chromium, visit
from seedbed.analysis.curves import curves_from
from seedbed.analysis.curves.fitting import fit_decay
from seedbed.analysis.decide.advise import advise, leaders, plans
from seedbed.analysis.report import sentences as say
from seedbed.analysis.report.charts.theme import DARK, LIGHT, colour
from seedbed.analysis.report.page.explorer import _Explored, explorer_data
from seedbed.analysis.report.page.filling import Examples, page, script_json
from seedbed.analysis.report.page.plots import plots
from seedbed.analysis.report.summary import Report
from seedbed.analysis.settings import FitSettings, ModelPrice, Title, Titles
from seedbed.analysis.tables.outcomes import outcomes_by_task

PRICE = ModelPrice(usd_per_million_prompt_tokens=0.5, usd_per_million_completion_tokens=2.0)
PRICES = {"mini_teacher": PRICE}
HOSTILE = "</script><script>document.title = 'taken'</script><img src=x onerror=alert(1)>"
TITLES = Titles(
    {
        METHODS[0]: Title(title="Answer augmentation", short="AA"),
        METHODS[1]: Title(title=HOSTILE, short="QR"),
        "mini_math": Title(title=HOSTILE),
    }
)
EXAMPLES = [Examples("Task: method", ((HOSTILE, f"a < b & {HOSTILE}"),))]


@pytest.fixture(scope="module")
def fits():
    settings = FitSettings(methods=METHODS, bootstrap_samples=30)
    return curves_from(*fit_decay(outcomes_by_task(*simulate(items=600)), settings))


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def explored(fits):
    """What the page looks up, with prices or without, worked out once: it is most of the time."""
    return {bool(prices): explorer_data(fits, TITLES, 0.95, prices) for prices in ({}, PRICES)}


def page_of(data):
    """The page, for a look at its controls and examples."""
    made = {"code": "0", "versions": {}}
    report = Report("study", "", (), "", "", (), ())
    return page(report, data, [], EXAMPLES, 0.95, made)


@pytest.fixture(scope="module")
def pages(explored, tmp_path_factory):
    """The page without prices, and with them."""
    folder = tmp_path_factory.mktemp("pages")
    for name, priced in (("plain", False), ("priced", True)):
        (folder / f"{name}.html").write_text(page_of(explored[priced]), encoding="utf-8")
    return folder


def rows_of(page, table):
    """The words of a table's rows; none where it is not shown."""
    if not page.is_visible(f"#{table}"):
        return []
    lines = page.locator(f"#{table} tbody tr").all()
    return [line.locator("th, td").all_inner_texts() for line in lines]


def check(page, place):
    """The page shows what was written for a place of its controls."""
    for name, sentence in zip(("answer", "sure", "more"), place["said"], strict=True):
        assert page.text_content(f"#{name}") == sentence
    assert page.locator("#notes li").all_text_contents() == place["notes"]
    assert page.input_value("#budget-typed") == f"{place['at']:g}"
    assert page.inner_text("#budget-shown") == place["shown"]
    assert page.get_attribute("#budget", "aria-valuetext") == place["spoken"]
    assert rows_of(page, "outlook") == place["outlook"]
    assert rows_of(page, "next") == place["next"]


def focused(page):
    return page.evaluate("document.activeElement.id")


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


@pytest.mark.parametrize("prices", [{}, PRICES], ids=["queries", "money"])
def test_each_place_says_what_advise_says(fits, explored, prices):
    (fit,) = explored[bool(prices)]["fits"]
    sizes = fit["usd" if prices else "queries"]
    assert [size["seeds"] for size in sizes][::6] == [32, 64]
    for size in (sizes[0], sizes[3]):
        for row in (size["rows"][0], size["rows"][9], size["rows"][-1]):
            asked = {"usd": row["at"]} if prices else {"budget": row["at"]}
            advice = advise(fits[0], size["seeds"], prices=prices, **asked)
            buy, sure, _ = row["said"]
            title = TITLES.title
            assert say.advice_sentences(advice, row["shown"], title) == row["said"]
            assert say.advice_notes(advice, title) == row["notes"]
            assert f"answer {100 * advice.best.accuracy:.1f}% right (" in buy
            for rival in advice.rivals:
                assert say.choice_text(rival, title) in sure.split("statistically tied")[1]
            assert ("times beyond the data" in sure) == (advice.beyond > 1)
            for words, entry in zip(row["outlook"], advice.outlook, strict=True):
                assert words[:3] == [
                    say.choice_title(entry, title),
                    f"{entry.budget:,}",
                    f"{100 * entry.accuracy:.1f}",
                ]
                assert words[-1].startswith("$") if prices else words[-1] == "-"
            for words, cell in zip(row["next"], advice.design, strict=True):
                assert words[1:3] == [f"{cell.seeds:,}", f"{cell.budget:,}"]
                assert words[-1] == f"{100 * cell.regret_after:.2f}"


@pytest.mark.parametrize("prices", [{}, PRICES], ids=["queries", "money"])
def test_the_map_has_the_stretches_of_the_sentences(fits, explored, prices):
    """Methods that are statistically tied share a stretch: nothing flips within noise."""
    for size in explored[bool(prices)]["fits"][0]["usd" if prices else "queries"]:
        tiles = {}
        for tile in size["map"]:
            tiles.setdefault((tile["at"], tile["to"]), {})[tile["method"]] = tile["leading"]
        stretches = sorted(tiles)
        # No two beside each other are of the same methods, and none is of one budget alone.
        assert all(tiles[one].keys() != tiles[other].keys() for one, other in pairwise(stretches))
        step = max(one["x"] / other["x"] for other, one in pairwise(size["rows"]))
        assert all(high / low > step for low, high in stretches) or len(stretches) == 1
        if prices:
            places = [say.money(low) for low, _ in stretches]
        else:
            inside = leaders(fits[0], size["seeds"], 0.95)
            starts = [low for low, _ in stretches][: len(inside)]
            assert starts == pytest.approx([part.low for part in inside], rel=1e-4)
            for part, found in zip(inside, stretches, strict=False):
                assert tiles[found].keys() == {TITLES.title(method) for method in part.methods}
            places = [say.amount("budget_ratio", part.low) for part in inside]
        assert [place for place in places[1:] if f"from {place}, " not in size["map_text"]] == []
        assert size["map_text"].count("from ") <= len(places)


class Few:
    """Advice; the page shows who leads."""

    usd = None

    def __init__(self, budget, *methods):
        self.seeds, self.budget = 32, budget
        self.leading = tuple(SimpleNamespace(method=method) for method in methods)


@pytest.mark.parametrize("money", [False, True])
def test_who_leads_at_one_budget_alone_is_no_stretch_of_the_map(fits, money):
    """By dollars, and beyond the data by queries, a budget alone does not change what is said."""
    aa, qr, nq = METHODS
    budgets = [32 * 2.0**step for step in range(12)]
    # The data end with BR 64, the seventh budget.
    turns = [(aa,), (aa,), (aa, qr), (aa,), (nq,), (nq,), (nq,), (nq,), (qr,), (nq,), (nq,), (nq,)]
    found = [Few(budget, *turn) for budget, turn in zip(budgets, turns, strict=True)]
    explored = _Explored(fits[0], TITLES, 0.95, {}, money)
    stretches = explored.stretches(32, found)
    if money:
        assert [part.methods for part in stretches] == [(aa,), (nq,)]
    else:
        inside = leaders(fits[0], 32)
        assert [part.methods for part in stretches] == [part.methods for part in inside]
        assert stretches[-1].high == 2048 and inside[-1].high == 64


def test_keys_move_the_controls(explored, browser, pages):
    sizes = explored[False]["fits"][0]["queries"]
    with visit(browser, pages / "plain.html", "#map svg") as seen:
        page = seen.page
        # Each control, in the order in which they stand.
        reached = []
        for _ in range(5):
            press(page, "Tab")
            assert "measured cells" in page.inner_text("#curves-text")
            reached.append(focused(page))
            ring = "getComputedStyle(document.activeElement).outline"
            assert "solid 3px" in page.evaluate(ring)
        assert reached == ["fit", "seeds", "seeds-typed", "by-queries", "budget"]
        press(page, "Home")
        check(page, sizes[0]["rows"][0])
        press(page, "ArrowRight", "ArrowUp", "ArrowRight", "ArrowLeft")
        check(page, sizes[0]["rows"][2])
        press(page, "End")
        check(page, sizes[0]["rows"][-1])
        press(page, "Shift+Tab", "Shift+Tab", "Shift+Tab")
        assert focused(page) == "seeds"
        press(page, "End")
        # The budget keeps its place along the control.
        check(page, sizes[-1]["rows"][-1])
        press(page, "ArrowLeft", "ArrowLeft", "ArrowLeft", "Tab", "Tab", "Tab", "PageDown")
        seeds, budget = (int(page.input_value(f"#{name}")) for name in ("seeds", "budget"))
        assert seeds == len(sizes) - 4 and 0 < budget < len(sizes[seeds]["rows"]) - 1
        check(page, sizes[seeds]["rows"][budget])
        assert page.inner_text("#map-text") == sizes[seeds]["map_text"]
        # No cell was measured with so many seeds.
        assert "measured cells" not in page.inner_text("#curves-text")
        # Enter in a form would send it, and load the page anew.
        press(page, "Enter")
        check(page, sizes[seeds]["rows"][budget])
        # Both charts were drawn, with marks, and words beside them.
        for name in ("curves", "map"):
            assert page.locator(f"#{name} svg path").count() > 10
        assert seen.complaints == []


def test_numbers_can_be_typed_beside_the_sliders(explored, browser, pages):
    (fit,) = explored[True]["fits"]
    with visit(browser, pages / "priced.html", "#map svg") as seen:
        page = seen.page
        sizes = fit["queries"]
        page.focus("#seeds-typed")
        press(page, "Control+a")
        page.keyboard.type("44")
        press(page, "Enter")
        seeds = min(sizes, key=lambda one: abs(np.log(one["seeds"] / 44)))
        assert page.input_value("#seeds") == str(sizes.index(seeds))
        assert page.input_value("#seeds-typed") == str(seeds["seeds"])
        for chosen, rows, typed in (
            ("by-queries", seeds["rows"], "700"),
            ("by-target", seeds["reach"], "61"),
            ("by-usd", fit["usd"][sizes.index(seeds)]["rows"], "0.05"),
        ):
            page.check(f"#{chosen}")
            page.focus("#budget-typed")
            press(page, "Control+a")
            page.keyboard.type(typed)
            press(page, "Tab")
            place = min(rows, key=lambda row: abs(np.log(row["at"] / float(typed))))
            assert page.input_value("#budget") == str(rows.index(place))
            check(page, place)
        # Nothing is lost by what is no number.
        page.fill("#budget-typed", "")
        press(page, "Enter")
        check(page, place)
        assert seen.complaints == []


def test_an_accuracy_to_reach_says_what_advise_says(fits, explored, browser, pages):
    size = explored[False]["fits"][0]["queries"][0]
    heads = ["choice", "queries", "accuracy, %", "interval", "reached in, %"]
    for row in (size["reach"][3], size["reach"][12]):
        buy, sure, _ = row["said"]
        plan = plans(fits[0], size["seeds"], row["at"] / 100)[0]
        queries = int(re.findall(r"([\d,]+) teacher queries", buy)[0].replace(",", ""))
        # The page looks at fewer budgets.
        assert plan.budget <= queries <= 1.11 * plan.budget
        assert f"expected to reach {row['shown']}" in buy and "with a probability of" in sure
    with visit(browser, pages / "plain.html", "#map svg") as seen:
        seen.page.check("#by-target")
        shown = seen.page.locator("#outlook thead th").all_text_contents()
        assert [text.strip() for text in shown[:5]] == heads
        seen.page.check("#by-queries")
        shown = seen.page.locator("#outlook thead th").all_text_contents()
        assert shown[5].strip() == "regret, points"


def test_money_is_a_control_where_prices_are_known(explored, browser, pages):
    size = explored[True]["fits"][0]["usd"][0]
    with visit(browser, pages / "priced.html", "#map svg") as seen:
        press(seen.page, "Tab", "Tab", "Tab", "Tab", "ArrowRight")
        assert focused(seen.page) == "by-usd"
        press(seen.page, "Tab", "Home", *["ArrowRight"] * 9)
        check(seen.page, size["rows"][9])
        assert " seeds and $" in seen.page.inner_text("#answer")
    with visit(browser, pages / "plain.html", "#map svg") as seen:
        assert "price of mini_teacher" in seen.page.inner_text("#usd-unknown")
        assert seen.page.is_disabled("#by-usd")


def test_plots_are_drawn_again_when_the_colour_scheme_changes(browser, pages):
    ink = {"light": LIGHT["axis"]["labelColor"], "dark": DARK["axis"]["labelColor"]}
    with visit(browser, pages / "plain.html", "#map svg", color_scheme="light") as seen:
        for scheme in ("dark", "light"):
            seen.page.emulate_media(color_scheme=scheme)
            for name in ("curves", "map"):
                seen.page.wait_for_selector(f"#{name} svg text[fill='{ink[scheme]}']")
                other = ink["dark" if scheme == "light" else "light"]
                assert seen.page.locator(f"#{name} svg text[fill='{other}']").count() == 0
        # What was chosen is still chosen.
        assert seen.page.inner_text("#answer").startswith("With 32 seeds and ")


@pytest.mark.parametrize("name", ["curves", "map"])
def test_the_legend_of_a_plot_is_not_as_faint_as_its_bands(name):
    spec = plots({"A": "#aa0000", "B": "#0000aa"}, money=False)[name]
    svg = vl_convert.vegalite_to_svg(spec | {"datasets": {name: [], "here": []}}, config=DARK)
    symbols = re.findall(r"role-legend-symbol.*?<path ([^>]*)", svg)
    assert len(symbols) == 2
    assert all('opacity="1"' in symbol for symbol in symbols), symbols


def test_methods_of_one_colour_have_other_markers_and_dashes():
    methods = [f"method {n}" for n in range(12)]
    spec = plots({name: colour(methods, name) for name in methods}, money=False)["curves"]
    looks = []
    for channel in ("color", "shape", "strokeDash"):
        scales = [
            part["encoding"][channel]["scale"]
            for part in spec["layer"]
            if channel in part["encoding"]
        ]
        looks.append([str(look) for look in scales[0]["range"]])
    for other in looks[1:]:
        assert len({*zip(looks[0], other, strict=True)}) == 12


def test_hostile_titles_are_text(browser, pages):
    with visit(browser, pages / "plain.html", "#map svg") as seen:
        elements = Elements(seen.page.content())
        assert seen.page.title().startswith("study")
    assert "img" not in elements.tags
    assert not [name for name, _ in elements.attributes if name.startswith("on")]
    # Once in the choice of task, twice in examples.
    words = " ".join(elements.text)
    assert words.count(HOSTILE) >= 3 and "a < b &" in words
    assert "</script" not in script_json({"text": HOSTILE})


@pytest.mark.parametrize(
    "injected",
    [
        "<script>document.title = 'taken'</script>",
        "<script type=module>document.title = 'taken'</script>",
        "<script src='data:text/javascript,document.title=1'></script>",
        "<img src=gone.png onerror=\"document.title = 'taken'\">",
        "<iframe srcdoc=\"<script>parent.document.title = 'taken'</script>\"></iframe>",
        "<object data=gone.html></object><embed src=gone.svg>",
        "<base href='file:///elsewhere/'>",
        "<link rel=stylesheet href=gone.css>",
    ],
)
def test_were_an_escape_missed_nothing_would_run_or_load(browser, pages, tmp_path, injected):
    page = (pages / "plain.html").read_text(encoding="utf-8")
    file = tmp_path / "page.html"
    file.write_text(page.replace("<main>", f"<main>{injected}", 1), encoding="utf-8")
    with visit(browser, file, "#map svg") as seen:
        assert seen.page.title().startswith("study")
        assert seen.requests == [file.as_uri(), *seen.refused]
        assert seen.page.evaluate("document.baseURI") == file.as_uri()
        # The browser says what it refused, and the controls go on.
        assert "Content Security Policy" in " ".join(seen.complaints)
        assert seen.page.inner_text("#answer").startswith("With ")


def test_without_its_policy_the_page_would_run_them(browser, pages, tmp_path):
    page = (pages / "plain.html").read_text(encoding="utf-8")
    page = re.sub(r"<meta http-equiv[^>]*>", "<script>document.title = 'taken'</script>", page)
    file = tmp_path / "page.html"
    file.write_text(page, encoding="utf-8")
    with visit(browser, file, "#map svg") as seen:
        assert seen.page.title() == "taken"


def test_the_page_allows_itself_two_scripts_and_no_connection(pages):
    page = (pages / "plain.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    parts = dict(part.split(" ", 1) for part in html.unescape(policy).split("; "))
    assert parts["default-src"] == "'none'" and "connect-src" not in parts
    digests = parts["script-src"].split()
    assert len(digests) == 2 and all(one.startswith("'sha256-") for one in digests)


def test_without_scripts_the_page_says_where_the_advice_is(browser, pages):
    with visit(browser, pages / "plain.html", java_script_enabled=False) as seen:
        words = seen.page.inner_text("main")
        assert "need JavaScript" in words and "Budget" not in words


def test_every_control_has_a_label(pages):
    page = (pages / "plain.html").read_text(encoding="utf-8")
    for control in ("fit", "seeds", "budget", "seeds-typed"):
        assert f'<label for="{control}">' in page
    assert '<label for="budget-typed" id="budget-typed-name">' in page
    assert 'role="status" aria-live="polite"' in page
