"""The page at / as people use it: a real browser over a real agent."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.browser import Browser
from peers.page import DESKTOP, PHONE, field, fits, state_is, submit, until, visit

import goloagent

try:
    from playwright.sync_api import Error
except ImportError:  # then there is no browser either, and no test runs
    Error = Exception  # type: ignore[assignment,misc]

if TYPE_CHECKING:
    from playwright.sync_api import Page

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
        page.locator("#log-tail", has_text="the payment service is slow").wait_for()

    await browser.run(scenario, viewport=DESKTOP)
    [job] = (await agent.request("GET", "/jobs")).json["jobs"]
    assert (job["name"], job["users"], job["duration"]) == ("shop", 5, 6)
    assert job["results"]["delivered"] == job["results"]["read"] > 0


SLOW_AT_THE_END = """
import itertools, sys, time
sys.path.insert(0, {checkout!r})
from goloagent.sdk import report, serve

calls = itertools.count()

def journey():
    seconds = 2.5 if next(calls) >= 100 else 0.01
    time.sleep(seconds)
    url = "http://shop/{{}}".format(int(seconds * 1000))
    report(method="GET", url=url, status=200, size=1, duration_seconds=seconds)

serve(journey)
"""


@pytest_twisted.ensureDeferred
async def test_the_last_results_are_in_the_figures(
    agent: Agent, browser: Browser, script: Callable[..., Path]
) -> None:
    """What comes in a job's last moments, by nature its slowest calls, is shown at once."""
    program = script(SLOW_AT_THE_END.format(checkout=str(Path(goloagent.__file__).parents[1])))

    def scenario(page: Page) -> str:
        visit(page, agent)
        submit(page, program, "slow", duration=1)
        state_is(page, "finished")
        until(page, "document.querySelector('#stats tbody').children.length === 2")
        page.get_by_role("button", name="max", exact=True).click()
        until(page, "document.querySelector('#stats td.url').textContent === 'http://shop/2500'")
        until(page, "document.querySelector('[data-field=whole-run]').textContent.includes('2.5')")
        return field(page, "whole-run")

    shown = await browser.run(scenario, viewport=DESKTOP)
    [job] = (await agent.request("GET", "/jobs")).json["jobs"]
    statistics = (await agent.request("GET", f"/jobs/{job['id']}/stats")).json
    assert statistics["results"] == job["results"]["valid"]
    assert f"max {statistics['latency']['max']:.2f} s" in shown


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
        assert page.evaluate("document.activeElement.textContent") == "Keep the job"
        page.keyboard.press("Escape")
        dialog.wait_for(state="hidden")
        waiting.get_by_role("button", name="Cancel second").click()
        dialog.get_by_role("button", name="Cancel the job").click()
        page.get_by_text("The queue is empty.").wait_for()
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
    """URLs, methods, logs and warnings that are markup are shown as they are and do nothing."""
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
        page.locator("#warnings", has_text="of stdout is not a result: ").wait_for()
        state_is(page, "finished")
        page.locator("#warnings", has_text="lines of stdout are no results").wait_for()
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
        page.get_by_role("link", name="Back to the running job").click()
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
                const { linePath, roundStep } = await import("./page/chart.js");
                const same = (number) => number;
                const at = (...times) => times.map((time) => ({ time: time * 1000, value: 1 }));
                const missing = [...at(1), { time: 2000, value: null }, ...at(3)];
                const draw = (samples) => linePath(samples, "value", (time) => time / 1000, same);
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
        page.get_by_text("The agent does not respond").wait_for()
        browser.meanwhile(agent.start())
        state_is(page, "interrupted")
        page.get_by_text("The agent does not respond").wait_for(state="detached")
        submit(page, shop, "next", duration=600)
        page.get_by_role("link", name="Back to the running job").or_(
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
    browser.complaints.clear()  # of the 401
    await browser.run(scenario, http_credentials={"username": "me", "password": "correct-horse"})
