"""The page's files over HTTP, and the policy they come under."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from unit.http.in_memory import Agent, Answer

import goloagent
from goloagent.http.auth.access import Access
from goloagent.http.ui.assets import assets

FILES = sorted(assets())
PATHS = ["/", *(f"/page/{name}" for name in FILES)]


def ask(agent: Agent, start: str, *lines: str) -> Answer:
    """Return the answer to a request without a body."""
    head = [f"{start} HTTP/1.1", "Host: localhost:8081", *lines, "", ""]
    return agent.ask("\r\n".join(head).encode())


def test_the_page_is_html_and_what_it_names_is_there(agent: Agent) -> None:
    """Every reference of the page and of its modules is to a file that is served."""
    page = ask(agent, "GET /")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    named = set(re.findall(r'(?:src|href)="page/([^"]+)"', page.body.decode()))
    for name, asset in assets().items():
        if name.endswith(".js"):
            named |= set(re.findall(r'from "\./([^"]+)";', asset.body.decode()))
    assert named | {"index.html"} == set(FILES)


@pytest.mark.parametrize("path", PATHS)
def test_each_file_has_its_type_and_the_policy(agent: Agent, path: str) -> None:
    """A browser guesses no type, keeps nothing unasked, and fetches and runs only our files."""
    answer = ask(agent, f"GET {path}")
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith(types.get(path.split(".")[-1], "text/html"))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-cache"
    policy = dict(
        directive.split(" ", 1)
        for directive in answer.headers["Content-Security-Policy"].split("; ")
    )
    sources = {name: policy.pop(f"{name}-src") for name in ("script", "style", "connect", "img")}
    assert set(sources.values()) == {"'self'"}
    for name in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        assert policy[name] == "'none'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", PATHS)
def test_what_a_browser_has_is_not_sent_again(agent: Agent, path: str) -> None:
    """The ETag of a file answers 304 without a body, under the same policy; another gets all."""
    first = ask(agent, f"GET {path}")
    again = ask(agent, f"GET {path}", f"If-None-Match: {first.headers['ETag']}")
    assert (again.status, again.body) == (304, b"")
    assert again.headers["Content-Security-Policy"] == first.headers["Content-Security-Policy"]
    other = ask(agent, f"GET {path}", 'If-None-Match: "other"')
    assert (other.status, other.body) == (200, first.body)


@pytest.mark.parametrize("path", PATHS)
def test_head_tells_the_same_without_a_body(agent: Agent, path: str) -> None:
    """HEAD answers with the headers of GET."""
    connection = agent.connect()
    connection.send(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head, _, body = connection.received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b""
    same = ("Content-Type", "Content-Length", "ETag", "Content-Security-Policy")
    told, full = connection.answer(bodies=False), ask(agent, f"GET {path}")
    assert [told.headers[name] for name in same] == [full.headers[name] for name in same]
    connection.lose()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_the_page_is_only_read(agent: Agent, method: str) -> None:
    """Any other method is 405."""
    for path in PATHS:
        answer = ask(agent, f"{method} {path}", "Content-Length: 0")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", PATHS)
def test_the_page_needs_the_token(agent: Agent, path: str) -> None:
    """Not a byte of the page is told to who has no token (D4)."""
    agent.access = Access(token=b"correct-horse")
    assert ask(agent, f"GET {path}").status == 401
    assert ask(agent, f"GET {path}", "Authorization: Basic OmNvcnJlY3QtaG9yc2U=").status == 200


def test_the_page_writes_no_markup() -> None:
    """Nothing in the page's scripts can make markup or code of a text, and no file has any inline.

    A browser under our policy refuses it too; this also names the line.
    """
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    inline = r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+="
    for name, asset in assets().items():
        pattern = inline if name.endswith((".html", ".svg")) else sinks
        assert re.findall(pattern, asset.body.decode()) == [], name


def test_the_installed_package_has_the_page() -> None:
    """The wheel brings every file of the page."""
    try:
        installed = distribution("golo-agent")
    except PackageNotFoundError:
        pytest.skip("golo-agent is not installed: it is imported from a checkout")
    if Path(str(installed.locate_file("goloagent/__init__.py"))) != Path(goloagent.__file__):
        pytest.skip("the package under test is not the installed one")
    brought = {str(path) for path in installed.files or ()}
    assert {f"goloagent/http/ui/page/{name}" for name in FILES} <= brought
