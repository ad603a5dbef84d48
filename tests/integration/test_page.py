"""The page at / as people use it: a real browser over a real agent."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.browser import TIMEOUT_SECONDS, Browser

import goloagent

try:
    from playwright.sync_api import Error
except ImportError:  # then there is no browser either, and no test runs
    Error = Exception  # type: ignore[assignment,misc]

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
    print("the payment service is slow", file=sys.stderr)

serve(journey)
"""

HOSTILE = [
    "<img src=x onerror=window.caught=1>",
    "</pre><script>window.caught=1</script>",
    "\u202eevil\u202c \x1b[31mred\x1b[0m \x00 {{7*7}} ${7*7}",
    "https://evil.example/" + "x" * 4000,
    "javascript:window.caught=1",
]

# Returns the texts whose contrast with what they stand on is below WCAG 2's 4.5 to 1.
DULL_TEXTS = """() => {
    const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const luminance = (color) => {
        const [r, g, b] = color.map((part) => linear(part / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const numbers = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
    const ground = (node) => {
        const color = numbers(getComputedStyle(node).backgroundColor);
        return color.length === 3 ? color : ground(node.parentElement);
    };
    const isText = (child) => child.nodeType === Node.TEXT_NODE && child.data.trim();
    const shown = [...document.querySelectorAll("body *")].filter((node) =>
        [...node.childNodes].some(isText) && node.checkVisibility() && !node.matches(":disabled"));
    const contrast = (node) => {
        const style = getComputedStyle(node);
        const color = numbers(node instanceof SVGElement ? style.fill : style.color);
        const [less, more] = [color, ground(node)].map(luminance).sort((a, b) => a - b);
        return (more + 0.05) / (less + 0.05);
    };
    const dull = shown.filter((node) => contrast(node) < 4.5);
    return dull.map((node) => `${node.textContent.slice(0, 40)}: ${contrast(node)}`);
}"""

SAYS_SO = """
import json, sys, time
sys.path.insert(0, {checkout!r})
from goloagent.sdk import report, serve

def journey():
    for text in {texts!r}:
        report(method=text[:20], url=text, status=200, size=1, duration_seconds=0.001, error=text)
        print(text, flush=True)
        print(text, file=sys.stderr, flush=True)
    time.sleep(0.2)

serve(journey)
"""

FAILS = """
import sys
print("cannot reach <b>the</b> database", file=sys.stderr)
sys.exit(3)
"""


@pytest.fixture
def shop(script: Callable[..., Path]) -> Path:
    """A load test of many URLs."""
    return script(SHOP.format(checkout=str(Path(goloagent.__file__).parents[1])))


def visit(page: Page, agent: Agent, rest: str = "") -> None:
    """Open the page and wait until it knows the agent."""
    page.goto(f"http://127.0.0.1:{agent.port}/{rest}")
    page.get_by_text("ready", exact=True).wait_for()


def submit(page: Page, program: Path, name: str, duration: int) -> None:
    """Upload a load test and queue a job by the form."""
    page.get_by_label("File").set_input_files(str(program))
    page.locator("#form").get_by_label("Name").fill(name)
    page.locator("#form").get_by_label("Users").fill("5")
    page.locator("#form").get_by_label("Duration, s").fill(str(duration))
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


def until(page: Page, condition: str) -> None:
    """Wait until an expression of JavaScript is true.

    Playwright's own way would have the page evaluate a string, which its policy forbids.
    """
    end = time.monotonic() + TIMEOUT_SECONDS
    while not page.evaluate(condition):
        assert time.monotonic() < end, (
            f"never true: {condition}\n{page.locator('body').inner_text()}"
        )
        page.wait_for_timeout(50)


