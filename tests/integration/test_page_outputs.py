"""Outputs on the page: their trouble, a table for each job, giving up, and the choice of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peers.accessibility import findings
from peers.agent import Agent
from peers.browser import Browser
from peers.collector import Collector
from peers.notes import Notes
from peers.page import DESKTOP, LOW_CONTRAST_TEXTS, PHONE, fits, visit, wait_for_state, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROW = "#outputs tbody tr[data-key={name}]"


def row(page: Page, name: str) -> list[str]:
    """Return the texts of the row of an output."""
    return page.locator(ROW.format(name=name)).locator("th, td").all_inner_texts()


async def test_an_output_that_is_down(
    outputs_agent: Agent, archive: Collector, browser: Browser, numbered: Notes
) -> None:
    """The banner names it with its address, the job has a row for each, and a person gives up."""
    agent = outputs_agent
    await archive.close()
    await agent.start()
    job_id = await agent.queue("shop", numbered.script(count=1000), duration=1)
    await agent.settled(job_id)

    def scenario(page: Page) -> None:
        visit(page, agent)
        wait_for_state(page, "finished")
        page.get_by_text("Results go to", exact=False).filter(has_text="archive").wait_for()
        notice = page.locator("#notices .notice").filter(has_text="1,000 results wait for output")
        notice.wait_for()
        assert f"archive ({archive.url}): connection refused" in notice.inner_text()
        page.locator(ROW.format(name="archive")).get_by_text("retrying").wait_for()
        assert row(page, "collector")[:4] == ["collector", "ok", "1,000", "0"]
        name, state, delivered, pending, *_, error = row(page, "archive")
        assert (name, state, delivered, pending) == ("archive", "retrying", "0", "1,000")
        assert "connection refused" in error
        check_looks(page)
        give_up(page)
        assert not page.locator(ROW.format(name="archive")).get_by_role("button").is_visible()

    def check_looks(page: Page) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert findings(page) == []
            assert page.evaluate(LOW_CONTRAST_TEXTS) == []
        page.set_viewport_size(PHONE)
        assert fits(page)
        assert findings(page) == []
        box = page.locator("#outputs").get_by_role("button", name="Give up").bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= PHONE["width"] - box["width"]
        page.set_viewport_size(DESKTOP)

    def give_up(page: Page) -> None:
        button = page.get_by_role("button", name="Give up the results pending for archive")
        button.click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_text("1,000 results of shop will not be sent to archive").wait_for()
        assert findings(page) == []
        dialog.get_by_role("button", name="Keep them").click()
        button.click()
        dialog.get_by_role("button", name="Give them up").click()
        cells = "document.querySelectorAll('#outputs tr[data-key=archive] td')"
        wait_until(page, f"{cells}[2].textContent === '0' && {cells}[4].textContent === '1,000'")

    await browser.run(scenario, viewport=DESKTOP)
    found = (await agent.job(job_id))["outputs"]
    assert (found["archive"]["abandoned"], found["collector"]["delivered"]) == (1000, 1000)


async def test_an_output_that_is_down_before_a_job(
    outputs_agent: Agent, archive: Collector, browser: Browser
) -> None:
    """An operator sees it before results wait."""
    await archive.close()
    await outputs_agent.start()

    def scenario(page: Page) -> None:
        visit(page, outputs_agent)
        text = f"Output archive ({archive.url}) accepts no results: connection refused"
        page.get_by_text(text).wait_for()

    await browser.run(scenario, viewport=DESKTOP)


async def test_a_job_chooses_its_outputs(
    outputs_agent: Agent,
    collector: Collector,
    archive: Collector,
    browser: Browser,
    numbered: Notes,
) -> None:
    """The form offers them if there are several; running again has the same choice."""
    agent = outputs_agent
    await agent.start()
    script = str(numbered.script(count=100))

    def scenario(page: Page) -> Any:
        visit(page, agent)
        form = page.locator("#form")
        form.get_by_label("File", exact=True).set_input_files(script)
        form.get_by_label("Name").fill("chosen")
        form.get_by_label("Duration").fill("1")
        form.get_by_text("Arguments, files and more").click()
        boxes = form.get_by_role("group", name="Outputs").get_by_role("checkbox")
        boxes.first.wait_for()
        assert [box.is_checked() for box in boxes.all()] == [True, True]
        assert findings(page) == []
        for box in boxes.all():
            box.uncheck()
        page.get_by_role("button", name="Upload and queue").click()
        page.get_by_text("Choose at least one output.").wait_for()
        form.get_by_label("archive").check()
        page.get_by_role("button", name="Upload and queue").click()
        wait_for_state(page, "finished")
        page.locator(ROW.format(name="archive")).wait_for()
        assert page.locator("#outputs tbody tr").count() == 1
        page.get_by_role("button", name="Run again").click()
        assert [box.is_checked() for box in boxes.all()] == [False, True]

    await browser.run(scenario, viewport=DESKTOP)
    [job] = (await agent.request("GET", "/jobs")).json["jobs"]
    agent.jobs.append(job["id"])
    assert list(job["outputs"]) == ["archive"]
    assert len(archive.results("chosen")) == 100
    assert collector.results("chosen") == []


async def test_a_collector_without_trouble_needs_no_table(
    agent: Agent, browser: Browser, numbered: Notes
) -> None:
    """The page of an agent with a collector only is as before."""
    job_id = await agent.queue("shop", numbered.script(count=100), duration=1)
    await agent.settled(job_id)

    def scenario(page: Page) -> None:
        visit(page, agent)
        wait_for_state(page, "finished")
        page.get_by_text("Downloads").wait_for()
        assert not page.locator("#outputs").is_visible()
        assert not page.locator("#outputs-field").is_visible()

    await browser.run(scenario, viewport=DESKTOP)
