"""A real browser without a screen, for pages that lie on disk.

Playwright drives the Chromium of the system: keys are real keys, colour schemes and widths can be
chosen, and every request that a page makes is seen.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

# Nothing but the page: the browser itself finds no network either.
OPTIONS = [
    "--disable-gpu",
    "--disable-quic",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND",
]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


class Elements(HTMLParser):
    """Collects the elements, attributes and text of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, started. Its driver has an event loop running in this thread until the end."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium: Debian has it in the package of this name")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page that is open, and what happened on it.

    Attributes:
        page: Playwright's page.
        requests: the addresses that were asked for, the page's own first.
        refused: those of them that the page itself did not allow, so that nothing was read.
        complaints: errors and warnings of the console, and exceptions.
    """

    def __init__(self, page: Page):
        self.page = page
        self.requests: list[str] = []
        self.refused: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", self._failed)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._heard)

    def _failed(self, request):
        if request.failure == "csp":
            self.refused.append(request.url)

    def _heard(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@contextmanager
def visit(browser: Browser, file: Path, wait: str = "body", **how: object) -> Iterator[Visit]:
    """Open a file in a window of its own, and wait until `wait` is there.

    Args:
        browser: what `chromium` gave.
        file: the page.
        wait: selector of an element that is there once the page's scripts have run.
        how: of the window, as Playwright calls it: `viewport`, `color_scheme` and others.
    """
    context = browser.new_context(**{"viewport": WIDE, **how})
    # Milliseconds, for machines that have much else to do.
    context.set_default_timeout(60_000)
    try:
        seen = Visit(context.new_page())
        seen.page.goto(file.as_uri())
        seen.page.wait_for_selector(wait, state="attached")
        yield seen
    finally:
        context.close()


def rendered(file: Path, wait: str = "body") -> str:
    """Return a page as the browser has it once its scripts have run, as HTML."""
    with chromium() as browser, visit(browser, file, wait) as seen:
        return seen.page.content()
