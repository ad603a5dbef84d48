"""The form of the page offers every member of a job, in Chromium against a real agent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from peers.accessibility import findings
from peers.agent import Agent
from peers.browser import Browser
from peers.page import DESKTOP, LOW_CONTRAST_TEXTS, PHONE, fits, visit, wait_until
from peers.programs import Builder

from goloagent.core import job_members

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

EXITS = "import sys\nsys.exit(3)\n"
OPEN_MODEL = {
    "Stages, one a line": "2s: 50\n0s: 0\n2s: 20.5",
    "Value before the first stage": "10",
    "Seed, a whole number": "7",
    "Most calls in flight": "20",
    "Time for calls in flight at the end": "5",
    "Thresholds, one a line": "duration{url:/a,method:GET}: p(95)<10s over 20s\nerrors: rate<50%",
    "Not within the first, such as 30s": "9s",
    "Arguments, one a line": "--cart\n3",
    "Environment, one a line": "TARGET=staging",
    "Tags, one a line": "release=1.4.2",
    "This agent, from 0": "1",
    "Number of agents": "3",
    "Run that the jobs belong to": "0d1f",
}
EXPECTED: dict[str, Any] = {
    "name": "whole",
    "load": {
        "start": 10,
        "stages": [
            {"rate": 50, "duration": "2s"},
            {"rate": 0, "duration": "0s"},
            {"rate": 20.5, "duration": "2s"},
        ],
        "arrivals": "poisson",
        "seed": 7,
        "max_in_flight": 20,
        "when_full": "wait",
        "graceful_stop": 5,
    },
    "thresholds": {
        "duration{url:/a,method:GET}": [
            {"threshold": "p(95)<10s", "abort": True, "delay": "9s", "over": "20s"}
        ],
        "errors": [{"threshold": "rate<50%", "abort": True, "delay": "9s"}],
    },
    "drive": "jsonrpc",
    "args": ["--cart", "3"],
    "env": {"TARGET": "staging"},
    "tags": {"release": "1.4.2"},
    "share": {"index": 1, "of": 3},
    "run": {"id": "0d1f"},
    "outputs": ["archive"],
}


def members(schema: dict[str, Any]) -> set[str]:
    """Return the names of an object's members in a schema of the API."""
    return set(schema["properties"])


def submit(page: Page, button: str) -> dict[str, Any]:
    """Press the button that queues and return the request."""
    with page.expect_request("**/queue") as sent:
        page.get_by_role("button", name=button, exact=True).click()
    request: dict[str, Any] = sent.value.post_data_json
    return request


def fill_open_model(form: Locator, program: Path, files: list[str]) -> None:
    """Give each member of a job with an open load another value than its default."""
    form.get_by_label("File", exact=True).set_input_files(str(program))
    form.get_by_label("Name").fill("whole")
    form.get_by_label("Load", exact=True).select_option("Rate")
    for summary in form.locator("summary").all():
        summary.click()
    assert not form.get_by_label("Seed, a whole number").is_visible()
    form.get_by_label("Arrivals", exact=True).select_option("random (Poisson)")
    form.get_by_label("When that many are in flight").select_option("wait, and send them late")
    assert not form.get_by_label("Not within the first").is_visible()
    form.get_by_label("End the job when one fails").check()
    for label, value in OPEN_MODEL.items():
        form.get_by_label(label, exact=True).fill(value)
    form.get_by_label("How the agent drives it").select_option("JSON-RPC, one object a line")
    for file in files:
        form.get_by_label("Data files").set_input_files(file)
    form.get_by_label("Lines of users.csv").select_option("divided, the first line for each agent")
    form.get_by_label("Lines of ids.txt").select_option("lines divided among a fleet's agents")
    form.get_by_role("group", name="Outputs").get_by_label("collector").uncheck()


def check_looks(page: Page) -> None:
    """Check accessibility, contrast and width on a phone and a desktop in both schemes."""
    for viewport in (PHONE, DESKTOP):
        page.set_viewport_size(viewport)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert findings(page) == [], (viewport, scheme)
            assert page.evaluate(LOW_CONTRAST_TEXTS) == []
        assert fits(page)


