"""D5: a web page cannot use the agent, tested in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.browser import Browser
from peers.programs import Builder
from peers.target import OtherSite
from twisted.internet import reactor

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Requests that a page can send with and without a preflight.
ATTACKS = """async ([agent, binary]) => {
    const job = JSON.stringify({ name: "attack", users: 1, duration: 1, binary });
    const upload = new FormData();
    upload.append("file", new Blob(["#!/bin/sh\\n"]), "attack");
    const requests = [
        ["/upload", { method: "POST", body: upload }],
        ["/queue", { method: "POST", body: job }],
        ["/queue", { method: "POST", body: new Blob([job]) }],
        ["/queue", { method: "POST", body: new Blob([job], { type: "application/json" }) }],
        ["/jobs", {}],
        ["/jobs/x", { method: "DELETE" }],
    ];
    const outcomes = [];
    for (const [path, options] of requests) {
        for (const mode of ["no-cors", "cors", "same-origin"]) {
            const more = { mode, credentials: "include" };
            try {
                const answer = await fetch(agent + path, { ...options, ...more });
                outcomes.push(`${path} ${mode} ${answer.type} ${answer.status}`);
            } catch {
                outcomes.push(`${path} ${mode} refused`);
            }
        }
    }
    navigator.sendBeacon(agent + "/queue", new Blob([job]));
    return outcomes;
}"""

SUBMITS = """([agent, type, text]) => {
    const form = document.createElement("form");
    form.method = "POST";
    form.action = agent + (type === "multipart/form-data" ? "/upload" : "/queue");
    form.enctype = type;
    const field = document.createElement("input");
    field.name = text.slice(0, 10);
    field.value = text.slice(10);
    form.append(field);
    document.body.append(form);
    form.submit();
}"""


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[OtherSite]:
    """Run another site."""
    site = OtherSite(reactor)
    site.open()
    yield site
    await site.close()


def attack(page: Page, agent: str, binary: str) -> list[str]:
    """Make all attempts from the open page, and return their outcomes."""
    origin = page.url
    outcomes = page.evaluate(ATTACKS, [agent, binary])
    job = json.dumps({"name": "attack", "users": 1, "duration": 1, "binary": binary})
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        page.goto(origin)
        with page.expect_navigation() as navigation:
            page.evaluate(SUBMITS, [agent, kind, job])
        outcomes.append(f"form {kind} {navigation.value.status}")
    page.goto(origin)
    return outcomes


async def nothing_happened(agent: Agent, before: set[Path]) -> None:
    """Assert that no job was queued and no binary stored."""
    assert (await agent.request("GET", "/jobs")).json["jobs"] == []
    assert set((agent.state / "binaries").iterdir()) == before
    assert list((agent.state / "incoming").iterdir()) == []


def refused(agent: Agent) -> list[str]:
    """Return the requests that the agent's log has as 403, as ``METHOD path``."""
    return re.findall(r'status=403 request="([A-Z]+ /[^"]*)"', agent.log)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "evil.example"])
async def test_another_site_can_do_nothing(
    agent: Agent, browser: Browser, site: OtherSite, script: Builder, name: str
) -> None:
    """A page of another port, host or name cannot read a response or change anything."""
    binary = await agent.upload(script("", "/bin/sh"))
    before = set((agent.state / "binaries").iterdir())

    def scenario(page: Page) -> list[str]:
        page.goto(f"http://{name}:{site.port}/")
        return attack(page, f"http://127.0.0.1:{agent.port}", binary)

    outcomes = await browser.run(scenario, "--host-resolver-rules=MAP evil.example 127.0.0.1")
    browser.console_errors.clear()  # messages of the browser's own policies
    assert [line for line in outcomes if not re.search("refused| opaque 0| 403$", line)] == []
    # The other requests reached the agent, which rejected them.
    assert {"POST /upload", "POST /queue", "GET /jobs"} <= set(refused(agent))
    await nothing_happened(agent, before)
    print(f"D5 {name}: {len(outcomes)} attempts, {len(refused(agent))} reached the agent: 403")


async def test_a_rebound_name_can_do_nothing(
    agent: Agent, browser: Browser, script: Builder
) -> None:
    """A site whose name resolves to the agent's address gets 403."""
    binary = await agent.upload(script("", "/bin/sh"))
    before = set((agent.state / "binaries").iterdir())

    def scenario(page: Page) -> list[str]:
        url = f"http://rebound.example:{agent.port}"
        assert page.goto(url).status == 403
        return attack(page, url, binary)

    outcomes = await browser.run(scenario, "--host-resolver-rules=MAP rebound.example 127.0.0.1")
    browser.console_errors.clear()
    # Without the beacon, which browsers do not send in this mode.
    assert [line for line in outcomes if not line.endswith("403")] == ["/jobs/x no-cors refused"]
    await nothing_happened(agent, before)
    print(f"D5 rebound: {len(outcomes)} attempts, all 403")


async def test_another_site_cannot_use_the_password(
    idle_agent: Agent, browser: Browser, site: OtherSite, script: Builder
) -> None:
    """A browser that stores the password sends it for other sites too, and gets 403."""
    idle_agent.require_token()
    await idle_agent.start()
    binary = await idle_agent.upload(script("", "/bin/sh"))
    before = set((idle_agent.state / "binaries").iterdir())

    def scenario(page: Page) -> list[str]:
        url = f"http://127.0.0.1:{idle_agent.port}"
        page.goto(url)
        page.get_by_text("ready", exact=True).wait_for()
        page.goto(f"http://127.0.0.1:{site.port}/")
        return attack(page, url, binary)

    credentials = {"username": "me", "password": "correct-horse"}
    outcomes = await browser.run(scenario, http_credentials=credentials)
    browser.console_errors.clear()
    assert [line for line in outcomes if not re.search("refused| opaque 0| 403$", line)] == []
    assert {"POST /upload", "POST /queue"} <= set(refused(idle_agent))
    await nothing_happened(idle_agent, before)
    print(f"D5 password: {len(outcomes)} attempts, {len(refused(idle_agent))} with it: 403")
