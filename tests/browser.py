"""A real browser without a screen, for pages that lie on disk."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

# Nothing but the page: no look at the network, and no profile of an earlier start.
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
]
# Milliseconds that the page's own clock goes on for, which takes less.
PATIENCE = "--virtual-time-budget=10000"


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


def rendered(page: Path, profile: Path) -> str:
    """Return a page as the browser has it once its scripts have run, as HTML."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium: Debian has it in the package of this name")
    words = [chromium, *OPTIONS, f"--user-data-dir={profile}", PATIENCE, "--dump-dom"]
    done = subprocess.run([*words, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout
