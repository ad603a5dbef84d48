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
from peers.timeline import windows_of

if TYPE_CHECKING:
    from playwright.sync_api import Page

DIRECTORY = os.environ.get("GOLO_SCREENSHOTS")

# The load has reached its last stage.
CHARTS_ARE_FILLED = (
    "Number.parseInt(document.querySelector('[data-field=elapsed]').textContent) >= 65"
)
STAGES = [
    {"rate": 60, "duration": 30},
    {"rate": 100, "duration": 0},
    {"rate": 100, "duration": 30},
    {"rate": 20, "duration": 30},
]
THRESHOLDS = {"duration": ["p(95)<100ms"], "errors": ["rate<1%"], "dropped": ["count<100"]}

REPORT_THRESHOLDS = {
    "duration": ["p(95)<100ms", "p(99)<150ms"],
    "duration{url:*/checkout}": ["p(95)<200ms"],
    "errors": ["rate<1%"],
    "dropped": ["count<50"],
}

# Five requests a journey; from the 50th to the 62nd second each takes three times as long.
SLOW_CHECKOUT = """
import random
from goloagent.sdk import report, serve

STEPS = [
    ("GET", "https://shop.example/", 0.004, 0.0),
    ("GET", "https://shop.example/products?page=1", 0.009, 0.0),
    ("GET", "https://shop.example/products/1842", 0.007, 0.002),
    ("POST", "https://shop.example/cart", 0.016, 0.001),
    ("POST", "https://shop.example/checkout", 0.035, 0.012),
]
ERRORS = [
    (503, "Service Unavailable"),
    (0, "connection reset by peer"),
    (504, "the payment service did not answer within 30 s"),
]
begin = time.monotonic()

def journey():
    is_slow = 50 < time.monotonic() - begin < 62
    for method, url, typical_seconds, failure_rate in STEPS:
        seconds = typical_seconds * random.lognormvariate(0, 0.35) * (3 if is_slow else 1)
        time.sleep(seconds)
        status, error = 200, None
        if random.random() < failure_rate * (5 if is_slow else 1):
            status, error = random.choice(ERRORS)
        result = {"method": method, "url": url, "status": status, "error": error}
        report(**result, size=2048, duration_seconds=seconds)

serve(journey)
"""

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
    running = await agent.queue(
        "checkout",
        binary,
        load={"stages": STAGES, "max_in_flight": 60},
        thresholds=THRESHOLDS,
        tags={"release": "1.4.2"},
    )
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
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(path=f"{DIRECTORY}/page-phone.png")
        page.goto(f"{page.url}#{failed}")
        wait_for_state(page, "failed")
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(path=f"{DIRECTORY}/page-failed.png")

    await browser.run(scenario, viewport=DESKTOP)
    for job in (await agent.request("GET", "/jobs")).json["jobs"]:
        await agent.request("DELETE", f"/jobs/{job['id']}")
    await agent.ended(running)


@pytest.mark.screenshots
async def test_picture_of_a_report(agent: Agent, browser: Browser, script: Builder) -> None:
    """Capture the upper part of a report of 90 seconds, in which the target is slow for a time."""
    job_id = await agent.queue(
        "checkout",
        script(SLOW_CHECKOUT),
        load={
            "start": 10,
            "stages": [{"rate": 60, "duration": 45}, {"rate": 60, "duration": 45}],
            "max_in_flight": 20,
        },
        thresholds=REPORT_THRESHOLDS,
        tags={"release": "1.4.2"},
    )
    await windows_of(agent, job_id, 70)
    await agent.request(
        "PATCH",
        f"/jobs/{job_id}",
        data=b'{"rate": 80}',
        headers={"Content-Type": "application/merge-patch+json"},
    )
    await agent.settled(job_id, timeout_seconds=120)

    def scenario(page: Page) -> None:
        page.goto(f"http://127.0.0.1:{agent.port}/jobs/{job_id}/report.html")
        wait_until(page, "document.querySelector('#heat-map .line') !== null")
        upper = {"x": 0, "y": 0, "width": 1240, "height": 1960}
        page.screenshot(path=f"{DIRECTORY}/report.png", full_page=True, clip=upper)

    await browser.run(scenario, viewport={"width": 1240, "height": 900})
