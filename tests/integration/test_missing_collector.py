"""A missing collector is named with the reason in the log, in /health and on the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from peers.agent import Agent
from peers.browser import Browser
from peers.collector import Collector
from peers.notes import Notes
from peers.page import DESKTOP, visit
from peers.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Page


async def health(agent: Agent) -> dict[str, Any]:
    """Return the collector of /health."""
    collector: dict[str, Any] = (await agent.request("GET", "/health")).json["collector"]
    return collector


async def test_a_reachable_collector_is_logged(agent: Agent, collector: Collector) -> None:
    """The start logs its address in one line, without a push."""
    await until(lambda: f"collector {collector.url}: reachable" in agent.log)
    status = await health(agent)
    assert (status["url"], status["state"], status["pending"]) == (collector.url, "ok", 0)
    assert collector.pushes == []


async def test_a_missing_collector(
    idle_agent: Agent, collector: Collector, numbered: Notes
) -> None:
    """The log reports it at the start, during a backlog, at the end, and when it is back."""
    await collector.close()
    await idle_agent.start()
    url = collector.url
    line = f"collector {url}: not reachable (connection refused); results are stored"
    await until(lambda: line in idle_agent.log)
    job_id = await idle_agent.queue("shop", numbered.script(count=100), duration=1)
    await idle_agent.ended(job_id)
    pending = (await idle_agent.job(job_id))["results"]["pending"]
    assert pending > 0
    status = await health(idle_agent)
    assert (status["state"], status["pending"]) == ("retrying", pending)
    assert status["last_error"] == "connection refused"
    assert f"collector {url}: connection refused; delivery is retrying" in idle_agent.log
    assert await idle_agent.stop() == 0
    assert f"collector {url}: {pending} results are not delivered" in idle_agent.log
    collector.open()
    await idle_agent.start()
    await idle_agent.settled(job_id)
    status = await health(idle_agent)
    assert (status["state"], status["pending"], status["last_error"]) == ("ok", 0, None)


async def test_the_page_shows_pending_results(
    idle_agent: Agent, collector: Collector, browser: Browser, numbered: Notes
) -> None:
    """The page shows the number of pending results, the URL and the reason for any job."""
    await collector.close()
    await idle_agent.start()
    job_id = await idle_agent.queue("shop", numbered.script(count=100), duration=1)
    pending = (await idle_agent.ended(job_id))["results"]["pending"]

    def scenario(page: Page) -> str:
        visit(page, idle_agent)
        notice = page.locator("#notices .notice")
        notice.wait_for()
        return notice.inner_text()

    text = await browser.run(scenario, viewport=DESKTOP)
    assert f"{pending} results wait for the collector {collector.url}" in text
    assert "connection refused" in text


async def test_a_proxy_is_logged(idle_agent: Agent, tmp_path: Path, monkeypatch: Any) -> None:
    """The start logs the proxy and the variable that sets it."""
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    idle_agent.options["--collector"] = "http://collector.example:8082"
    await idle_agent.start()
    line = (
        "collector http://collector.example:8082: through the proxy http://127.0.0.1:9 (http_proxy)"
    )
    await until(lambda: line in idle_agent.log)
    await until(lambda: "not reachable (connection refused)" in idle_agent.log)
    assert "secret" not in idle_agent.log


async def test_without_a_collector_results_are_counted(
    idle_agent: Agent, collector: Collector, numbered: Notes
) -> None:
    """Without a collector nothing is pending, and the log has all results, also after a restart."""
    idle_agent.options["--collector"] = "none"
    await idle_agent.start()
    job_id = await idle_agent.queue("shop", numbered.script(count=1000), duration=1)
    job = await idle_agent.settled(job_id)
    assert job["results"]["valid"] == job["results"]["abandoned"] == 1000
    assert job["results"]["delivered"] == 0
    assert job["delivery"] == {"state": "none", "last_error": None, "retry_at": None}
    status = await health(idle_agent)
    assert (status["url"], status["state"], status["pending"]) == (None, "none", 0)
    assert "collector: none; results stay in the logs" in idle_agent.log
    stats = await idle_agent.request("GET", f"/jobs/{job_id}/stats")
    assert stats.json["results"] == 1000
    idle_agent.options["--collector"] = collector.url
    await idle_agent.stop()
    await idle_agent.start()
    assert (await idle_agent.job(job_id))["results"] == job["results"]
    assert collector.pushes == []
    assert len(idle_agent.run_log(job_id, "shop").read_bytes().splitlines()) == 1000


async def test_results_survive_a_start_without_a_collector(
    idle_agent: Agent, collector: Collector, numbered: Notes
) -> None:
    """Results that were pending are sent by the next start with a collector."""
    await collector.close()
    await idle_agent.start()
    job_id = await idle_agent.queue("shop", numbered.script(count=1000), duration=1)
    await idle_agent.ended(job_id)
    await idle_agent.stop()
    idle_agent.options["--collector"] = "none"
    await idle_agent.start()
    assert (await idle_agent.job(job_id))["results"]["pending"] == 1000
    assert (await health(idle_agent))["pending"] == 1000
    await idle_agent.stop()
    collector.open()
    idle_agent.options["--collector"] = collector.url
    await idle_agent.start()
    await idle_agent.settled(job_id)
    assert len(collector.results("shop")) == 1000
