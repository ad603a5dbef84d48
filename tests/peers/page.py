"""Steps on the web page in a browser, and a load test to run from it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from peers.agent import Agent
from peers.browser import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from playwright.sync_api import Page

PHONE = {"width": 360, "height": 780}
DESKTOP = {"width": 1360, "height": 900}

# Returns the texts whose contrast with their background is below WCAG 2's minimum of 4.5 to 1.
LOW_CONTRAST_TEXTS = """() => {
    const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const luminance = (color) => {
        const [r, g, b] = color.map((part) => linear(part / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const numbers = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
    const background = (node) => {
        const color = numbers(getComputedStyle(node).backgroundColor);
        return color.length === 3 ? color : background(node.parentElement);
    };
    const isText = (child) => child.nodeType === Node.TEXT_NODE && child.data.trim();
    const visible = [...document.querySelectorAll("body *")].filter((node) =>
        [...node.childNodes].some(isText) && node.checkVisibility() && !node.matches(":disabled"));
    const contrast = (node) => {
        const style = getComputedStyle(node);
        const color = numbers(node instanceof SVGElement ? style.fill : style.color);
        const [dark, light] = [color, background(node)].map(luminance).sort((a, b) => a - b);
        return (light + 0.05) / (dark + 0.05);
    };
    return visible.filter((node) => contrast(node) < 4.5)
        .map((node) => `${node.textContent.slice(0, 40)}: ${contrast(node)}`);
}"""

# The measured lines of all charts.
CHART_PATHS = (
    "[...document.querySelectorAll('#charts .line:not(.plan)')]"
    ".map((path) => path.getAttribute('d'))"
)

# Fetches each link and returns the statuses and empty bodies that are not as they must be.
BROKEN_LINKS = """async (selector) => {
    const links = [...document.querySelectorAll(selector)];
    const responses = await Promise.all(links.map(({ href }) => fetch(href)));
    return responses.filter(({ ok }) => !ok).map(({ url, status }) => `${status} ${url}`);
}"""

# A made-up journey through a shop: five requests to different URLs; a few of them fail.
SHOP = """
import random
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
    for method, url, typical_seconds, failure_rate in STEPS:
        seconds = typical_seconds * swell * random.lognormvariate(0, 0.35)
        time.sleep(seconds)
        status = 503 if random.random() < failure_rate else 200
        report(method=method, url=url, status=status, size=2048, duration_seconds=seconds)
    if seconds > 0.06:
        now = time.strftime("%H:%M:%S")
        print(f"{now} the payment service is slow: {seconds:.3f} s", file=sys.stderr)

serve(journey)
"""


def visit(page: Page, agent: Agent, rest: str = "") -> None:
    """Open the page and wait until it shows that the agent is ready."""
    page.goto(f"http://127.0.0.1:{agent.port}/{rest}")
    page.get_by_text("ready", exact=True).wait_for()


def submit_form(page: Page, program: Path, name: str, duration: int) -> None:
    """Upload a load test and queue a job with the form."""
    if page.locator("#binary").input_value():
        page.locator("#binary").select_option("")
    page.get_by_label("File", exact=True).set_input_files(str(program))
    page.locator("#form").get_by_label("Name").fill(name)
    page.locator("#form").get_by_label("Users", exact=True).fill("5")
    page.locator("#form").get_by_label("Duration").fill(str(duration))
    page.get_by_role("button", name="Upload and queue").click()


def wait_for_state(page: Page, state: str) -> None:
    """Wait until the shown job is in `state`."""
    page.locator("#job-state", has_text=re.compile(f"^{state}$")).wait_for(timeout=40_000)


def field(page: Page, name: str) -> str:
    """Return the text of a field of the shown job."""
    return page.locator(f'#job [data-field="{name}"]').inner_text()


def fits(page: Page) -> bool:
    """Return whether the page is no wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def wait_until(page: Page, condition: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Wait until a JavaScript expression is true.

    Playwright's `wait_for_function` evaluates strings, which the page's security policy forbids.
    """
    end = time.monotonic() + timeout_seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, (
            f"never true: {condition}\n{page.locator('body').inner_text()}"
        )
        page.wait_for_timeout(50)


def broken_links(page: Page, selector: str) -> list[str]:
    """Return the links that cannot be fetched, with their status."""
    assert page.locator(selector).count() > 0
    broken: list[str] = page.evaluate(BROKEN_LINKS, selector)
    return broken


def set_hidden(page: Page, is_hidden: bool) -> None:
    """Make the page believe that its tab is hidden, or shown again."""
    value = "true" if is_hidden else "false"
    page.evaluate(
        f"""() => {{
            Object.defineProperty(document, "hidden", {{ value: {value}, configurable: true }});
            document.dispatchEvent(new Event("visibilitychange"));
        }}"""
    )
