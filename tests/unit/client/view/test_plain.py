"""Lines for logs."""

from __future__ import annotations

import os

import attrs
import pytest
from peers.reports import part
from peers.views import Stream, checks, plan, progress, state
from twisted.internet.task import Clock

from goloagent.client.config.plan import ReportPlan
from goloagent.client.view.choice import view_for
from goloagent.client.view.live import LiveView
from goloagent.client.view.plain import PlainLines
from goloagent.client.view.quiet import Quiet
from goloagent.client.view.stream import SafeStream
from goloagent.report.builder import build


def test_a_run_has_a_line_for_each_event_and_every_ten_seconds() -> None:
    """The first line comes at once."""
    stream = Stream()
    view = PlainLines(SafeStream(stream))
    view.planned(plan())
    assert stream.text == "checkout: 200 iterations/s for 1:30\n"
    view.phase("start", "starting a private agent")
    view.event("a", "state", state())
    for at in range(30):
        view.progress("a", progress(at, errors=at // 10, failed=at // 20))
        view.event("a", "state", state())
        if at == 12:
            view.event("a", "verdict", checks(("errors", "rate<1%", False, 0.0121)))
            view.event("a", "limited", {"cause": "agent-cpu", "from": 12.0, "to": 13.0})
        if at == 14:
            view.event("a", "verdict", checks(("errors", "rate<1%", True, 0.0021)))
            view.event("a", "change", {"at": 14.0, "rate": 800.0, "paused": False})
    view.note("stopping in order")
    assert stream.text.splitlines()[1:] == [
        "starting a private agent",
        "running",
        "0:10 of 1:30 · 199/s of 200/s · 12 in flight · errors 0 (0 %)"
        " · p50 3.10 ms · p95 7.90 ms · p99 12.3 ms",
        "✗ errors: rate<1% fails (1.21 %)",
        "the load generator is the limit from 0:12: agent-cpu",
        "✓ errors: rate<1% holds again (0.21 %)",
        "changed at 0:14: rate=800, paused=no",
        "0:20 of 1:30 · 199/s of 200/s · 12 in flight · errors 1 (0.03 %)"
        " · p50 3.10 ms · p95 7.90 ms · p99 12.3 ms",
        "0:30 of 1:30 · 199/s of 200/s · 12 in flight · errors 2 (0.03 %)"
        " · failed calls 1 · p50 3.10 ms · p95 7.90 ms · p99 12.3 ms",
        "stopping in order",
    ]


def test_repeats_are_numbered_and_a_followed_run_is_named() -> None:
    """Each repeat has its first line; of a followed run the load is not known here."""
    stream = Stream()
    view = PlainLines(SafeStream(stream))
    repeated = attrs.evolve(plan(), repeat=2)
    view.planned(repeated)
    view.planned(repeated)
    view.attached("checkout", ReportPlan())
    assert stream.text.splitlines() == [
        "checkout: 200 iterations/s for 1:30, run 1 of 2",
        "checkout: 200 iterations/s for 1:30, run 2 of 2",
        "checkout: attached",
    ]


def test_there_are_no_control_sequences() -> None:
    """Neither from the view nor from an agent or a load test."""
    stream = Stream()
    view = PlainLines(SafeStream(stream))
    view.planned(plan())
    hostile = {"state": "failed", "reason": "exited", "message": "\x1b[2J\r\x00"}
    view.event("a", "state", state(**hostile))
    view.ended(build([part(state="failed", stderr_tail="\x1b[31mboom\x07\n")]))
    assert set("\x1b\r\x00\x07").isdisjoint(stream.text)
    assert r"failed: \x1b[2J\r\x00" in stream.text
    assert r"    \x1b[31mboom\x07" in stream.text


def test_an_encoding_without_signs() -> None:
    """The signs are words, and other characters are escaped."""
    stream = Stream("ascii")
    view = PlainLines(SafeStream(stream))
    view.planned(plan())
    view.note("Größe")
    view.ended(build([part()]))
    assert "Gr\\xf6\\xdfe" in stream.text
    assert "  ok duration: p(95)<250ms" in stream.text
    assert "\nFailed: Threshold" in stream.text


def test_agents_are_named_if_there_are_several() -> None:
    """With one agent its name says nothing."""
    stream = Stream()
    view = PlainLines(SafeStream(stream))
    view.event("a:8081", "state", state("starting"))
    view.event("b:8081", "state", state("starting"))
    assert stream.text.splitlines() == ["starting", "b:8081: starting"]


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({}, "25 users"),
        ({"rate": 12.5}, "12.5 iterations/s"),
        ({"load": {"stages": [{"users": 10, "duration": 90}]}}, "0 to 10 users"),
        ({"drive": "self"}, "for 1:30"),
    ],
)
def test_the_first_line_has_the_load(members: dict[str, object], text: str) -> None:
    """It says what the job asks for."""
    stream = Stream()
    PlainLines(SafeStream(stream)).planned(plan(members))
    assert text in stream.text


def test_a_closed_pipe_does_not_end_the_run() -> None:
    """As in `golo run | head -1`: the rest is dropped, and the exit does not fail on it."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        safe = SafeStream(stream)
        view = PlainLines(safe)
        view.planned(plan())
        assert safe.is_lost
        view.note("into nothing")
        stream.write("what Python flushes at its exit")


def test_a_quiet_run_prints_its_verdict() -> None:
    """One line, with the sentence."""
    stream = Stream()
    view = Quiet(SafeStream(stream))
    view.planned(plan())
    view.phase("start", "starting")
    view.progress("a", progress(1))
    view.event("a", "state", state())
    view.note("a note")
    view.ended(build([part()]))
    view.close()
    assert stream.text.startswith("✗ Failed: Threshold duration: p(99)<20ms does not hold")
    assert stream.text.count("\n") == 1


def test_a_pipe_that_does_not_block_loses_nothing() -> None:
    """A parent can leave stdout so; a full pipe is then waited for."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with os.fdopen(writer, "w", encoding="utf-8") as stream, os.fdopen(reader) as other:
        view = PlainLines(SafeStream(stream))
        assert os.get_blocking(writer)
        view.note("all of it")
        assert other.readline() == "all of it\n"


class Tty(Stream):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "quiet", "expected"),
    [
        (Stream(), {"TERM": "xterm"}, False, PlainLines),
        (Tty(), {"TERM": "xterm"}, False, LiveView),
        (Tty(), {"TERM": "xterm", "NO_COLOR": "1"}, False, LiveView),
        (Tty(), {"TERM": "dumb"}, False, PlainLines),
        (Tty(), {}, False, PlainLines),
        (Tty(), {"TERM": "xterm"}, True, Quiet),
        (Stream(), {"TERM": "xterm", "FORCE_COLOR": "1"}, False, PlainLines),
    ],
)
def test_the_view_is_chosen_by_the_output(
    stream: Stream, environ: dict[str, str], quiet: bool, expected: type
) -> None:
    """A live view needs a terminal with control sequences."""
    assert type(view_for(stream, environ, Clock(), quiet=quiet)) is expected
