"""The web page in Chromium against a real agent: each test is a journey of a user."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from peers.agent import Agent
from peers.browser import Browser
from peers.page import (
    DESKTOP,
    LOW_CONTRAST_TEXTS,
    PHONE,
    field,
    fits,
    submit_form,
    visit,
    wait_for_state,
    wait_until,
)
from peers.programs import Builder

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Whether the rows of the statistics add up to the results of the job.
STATISTICS_ARE_COMPLETE = """(() => {
    const number = (node) => Number(node.textContent.replaceAll(",", ""));
    const rows = [...document.querySelectorAll("#stats tbody td:nth-child(3)")].map(number);
    const results = number(document.querySelector("[data-field=results]"));
    return results > 0 && rows.reduce((sum, row) => sum + row, 0) === results;
})()"""

EXITS = """
import sys
print("cannot reach <b>the</b> database", file=sys.stderr)
sys.exit(3)
"""


def check_layout(page: Page) -> None:
    """Check that nothing is wider than a phone or a desktop, and that both schemes are legible."""
    for viewport in (PHONE, DESKTOP):
        page.set_viewport_size(viewport)
        assert fits(page)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (int(re.findall(r"\d+", background)[0]) < 64) == (scheme == "dark")
            assert page.evaluate(LOW_CONTRAST_TEXTS) == []


def wait_for_rows(page: Page, count: int) -> None:
    """Wait until the history has `count` rows."""
    wait_until(page, f"document.querySelectorAll('#history tbody tr').length === {count}")


@pytest.mark.full
async def test_job_from_upload_to_end(agent: Agent, browser: Browser, shop: Path) -> None:
    """The form queues a job; figures, charts, statistics and log follow it to its end."""

    async def end_load() -> None:
        [job] = (await agent.request("GET", "/jobs")).json["jobs"]
        await agent.end_load(job["id"])

    def scenario(page: Page) -> None:
        visit(page, agent)
        assert "Nothing has run yet" in page.locator("#job").inner_text()
        page.get_by_text("Protections").click()
        page.get_by_text("Requests need no token.").wait_for()
        check_layout(page)
        submit_form(page, shop, "shop", duration=50)
        wait_for_state(page, "running")
        assert field(page, "name") == "shop"
        for line in ("#rate-chart .line.a", "#rate-chart .line.b", "#latency-chart .line.a"):
            path = f"document.querySelector('{line}')?.getAttribute('d') ?? ''"
            wait_until(page, f"({path}).split('L').length > 2")
        wait_until(page, "document.querySelector('[data-field=flight]').textContent === '5'")
        assert re.fullmatch(r"[\d.]+ ms", field(page, "p95"))
        assert re.fullmatch(r"\d+ s of 50 s", field(page, "elapsed"))
        assert re.fullmatch(r"shop [\d.,]+/s · golo-agent", page.title())
        read_chart_by_keyboard(page)
        page.get_by_role("button", name="/cart", exact=True).first.wait_for()
        tail = page.locator("#log-tail").inner_text()
        assert '"https://shop.example/' in tail
        wait_until(page, f"document.querySelector('#log-tail').textContent !== {tail!r}")
        check_layout(page)
        browser.run_in_reactor(end_load())
        wait_for_state(page, "finished")
        wait_until(page, "document.querySelector('[data-field=pending]').textContent === '0'")
        wait_until(page, STATISTICS_ARE_COMPLETE)
        assert page.locator("#cancel").is_hidden()
        assert "whole run: p50" in field(page, "whole-run")
        assert "passed" in page.locator("#history tbody tr").inner_text()
        assert "Passed" in page.locator("#verdict").inner_text()
        page.get_by_role("button", name="max", exact=True).click()
        slowest = "/checkout"
        wait_until(page, f"document.querySelector('#stats td.url').textContent === '{slowest}'")
        page.get_by_text("err.log", exact=True).click()
        page.locator("#log-tail", has_text="the payment service is slow").wait_for()
        check_layout(page)

    await browser.run(scenario, viewport=DESKTOP)
    [job] = (await agent.request("GET", "/jobs")).json["jobs"]
    assert (job["name"], job["users"]) == ("shop", 5)
    assert job["results"]["delivered"] == job["results"]["read"] > 0


def read_chart_by_keyboard(page: Page) -> None:
    """Check that arrow keys move the cursor of a chart and announce the values under it."""
    chart = page.locator("#rate-chart svg")
    chart.focus()
    chart.press("Home")
    announcement = page.locator("#rate-chart [aria-live]")
    first = announcement.inner_text()
    assert re.match(
        r"0:\d\d: calls [\d.,]+, results [\d.,]+, errors [\d.,]+, failed calls 0$", first
    )
    chart.press("ArrowRight")
    assert announcement.inner_text() != first
    assert page.locator("#rate-chart .cursor").count() == 1


@pytest.mark.full
async def test_queue_and_history(agent: Agent, browser: Browser, shop: Path) -> None:
    """Jobs are cancelled after confirmation, and found by page, state and name."""
    binary = await agent.upload(shop)
    ids = [await agent.queue(f"job-{number}", binary, duration=600) for number in range(22)]
    for job_id in ids[1:-1]:
        assert (await agent.request("DELETE", f"/jobs/{job_id}")).status == 200

    def scenario(page: Page) -> None:
        visit(page, agent)
        wait_for_state(page, "running")
        dialog = page.get_by_role("dialog")
        page.get_by_role("button", name="Cancel job-21").click()
        assert "job-21" in dialog.inner_text()
        assert page.evaluate("document.activeElement.textContent") == "Keep the job"
        page.keyboard.press("Escape")
        dialog.wait_for(state="hidden")
        page.get_by_role("button", name="Cancel job-21").click()
        dialog.get_by_role("button", name="Cancel the job").click()
        page.get_by_text("The queue is empty.").wait_for()
        wait_for_state(page, "running")

        rows = page.locator("#history tbody tr")
        wait_for_rows(page, 20)
        assert "job-21" in rows.first.inner_text()
        page.get_by_role("button", name="Older").click()
        wait_for_rows(page, 2)
        assert "job-0" in rows.last.inner_text()
        page.get_by_role("button", name="Newer").click()
        wait_for_rows(page, 20)
        page.locator("#filter").get_by_label("State").select_option("running")
        wait_for_rows(page, 1)
        assert "job-0" in rows.first.inner_text()
        page.locator("#filter").get_by_label("State").select_option("")
        page.locator("#filter").get_by_label("Name").fill("job-7")
        wait_until(page, "document.querySelector('#history td.name a').textContent === 'job-7'")
        page.get_by_role("link", name="job-7").click()
        wait_for_state(page, "cancelled")
        assert field(page, "name") == "job-7"

        back = page.get_by_role("link", name="Back to the running job")
        back.click()
        wait_for_state(page, "running")
        page.go_back()
        wait_for_state(page, "cancelled")
        assert field(page, "name") == "job-7"
        back.click()
        wait_for_state(page, "running")
        page.locator("#cancel").click()
        dialog.get_by_role("button", name="Cancel the job").click()
        wait_for_state(page, "cancelled")
        assert (field(page, "name"), field(page, "reason")) == ("job-0", "cancelled")
        page.get_by_role("link", name="job-7").click()
        wait_until(page, "document.querySelector('#job-name').textContent === 'job-7'")
        assert back.is_hidden()

    await browser.run(scenario, viewport=DESKTOP)
    for job_id in ids:
        assert (await agent.job(job_id))["state"] == "cancelled"


async def test_failures_are_explained(
    agent: Agent, browser: Browser, script: Builder, tmp_path: Path
) -> None:
    """A rejected upload and a failed job show why; the form can be used again after both."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG")

    def scenario(page: Page) -> None:
        visit(page, agent)
        submit_form(page, picture, "picture", duration=5)
        page.locator("#form-error", has_text="exec").wait_for()
        submit_form(page, script(EXITS), "broken", duration=5)
        wait_for_state(page, "failed")
        assert field(page, "reason") == "exited"
        assert "exit code 3" in field(page, "exit")
        page.locator('[data-field="stderr"]').get_by_text("cannot reach <b>the</b>").wait_for()
        assert "failed" in page.locator("#history tbody tr").inner_text()
        page.get_by_role("button", name="Run again").click()
        page.get_by_text("Settings copied from broken").wait_for()
        page.get_by_role("button", name="Queue", exact=True).click()
        wait_until(page, "document.querySelectorAll('#history [data-state=failed]').length === 2")

    await browser.run(scenario, viewport=DESKTOP)
    browser.expect_errors("400")
    second, first = (await agent.request("GET", "/jobs")).json["jobs"]
    for key in ("name", "users", "duration", "binary", "reason"):
        assert second[key] == first[key]


async def test_page_survives_a_restart_of_the_agent(
    agent: Agent, browser: Browser, shop: Path
) -> None:
    """The page shows that the agent is gone, and recovers without a reload."""
    job_id = await agent.queue("shop", shop, duration=600)

    def scenario(page: Page) -> None:
        visit(page, agent)
        wait_for_state(page, "running")
        browser.run_in_reactor(agent.kill())
        page.get_by_text("The agent does not respond").wait_for()
        browser.run_in_reactor(agent.start())
        wait_for_state(page, "interrupted")
        page.get_by_text("The agent does not respond").wait_for(state="detached")
        submit_form(page, shop, "next", duration=600)
        page.locator("#job-name", has_text="next").wait_for()

    await browser.run(scenario, viewport=DESKTOP)
    browser.expect_errors("ERR_|503")
    assert (await agent.job(job_id))["state"] == "interrupted"


async def test_uploaded_load_tests_are_named(
    agent: Agent, browser: Browser, script: Builder
) -> None:
    """An upload is selected by its file's name, queued again without an upload, and deleted."""

    def scenario(page: Page) -> None:
        visit(page, agent)
        program = script(EXITS)
        submit_form(page, program, "broken", duration=5)
        wait_for_state(page, "failed")
        page.locator("#binary option:checked", has_text=f"{program.name} ·").wait_for(
            state="attached"
        )
        page.get_by_role("button", name="Queue", exact=True).click()
        wait_until(page, "document.querySelectorAll('#history [data-state=failed]').length === 2")
        page.get_by_role("button", name="Delete this load test").click()
        page.get_by_text(f"Deleted {program.name}.").wait_for()
        assert page.locator("#binary").input_value() == ""

    await browser.run(scenario, viewport=DESKTOP)
    assert (await agent.request("GET", "/binaries")).json["binaries"] == []
