"""The findings of axe on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from playwright.sync_api import Page


def findings(page: Page) -> list[str]:
    """Return the findings of axe on the page as it is now."""
    violations: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{found['id']}: {node['target']} {node.get('failureSummary')}"
        for found in violations
        for node in found["nodes"]
    ]
