"""The Python SDK without sockets: printed lines, concurrent calls and replies."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.lines import is_result

from goloagent import sdk
from goloagent.netrpc import Client
from goloagent.results.parser import MAX_LINE_BYTES
from goloagent.sdk import reporting, server

Capture = pytest.CaptureFixture[bytes]


def printed(capture: Capture) -> list[dict[str, object]]:
    """Return the decoded lines on stdout, each of which is a valid result."""
    lines = capture.readouterr().out.split(b"\n")
    assert lines.pop() == b"", "the last line has no end"
    assert all(is_result(line) for line in lines)
    return [json.loads(line) for line in lines]


def test_a_report_is_a_line_of_json(capfdbinary: Capture) -> None:
    """It has all members, the duration in nanoseconds and the time with its zone."""
    when = datetime(2018, 5, 4, 3, 2, 1, 9, tzinfo=timezone(timedelta(hours=2)))
    sdk.report(
        method="GET",
        url="http://é/",
        status=200,
        size=512,
        duration_seconds=0.0123456789,
        sequence_id="7f",
        timestamp=when,
    )
    [line] = printed(capfdbinary)
    assert line == {
        "sequenceID": "7f",
        "url": "http://é/",
        "method": "GET",
        "status": 200,
        "size": 512,
        "timestamp": "2018-05-04T03:02:01.000009+02:00",
        "duration": 12345679,
        "error": None,
    }


def test_defaults_of_a_report(capfdbinary: Capture) -> None:
    """The size is unknown and the time is now, in UTC; an exception is reported as text."""
    before = datetime.now(timezone.utc)
    sdk.report(method="GET", url="u", status=0, duration_seconds=1, error=OSError("gone"))
    [line] = printed(capfdbinary)
    assert (line["size"], line["error"]) == (-1, "OSError: gone")
    when = datetime.fromisoformat(str(line["timestamp"]))
    assert when.utcoffset() == timedelta(0)
    assert before <= when <= datetime.now(timezone.utc)


class Textless(Exception):
    """An exception whose `__str__` raises another."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


SECONDS = timezone(timedelta(seconds=30))
WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "naive time": ({"timestamp": datetime(2026, 1, 2)}, ValueError, "time zone"),
    "time as number": ({"timestamp": 1.5}, TypeError, "timestamp must be a datetime"),
    "time before UTC": (
        {"timestamp": datetime.min.replace(tzinfo=SECONDS)},
        ValueError,
        "does not exist in UTC",
    ),
    "NaN": ({"duration_seconds": float("nan")}, ValueError, "duration_seconds must be finite"),
    "infinite": ({"duration_seconds": float("inf")}, ValueError, "duration_seconds must be finite"),
    "long duration": ({"duration_seconds": 1e10}, ValueError, "duration_seconds does not fit"),
    "large status": ({"status": 2**63}, ValueError, "status does not fit into 64 bits"),
    "large size": ({"size": -(2**63) - 1}, ValueError, "size does not fit into 64 bits"),
    "url as bytes": ({"url": b"http://x/"}, TypeError, "url must be a str, not bytes"),
    "no method": ({"method": None}, TypeError, "method must be a str, not NoneType"),
    "infinite error": ({"error": float("inf")}, ValueError, "JSON compliant"),
    "huge number": ({"error": {"code": 10**400}}, ValueError, "beyond the range"),
    "error as bytes": ({"error": b"x"}, TypeError, "not JSON serializable"),
    "long line": ({"error": "x" * 2**20}, ValueError, "shorten url or error"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_reports_are_errors(name: str, capfdbinary: Capture) -> None:
    """The error names the argument that the agent would reject; nothing is printed."""
    wrong, error, match = WRONG[name]
    right = {"method": "GET", "url": "u", "status": 1, "duration_seconds": 1}
    with pytest.raises(error, match=match):
        sdk.report(**{**right, **wrong})
    assert printed(capfdbinary) == []


def test_an_error_nested_too_deep(capfdbinary: Capture) -> None:
    """It is a ValueError, not a RecursionError."""
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(ValueError, match="too deep"):
        sdk.report(method="GET", url="u", status=1, duration_seconds=1, error=nested)
    assert printed(capfdbinary) == []


def test_a_time_zone_with_seconds_is_reported_in_utc(capfdbinary: Capture) -> None:
    """RFC 3339 has no seconds in an offset, which old local times have."""
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(minutes=-5, seconds=-17)))
    sdk.report(method="GET", url="u", status=200, duration_seconds=1, timestamp=when)
    [line] = printed(capfdbinary)
    assert line["timestamp"] == "2026-01-02T03:09:22.000000+00:00"


