"""The page with runs of every kind: errors, charts, steering, settings, in Chromium."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from peers.agent import Agent
from peers.browser import Browser
from peers.page import (
    CHART_PATHS,
    DESKTOP,
    broken_links,
    field,
    set_hidden,
    visit,
    wait_for_state,
    wait_until,
)
from peers.programs import Builder
from twisted.internet import reactor, task

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Each second call fails without a report.
HALF_OF_ALL_CALLS_FAIL = """
from itertools import count
from goloagent.sdk import report, serve
numbers = count()

def journey():
    time.sleep(0.02)
    if next(numbers) % 2:
        raise RuntimeError("payment refused: the card has expired")
    report(method="GET", url="https://shop.example/cart", status=200, size=1, duration_seconds=0.02)

serve(journey)
"""
ALL_RESULTS_ARE_ERRORS = """
from goloagent.sdk import report, serve

def journey():
    time.sleep(0.02)
    report(method="GET", url="https://shop.example/cart", status=500, size=1,
           duration_seconds=0.02, error="HTTPError: internal server error")

serve(journey)
"""
ALL_CALLS_FAIL = """
from goloagent.sdk import serve

def journey():
    time.sleep(0.02)
    raise ConnectionError("connection refused")

serve(journey)
"""
NOTHING_IS_REPORTED = """
from goloagent.sdk import serve

def journey():
    time.sleep(0.02)
    print("hello")

serve(journey)
"""
# The slowest calls return after the duration.
SLOW_AT_THE_END = """
from goloagent.sdk import report, serve

def journey():
    time.sleep(2.6)
    report(method="GET", url="https://shop.example/", status=200, size=1, duration_seconds=2.6)

serve(journey)
"""
ECHO = """
import json, os
from goloagent.sdk import report, serve
given = sys.argv[1:], os.environ.get("TARGET"), open("users.csv").read()
print(json.dumps(given), file=sys.stderr)

def journey():
    time.sleep(0.01)
    report(method="GET", url="https://shop.example/", status=200, size=1, duration_seconds=0.01)

