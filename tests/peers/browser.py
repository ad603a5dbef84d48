"""Headless Chromium, driven by Playwright.

Playwright's synchronous API blocks, so each scenario is a function that runs in its own thread.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.defer import ensureDeferred
from twisted.internet.threads import blockingCallFromThread, deferToThread

with suppress(ImportError):
    from playwright.sync_api import Page, sync_playwright

_T = TypeVar("_T")
TIMEOUT_SECONDS = 60


def missing_dependency() -> str | None:
    """Return what the browser needs and is not installed, or None."""
    if "sync_playwright" not in globals():
        return "Playwright is not installed"
    return None if _chromium() else "Chromium is not installed"


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """Run scenarios, each in a new browser; `console_errors` collects errors and warnings."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.console_errors: list[str] = []

    async def run(self, scenario: Callable[[Page], _T], *arguments: str, **context: Any) -> _T:
        """Return the result of `scenario` for a new page.

        Args:
            arguments: options for Chromium's command line.
            context: options for Playwright's ``new_context``.

        """
        return await deferToThread(self._run, scenario, arguments, context)

    def run_in_reactor(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine from a scenario, in the reactor's thread, and return its result."""
        return blockingCallFromThread(self._reactor, ensureDeferred, coroutine)

    def expect_errors(self, pattern: str) -> None:
        """Check that there are console errors and that `pattern` is in each, then clear them."""
        assert self.console_errors, f"no console error matches {pattern}"
        others = [error for error in self.console_errors if not re.search(pattern, error)]
        assert others == [], others
        self.console_errors.clear()

    def _run(
        self, scenario: Callable[[Page], _T], arguments: tuple[str, ...], context: dict[str, Any]
    ) -> _T:
        # Chromium has no sandbox for root.
        root = ("--no-sandbox",) if os.geteuid() == 0 else ()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=_chromium(),
                args=[*root, "--disable-dev-shm-usage", "--no-proxy-server", *arguments],
            )
            try:
                page = browser.new_context(**context).new_page()
                page.set_default_timeout(TIMEOUT_SECONDS * 1000)
                page.on("console", self._record_message)
                page.on("pageerror", lambda error: self.console_errors.append(str(error)))
                return scenario(page)
            finally:
                browser.close()

    def _record_message(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.console_errors.append(f"{message.text} {message.location.get('url', '')}")
