"""The files of the web page over HTTP, and their security policy."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from unit.http.in_memory import Agent, Response

import goloagent
from goloagent.core.profile.load_profile import Share
from goloagent.core.profile.parser import parse_load
from goloagent.http.auth.access import AccessPolicy
from goloagent.http.ui.assets import SHARED, assets
from goloagent.options import TIMEOUTS

FILES = sorted(assets())
PATHS = ["/", *(f"/page/{name}" for name in FILES)]


def ask(agent: Agent, request_line: str, *headers: str) -> Response:
    """Return the response to a request without a body."""
    head = [f"{request_line} HTTP/1.1", "Host: localhost:8081", *headers, "", ""]
    return agent.request("\r\n".join(head).encode())


def test_references_of_the_page_are_served(agent: Agent) -> None:
    """The page and its modules refer to each file that is served, and to no other."""
    page = ask(agent, "GET /")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    named = set(re.findall(r'(?:src|href)="page/([^"]+)"', page.body.decode()))
    for name, asset in assets().items():
        if name.endswith(".js"):
            named |= set(re.findall(r'from "\./([^"]+)";', asset.body.decode()))
    assert named | {"index.html"} == set(FILES)


@pytest.mark.parametrize("path", PATHS)
def test_media_type_and_security_policy(agent: Agent, path: str) -> None:
    """Browsers use the given type, revalidate their copy, and load and run our files only."""
    response = ask(agent, f"GET {path}")
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    assert response.status == 200
    assert response.headers["Content-Type"].startswith(types.get(path.split(".")[-1], "text/html"))
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-cache"
    header = response.headers["Content-Security-Policy"]
    policy = dict(directive.split(" ", 1) for directive in header.split("; "))
    for name in ("script-src", "style-src", "connect-src", "img-src"):
        assert policy[name] == "'self'"
    for name in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        assert policy[name] == "'none'"
    assert "unsafe" not in header


@pytest.mark.parametrize("path", PATHS)
def test_conditional_requests(agent: Agent, path: str) -> None:
    """A known ETag is 304 without a body under the same policy; another is the whole file."""
    first = ask(agent, f"GET {path}")
    known = ask(agent, f"GET {path}", f"If-None-Match: {first.headers['ETag']}")
    assert (known.status, known.body) == (304, b"")
    assert known.headers["Content-Security-Policy"] == first.headers["Content-Security-Policy"]
    other = ask(agent, f"GET {path}", 'If-None-Match: "other"')
    assert (other.status, other.body) == (200, first.body)


@pytest.mark.parametrize("path", PATHS)
def test_head_has_the_headers_of_get(agent: Agent, path: str) -> None:
    """HEAD sends the headers of GET and no body."""
    connection = agent.connect()
    connection.send(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert connection.received.partition(b"\r\n\r\n")[2] == b""
    head, get = connection.response(bodies=False), ask(agent, f"GET {path}")
    assert head.status == 200
    for name in ("Content-Type", "Content-Length", "ETag", "Content-Security-Policy"):
        assert head.headers[name] == get.headers[name]
    connection.lose()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_rejected(agent: Agent, method: str) -> None:
    """Methods other than GET and HEAD are 405."""
    for path in PATHS:
        response = ask(agent, f"{method} {path}", "Content-Length: 0")
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", PATHS)
def test_the_page_needs_the_token(agent: Agent, path: str) -> None:
    """Every file of the page is 401 without the token (D4)."""
    agent.access = AccessPolicy(token=b"correct-horse")
    assert ask(agent, f"GET {path}").status == 401
    assert ask(agent, f"GET {path}", "Authorization: Basic OmNvcnJlY3QtaG9yc2U=").status == 200


def test_scripts_create_no_markup() -> None:
    """No script turns text into markup or code, and no file contains inline scripts or styles.

    The security policy makes browsers reject both; this test names the file.
    """
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    inline = r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+="
    for name, asset in assets().items():
        pattern = inline if name.endswith((".html", ".svg")) else sinks
        assert re.findall(pattern, asset.body.decode()) == [], name


def test_installed_package_contains_the_page() -> None:
    """The installed package contains every file of the page."""
    try:
        installed = distribution("golo-agent")
    except PackageNotFoundError:
        pytest.skip("golo-agent is not installed: it is imported from a checkout")
    if Path(str(installed.locate_file("goloagent/__init__.py"))) != Path(goloagent.__file__):
        pytest.skip("the package under test is not the installed one")
    installed_files = {str(path) for path in installed.files or ()}
    for name in FILES:
        place = "report" if name in SHARED else "http/ui"
        assert f"goloagent/{place}/page/{name}" in installed_files


def test_the_form_shows_the_defaults() -> None:
    """An empty field means what its placeholder says."""
    page = assets()["index.html"].body.decode()
    shown = dict(re.findall(r'<input id="(\w+)"[^>]*? placeholder="(.*?)"', page))
    default = {name: value for name, value, _ in TIMEOUTS}["drain-timeout"]
    profile = parse_load({"stages": [{"rate": 1, "duration": 1}]}, Share())
    assert shown["graceful_stop"] == f"{default}s"
    assert shown["max_in_flight"] == str(profile.max_in_flight)
