"""The page at / as a person uses it, by what is seen on it, and a load test to watch on it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from peers.agent import Agent
from peers.browser import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from playwright.sync_api import Page

PHONE = {"width": 360, "height": 780}
DESKTOP = {"width": 1360, "height": 900}

# A shop's journey, made up: five requests of different URLs, some of which fail.
SHOP = """
import random, sys, time
sys.path.insert(0, {checkout!r})
from goloagent.sdk import report, serve

STEPS = [
    ("GET", "https://shop.example/", 0.004, 0.0),
    ("GET", "https://shop.example/products?page=1", 0.009, 0.0),
    ("GET", "https://shop.example/products/1842", 0.007, 0.002),
    ("POST", "https://shop.example/cart", 0.016, 0.001),
    ("POST", "https://shop.example/checkout", 0.035, 0.012),
]
begin = time.monotonic()

def journey():
    swell = 1 + 0.5 * abs(((time.monotonic() - begin) / 20) % 2 - 1)
    for method, url, typical, failing in STEPS:
        seconds = typical * swell * random.lognormvariate(0, 0.35)
        time.sleep(seconds)
        status = 503 if random.random() < failing else 200
        report(method=method, url=url, status=status, size=2048, duration_seconds=seconds)
    if seconds > 0.06:
        now = time.strftime("%H:%M:%S")
        print(f"{{now}} the payment service is slow: {{seconds:.3f}} s", file=sys.stderr)

serve(journey)
"""


def visit(page: Page, agent: Agent, rest: str = "") -> None:
    """Open the page and wait until it knows the agent."""
    page.goto(f"http://127.0.0.1:{agent.port}/{rest}")
    page.get_by_text("ready", exact=True).wait_for()


def submit(page: Page, program: Path, name: str, duration: int) -> None:
    """Upload a load test and queue a job by the form."""
    page.get_by_label("File").set_input_files(str(program))
    page.locator("#form").get_by_label("Name").fill(name)
    page.locator("#form").get_by_label("Users").fill("5")
    page.locator("#form").get_by_label("Duration (s)").fill(str(duration))
    page.get_by_role("button", name="Upload and queue").click()


def state_is(page: Page, state: str) -> None:
    """Wait until the job that is shown is in `state`."""
    page.locator(f'#job .chip[data-state="{state}"]').wait_for(timeout=40_000)


def field(page: Page, name: str) -> str:
    """Return what a field of the job says."""
    return page.locator(f'#job [data-field="{name}"]').inner_text()


def fits(page: Page) -> bool:
    """Return whether the page needs no scrolling sideways."""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def until(page: Page, condition: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Wait until an expression of JavaScript is true.

    Playwright's own way would have the page evaluate a string, which its policy forbids.
    """
    end = time.monotonic() + timeout_seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, (
            f"never true: {condition}\n{page.locator('body').inner_text()}"
        )
        page.wait_for_timeout(50)
