"""The live view on a terminal in memory."""

from __future__ import annotations

import re
from typing import Any

import pyte
import pytest
from peers.reports import part
from peers.views import Stream, plan, progress, state
from rich.console import Console
from twisted.internet.task import Clock

from goloagent.client.config.plan import ReportPlan
from goloagent.client.view import live as module
from goloagent.client.view.choice import terminal
from goloagent.client.view.live import LiveView
from goloagent.client.view.plain import PlainLines
from goloagent.client.view.stream import SafeStream
from goloagent.report.builder import build

SHELL = "$ golo run checkout\n"


class Terminal:
    """A view on a terminal of a size, which a program of the tests reads."""

    def __init__(self, columns: int = 80, lines: int = 24, **environ: str) -> None:
        self.stream = Stream()
        self.stream.write(SHELL)
        self.clock = Clock()
        safe = SafeStream(self.stream)
        self.console = terminal(safe, environ)
        self.resize(columns, lines)
        self.view = LiveView(safe, self.console, self.clock)

    def resize(self, columns: int, lines: int) -> None:
        """Change the size."""
        self.columns, self.lines = columns, lines
        self.console.size = (columns, lines)  # type: ignore[assignment]

    @property
    def screen(self) -> pyte.Screen:
        """The screen after all that was written by now."""
        screen = pyte.HistoryScreen(self.columns, self.lines)
        screen.set_mode(pyte.modes.LNM)
        pyte.Stream(screen).feed(self.stream.text)
        return screen

    @property
    def shown(self) -> list[str]:
        """The lines on the screen that are not empty, without their ends."""
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def run(self, seconds: int) -> None:
        """Let a run begin and go on."""
        self.view.planned(plan())
        self.view.event("a", "state", state())
        for at in range(seconds):
            self.view.progress("a", progress(at))
            self.clock.advance(1)


def test_it_is_drawn_in_the_last_lines() -> None:
    """The lines of the shell stay, and a refresh replaces the view."""
    terminal = Terminal()
    terminal.run(46)
    assert terminal.shown[:4] == [
        "$ golo run checkout",
        "checkout: 200 iterations/s for 1:30",
        "checkout  running",
        "━" * 28 + "─" * 27 + " 0:45 of 1:30, 0:45 left",
    ]
    assert sum("last second" in line for line in terminal.shown) == 1


def test_at_the_end_the_summary_takes_its_place() -> None:
    """Nothing of the view is left, and the terminal is as before."""
    terminal = Terminal()
    terminal.run(3)
    terminal.view.ended(build([part()]))
    text = "\n".join(terminal.shown)
    assert "last second" not in text
    assert "━" not in text
    assert terminal.shown[-1].startswith("✗ Failed: Threshold duration: p(99)<20ms does not hold")
    assert_in_order(terminal)


def test_an_exception_or_ctrl_c_leaves_the_terminal_in_order() -> None:
    """`close` alone removes the view; a second time does nothing."""
    terminal = Terminal()
    terminal.run(3)
    terminal.view.close()
    terminal.view.close()
    assert terminal.shown == ["$ golo run checkout", "checkout: 200 iterations/s for 1:30"]
    assert_in_order(terminal)
    assert not terminal.clock.getDelayedCalls()


def test_a_kill_leaves_the_cursor_visible() -> None:
    """No mode of the terminal differs while the view is drawn."""
    terminal = Terminal()
    terminal.run(3)
    assert_in_order(terminal)


def assert_in_order(terminal: Terminal) -> None:
    """Check that the cursor is visible, and that no colour, mode or other screen is set."""
    screen = terminal.screen
    fresh = pyte.Screen(terminal.columns, terminal.lines)
    fresh.set_mode(pyte.modes.LNM)
    assert not screen.cursor.hidden
    assert screen.mode == fresh.mode
    assert screen.cursor.attrs == fresh.cursor.attrs
    assert "\x1b[?1049h" not in terminal.stream.text


def test_another_size_of_the_terminal() -> None:
    """The view is drawn anew for the new size, without rests of the old one."""
    terminal = Terminal()
    terminal.run(3)
    terminal.resize(40, 12)
    terminal.clock.advance(1)
    assert terminal.shown[0] == "checkout  running"
    assert len(terminal.shown) <= 11
    assert max(map(len, terminal.shown)) < 40
    terminal.resize(100, 30)
    terminal.clock.advance(1)
    assert sum("of 1:30" in line for line in terminal.shown) == 1


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color(environ: dict[str, str], coloured: bool, monkeypatch: Any) -> None:
    """With NO_COLOR no colour is set; signs and words say the same."""
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal(**environ)
    terminal.run(3)
    terminal.view.ended(build([part()]))
    colours = re.findall(r"\x1b\[(?:\d+;)*[349]\dm", terminal.stream.text)
    assert bool(colours) is coloured