@pytest_twisted.ensureDeferred
async def test_a_job_is_queued_and_watched_to_its_end(
    agent: Agent, browser: Browser, shop: Path
) -> None:
    """The form uploads and queues; figures, charts, statistics and log move until it is over."""

    def scenario(page: Page) -> None:
        visit(page, agent)
        assert "Nothing has run yet" in page.locator("#job").inner_text()
        submit(page, shop, "shop", duration=6)
        state_is(page, "running")
        assert field(page, "name") == "shop"
        for chart, series in (("rate", ".a"), ("rate", ".b"), ("latency", ".a")):
            line = (
                f"document.querySelector('#{chart}-chart .line{series}')?.getAttribute('d') ?? ''"
            )
            until(page, f"({line}).split('L').length > 2")
        until(page, "Number(document.querySelector('[data-field=flight]').textContent) === 5")
        assert re.fullmatch(r"[\d.]+ ms", field(page, "p95"))
        assert re.fullmatch(r"\d s of 6 s", field(page, "elapsed"))
        assert re.fullmatch(r"shop [\d.,]+/s · golo-agent", page.title())
        page.get_by_role("cell", name="https://shop.example/cart").first.wait_for()
        seen = page.locator("#log-tail").inner_text()
        assert '"https://shop.example/' in seen
        until(page, f"document.querySelector('#log-tail').textContent !== {seen!r}")
        state_is(page, "finished")
        until(page, "document.querySelector('[data-field=pending]').textContent === '0'")
        assert page.locator("#cancel").is_hidden()
        assert "whole run: p50" in field(page, "whole-run")
        row = page.locator("#history tbody tr").inner_text()
        assert "finished" in row
        page.get_by_text("err.log", exact=True).click()
        page.get_by_text("the payment service is slow").wait_for()

    await browser.run(scenario, viewport=DESKTOP)
    [job] = (await agent.request("GET", "/jobs")).json["jobs"]
    assert (job["name"], job["users"], job["duration"]) == ("shop", 5, 6)
    assert job["results"]["delivered"] == job["results"]["read"] > 0


@pytest_twisted.ensureDeferred
async def test_jobs_are_cancelled(agent: Agent, browser: Browser, shop: Path) -> None:
    """A job that runs and one that waits are cancelled once that is confirmed, and not before."""

    def scenario(page: Page) -> None:
        visit(page, agent)
        submit(page, shop, "first", duration=600)
        state_is(page, "running")
        submit(page, shop, "second", duration=600)
        waiting = page.locator("#queue li")
        waiting.get_by_role("button", name="Cancel second").click()
        dialog = page.get_by_role("dialog")
        assert "second" in dialog.inner_text()
        assert page.evaluate("document.activeElement.textContent") == "Keep it"
        page.keyboard.press("Escape")
        dialog.wait_for(state="hidden")
        waiting.get_by_role("button", name="Cancel second").click()
        dialog.get_by_role("button", name="Cancel the job").click()
        page.get_by_text("Nothing waits.").wait_for()
        state_is(page, "running")
        page.locator("#cancel").click()
        dialog.get_by_role("button", name="Cancel the job").click()
        state_is(page, "cancelled")
        assert "cancelled" in field(page, "reason")

    await browser.run(scenario, viewport=DESKTOP)
    jobs = (await agent.request("GET", "/jobs")).json["jobs"]
    assert [job["state"] for job in jobs] == ["cancelled", "cancelled"]


