"""The page's controls, moved in a real browser, against what `advise` says."""

from __future__ import annotations

import html
import re

import pytest
from analysis_simulation import METHODS, simulate

from browser import Elements, chromium, visit
from seedbed.analysis.curves.fits import fits_from
from seedbed.analysis.curves.fitting import fit_decay
from seedbed.analysis.decide.advise import advise
from seedbed.analysis.report.explorer import explorer_data, script_json
from seedbed.analysis.report.report import Examples, report_page
from seedbed.analysis.settings import FitSettings, Title, Titles
from seedbed.analysis.tables.outcomes import outcomes_by_task

PRICE = {"usd_per_million_prompt_tokens": 0.5, "usd_per_million_completion_tokens": 2.0}
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
    settings = FitSettings(methods=METHODS, bootstrap_samples=30, starts=2)
    return fits_from(*fit_decay(outcomes_by_task(*simulate(items=600)), settings))


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


def page_of(fits, prices):
    """The page, of which the controls and the examples are looked at."""
    data = explorer_data(fits, TITLES, 0.95, prices)
    made = {"code": "0", "versions": {}}
    return report_page("study", "", "", [], [], [], EXAMPLES, [], 0.95, made, data)


@pytest.fixture(scope="module")
def pages(fits, tmp_path_factory):
    """The page without prices, and with them."""
    folder = tmp_path_factory.mktemp("pages")
    for name, prices in (("plain", {}), ("priced", PRICES)):
        (folder / f"{name}.html").write_text(page_of(fits, prices), encoding="utf-8")
    return folder


def shown(page):
    """The answer and the rows of the table below it."""
    rows = {
        line.get_attribute("data-method"): line.locator("td").all_inner_texts()
        for line in page.locator("#outlook tbody tr").all()
    }
    return page.inner_text("#answer"), rows


def next_rows(page):
    """The rows of the table of what to measure next; none where it is not shown."""
    if not page.is_visible("#next"):
        return []
    return [
        line.locator("th, td").all_inner_texts() for line in page.locator("#next tbody tr").all()
    ]


def focused(page):
    return page.evaluate("document.activeElement.id")


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def expected_rows(advice):
    return {
        entry.method: [
            f"{entry.budget:,}",
            f"{100 * entry.accuracy:.1f}",
            f"{100 * entry.low:.1f} to {100 * entry.high:.1f}",
            f"{100 * entry.probability_best:.0f}",
            f"{100 * entry.expected_regret:.1f}",
        ]
        for entry in advice.outlook
    }


def close(rows, expected):
    """Whether rows of text agree but for the last digit, which rounding twice can change."""
    assert rows.keys() == expected.keys()
    for method, words in expected.items():
        numbers = [
            re.findall(r"[\d.]+", " ".join(row).replace(",", "")) for row in (rows[method], words)
        ]
        # The cost has a test of its own.
        for one, other in zip(numbers[0], numbers[1], strict=False):
            assert float(one) == pytest.approx(float(other), abs=1.01 if "." not in other else 0.11)
    return True


