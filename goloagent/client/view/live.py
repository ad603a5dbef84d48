"""The live view on a terminal."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.text import Text
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from goloagent.client.config.plan import Plan, ReportPlan
from goloagent.client.view.lines import event_line, first_line
from goloagent.client.view.panel import Panel
from goloagent.client.view.plain import PlainLines, written_files
from goloagent.client.view.status import RunStatus
from goloagent.client.view.stream import SafeStream
from goloagent.client.view.summary import print_summary
from goloagent.client.view.symbols import symbols_for
from goloagent.report.figures import printable
from goloagent.report.model import Report

REFRESH_SECONDS = 0.5


class LiveView:
    """Shows the run in the last lines of the terminal, and removes them at the end.

    The cursor stays visible and no mode of the terminal is changed, so that a kill leaves it in
    order. If drawing fails, plain lines follow.
    """

    def __init__(self, stream: SafeStream, console: Console, clock: IReactorTime) -> None:
        self._stream = stream
        self._console = console
        self._clock = clock
        self._symbols = symbols_for(stream.encoding)
        self._status = RunStatus()
        self._live: Live | None = None
        self._plain: PlainLines | None = None
        self._report = ReportPlan()
        self._runs = 0
        self._since = clock.seconds()
        self._size = console.size
        self._loop = LoopingCall(self._guard, self._refresh)
        self._loop.clock = clock

    def planned(self, plan: Plan) -> None:
        """Begin to draw."""
        self._runs += 1
        self._start(plan.name, plan.report, first_line(plan, self._runs))

    def attached(self, name: str, report: ReportPlan) -> None:
        """Begin to draw."""
        self._start(name, report, f"{name}: attached")

    def phase(self, name: str, sentence: str) -> None:
        """Show what is done now, until there is progress."""
        self._status.phase = sentence
        self._since = self._clock.seconds()
        if self._plain is not None:
            self._plain.phase(name, sentence)
        else:
            self._guard(self._refresh)  # what follows may take the reactor's time

    def progress(self, agent: str, progress: Mapping[str, Any]) -> None:
        """Store the figures for the next time of drawing."""
        self._status.progress(agent, progress)
        if self._plain is not None:
            self._plain.progress(agent, progress)

    def event(self, agent: str, kind: str, data: Mapping[str, Any]) -> None:
        """Store an event; changes of the load are printed."""
        self._status.event(agent, kind, data)
        if self._plain is not None:
            self._plain.event(agent, kind, data)
        elif kind == "change":
            self.note(event_line(kind, data))

    def note(self, sentence: str) -> None:
        """Print a sentence above the view."""
        if self._plain is not None:
            self._plain.note(sentence)
        else:
            self._guard(lambda: self._print(printable(sentence)))

    def ended(self, report: Report) -> None:
        """Print the summary in the place of the view."""
        self.close()
        if self._plain is not None:
            self._plain.ended(report)
            return
        print_summary(report, self._console, self._symbols, written_files(self._report))

    def close(self) -> None:
        """Remove the view."""
        if self._loop.running:
            self._loop.stop()
        live, self._live = self._live, None
        if live is not None:
            live.stop()
        atexit.unregister(self.close)

    def _start(self, name: str, report: ReportPlan, line: str) -> None:
        self._status, self._report = RunStatus(name), report
        if self._plain is not None:
            self._plain.resume(self._status, report)
            self._plain.note(line)
        else:
            self._guard(lambda: self._begin(line))

    def _begin(self, line: str) -> None:
        self._print(printable(line))
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        atexit.register(self.close)
        self._live.start()
        self._console.show_cursor(True)
        self._loop.start(REFRESH_SECONDS, now=True)

    def _print(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def _refresh(self) -> None:
        if self._live is None:
            return
        size = self._console.size
        if size != self._size:
            # The terminal may have broken the drawn lines anew, so their place is unknown.
            self._console.control(Control.clear(), Control.home())
            self._size = size
        waited = self._clock.seconds() - self._since
        panel = Panel(self._status, size.width, self._symbols, waited)
        lines = panel.lines(max(1, size.height - 1))
        self._live.update(Group(*lines), refresh=True)

    def _guard(self, draw: Callable[[], None]) -> None:
        """Draw; a failure must not end the run."""
        try:
            draw()
        except Exception as error:
            self._fall_back(error)

    def _fall_back(self, error: Exception) -> None:
        plain = self._plain = PlainLines(self._stream)
        try:
            self.close()
        except Exception as second:
            error = second
        plain.note(f"The live view failed ({type(error).__name__}: {error}); plain lines follow.")
        plain.resume(self._status, self._report)
