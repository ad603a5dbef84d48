"""Journeys that fail before they report, and requests that are open at the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from unittest import mock

import pytest
from peers.lines import is_result

from goloagent import sdk
from goloagent.sdk import journey, server
from goloagent.sdk.exchange import Exchange, named


class Lines:
    """A stdout that keeps its lines, or refuses them."""

    def __init__(self) -> None:
        self.results: list[dict[str, object]] = []
        self.closed = False

    def write(self, line: bytes) -> None:
        """Store a result."""
        if self.closed:
            raise BrokenPipeError
        assert is_result(line[:-1]), line
        self.results.append(json.loads(line))


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    """Replace stdout."""
    lines = Lines()
    monkeypatch.setattr(journey, "STDOUT", lines)
    return lines


@pytest.fixture(params=["function", "coroutine"])
def call(request: pytest.FixtureRequest) -> Callable[[Callable[[], object]], str | None]:
    """Return a function that makes one call of a journey, and returns the error of the reply."""

    def make(run: Callable[[], object]) -> str | None:
        async def checkout() -> None:
            run()

        run.__name__ = "checkout"
        with mock.patch.object(server, "serve") as served:
            sdk.serve(checkout if request.param == "coroutine" else run, "localhost:1")
        runner = served.call_args.args[2]
        errors = []

        async def one() -> None:
            ended = asyncio.Event()

            def done(error: str | None) -> None:
                errors.append(error)
                ended.set()

            runner.start(done)
            await ended.wait()

        asyncio.run(one())
        [error] = errors
        return error

    return make


Call = Callable[[Callable[[], object]], "str | None"]


def test_a_journey_that_raises_is_a_result(lines: Lines, call: Call) -> None:
    """It has the exception, the function's name, and the time that the journey took."""

    def run() -> None:
        raise TimeoutError("timed out")

    assert call(run) == "timed out"
    [result] = lines.results
    assert (result["method"], result["url"], result["status"]) == ("", "checkout", 0)
    assert result["error"] == "TimeoutError: timed out"
    assert 0 < int(str(result["duration"])) < 60e9
    assert len(str(result["sequenceID"])) == 16


def test_a_journey_that_reported_is_not_reported_again(lines: Lines, call: Call) -> None:
    """One result is enough, also of a request that succeeded or has its own sequenceID."""

    def run() -> None:
        sdk.report(method="GET", url="u", status=200, duration_seconds=1, sequence_id="own")
        raise ValueError("after it")

    assert call(run) == "after it"
    assert [result["url"] for result in lines.results] == ["u"]


def test_journeys_do_not_share_what_they_reported(lines: Lines, call: Call) -> None:
    """A result of the one before does not hide a failure."""
    call(lambda: sdk.report(method="GET", url="u", status=200, duration_seconds=1))

    def run() -> None:
        raise ValueError("no report")

    call(run)
    assert [result["error"] for result in lines.results] == [None, "ValueError: no report"]


def test_a_journey_without_a_report_is_no_result(lines: Lines, call: Call) -> None:
    """If it did not fail, the call is all there is to count."""
    assert call(lambda: None) is None
    assert lines.results == []


def test_an_exit_is_a_failure(lines: Lines, call: Call) -> None:
    """So is any other exception that is not an `Exception`."""

    def run() -> None:
        raise SystemExit("give up")

    assert call(run) == "give up"
    assert [result["error"] for result in lines.results] == ["SystemExit: give up"]


def test_the_exception_reaches_the_agent_without_stdout(lines: Lines, call: Call) -> None:
    """The error of the call is that of the journey, not of the report."""
    lines.closed = True

    def run() -> None:
        raise ValueError("mine")

    assert call(run) == "mine"


def test_a_response_that_is_never_read(lines: Lines, call: Call) -> None:
    """It is reported at the end of the journey, once."""
    exchanges = []

    def run() -> None:
        exchange = Exchange("GET", "http://x/")
        exchange.responded(500)
        exchange.received(7)
        exchanges.append(exchange)
        raise ValueError("not read")

    call(run)
    exchanges[0].end()
    [result] = lines.results
    assert (result["url"], result["status"], result["size"]) == ("http://x/", 500, 7)
    assert result["error"] is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@host/a@b?c=d@e#part", "https://host/a@b?c=d@e"),
        ("http://host?x=http://a@b/", "http://host?x=http://a@b/"),
        ("http://host/#", "http://host/"),
    ],
)
def test_what_a_url_shows(lines: Lines, url: str, shown: str) -> None:
    """Credentials and the fragment are left out."""
    Exchange("GET", url).end()
    assert [result["url"] for result in lines.results] == [shown]


def test_names(lines: Lines) -> None:
    """The name of the inner block wins; it is that of requests which start in the block."""
    with suppress(ValueError), named("/cart"):
        with named("/cart/[id]"):
            inner = Exchange("GET", "http://x/cart/1")
        outer = Exchange("GET", "http://x/cart")
        inner.end()
        raise ValueError
    outer.end(OSError("gone"))
    Exchange("GET", "http://x/").end()
    assert [result["url"] for result in lines.results] == ["/cart/[id]", "/cart", "http://x/"]
    assert lines.results[1]["error"] == "OSError: gone"