def test_an_exception_without_a_text_is_reported_by_its_type(capfdbinary: Capture) -> None:
    """So is one whose `__str__` raises; a long text is cut."""
    for error in (Textless(), OSError(), OSError("x" * 10_000)):
        sdk.report(method="GET", url="u", status=0, duration_seconds=1, error=error)
    first, second, third = (str(line["error"]) for line in printed(capfdbinary))
    assert (first, second) == ("Textless: Textless", "OSError: OSError")
    assert third == ("OSError: " + "x" * 10_000)[: reporting.MAX_ERROR_TEXT]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    method=st.text(),
    url=st.text(),
    status=st.integers() | st.floats(),
    size=st.integers(),
    seconds=st.floats() | st.integers(0),
    error=JSON,
    sequence_id=st.text() | st.integers(),
    timestamp=st.datetimes(timezones=st.timezones()),
)
def test_every_line_that_is_printed_is_a_result(
    method: str,
    url: str,
    status: int,
    size: int,
    seconds: float,
    error: object,
    sequence_id: str,
    timestamp: datetime,
) -> None:
    """Any report is a ValueError or a valid result."""
    with suppress(ValueError):
        line = reporting.result_line(
            method=method,
            url=url,
            status=status,
            size=size,
            duration_seconds=seconds,
            error=error,
            sequence_id=sequence_id,
            timestamp=timestamp,
        )
        assert line.endswith(b"\n")
        assert is_result(line[:-1]), line


def test_the_maximum_line_equals_the_agents() -> None:
    """The SDK cannot import the agent's constant."""
    assert reporting.MAX_LINE_BYTES == MAX_LINE_BYTES


def test_lines_of_threads_are_never_torn(capfdbinary: Capture) -> None:
    """Concurrent reports are whole lines, even if each write accepts a few bytes only."""
    real_write, start = os.write, threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        for _ in range(20):
            sdk.report(method="GET", url=str(number) * 300, status=200, duration_seconds=1)

    with mock.patch.object(os, "write", lambda fd, data: real_write(fd, bytes(data)[:100])):
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = printed(capfdbinary)
    assert sorted(str(line["url"]) for line in lines) == sorted(
        str(n) * 300 for n in range(8) for _ in range(20)
    )


@pytest.mark.parametrize(
    ("address", "parts"),
    [("127.0.0.1:9999", ("127.0.0.1", 9999)), ("[::1]:80", ("::1", 80)), ("host:0", ("host", 0))],
)
def test_addresses(address: str, parts: tuple[str, int]) -> None:
    """HOST:PORT is split, also with an IPv6 host."""
    assert sdk.split_address(address) == parts


@pytest.mark.parametrize("address", ["", "9999", ":9999", "host:", "host:http", "host:65536"])
def test_wrong_addresses(address: str) -> None:
    """Other texts are a ValueError."""
    with pytest.raises(ValueError, match="not HOST:PORT"):
        sdk.split_address(address)


class ManualRunner:
    """A runner whose calls the test ends."""

    def __init__(self) -> None:
        self.waiting: list[server.Done] = []

    def start(self, done: server.Done) -> None:
        """Store the call."""
        self.waiting.append(done)


def connected(runner: server.Runner) -> tuple[server.Connection, mock.Mock, server.Calls]:
    """Return a connection on a transport that records its writes."""
    transport = mock.Mock(spec=asyncio.Transport)
    transport.is_closing.return_value = False
    calls = server.Calls(runner)
    connection = server.Connection(calls)
    connection.connection_made(transport)
    return connection, transport, calls


def written(transport: mock.Mock) -> bytes:
    """Return the bytes written to a transport since the last call."""
    data = b"".join(call.args[0] for call in transport.write.call_args_list)
    transport.write.reset_mock()
    return data


def test_replies_are_sent_as_calls_end() -> None:
    """Replies are in the order in which calls end, with the errors of failed ones."""
    client, runner = Client(), ManualRunner()
    connection, transport, calls = connected(runner)
    connection.data_received(client.calls("Server.Run", 3))
    assert len(runner.waiting) == 3
    assert written(transport) == b""
    runner.waiting[2]("boom")
    assert client.receive(written(transport))[:2] == (0, ("boom",))
    assert not calls.none_running.is_set()
    runner.waiting[0](None)
    runner.waiting[1](None)
    assert client.receive(written(transport))[:2] == (2, ())
    assert calls.none_running.is_set()


def test_errors_of_unknown_methods() -> None:
    """Methods other than Server.Run get the errors of Go's server."""
    client, runner = Client(), ManualRunner()
    connection, transport, _ = connected(runner)
    for method, error in (
        ("Server.Stop", "rpc: can't find method Server.Stop"),
        ("Nope.Run", "rpc: can't find service Nope.Run"),
        ("Server.Run.Run", "rpc: can't find service Server.Run.Run"),
        ("Run", "rpc: service/method request ill-formed: Run"),
    ):
        connection.data_received(client.calls(method, 1))
        assert client.receive(written(transport))[:2] == (0, (error,))
    assert runner.waiting == []


def test_a_protocol_error_closes_the_connection(capfdbinary: Capture) -> None:
    """The error is printed on stderr."""
    connection, transport, _ = connected(ManualRunner())
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n" * 100)
    transport.close.assert_called_once_with()
    assert b"net/rpc client at" in capfdbinary.readouterr().err


