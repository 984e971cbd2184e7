"""The page's controls, moved in a real browser, against what `advise` says."""

from __future__ import annotations

import html
import json
import re

import pytest
from analysis_simulation import METHODS, simulate

from browser import Elements, rendered
from seedbed.analysis.advice import advise
from seedbed.analysis.explorer import explorer_data, script_json
from seedbed.analysis.fits import fits_from
from seedbed.analysis.fitting import fit_decay
from seedbed.analysis.outcomes import outcomes_by_task
from seedbed.analysis.report import Examples, report_page
from seedbed.analysis.settings import FitSettings, Title, Titles

PRICE = {"usd_per_million_prompt_tokens": 0.5, "usd_per_million_completion_tokens": 2.0}
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


def page_with(fits, prices, actions=""):
    """The page, with a script that moves its controls once they stand."""
    data = explorer_data(fits, TITLES, 0.95, prices)
    made = {"code": "0", "versions": {}}
    text = report_page("study", "", "", [], [], [], EXAMPLES, [], 0.95, made, data)
    moved = f"<script>window.addEventListener('load', () => {{ {actions} }});</script>"
    # The last one: the plots' script has the words as well.
    page, end, rest = text.rpartition("</body>")
    return page + moved + end + rest


def seen(page, tmp_path):
    """The answer and the rows of the table that a browser shows, and the whole document."""
    file = tmp_path / "page.html"
    file.write_text(page, encoding="utf-8")
    found = rendered(file, tmp_path / "profile")
    answer = re.search(r'<p id="answer"[^>]*>(.*?)</p>', found, re.DOTALL).group(1)
    body = re.search(r'id="outlook".*?<tbody>(.*?)</tbody>', found, re.DOTALL).group(1)
    rows = {}
    for method, row in re.findall(r'<tr data-method="(\w+)">(.*?)</tr>', body, re.DOTALL):
        rows[method] = [html.unescape(text) for text in re.findall(r"<td>(.*?)</td>", row)]
    return html.unescape(answer), rows, found


def move(control, value):
    found = f"document.getElementById({json.dumps(control)})"
    return f"{found}.value = {value}; {found}.dispatchEvent(new Event('input'));"


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


def close(shown, expected):
    """Whether rows of text agree but for the last digit, which rounding twice can change."""
    assert shown.keys() == expected.keys()
    for method, words in expected.items():
        numbers = [
            re.findall(r"[\d.]+", " ".join(row).replace(",", "")) for row in (shown[method], words)
        ]
        # The cost has a test of its own.
        for one, other in zip(numbers[0], numbers[1], strict=False):
            assert float(one) == pytest.approx(float(other), abs=1.01 if "." not in other else 0.11)
    return True


@pytest.mark.parametrize(("seeds", "budget"), [(0, 0), (3, 12), (6, 26)])
def test_controls_show_what_advise_says(fits, tmp_path, seeds, budget):
    actions = move("seeds", seeds) + move("budget", budget)
    answer, rows, found = seen(page_with(fits, {}, actions), tmp_path)
    place = explorer_data(fits, TITLES, 0.95, {})["fits"][0]["queries"]
    size = place[min(seeds, len(place) - 1)]
    queries = size["rows"][min(budget, len(size["rows"]) - 1)]["at"]
    advice = advise(fits[0], size["seeds"], queries)
    assert answer.startswith(f"With {size['seeds']:,} seeds and {queries:,} teacher queries, use ")
    assert TITLES.title(advice.best.method) in answer
    assert ("times beyond the data" in answer) == (advice.beyond > 1)
    assert close(rows, expected_rows(advice))
    # Both plots were drawn, as graphics with marks, each with words beside it.
    for name in ("curves", "map"):
        drawn = re.search(rf'<div id="{name}".*?</svg>', found, re.DOTALL).group()
        assert drawn.count("<path") > 10
        assert re.search(rf'id="{name}-text">[^<]{{40,}}', found)


def test_money_is_a_control_where_prices_are_known(fits, tmp_path):
    by_usd = "const u = document.getElementById('by-usd'); u.click();"
    prices = {"mini_teacher": PRICE}
    answer, rows, _ = seen(page_with(fits, prices, by_usd + move("budget", 9)), tmp_path)
    size = explorer_data(fits, TITLES, 0.95, prices)["fits"][0]["usd"][0]
    usd = size["rows"][9]["at"]
    advice = advise(fits[0], size["seeds"], usd=usd, prices=prices)
    assert " seeds and $" in answer
    assert close(rows, expected_rows(advice))
    assert len({row[0] for row in rows.values()}) > 1
    assert all(row[5].startswith("$") for row in rows.values())
    _, _, without = seen(page_with(fits, {}), tmp_path)
    assert "Money is not known: price of mini_teacher" in without
    assert re.search(r'id="by-usd"[^>]*disabled', without)


def test_hostile_titles_are_text(fits, tmp_path):
    _, _, found = seen(page_with(fits, {}, move("budget", 20)), tmp_path)
    elements = Elements(found)
    assert "img" not in elements.tags
    assert {name for name, _ in elements.attributes if name.startswith("on")} == {"onsubmit"}
    assert "<title>study" in found
    # Once in the choice of task, twice in examples.
    words = " ".join(elements.text)
    assert words.count(HOSTILE) >= 3 and "a < b &" in words
    assert "</script" not in script_json({"text": HOSTILE})


def test_every_control_has_a_label_and_can_be_reached(fits):
    page = page_with(fits, {})
    for control in ("fit", "seeds", "budget"):
        assert f'<label for="{control}">' in page
    assert 'role="status" aria-live="polite"' in page
    assert "tabindex" not in page.split("<script")[0]
