"""The page with much to show: 300 URLs, 1,000 jobs, a slow network; and its accessibility."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from peers.accessibility import findings
from peers.agent import Agent
from peers.browser import Browser
from peers.page import DESKTOP, PHONE, fits, visit, wait_for_state, wait_until
from peers.programs import Builder

from goloagent.core.job_spec import JobSpec
from goloagent.jobs.database import Store
from goloagent.jobs.job import CallCounts, Job, State

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

URL_COUNT = 300
PREFIX = "http://127.0.0.1:8000/api/v1/customers/214/orders/"
# Each call is of the next URL; some calls fail.
REPORTS_300_URLS = f"""
from itertools import count
from goloagent.sdk import report, serve
numbers = count()

def journey():
    number = next(numbers)
    time.sleep(0.002)
    status = 500 if number % 7 == 0 else 200
    # Some are more frequent than others, so that the most frequent ones stay the same.
    order = str(number // 2 % (100 if number % 2 else {URL_COUNT}))
    url = "{PREFIX}" + order + "/positions/" + "x" * 80 + "/" + order
    report(method="GET", url=url, status=status, size=1, duration_seconds=0.002)
    if number % 11 == 0:
        raise RuntimeError("payment refused")

serve(journey)
"""
ROWS = "document.querySelectorAll('#stats tbody tr').length"
TALLEST = "Math.max(...[...document.querySelectorAll('#stats .scroll')].map((n) => n.clientHeight))"
ORDER = "[...document.querySelectorAll('#stats td.url')].slice(0, 20).map((n) => n.textContent)"


@pytest.mark.full
async def test_300_urls(agent: Agent, browser: Browser, script: Builder) -> None:
    """They scroll in their own box, keep their places, are filtered, and are shown as a whole."""
    job_id = await agent.queue("urls", script(REPORTS_300_URLS), duration=600, users=4)

    def scenario(page: Page) -> None:
        visit(page, agent)
        wait_for_state(page, "running")
        wait_until(page, f"{ROWS} === 100")
        assert page.evaluate(TALLEST) <= 460
        page.get_by_role("button", name="Show all 300").wait_for()
        order = page.evaluate(ORDER)
        results = page.locator("#stats tbody tr td:nth-child(3)").first.inner_text()
        cell = "document.querySelector('#stats tbody td:nth-child(3)').textContent"
        wait_until(page, f"{cell} !== '{results}'")
        assert page.evaluate(ORDER) == order
        page.get_by_role("button", name="Show all 300").click()
        wait_until(page, f"{ROWS} === {URL_COUNT}")
        page.get_by_label("Filter URLs").fill("orders/123/")
        wait_until(page, f"{ROWS} === 1")
        page.get_by_text("1 of 300 URLs match").wait_for()
        page.get_by_text(f"URLs begin with {PREFIX}").wait_for()
        page.get_by_label("Filter URLs").fill("")
        browser.run_in_reactor(agent.end_load(job_id))
        wait_for_state(page, "finished")
        show_whole_url(page)
        assert findings(page) == []
        page.set_viewport_size(PHONE)
        assert fits(page)
        texts = page.evaluate(f"new Set({ORDER}).size")
        assert texts == 20
        assert findings(page) == []

    await browser.run(scenario, viewport=DESKTOP)


def show_whole_url(page: Page) -> None:
    """Check that the keyboard and a tap show the whole of a cut URL, and cut it again."""
    button = page.locator("#stats button.whole").first
    cut = button.inner_text()
    assert "…" in cut
    assert not cut.startswith("http")
    assert len(cut) <= 60
    button.focus()
    page.keyboard.press("Enter")
    assert button.inner_text().startswith(PREFIX)
    assert button.get_attribute("aria-expanded") == "true"
    button.click()
    assert button.inner_text() == cut


def add_jobs(agent: Agent, count: int) -> None:
    """Write ended jobs to the database of an agent that has not been started."""
    agent.state.mkdir(parents=True, exist_ok=True)
    began = datetime(2026, 1, 1, tzinfo=timezone.utc)
    with closing(Store(agent.state / "golo-agent.sqlite")) as store:
        for number in range(count):
            start = began + timedelta(minutes=number)
            name = "half-live" if number % 100 == 0 else f"shop-{number}"
            job = Job(f"job-{number}", JobSpec(name, 10, 10, "b"), start, state=State.FINISHED)
            job.started_at, job.ended_at = start, start + timedelta(seconds=10)
            job.calls = CallCounts(started=1000 + number, ok=990 + number, failed=10)
            store.add(job)
            store.save(job)


async def test_1000_jobs(idle_agent: Agent, browser: Browser) -> None:
    """The oldest is one click away; pages and filters stay on a reload; two jobs are compared."""
    add_jobs(idle_agent, 1000)
    await idle_agent.start()

    def scenario(page: Page) -> None:
        visit(page, idle_agent)
        page.get_by_text("Page 1 of 50 · 1,000 jobs").wait_for()
        page.get_by_role("button", name="Last").click()
        page.get_by_role("link", name="half-live").wait_for()
        assert page.locator("#history tbody tr").count() == 20
        page.reload()
        page.get_by_text("Page 50 of 50").wait_for()
        page.get_by_role("link", name="half-live").click()
        page.locator("#job-name", has_text="half-live").wait_for()
        page.get_by_text("Page 50 of 50").wait_for()
        page.locator("#filter").get_by_label("Name").fill("hal")
        page.locator("#history-page", has_text="Page 1 of 1 · 10 jobs").wait_for(state="attached")
        wait_until(page, "document.querySelectorAll('#history tbody tr').length === 10")
        page.reload()
        wait_until(page, "document.querySelectorAll('#history tbody tr').length === 10")
        assert page.locator("#filter").get_by_label("Name").input_value() == "hal"
        compare(page)

    await browser.run(scenario, viewport=DESKTOP)
    browser.expect_errors("404")  # the jobs have no logs


def compare(page: Page) -> None:
    """Check the comparison of the newest with the oldest shown job."""
    page.get_by_label("Compare half-live").first.check()
    assert page.locator("#compare").is_disabled()
    page.get_by_label("Compare half-live").last.check()
    page.locator("#compare").click()
    row = page.get_by_role("dialog").locator("tr", has_text="Calls/s")
    row.wait_for()
    assert row.locator("td").all_inner_texts() == ["100", "190", "+90.0 %"]
    assert findings(page) == []
    page.get_by_role("button", name="Close").click()
    assert page.get_by_role("dialog").count() == 0


async def test_slow_network(agent: Agent, browser: Browser, shop: Path) -> None:
    """Until there is an answer the page says that it loads; later, that its figures are old."""
    await agent.queue("shop", shop, duration=600, users=2)
    held: list[Route] = []
    is_slow = True

    def receive(route: Route) -> None:
        if is_slow:
            held.append(route)
        else:
            route.continue_()

    def release() -> None:
        nonlocal is_slow
        is_slow = False
        while held:
            held.pop().continue_()

    def scenario(page: Page) -> None:
        nonlocal is_slow
        page.route("**/jobs?limit=50", receive)
        page.goto(f"http://127.0.0.1:{agent.port}/")
        page.locator("#no-job", has_text="Loading…").wait_for()
        page.locator("#queue-empty", has_text="Loading…").wait_for()
        assert "Nothing has run yet" not in page.locator("#job").inner_text()
        release()
        wait_for_state(page, "running")
        page.locator("#queue-empty", has_text="The queue is empty.").wait_for()
        assert page.locator("#age").is_hidden()
        is_slow = True
        page.get_by_text("The figures are more than 5 s old.").wait_for()
        release()
        page.locator("#age").wait_for(state="hidden")

    await browser.run(scenario, viewport=DESKTOP)


@pytest.mark.full
async def test_axe_has_no_findings(agent: Agent, browser: Browser, script: Builder) -> None:
    """The empty page, every part of the form, a running and an ended job have none."""
    program = script(REPORTS_300_URLS)

    def everywhere(page: Page) -> None:
        for viewport in (PHONE, DESKTOP):
            page.set_viewport_size(viewport)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                assert findings(page) == [], (viewport, scheme)
            assert fits(page)

    def scenario(page: Page) -> None:
        visit(page, agent)
        for summary in page.locator("summary").all():
            summary.click()
        page.locator("#model").select_option("open")
        everywhere(page)
        browser.run_in_reactor(agent.queue("urls", program, duration=600, users=4))
        wait_for_state(page, "running")
        page.locator("#errors tbody tr").first.wait_for()
        everywhere(page)
        page.locator("#cancel").click()
        assert findings(page) == []
        page.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
        wait_for_state(page, "cancelled")
        everywhere(page)

    await browser.run(scenario, viewport=DESKTOP)
