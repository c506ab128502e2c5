"""Pages opened in a real browser: headless Chromium, and what it has to say about them."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PLACES = ("chromium", "chromium-browser", "google-chrome", "chrome")
DESKTOP, PHONE = (1280, 800), (390, 844)


@dataclass
class Opened:
    """A page that is open. complaints: errors and warnings of its console; asked: addresses that it asked for
    beyond its own file."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def until(self, expression: str, seconds: float = 60.0) -> None:
        """Wait until something is true there. (Playwright's own waiting evaluates text in the page, which a
        page's own policy forbids.)"""
        end_s = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            assert time.monotonic() < end_s, f"not true after {seconds:g} s: {expression}"
            self.page.wait_for_timeout(20)

    def wider_than_the_window(self) -> int:
        """Pixels by which the page must be scrolled sideways."""
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")

    def violations(self) -> list[str]:
        """What axe finds."""
        from axe_playwright_python.sync_playwright import Axe

        return [
            f"{found['id']}: {found['nodes'][0]['html'][:120]}"
            for found in Axe().run(self.page).response["violations"]
        ]


def chromium() -> str:
    """Where the browser is; skips the test where there is none."""
    pytest.importorskip("playwright.sync_api", reason="no playwright here; pip install -e .[dev] brings it")
    found = os.environ.get("DLRC_CHROMIUM") or next(filter(None, map(shutil.which, PLACES)), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium, or DLRC_CHROMIUM=PATH")
    return found


@contextmanager
def launched() -> Iterator[Any]:
    """A browser for several pages."""
    program = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def open_page(browser: Any, path: Path, size=DESKTOP, theme="light", fragment="") -> Opened:
    """A page of its own, by finger where the window is a phone's."""
    phone = size[0] < 600
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=theme, has_touch=phone, is_mobile=phone
    )
    context.set_default_timeout(120_000)  # others use this machine, too
    opened = Opened(context.new_page())
    opened.page.on("console", lambda m: m.type in ("error", "warning") and opened.complaints.append(m.text))
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    own = ("file:", "data:", "blob:")
    opened.page.on("request", lambda r: r.url.startswith(own) or opened.asked.append(r.url))
    opened.page.goto(f"{Path(path).resolve().as_uri()}{fragment}")
    return opened
