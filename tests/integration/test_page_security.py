"""The web page in Chromium with hostile output of load tests, and with a token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from peers.accessibility import findings
from peers.agent import TOKEN, Agent
from peers.browser import Browser
from peers.page import DESKTOP, PHONE, fits, submit_form, visit, wait_for_state, wait_until
from peers.programs import Builder

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = [
    "<img src=x onerror=window.caught=1>",
    "</pre><script>window.caught=1</script>",
    "\u202eevil\u202c \x1b[31mred\x1b[0m \x00 {{7*7}} ${7*7}",
    "https://evil.example/" + "x" * 4000,
    "javascript:window.caught=1",
]
REPORTS_HOSTILE_TEXTS = f"""
from goloagent.sdk import report, serve

def journey():
    for text in {HOSTILE!r}:
        report(method=text[:20], url=text, status=200, size=1, duration_seconds=0.001, error=text)
        print(text, flush=True)
        print(text, file=sys.stderr, flush=True)
    time.sleep(0.2)

serve(journey)
"""


async def test_output_of_load_tests_is_shown_as_text(
    agent: Agent, browser: Browser, script: Builder
) -> None:
    """Markup and scripts in URLs, methods, logs and warnings are shown and never executed."""

    async def end_load() -> None:
        [job] = (await agent.request("GET", "/jobs")).json["jobs"]
        await agent.end_load(job["id"])

    def scenario(page: Page) -> None:
        visit(page, agent)
        submit_form(page, script(REPORTS_HOSTILE_TEXTS), "x" * 64, duration=600)
        wait_for_state(page, "running")
        for text in HOSTILE[:2]:
            page.get_by_title(text, exact=True).click()
            page.locator("#stats td.url", has_text=text).wait_for()
        assert fits(page)
        page.locator("#log-tail", has_text=HOSTILE[1]).wait_for()
        page.locator("#warnings", has_text="of stdout is not a result: ").wait_for()
        browser.run_in_reactor(end_load())
        wait_for_state(page, "finished")
        page.locator("#warnings", has_text="lines of stdout are no").wait_for()
        page.get_by_text("err.log", exact=True).click()
        page.locator("#log-tail", has_text=HOSTILE[0]).wait_for()
        assert page.locator("main img, main script, main iframe, main b").count() == 0
        assert page.evaluate("window.caught") is None
        assert fits(page)

    await browser.run(scenario, viewport=PHONE)


async def test_token_is_the_password(idle_agent: Agent, browser: Browser, shop: Path) -> None:
    """Without the password the page is 401; with it everything works, live figures included."""
    idle_agent.require_token()
    await idle_agent.start()
    rejected = await idle_agent.request("GET", "/", headers={"Authorization": "none"})
    assert (rejected.status, rejected.text) == (401, "a valid bearer token is required\n")
    assert rejected.headers["www-authenticate"] == 'Basic realm="golo-agent", charset="UTF-8"'

    def scenario(page: Page) -> None:
        visit(page, idle_agent)
        submit_form(page, shop, "shop", duration=600)
        wait_until(page, "document.querySelector('#rate-chart .line.a')?.getAttribute('d')")
        page.locator("#log-tail", has_text="https://shop.example/").wait_for()

    await browser.run(scenario, http_credentials={"username": "me", "password": "correct-horse"})


async def test_log_out(idle_agent: Agent, browser: Browser) -> None:
    """The browser forgets the token at once, and the page says how to log in again."""
    idle_agent.require_token()
    await idle_agent.start()
    place = f"127.0.0.1:{idle_agent.port}/"

    def log_in(page: Page) -> None:
        # Playwright's own credentials would answer each challenge, also after the log-out.
        page.goto(f"http://me:{TOKEN}@{place}metrics")
        visit(page, idle_agent)

    def scenario(page: Page) -> None:
        log_in(page)
        page.set_viewport_size(PHONE)
        page.get_by_role("link", name="Log out").wait_for()
        assert fits(page)
        assert findings(page) == []
        page.get_by_role("link", name="Log out").click()
        text = "You are logged out. To log in again, open the page and enter the token as password"
        page.get_by_text(text).wait_for()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert findings(page) == []
        assert fits(page)
        browser.expect_errors("401|favicon")
        with page.expect_response(f"http://{place}") as response:
            page.get_by_role("link", name="open the page").click()
        assert response.value.status == 401
        log_in(page)

    await browser.run(scenario, viewport=DESKTOP)
    browser.expect_errors("401|favicon")


async def test_a_proxy_that_sends_the_token(idle_agent: Agent, browser: Browser) -> None:
    """If the token is still sent, the page says so; without a token there is nothing to do."""
    await idle_agent.start()

    def without_token(page: Page) -> None:
        visit(page, idle_agent)
        assert not page.get_by_role("link", name="Log out").is_visible()

    def with_proxy(page: Page) -> None:
        visit(page, idle_agent)
        page.get_by_role("link", name="Log out").click()
        page.get_by_text("You are still logged in, because your browser keeps").wait_for()
        assert findings(page) == []

    await browser.run(without_token)
    assert (await idle_agent.request("GET", "/logout")).status == 404
    await idle_agent.stop()
    idle_agent.require_token()
    await idle_agent.start()
    await browser.run(with_proxy, extra_http_headers={"X-Golo-Token": TOKEN})
    browser.expect_errors("401")