def test_no_call_starts_after_stop() -> None:
    """After `stop`, running calls get a reply and new ones do not start."""
    client, runner = Client(), ManualRunner()
    connection, transport, calls = connected(runner)
    connection.data_received(client.calls("Server.Run", 1))
    calls.stop()
    connection.data_received(client.calls("Server.Run", 1))
    runner.waiting.pop()(None)
    assert runner.waiting == []
    assert client.receive(written(transport))[:2] == (1, ())
    assert calls.none_running.is_set()


def outcomes(make: Callable[[], server.Runner], counts: list[int]) -> list[list[str | None]]:
    """Run each number of calls concurrently; return the errors of all."""

    async def main() -> list[list[str | None]]:
        runner, loop = make(), asyncio.get_running_loop()
        errors = []
        for count in counts:
            ends = [loop.create_future() for _ in range(count)]
            for end in ends:
                runner.start(end.set_result)
            errors.append(list(await asyncio.gather(*ends)))
        return errors

    return asyncio.run(main())


def test_threads_run_at_once_and_are_reused() -> None:
    """Concurrent calls have a thread each, which later calls reuse."""
    together, threads = threading.Barrier(30), set()

    def run() -> None:
        threads.add(threading.get_ident())
        together.wait()

    assert outcomes(lambda: server.InThreads(run), [30, 30, 30]) == [[None] * 30] * 3
    assert len(threads) == 30


def test_threads_are_bounded() -> None:
    """Beyond the maximum, calls wait for a thread."""
    threads = set()
    runner = server.InThreads(lambda: threads.add(threading.get_ident()), max_threads=2)
    assert outcomes(lambda: runner, [20]) == [[None] * 20]
    assert 1 <= len(threads) <= 2


def test_threads_that_cannot_be_started() -> None:
    """The existing threads run all calls; without any it is an error."""
    real_start, started = threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        real_start(thread)

    with mock.patch.object(threading.Thread, "start", start):
        assert outcomes(lambda: server.InThreads(lambda: None), [10]) == [[None] * 10]
        with pytest.raises(RuntimeError, match="new thread"):
            outcomes(lambda: server.InThreads(lambda: None), [1])


def test_ended_calls_leave_room_for_signals() -> None:
    """Any number of calls that end while the loop is busy wake it once."""
    returned = threading.Semaphore(0)

    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        runner = server.InThreads(returned.release, max_threads=50)
        ends = [loop.create_future() for _ in range(500)]
        with mock.patch.object(
            loop, "call_soon_threadsafe", side_effect=loop.call_soon_threadsafe
        ) as woken:
            for end in ends:
                runner.start(end.set_result)
            for _ in ends:
                returned.acquire()
            while_busy = woken.call_count
            await asyncio.gather(*ends)
        return while_busy, len(ends)

    assert asyncio.run(main()) == (1, 500)


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_the_exception_of_a_call_is_its_error(kind: str) -> None:
    """The error is the exception's text, or its type without one; the next call works."""
    raised = iter(
        [ValueError("no"), KeyError(), SystemExit(3), Textless(), asyncio.CancelledError(), None]
    )

    def run() -> None:
        error = next(raised)
        if error is not None:
            raise error

    async def task() -> None:
        run()

    errors = outcomes(
        lambda: server.InThreads(run) if kind == "threads" else server.InTasks(task), [1] * 6
    )
    assert errors == [["no"], ["KeyError"], ["3"], ["Textless"], ["CancelledError"], [None]]


def test_tasks_run_at_once() -> None:
    """Coroutine calls run concurrently, in one thread."""
    entered = []
    all_entered = asyncio.Event()

    async def run() -> None:
        entered.append(threading.get_ident())
        if len(entered) == 40:
            all_entered.set()
        await all_entered.wait()

    assert outcomes(lambda: server.InTasks(run), [40]) == [[None] * 40]
    assert set(entered) == {threading.get_ident()}


@pytest.mark.parametrize("coroutine", [False, True])
def test_each_journey_has_an_id(capfdbinary: Capture, coroutine: bool) -> None:
    """The requests of one call of `run` share a sequenceID, which no other call has."""

    def run() -> None:
        for _ in range(2):
            sdk.report(method="GET", url="u", status=200, duration_seconds=1)

    async def task() -> None:
        run()

    with mock.patch.object(server, "serve") as served:
        sdk.serve(task if coroutine else run, "localhost:1")
    host, port, runner = served.call_args.args
    assert (host, port) == ("localhost", 1)
    assert isinstance(runner, server.InTasks if coroutine else server.InThreads)
    outcomes(lambda: runner, [3])
    journeys = [str(line["sequenceID"]) for line in printed(capfdbinary)]
    assert len(set(journeys)) == 3
    assert all(journeys.count(journey) == 2 for journey in journeys)


@pytest.mark.parametrize(
    ("environment", "expected"), [({}, ("127.0.0.1", 9999)), ({"GOLO_RPC_ADDR": "h:7"}, ("h", 7))]
)
def test_the_address_comes_from_the_environment(
    environment: dict[str, str], expected: tuple[str, int]
) -> None:
    """The default is GOLO_RPC_ADDR, else the address of go-lo."""
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch.object(server, "serve") as served,
    ):
        sdk.serve(lambda: None)
    assert served.call_args.args[:2] == expected