@pytest_twisted.ensureDeferred
async def test_a_failed_job_says_why(
    agent: Agent, browser: Browser, script: Callable[..., Path]
) -> None:
    """The reason, the sentence, the exit code and the end of stderr are there; it can run again."""

    def scenario(page: Page) -> None:
        visit(page, agent)
        submit(page, script(FAILS), "broken", duration=5)
        state_is(page, "failed")
        assert field(page, "reason") == "exited"
        assert "exit code 3" in field(page, "exit")
        page.locator('[data-field="stderr"]').get_by_text("cannot reach <b>the</b>").wait_for()
        assert "failed" in page.locator("#history tbody tr").inner_text()
        page.get_by_role("button", name="Run again").click()
        page.get_by_role("button", name="Queue", exact=True).click()
        until(page, "document.querySelectorAll('#history [data-state=failed]').length === 2")

    await browser.run(scenario, viewport=DESKTOP)
    again, first = (await agent.request("GET", "/jobs")).json["jobs"]
    same = ("name", "users", "duration", "binary", "reason")
    assert [again[key] for key in same] == [first[key] for key in same]


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_queued_is_told_in_the_agents_words(
    agent: Agent, browser: Browser, tmp_path: Path
) -> None:
    """A file that is no program is refused with a sentence, and the form can be used again."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG")

    def scenario(page: Page) -> str:
        visit(page, agent)
        submit(page, picture, "picture", duration=5)
        until(page, "document.querySelector('#form-error').textContent !== ''")
        assert page.get_by_role("button", name="Upload and queue").is_enabled()
        return page.locator("#form-error").inner_text()

    refused = await browser.run(scenario)
    browser.expected("400")
    assert "exec" in refused


@pytest_twisted.ensureDeferred
async def test_text_of_jobs_stays_text(
    agent: Agent, browser: Browser, script: Callable[..., Path]
) -> None:
    """URLs, methods and log lines that are markup are shown as they are and do nothing."""
    checkout = str(Path(goloagent.__file__).parents[1])
    program = script(SAYS_SO.format(checkout=checkout, texts=HOSTILE))

    def scenario(page: Page) -> None:
        visit(page, agent)
        submit(page, program, "x" * 64, duration=4)
        state_is(page, "running")
        page.locator("#stats td.url", has_text=HOSTILE[0]).wait_for()
        page.locator("#stats td.url", has_text=HOSTILE[1]).wait_for()
        assert fits(page)
        page.locator("#log-tail", has_text=HOSTILE[1]).wait_for()
        state_is(page, "finished")
        page.get_by_text("err.log", exact=True).click()
        page.locator("#log-tail", has_text=HOSTILE[0]).wait_for()
        assert page.locator("main img, main script, main iframe, main b").count() == 0
        assert page.evaluate("window.caught") is None
        assert fits(page)

    await browser.run(scenario, viewport=PHONE)


@pytest_twisted.ensureDeferred
async def test_history_has_pages_and_filters(agent: Agent, browser: Browser, shop: Path) -> None:
    """Older jobs are on further pages; state and name choose; a job that is chosen is shown."""
    binary = await agent.upload(shop)
    running = await agent.queue("runs", binary, duration=600)
    ids = [await agent.queue(f"job-{number}", binary, duration=1) for number in range(25)]
    for job_id in ids:
        assert (await agent.request("DELETE", f"/jobs/{job_id}")).status == 200

    def scenario(page: Page) -> None:
        visit(page, agent)
        rows = page.locator("#history tbody tr")
        until(page, "document.querySelectorAll('#history tbody tr').length === 20")
        assert "job-24" in rows.first.inner_text()
        page.get_by_role("button", name="Older").click()
        until(page, "document.querySelectorAll('#history tbody tr').length === 6")
        assert "runs" in rows.last.inner_text()
        page.get_by_role("button", name="Newer").click()
        until(page, "document.querySelectorAll('#history tbody tr').length === 20")
        page.locator("#filter").get_by_label("State").select_option("running")
        until(page, "document.querySelectorAll('#history tbody tr').length === 1")
        assert "runs" in rows.first.inner_text()
        page.locator("#filter").get_by_label("State").select_option("")
        page.locator("#filter").get_by_label("Name").fill("job-7")
        until(page, "document.querySelectorAll('#history tbody tr').length === 1")
        page.get_by_role("link", name="job-7").click()
        state_is(page, "cancelled")
        assert field(page, "name") == "job-7"
        page.get_by_role("link", name="Show what runs now").click()
        state_is(page, "running")
        page.go_back()
        state_is(page, "cancelled")
        assert field(page, "name") == "job-7"

    await browser.run(scenario, viewport=DESKTOP)
    await agent.request("DELETE", f"/jobs/{running}")
    await agent.ended(running)


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_phone_and_can_be_read(
    agent: Agent, browser: Browser, shop: Path, scheme: str
) -> None:
    """At 360 px nothing is wider than the window, and in both schemes every text stands out."""

    def scenario(page: Page) -> None:
        visit(page, agent)
        assert fits(page)
        submit(page, shop, "shop", duration=4)
        state_is(page, "running")
        page.locator("#stats td.url").first.wait_for()
        until(page, "document.querySelector('#rate-chart .tick') !== null")
        assert fits(page)
        assert page.evaluate(DULL_TEXTS) == []
        lightness = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (int(re.findall(r"\d+", lightness)[0]) < 64) == (scheme == "dark")
        state_is(page, "finished")
        assert fits(page)
        assert page.evaluate(DULL_TEXTS) == []
        page.set_viewport_size(DESKTOP)
        assert fits(page)
        assert page.evaluate(DULL_TEXTS) == []

    await browser.run(scenario, viewport=PHONE, color_scheme=scheme)


@pytest_twisted.ensureDeferred
async def test_charts_are_read_by_keyboard_and_break_at_gaps(
    agent: Agent, browser: Browser, shop: Path
) -> None:
    """Arrow keys move a read-out that is spoken; what was not measured is not drawn."""

    def scenario(page: Page) -> None:
        visit(page, agent)
        drawn = page.evaluate(
            """async () => {
                const { path, roundStep } = await import("/page/chart.js");
                const same = (number) => number;
                const at = (...times) => times.map((time) => ({ time: time * 1000, value: 1 }));
                const missing = [...at(1), { time: 2000, value: null }, ...at(3)];
                const draw = (samples) => path(samples, "value", (time) => time / 1000, same);
                return [draw(at(1, 2, 3)), draw(at(1, 2, 9, 10)), draw(missing), draw([]),
                        [0.3, 1, 1.1, 24.5, 990].map(roundStep)];
            }"""
        )
        assert drawn == [
            "M1.0 1.0h0L2.0 1.0L3.0 1.0",
            "M1.0 1.0h0L2.0 1.0M9.0 1.0h0L10.0 1.0",
            "M1.0 1.0h0M3.0 1.0h0",
            "",
            [0.5, 1, 2, 25, 1000],
        ]
        submit(page, shop, "shop", duration=5)
        state_is(page, "running")
        until(
            page,
            "document.querySelector('#rate-chart .line.a')?.getAttribute('d').includes('L')",
        )
        chart = page.locator("#rate-chart svg")
        chart.focus()
        chart.press("Home")
        spoken = page.locator("#rate-chart [aria-live]")
        first = spoken.inner_text()
        assert re.match(r"\d\d:\d\d:\d\d: calls [\d.,]+, results [\d.,]+, errors [\d.,]+$", first)
        chart.press("ArrowRight")
        assert spoken.inner_text() != first
        assert page.locator("#rate-chart .cursor").count() == 1
        state_is(page, "finished")

    await browser.run(scenario, viewport=DESKTOP)


@pytest_twisted.ensureDeferred
async def test_it_outlives_the_agent(agent: Agent, browser: Browser, shop: Path) -> None:
    """While the agent is gone the page says so, and after a restart it goes on by itself."""
    job_id = await agent.queue("shop", shop, duration=600)

    def scenario(page: Page) -> None:
        visit(page, agent)
        state_is(page, "running")
        browser.meanwhile(agent.kill())
        page.get_by_text("The agent does not answer").wait_for()
        browser.meanwhile(agent.start())
        state_is(page, "interrupted")
        page.get_by_text("The agent does not answer").wait_for(state="detached")
        submit(page, shop, "next", duration=600)
        page.get_by_role("link", name="Show what runs now").or_(
            page.locator("#job-name", has_text="next")
        ).first.wait_for()

    await browser.run(scenario, viewport=DESKTOP)
    browser.expected("ERR_")
    assert (await agent.job(job_id))["state"] == "interrupted"


@pytest_twisted.ensureDeferred
async def test_with_a_token_the_browser_asks_for_a_password(
    idle_agent: Agent, browser: Browser, shop: Path, tmp_path: Path
) -> None:
    """Without the password there is no page; with it everything works, the live figures too."""
    token = tmp_path / "token"
    token.write_text("correct-horse\n", encoding="ascii")
    token.chmod(0o600)
    idle_agent.options["--token-file"] = str(token)
    await idle_agent.start()

    def without(page: Page) -> None:
        url = f"http://127.0.0.1:{idle_agent.port}/"
        answer = page.request.get(url)
        assert (answer.status, answer.body()) == (401, b"a valid bearer token is required\n")
        challenges = answer.headers_array
        assert 'Basic realm="golo-agent", charset="UTF-8"' in [one["value"] for one in challenges]
        with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):  # nobody to be asked
            page.goto(url)

    def scenario(page: Page) -> None:
        visit(page, idle_agent)
        submit(page, shop, "shop", duration=3)
        until(page, "document.querySelector('#rate-chart .line.a')?.getAttribute('d')")
        state_is(page, "finished")

    await browser.run(without)
    browser.expected("401")
    await browser.run(scenario, http_credentials={"username": "me", "password": "correct-horse"})