serve(journey)
"""
IS_RED = "document.querySelector('#tile-errors').classList.contains('bad')"
RED = "rgb(180, 35, 24)"


@pytest.mark.parametrize(
    ("program", "share", "reason", "state"),
    [
        (HALF_OF_ALL_CALLS_FAIL, 50, "payment refused: the card has expired", "finished"),
        (ALL_RESULTS_ARE_ERRORS, 100, "HTTPError: internal server error", "finished"),
        (ALL_CALLS_FAIL, 100, "connection refused", "failed"),
    ],
)
async def test_errors_are_red(
    agent: Agent,
    browser: Browser,
    script: Builder,
    program: str,
    share: int,
    reason: str,
    state: str,
) -> None:
    """Failed calls and error results have their share and reason, while they run and after."""
    job_id = await agent.queue("shop", script(program), duration=600, users=4)

    def check(page: Page) -> None:
        wait_until(page, IS_RED)
        color = "getComputedStyle(document.querySelector('#tile-errors dd')).color"
        assert page.evaluate(color) == RED
        # The first calls of a run may have another share.
        near = f"Math.abs(parseFloat(ELEMENT.innerText) - {share}) <= 8"
        tile = """document.querySelector('#job [data-field="errors"]')"""
        wait_until(page, near.replace("ELEMENT", tile))
        # A call that fails without a result has a row, and so has the result that the SDK makes.
        rows = "[...document.querySelectorAll('#errors tbody tr')]"
        row = f"{rows}.find((row) => row.innerText.includes({json.dumps(reason)}))"
        wait_until(page, f"{row} && {near.replace('ELEMENT', f'{row}.children[1]')}")
        assert page.evaluate("getComputedStyle(document.querySelector('#errors td')).color") == RED

    def scenario(page: Page) -> None:
        visit(page, agent)
        wait_for_state(page, "running")
        check(page)
        browser.run_in_reactor(agent.end_load(job_id))
        wait_for_state(page, state)
        check(page)
        assert field(page, "rate-label") == "Average calls/s"
        assert float(field(page, "rate").replace(",", "")) > 10
        page.reload()
        check(page)
        assert page.locator("#history tbody td.bad").count() == 1

    await browser.run(scenario, viewport=DESKTOP, color_scheme="light")


THRESHOLDS = {"duration": ["p(95)<10s", "p(50)<1ms"], "errors": ["rate<1%"]}
RED_VERDICT = '#verdict[data-passed="false"]'


async def test_the_verdict_comes_first(agent: Agent, browser: Browser, shop: Path) -> None:
    """Each threshold has its value, while the job runs and after; a failed one makes it red."""
    job_id = await agent.queue("shop", shop, duration=600, users=3, thresholds=THRESHOLDS)

    def scenario(page: Page) -> None:
        visit(page, agent)
        page.locator(RED_VERDICT, has_text="Failing").wait_for()
        browser.run_in_reactor(agent.end_load(job_id))
        wait_for_state(page, "finished")
        verdict = page.locator(RED_VERDICT, has_text="Failed")
        verdict.wait_for()
        assert "p(50)<1ms" in verdict.locator("p").first.inner_text()
        held, failed, errors = [
            row.split("\t") for row in verdict.locator("tbody tr").all_inner_texts()
        ]
        assert held[:2] == ["✓ holds", "duration: p(95)<10s"]
        assert failed[:2] == ["✗ fails", "duration: p(50)<1ms"]
        assert errors[1] == "errors: rate<1%"
        assert (held[2][-2:], failed[2][-2:], errors[2][-1:]) == ("ms", "ms", "%")
        top = "document.querySelector('#verdict').getBoundingClientRect().top"
        assert page.evaluate(
            f"{top} < document.querySelector('.tiles').getBoundingClientRect().top"
        )
        color = "getComputedStyle(document.querySelector('#job-state')).color"
        assert page.evaluate(color) == RED
        page.locator("#history", has_text="failed checks").wait_for()
        page.locator("#history .message", has_text="p(50)<1ms").wait_for()

    await browser.run(scenario, viewport=DESKTOP, color_scheme="light")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (NOTHING_IS_REPORTED, "valid result"),
        (ALL_RESULTS_ARE_ERRORS, "internal server error"),
        (ALL_CALLS_FAIL, "connection refused"),
    ],
)
async def test_runs_without_a_success_fail(
    agent: Agent, browser: Browser, script: Builder, program: str, reason: str
) -> None:
    """A job without thresholds fails if nothing worked, with the reason, in red."""
    await agent.ended(await agent.queue("shop", script(program), duration=2, users=3))

    def scenario(page: Page) -> None:
        visit(page, agent)
        page.locator(RED_VERDICT, has_text=reason).wait_for()
        color = "getComputedStyle(document.querySelector('#verdict strong')).color"
        assert page.evaluate(color) == RED

    await browser.run(scenario, viewport=DESKTOP, color_scheme="light")


async def test_limits_of_the_generator_are_shaded(
    agent: Agent, browser: Browser, shop: Path
) -> None:
    """The agent is stopped for a second: the charts shade it, and a notice names the cause."""
    job_id = await agent.queue("shop", shop, duration=600, users=3)

    async def stop_for_a_second_and_end() -> None:
        agent.send(signal.SIGSTOP)
        await task.deferLater(reactor, 1.0)
        agent.send(signal.SIGCONT)
        await agent.end_load(job_id)

    def scenario(page: Page) -> None:
        visit(page, agent)
        wait_for_state(page, "running")
        wait_until(page, f"({CHART_PATHS})[0].split('L').length > 1")
        browser.run_in_reactor(stop_for_a_second_and_end())
        notice = page.locator("#warnings .notice", has_text="The load generator was the limit at ")
        wait_for_state(page, "finished")
        notice.filter(has_text="(loop-lag)").wait_for()
        for chart in ("load", "rate", "latency", "calls"):
            assert page.locator(f"#{chart}-chart rect.span").count() >= 1

    await browser.run(scenario, viewport=DESKTOP)


@pytest.mark.full
async def test_charts_are_equal_everywhere(agent: Agent, browser: Browser, shop: Path) -> None:
    """Two tabs, one that was hidden and one reloaded after the end have the same charts."""
    job_id = await agent.queue("shop", shop, duration=600, users=3)

    def scenario(page: Page) -> None:
        visit(page, agent)
        wait_for_state(page, "running")
        wait_until(page, f"({CHART_PATHS})[0].split('L').length > 2")
        set_hidden(page, True)
        other = page.context.new_page()
        visit(other, agent)
        # It has the seconds before it was opened.
        wait_until(other, f"({CHART_PATHS})[0].split('L').length > 2")
        elapsed = "parseFloat(document.querySelector('[data-field=elapsed]').textContent)"
        wait_until(other, f"{elapsed} > 6")
        set_hidden(page, False)
        browser.run_in_reactor(agent.end_load(job_id))
        for tab in (page, other):
            wait_for_state(tab, "finished")
            wait_until(tab, "document.querySelector('[data-field=pending]').textContent === '0'")
            wait_until(tab, "document.querySelectorAll('#downloads a').length > 2")
        whole = page.evaluate(CHART_PATHS)
        # The first point is at 1 s, and no gap begins another line.
        assert [path.count("M") for path in whole if path] == [1] * len([p for p in whole if p])
        assert whole[0].count("L") >= 6
        is_whole = f"JSON.stringify({CHART_PATHS}) === JSON.stringify({json.dumps(whole)})"
        wait_until(other, is_whole)
        page.reload()
        wait_until(page, is_whole)

    await browser.run(scenario, viewport=DESKTOP)
    timeline = (await agent.request("GET", f"/jobs/{job_id}/timeline")).json
    assert len(timeline["windows"]) >= 6


async def test_figures_include_the_last_results(
    agent: Agent, browser: Browser, script: Builder
) -> None:
    """Results of the seconds after the duration are in the table without a reload."""
    job_id = await agent.queue("slow", script(SLOW_AT_THE_END), duration=2, users=10)

    def scenario(page: Page) -> None:
        visit(page, agent)
        wait_for_state(page, "finished")
        wait_until(page, "document.querySelector('[data-field=p95]').textContent === '2.60 s'")
        page.locator("#stats tbody tr", has_text="2.60 s").wait_for()
        assert "max 2.60 s" in field(page, "whole-run")

    await browser.run(scenario, viewport=DESKTOP)
    assert (await agent.job(job_id))["results"]["read"] == 10


@pytest.mark.full
async def test_all_settings_reach_the_load_test(
    agent: Agent, browser: Browser, script: Builder, tmp_path: Path
) -> None:
    """Stages, thresholds, arguments, variables, files and tags are queued, and copied again."""
    users = tmp_path / "users.csv"
    users.write_text("name\nanna\n")

    def scenario(page: Page) -> None:
        visit(page, agent)
        form = page.locator("#form")
        assert not form.get_by_label("Stages, one a line").is_visible()
        page.get_by_label("File", exact=True).set_input_files(str(script(ECHO)))
        form.get_by_label("Name").fill("staged")
        form.get_by_label("Load", exact=True).select_option("Rate")
        for summary in form.locator("summary").all():
            summary.click()
        stages = form.get_by_label("Stages, one a line")
        stages.fill("2s: 50\nnonsense")
        assert form.get_by_label("Duration").is_disabled()
        page.get_by_role("button", name="Upload and queue").click()
        page.locator("#form-error", has_text='"nonsense" is no stage').wait_for()
        assert page.evaluate("document.activeElement.id") == "stages"
        stages.fill("2s: 50\n2s: 50")
        form.get_by_label("Most calls in flight").fill("20")
        form.get_by_label("Thresholds, one a line").fill("duration: p(95)<10s\nerrors: rate<50%")
        form.get_by_label("Arguments, one a line").fill("--cart\n3")
        form.get_by_label("Environment, one a line").fill("TARGET=https://staging.example")
        form.get_by_label("Data files").set_input_files(str(users))
        form.get_by_label("Tags, one a line").fill("release=1.4.2")
        page.get_by_role("button", name="Upload and queue").click()
        wait_for_state(page, "running")
        assert "0 → 50/s × 4 s" in field(page, "meta")  # noqa: RUF001
        assert "release=1.4.2" in field(page, "meta")
        plan = "document.querySelector('#load-chart .line.plan').getAttribute('d')"
        wait_until(page, f"{plan}.split('L').length > 2")
        wait_for_state(page, "finished")
        page.locator("#log").get_by_text("err.log", exact=True).click()
        page.locator("#log-tail", has_text='["--cart", "3"]').wait_for()
        page.locator("#log-tail", has_text="https://staging.example").wait_for()
        page.locator("#log-tail", has_text="anna").wait_for()
        page.reload()
        wait_for_state(page, "finished")
        page.get_by_role("button", name="Run again").click()
        page.locator("#form-status", has_text="Enter the values").wait_for()
        assert stages.input_value() == "2s: 50\n2s: 50"
        assert form.get_by_label("Environment, one a line").input_value() == "TARGET="
        assert "staging.example" not in page.locator("#form").inner_text()
        form.get_by_role("button", name="Remove users.csv").wait_for()

    await browser.run(scenario, viewport=DESKTOP)
    [job] = (await agent.request("GET", "/jobs")).json["jobs"]
    job = await agent.job(job["id"])
    assert job["load"]["model"] == "open"
    assert job["load"]["max_in_flight"] == 20
    assert job["calls"]["scheduled"] == 150
    assert job["thresholds"] == {"duration": ["p(95)<10s"], "errors": ["rate<50%"]}
    assert (job["args"], job["env"], job["tags"]) == (
        ["--cart", "3"],
        ["TARGET"],
        {"release": "1.4.2"},
    )


async def test_the_load_of_a_running_job_is_changed(
    agent: Agent, browser: Browser, shop: Path
) -> None:
    """The controls set users, pause, resume and add time; the chart marks each change."""
    job_id = await agent.queue("shop", shop, duration=600, users=5)

    def in_flight(page: Page, condition: str) -> None:
        wait_until(
            page, f"Number(document.querySelector('[data-field=flight]').textContent) {condition}"
        )

    def scenario(page: Page) -> None:
        visit(page, agent)
        wait_for_state(page, "running")
        in_flight(page, "=== 5")
        page.locator("#steer").get_by_label("Users").fill("9")
        page.get_by_role("button", name="Set").click()
        page.get_by_text("The job now has 9 users.").wait_for()
        in_flight(page, "=== 9")
        page.get_by_role("button", name="Pause").click()
        in_flight(page, "=== 0")
        page.get_by_role("button", name="Resume").click()
        in_flight(page, "=== 9")
        page.get_by_role("button", name="1 more minute").click()
        page.get_by_text("The job now runs for 11 min.").wait_for()
        wait_until(page, "document.querySelectorAll('#load-chart line.mark').length === 4")
        assert "of 11 min" in field(page, "elapsed")
        page.locator("#steer").get_by_label("Users").fill("1000000")
        page.get_by_role("button", name="Set").click()
        page.locator("#steer-error", has_text="users").wait_for()
        page.locator("#cancel").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
        wait_until(page, "document.activeElement.id === 'job'")
        wait_for_state(page, "cancelled")
        assert page.locator("#steer").is_hidden()
        assert broken_links(page, "#downloads a") == []

    await browser.run(scenario, viewport=DESKTOP)
    browser.expect_errors("422")
    timeline = (await agent.request("GET", f"/jobs/{job_id}/timeline")).json
    changes = [
        {key: value for key, value in one.items() if key != "at"} for one in timeline["changes"]
    ]
    assert changes == [{"users": 9}, {"paused": True}, {"paused": False}, {"duration": 660}]