async def test_every_member_is_offered(
    outputs_agent: Agent, browser: Browser, script: Builder, tmp_path: Path
) -> None:
    """Each can be given, and a copy of the job has all but the values of variables and the run."""
    agent = outputs_agent
    await agent.start()
    files = []
    for name in ("users.csv", "ids.txt", "all.txt", "wrong.txt"):
        (tmp_path / name).write_text("a\nb\n")
        files.append(str(tmp_path / name))
    program = script(EXITS)

    def scenario(page: Page) -> list[dict[str, Any]]:
        visit(page, agent)
        form = page.locator("#form")
        form.locator("#outputs-field input").first.wait_for(state="attached")
        fill_open_model(form, program, files)
        form.get_by_role("button", name="Remove wrong.txt").click()
        check_looks(page)
        requests = [submit(page, "Upload and queue")]
        page.locator("#job-name", has_text="whole").wait_for()
        page.reload()
        page.locator("#job-name", has_text="whole").wait_for()
        page.get_by_role("button", name="Run again").click()
        page.locator("#form-status", has_text="Enter the values").wait_for()
        assert form.locator("details:not([open])").count() == 0
        form.get_by_label("Environment, one a line").fill("TARGET=staging")
        requests.append(submit(page, "Queue"))
        page.reload()
        wait_until(page, "document.querySelector('#binary').options.length > 1")
        page.locator("#binary").select_option(index=1)
        requests.append(submit(page, "Queue"))
        page.locator("#model").select_option("open")
        requests.append(submit(page, "Queue"))
        return requests

    whole, copy, users, rate = await browser.run(scenario, viewport=DESKTOP)
    given = whole.pop("files")
    assert whole.pop("binary") == copy.pop("binary")
    assert whole == EXPECTED
    assert [{**file, "binary": ""} for file in given] == [
        {"name": "users.csv", "binary": "", "split": "lines", "header": True},
        {"name": "ids.txt", "binary": "", "split": "lines"},
        {"name": "all.txt", "binary": ""},
    ]
    assert copy.pop("files") == given
    assert copy == {name: value for name, value in whole.items() if name != "run"}

    # A member that is added to the API is missing here until the form has it.
    offered = {*whole, *users, *rate, "binary", "files"}
    assert offered == {
        *job_members.OptionalMembers.__struct_fields__,
        *("name", "binary", "users", "duration"),
    }
    assert set(whole["load"]) == members(job_members._LOAD)
    assert {member for file in given for member in file} == members(job_members._FILE)
    assert (set(users) - set(rate), set(rate) - set(users)) == ({"users"}, {"rate"})
    for job in (await agent.request("GET", "/jobs")).json["jobs"]:
        agent.jobs.append(job["id"])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"Seed, a whole number": "-1"}, "load.seed must be a whole number from 0 to"),
        ({"Seed, a whole number": "1.5"}, "load.seed must be a whole number from 0 to"),
        ({"Seed, a whole number": "9" * 16}, "The form takes a seed of up to 15 digits"),
        ({"Not within the first, such as 30s": "soon"}, 'delay: "soon" is not a duration'),
        ({"Only of the last, such as 10s": "700"}, "over must be at most 600 s"),
        ({"Thresholds, one a line": "errors: rate<1% over x"}, 'over: "x" is not a duration'),
        ({"Number of agents": "3"}, 'share must be such as {"index": 0, "of": 3}'),
        ({"Run that the jobs belong to": "-"}, 'run must be such as {"id": "0d1f"}'),
    ],
)
async def test_invalid_values(
    agent: Agent, browser: Browser, script: Builder, changes: dict[str, str], sentence: str
) -> None:
    """The agent's sentence, or the form's, is beside the form."""
    binary = await agent.upload(script(EXITS))

    def scenario(page: Page) -> None:
        visit(page, agent)
        form = page.locator("#form")
        page.locator(f"#binary option[value='{binary}']").wait_for(state="attached")
        page.locator("#binary").select_option(binary)
        form.get_by_label("Load", exact=True).select_option("Rate")
        for summary in form.locator("summary").all():
            summary.click()
        form.get_by_label("Arrivals", exact=True).select_option("random (Poisson)")
        form.get_by_label("End the job when one fails").check()
        form.get_by_label("Thresholds, one a line").fill("errors: rate<1%")
        for label, value in changes.items():
            form.get_by_label(label, exact=True).fill(value)
        page.get_by_role("button", name="Queue", exact=True).click()
        page.locator("#form-error", has_text=sentence).wait_for()

    await browser.run(scenario, viewport=DESKTOP)
    browser.console_errors.clear()  # the 400 of the agent


async def test_a_wrong_value_in_a_closed_part(
    agent: Agent, browser: Browser, script: Builder
) -> None:
    """The part is opened, because the browser says nothing about a field that is not shown."""
    binary = await agent.upload(script(EXITS))

    def scenario(page: Page) -> None:
        visit(page, agent)
        page.locator(f"#binary option[value='{binary}']").wait_for(state="attached")
        page.locator("#binary").select_option(binary)
        summary = page.get_by_text("Stages and limits")
        summary.click()
        page.get_by_label("Value before the first stage").fill("-1")
        summary.click()
        assert not page.get_by_label("Value before the first stage").is_visible()
        page.get_by_role("button", name="Queue", exact=True).click()
        wait_until(page, "document.activeElement.id === 'start'")

    await browser.run(scenario, viewport=DESKTOP)