def test_notes_and_changes_are_printed_above() -> None:
    """They stay when the view is drawn again."""
    terminal = Terminal()
    terminal.run(3)
    terminal.view.note("stopping in order; press Ctrl-C again to cancel")
    terminal.view.event("a", "change", {"at": 12.0, "rate": 800.0, "users": None, "paused": None})
    terminal.clock.advance(1)
    at = terminal.shown.index("stopping in order; press Ctrl-C again to cancel")
    assert terminal.shown[at + 1 : at + 3] == ["changed at 0:12: rate=800", "checkout  running"]


def test_a_phase_has_the_seconds_that_it_takes() -> None:
    """Before the load starts, the view shows what it waits for."""
    terminal = Terminal()
    terminal.view.planned(plan())
    terminal.view.phase("start", "starting a private agent")
    terminal.clock.advance(5)
    assert terminal.shown[-1] == "starting a private agent (5 s)"
    terminal.view.phase("queue", "queueing")
    terminal.view.event("a", "state", state("starting", message="It does not listen yet."))
    terminal.clock.advance(1)
    assert terminal.shown[-1] == "queueing"
    terminal.clock.advance(4)
    assert terminal.shown[-2:] == ["queueing (5 s)", "It does not listen yet."]
    terminal.view.event("a", "state", state())
    terminal.view.progress("a", progress(1))
    terminal.clock.advance(1)
    assert "starting" not in "\n".join(terminal.shown)
    terminal.view.event("a", "state", state("finished"))
    terminal.view.phase("end", "waiting for the delivery of results")
    terminal.clock.advance(1)
    assert "waiting for the delivery of results" in terminal.shown


def test_a_run_of_another_client_is_drawn() -> None:
    """As by `golo attach`."""
    terminal = Terminal()
    terminal.view.attached("checkout", ReportPlan())
    terminal.view.event("a", "state", state())
    terminal.view.progress("a", progress(12))
    terminal.clock.advance(1)
    assert terminal.shown[1:3] == ["checkout: attached", "checkout  running"]
    assert any("0:12 of 1:30" in line for line in terminal.shown)


def test_plain_lines_follow_a_failure(monkeypatch: Any) -> None:
    """A defect of the view ends the view and not the run."""
    terminal = Terminal(lines=60)
    terminal.run(3)

    def fail(*_: object) -> None:
        raise ValueError("no such panel")

    monkeypatch.setattr(module, "Panel", fail)
    terminal.clock.advance(1)
    assert "The live view failed (ValueError: no such panel)" in "\n".join(terminal.shown)
    terminal.view.note("still here")
    for at in range(3, 12):
        terminal.view.progress("a", progress(at))
    terminal.view.ended(build([part()]))
    text = "\n".join(terminal.shown)
    assert "still here\n0:12 of 1:30 " not in text
    assert "still here\n0:10 of 1:30 " in text
    assert text.count("Failed: Threshold") == 1
    assert_in_order(terminal)


def test_an_agent_of_another_version_does_not_end_the_view() -> None:
    """It may send less than this client knows of."""
    terminal = Terminal()
    plain = PlainLines(SafeStream(Stream()))
    for view in (terminal.view, plain):
        view.planned(plan())
        view.progress("a", {})
        for kind in ("state", "verdict", "change", "limited", "of_the_future"):
            view.event("a", kind, {})
        view.event("a", "verdict", {"checks": [{}]})
        view.progress("a", {})
    terminal.clock.advance(1)
    assert "The live view failed" not in "\n".join(terminal.shown)
    assert any("since the start" in line for line in terminal.shown)


def test_hostile_texts_do_not_reach_the_terminal() -> None:
    """Escape sequences in names, causes and thresholds are shown as text."""
    terminal = Terminal()
    terminal.run(3)
    before = terminal.stream.text.count("\x1b]")
    hostile = "\x1b]0;title\x07\x1b[2J"
    terminal.view.note(hostile)
    terminal.view.event("\x1b[2Jb", "limited", {"cause": hostile, "from": 1.0})
    terminal.view.progress("\x1b[2Jb", progress(3, limited=[hostile]))
    checks = [{"metric": hostile, "threshold": hostile, "passed": False, "value": 1.0}]
    terminal.view.event("a", "verdict", {"checks": checks})
    terminal.clock.advance(1)
    text = terminal.stream.text
    assert text.count("\x1b]") == before
    assert "\x1b[2J" not in text
    assert r"\x1b]0;title\x07\x1b[2J" in "\n".join(terminal.shown)


def test_the_same_view_shows_the_repeats_of_a_run() -> None:
    """With --repeat it begins again after each summary."""
    terminal = Terminal(lines=80)
    for _ in range(2):
        terminal.run(3)
        terminal.view.ended(build([part()]))
    assert sum("Failed: Threshold" in line for line in terminal.shown) == 2
    assert_in_order(terminal)


def test_it_has_a_real_console() -> None:
    """Nothing is highlighted or read as markup."""
    terminal = Terminal()
    assert isinstance(terminal.console, Console)
    terminal.view.note("[bold]5[/bold] :smile:")
    assert terminal.shown[-1] == "[bold]5[/bold] :smile:"