def test_keys_move_the_controls_and_the_page_says_what_advise_says(fits, browser, pages):
    places = explorer_data(fits, TITLES, 0.95, {})["fits"][0]["queries"]
    with visit(browser, pages / "plain.html", "#map svg") as seen:
        page = seen.page

        def check(seeds, budget):
            size = places[seeds]
            queries = size["rows"][budget]["at"]
            advice = advise(fits[0], size["seeds"], queries)
            answer, rows = shown(page)
            start = f"With {size['seeds']:,} seeds and {queries:,} teacher queries, use "
            assert answer.startswith(start)
            assert TITLES.title(advice.best.method) in answer
            assert ("times beyond the data" in answer) == (advice.beyond > 1)
            assert close(rows, expected_rows(advice))
            assert next_rows(page) == [
                [
                    f"{TITLES.title(cell.method)}, {'a new cell' if cell.new else 'again'}",
                    f"{cell.seeds:,}",
                    f"{cell.budget:,}",
                    f"{cell.queries:,}" if cell.queries else "none, its data is there",
                    "-",
                    f"{100 * round(cell.doubt_after, 4):.2f}",
                ]
                for cell in advice.next_cells
            ]
            return advice

        # Each control, in the order in which they stand.
        assert "to know whether" in page.inner_text("#next-title")
        reached = []
        for _ in range(4):
            press(page, "Tab")
            assert "measured cells" in page.inner_text("#curves-text")
            reached.append(focused(page))
            ring = "getComputedStyle(document.activeElement).outline"
            assert "solid 3px" in page.evaluate(ring)
        assert reached == ["fit", "seeds", "by-queries", "budget"]
        press(page, "Home")
        check(0, 0)
        press(page, "ArrowRight", "ArrowUp", "ArrowRight", "ArrowLeft")
        check(0, 2)
        press(page, "End")
        assert check(0, len(places[0]["rows"]) - 1).beyond > 1
        press(page, "Shift+Tab", "Shift+Tab")
        assert focused(page) == "seeds"
        press(page, "End")
        # The budget keeps its place along the control.
        check(len(places) - 1, len(places[-1]["rows"]) - 1)
        press(page, "ArrowLeft", "ArrowLeft", "ArrowLeft", "Tab", "Tab", "PageDown")
        seeds, budget = (int(page.input_value(f"#{name}")) for name in ("seeds", "budget"))
        assert seeds == len(places) - 4 and 0 < budget < len(places[seeds]["rows"]) - 1
        check(seeds, budget)
        # No cell was measured with so many seeds.
        assert "measured cells" not in page.inner_text("#curves-text")
        # Enter in a form would send it, and load the page anew.
        press(page, "Enter")
        check(seeds, budget)
        # Both plots were drawn, as graphics with marks, each with words beside it.
        for name in ("curves", "map"):
            assert page.locator(f"#{name} svg path").count() > 10
            assert len(page.inner_text(f"#{name}-text")) > 40
        assert seen.complaints == []


def test_money_is_a_control_where_prices_are_known(fits, browser, pages):
    size = explorer_data(fits, TITLES, 0.95, PRICES)["fits"][0]["usd"][0]
    with visit(browser, pages / "priced.html", "#map svg") as seen:
        press(seen.page, "Tab", "Tab", "Tab", "ArrowRight")
        assert focused(seen.page) == "by-usd"
        press(seen.page, "Tab", "Home", *["ArrowRight"] * 9)
        advice = advise(fits[0], size["seeds"], usd=size["rows"][9]["at"], prices=PRICES)
        answer, rows = shown(seen.page)
        assert " seeds and $" in answer
        assert close(rows, expected_rows(advice))
        assert len({row[0] for row in rows.values()}) > 1
        assert all(row[5].startswith("$") for row in rows.values())
        assert next_rows(seen.page)
        assert all(row[4].startswith("$") for row in next_rows(seen.page))
    with visit(browser, pages / "plain.html", "#map svg") as seen:
        words = "Money is not known: price of mini_teacher"
        assert seen.page.inner_text("#usd-unknown") == words
        assert seen.page.is_disabled("#by-usd")


def test_plots_are_drawn_again_when_the_colour_scheme_changes(browser, pages):
    ink = {"light": "#1c1c1c", "dark": "#ececec"}
    with visit(browser, pages / "plain.html", "#map svg", color_scheme="light") as seen:
        for scheme in ("dark", "light"):
            seen.page.emulate_media(color_scheme=scheme)
            for name in ("curves", "map"):
                seen.page.wait_for_selector(f"#{name} svg text[fill='{ink[scheme]}']")
                other = ink["dark" if scheme == "light" else "light"]
                assert seen.page.locator(f"#{name} svg text[fill='{other}']").count() == 0
        # What was chosen is still chosen.
        assert shown(seen.page)[0].startswith("With 32 seeds and ")


def test_hostile_titles_are_text(fits, browser, pages):
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
        assert shown(seen.page)[0].startswith("With ")


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
        assert "The controls here need JavaScript" in words and "Budget" not in words


def test_every_control_has_a_label(pages):
    page = (pages / "plain.html").read_text(encoding="utf-8")
    for control in ("fit", "seeds", "budget"):
        assert f'<label for="{control}">' in page
    assert 'role="status" aria-live="polite"' in page
