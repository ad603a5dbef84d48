"""A real browser, headless Chromium, driven through Playwright in a thread beside the reactor.

Playwright's plain API blocks and has an event loop of its own, and the reactor must go on: each
scenario is a function that runs in one thread from the browser's start to its end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.defer import ensureDeferred
from twisted.internet.threads import blockingCallFromThread, deferToThread

with suppress(ImportError):
    from playwright.sync_api import Page, sync_playwright

_T = TypeVar("_T")
TIMEOUT_SECONDS = 20


def missing() -> str | None:
    """Return what is missing for a browser, None when there is one."""
    if "sync_playwright" not in globals():
        return "Playwright is not installed"
    return None if _chromium() else "Chromium is not installed"


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """Runs scenarios, each in a new browser; `complaints` are what its console held against us."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.complaints: list[str] = []

    async def run(self, scenario: Callable[[Page], _T], *arguments: str, **context: Any) -> _T:
        """Return what `scenario` returns for a page.

        Args:
            arguments: of Chromium's command line.
            context: as for Playwright's ``new_context``.

        """
        return await deferToThread(self._run, scenario, arguments, context)

    def meanwhile(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Return what a coroutine returns; for scenarios, which are not in the reactor's thread."""
        return blockingCallFromThread(self._reactor, ensureDeferred, coroutine)

    def expected(self, text: str) -> None:
        """Assert that there were complaints, all with `text` in them, and forget them."""
        assert self.complaints, f"nobody complains of {text}"
        others = [complaint for complaint in self.complaints if text not in complaint]
        assert others == []
        self.complaints.clear()

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
                page.on("console", self._hear)
                page.on("pageerror", lambda error: self.complaints.append(str(error)))
                return scenario(page)
            finally:
                browser.close()

    def _hear(self, message: Any) -> None:
        if "/binaries" in message.location.get("url", ""):
            return  # XXX
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} {message.location.get('url', '')}")
