"""Take the screenshots of the page in docs/; run with ``GOLO_SCREENSHOTS=docs``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from peers.agent import Agent
from peers.browser import Browser
from peers.page import DESKTOP, PHONE, visit, wait_for_state, wait_until
from peers.programs import Builder

if TYPE_CHECKING:
    from playwright.sync_api import Page

DIRECTORY = os.environ.get("GOLO_SCREENSHOTS")

# The charts show more than a minute.
CHARTS_ARE_FILLED = (
    "Number.parseInt(document.querySelector('[data-field=elapsed]').textContent) >= 75"
)

LOGIN_FAILS = """
import sys
print("login: POST https://shop.example/session: certificate has expired", file=sys.stderr)
sys.exit(1)
"""


@pytest.mark.screenshots
async def test_screenshots(agent: Agent, browser: Browser, shop: Path, script: Builder) -> None:
    """Capture a running job on a desktop and on a phone in dark mode, and a failed job."""
    binary = await agent.upload(shop)
    await agent.settled(await agent.queue("checkout", binary, duration=5))
    failed = await agent.queue("login", script(LOGIN_FAILS), duration=60)
    await agent.ended(failed)
    running = await agent.queue("checkout", binary, duration=120, users=40)
    for name in ("search", "checkout"):
        await agent.queue(name, binary, duration=300)

    def scenario(page: Page) -> None:
        visit(page, agent)
        wait_for_state(page, "running")
        page.get_by_text("err.log", exact=True).click()
        wait_until(page, CHARTS_ARE_FILLED, timeout_seconds=120)
        page.screenshot(path=f"{DIRECTORY}/page.png", full_page=True)
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size(PHONE)
        wait_until(page, "document.querySelector('#rate-chart svg').clientWidth < 360")
        page.screenshot(path=f"{DIRECTORY}/page-phone.png")
        page.goto(f"{page.url}#{failed}")
        wait_for_state(page, "failed")
        page.screenshot(path=f"{DIRECTORY}/page-failed.png")

    await browser.run(scenario, viewport=DESKTOP)
    for job in (await agent.request("GET", "/jobs")).json["jobs"]:
        await agent.request("DELETE", f"/jobs/{job['id']}")
    await agent.ended(running)
