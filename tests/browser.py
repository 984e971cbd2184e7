"""A real headless browser, for pages on disk.

Playwright drives the system's Chromium: tests press real keys, choose colour schemes and widths,
and see every request that a page makes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

# The browser itself has no network either, so every request is the page's.
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
    """A running browser. Its driver runs an event loop in this thread until the end."""
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
    """An open page, with its requests and errors.

    Attributes:
        page: Playwright's page.
        requests: the requested addresses, the page's own first.
        refused: the requests that the page's own policy blocked.
        complaints: errors and warnings in the console, and exceptions.
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
    """Open a file in a new window, and wait until the element `wait` exists.

    Args:
        browser: the browser from `chromium`.
        file: the page.
        wait: selector of an element that exists once the page's scripts have run.
        how: Playwright's options of the window: `viewport`, `color_scheme` and others.
    """
    context = browser.new_context(**{"viewport": WIDE, **how})
    # Milliseconds, for busy machines.
    context.set_default_timeout(60_000)
    try:
        seen = Visit(context.new_page())
        seen.page.goto(file.as_uri())
        seen.page.wait_for_selector(wait, state="attached")
        yield seen
    finally:
        context.close()


def rendered(file: Path, wait: str = "body") -> str:
    """Return a page's HTML after its scripts have run."""
    with chromium() as browser, visit(browser, file, wait) as seen:
        return seen.page.content()
