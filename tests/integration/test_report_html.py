"""The report of a run in Chromium: no request, accessible, small, and readable without scripts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe
from msgspec import structs
from peers.agent import Agent
from peers.browser import Browser
from peers.page import DESKTOP, LOW_CONTRAST_TEXTS, PHONE, fits, visit, wait_for_state, wait_until
from peers.reports import answers, hour, part
from peers.timeline import windows_of

from goloagent.report.builder import build
from goloagent.report.codec import decode
from goloagent.report.comparison.compare import compare
from goloagent.report.html import render
from goloagent.report.model import Duty, Outcome, Report

if TYPE_CHECKING:
    from playwright.sync_api import Page

MAX_BYTES = 2_000_000
HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><!--"
CHARTS = (
    "['load-chart', 'rate-chart', 'flight-chart', 'error-chart', 'heat-map', 'spectrum']"
    ".every((id) => (document.querySelector(`#${id} .line`)?.getAttribute('d') ?? '').length > 20)"
)
# Whether the heat map has painted cells.
HAS_HEAT = """(() => {
    const canvas = document.querySelector("#heat-map canvas");
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return data.some((value, index) => index % 4 === 3 && value > 0);
})()"""
COLUMN = "[...document.querySelectorAll('#urls tbody tr')].map((row) => row.cells[{}].textContent)"


def findings(page: Page) -> list[str]:
    """Return what axe finds on the page as it is now."""
    violations: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['target']}" for one in violations for node in one["nodes"]]


def full_report() -> Report:
    """Return a report that has every part."""
    usage = {"mean": 0.9876, "max": 1.0123}
    report = build(
        [part(cpu={"agent": usage, "load_test": usage})],
        outcome=Outcome(99, "a threshold failed", "The p99 of durations is above the limit."),
        duties=[
            Duty("ready", True, "The agent was ready in time."),
            Duty("delivered", None, "There is no output."),
            Duty("generator-not-the-limit", False, "The generator was the limit for 3 s."),
        ],
    )
    limited = build([part(limited=[{"cause": "agent-cpu", "from": 2, "to": 5}])]).limited
    return structs.replace(report, limited=limited, baseline=compare([report], [report]))


def written(report: Report, directory: Path) -> Path:
    """Return the file of a report."""
    path = directory / "report.html"
    path.write_bytes(render(report))
    return path


def opened(page: Page, path: Path) -> list[str]:
    """Open a file, and return the requests of the browser."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    return requests


async def test_opened_from_a_file(browser: Browser, tmp_path: Path) -> None:
    """The charts are drawn without a request; axe, contrast and width have no finding."""
    path = written(full_report(), tmp_path)

    def scenario(page: Page) -> None:
        requests = opened(page, path)
        wait_until(page, CHARTS)
        wait_until(page, HAS_HEAT)
        for viewport in (DESKTOP, PHONE):
            page.set_viewport_size(viewport)
            assert fits(page)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                assert findings(page) == []
                assert page.evaluate(LOW_CONTRAST_TEXTS) == []
        page.emulate_media(media="print", color_scheme="dark")
        colors = (
            "((style) => [style.color, style.backgroundColor])(getComputedStyle(document.body))"
        )
        assert page.evaluate(colors) == ["rgb(21, 25, 31)", "rgb(255, 255, 255)"]
        requests = [url for url in requests if not url.startswith("data:")]
        assert requests == [path.as_uri()]

    await browser.run(scenario, viewport=DESKTOP)
    assert browser.console_errors == []


async def test_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    """The table is sorted and filtered, and charts are read, without a pointer."""
    path = written(full_report(), tmp_path)

    def scenario(page: Page) -> None:
        opened(page, path)
        wait_until(page, CHARTS)
        page.get_by_role("button", name="p95").press("Enter")
        times = page.evaluate(COLUMN.format(6))
        assert times == sorted(times, key=_seconds, reverse=True)
        page.get_by_role("button", name="p95").press("Space")
        assert page.evaluate(COLUMN.format(6)) == times[::-1]
        assert page.locator("th[aria-sort=ascending]").inner_text().strip() == "p95"
        page.get_by_label("URL and status").press("Space")
        statuses = page.evaluate(COLUMN.format(2))
        assert set(statuses) == {str(row["status"]) for row in answers()["stats"]["rows"]}
        page.get_by_label("Filter URLs").fill("checkout")
        assert all("checkout" in url for url in page.evaluate(COLUMN.format(1)))
        assert "match" in page.locator("[data-field=shown]").inner_text()
        for chart in ("heat-map", "spectrum", "rate-chart"):
            page.locator(f"#{chart} svg").press("Home")
            wait_until(page, f"document.querySelector('#{chart} [aria-live]').textContent !== ''")
        page.get_by_label("calls", exact=True).press("Space")
        wait_until(page, "document.querySelector('#heat-map h3').textContent.includes('planned')")

    await browser.run(scenario, viewport=DESKTOP)
    assert browser.console_errors == []


async def test_without_scripts(browser: Browser, tmp_path: Path) -> None:
    """The verdict, the thresholds, the figures and the tables are there."""
    path = written(full_report(), tmp_path)

    def scenario(page: Page) -> None:
        opened(page, path)
        text = page.locator("main").inner_text()
        for expected in ("Failed", "p(99)<20ms", "Calls started", "/checkout", "agent-cpu"):
            assert expected in text
        assert page.get_by_text("The charts need JavaScript.").is_visible()
        assert fits(page)

    await browser.run(scenario, viewport=PHONE, java_script_enabled=False)


async def test_hostile_texts(browser: Browser, tmp_path: Path) -> None:
    """URLs and error messages are shown as they are, and run nothing."""
    recorded = answers()
    [url, *_] = recorded["stats"]["urls"]
    [row, *_] = recorded["stats"]["rows"]
    [error, *_] = recorded["stats"]["errors_by_reason"]
    stats = recorded["stats"] | {
        "urls": [{**url, "url": HOSTILE}],
        "rows": [{**row, "url": HOSTILE, "method": HOSTILE}],
        "errors_by_reason": [{**error, "message": HOSTILE}],
    }
    report = build([structs.replace(part(HOSTILE, name=HOSTILE), stats=stats)])
    path = written(report, tmp_path)

    def scenario(page: Page) -> None:
        opened(page, path)
        wait_until(page, CHARTS)
        page.get_by_label("URL and status").press("Space")
        assert page.evaluate(COLUMN.format(1)) == [HOSTILE]
        assert page.locator("img").count() == 0
        assert page.title().startswith(HOSTILE)

    await browser.run(scenario, viewport=DESKTOP)
    assert browser.console_errors == []


async def test_an_hour(browser: Browser, tmp_path: Path) -> None:
    """A run of 3,600 seconds with histograms and 300 long URLs takes at most 2 MB."""
    report = build([hour()])
    path = written(report, tmp_path)
    assert path.stat().st_size <= MAX_BYTES
    assert decode(path.read_bytes()) == report
    assert len(report.timeline) == 600

    def scenario(page: Page) -> None:
        opened(page, path)
        wait_until(page, CHARTS)
        wait_until(page, HAS_HEAT)
        assert len(page.evaluate(COLUMN.format(1))) == 300

    await browser.run(scenario, viewport=DESKTOP)


async def test_of_a_real_job(agent: Agent, browser: Browser, shop: Path) -> None:
    """The agent serves it while the job runs and when it is over; the page links to it."""
    job_id = await agent.queue("shop", shop, duration=600, users=5)
    await windows_of(agent, job_id, 1)
    running = await agent.request("GET", f"/jobs/{job_id}/report.html")
    assert running.status == 200
    assert decode(running.text.encode()).state == "running"
    await agent.end_load(job_id)
    job = await agent.settled(job_id)

    def scenario(page: Page) -> bytes:
        visit(page, agent)
        wait_for_state(page, "finished")
        page.get_by_role("link", name="Report", exact=True).click()
        wait_until(page, "document.querySelector('#heat-map .line') !== null")
        wait_until(page, HAS_HEAT)
        assert page.title() == "shop: passed"
        assert page.evaluate("self.origin") == "null"
        return page.content().encode()

    seen = await browser.run(scenario, viewport=DESKTOP)
    assert browser.console_errors == []
    report = decode((await agent.request("GET", f"/jobs/{job_id}/report.html")).text.encode())
    assert decode(seen) == report
    assert structs.asdict(report.calls) == job["calls"]
    assert sum(window.results for window in report.timeline) == job["results"]["valid"]


def _seconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.,]+) (µs|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number.replace(",", "")) * {"µs": 1e-6, "ms": 1e-3, "s": 1.0}[unit]
