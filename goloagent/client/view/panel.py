"""The lines of the live view, for any size of the terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rich.text import Text

from goloagent.client.view.check_values import value_now
from goloagent.client.view.status import CheckStatus, RunStatus
from goloagent.client.view.symbols import Symbols, sparkline
from goloagent.report import figures
from goloagent.report.checks import value_of
from goloagent.report.figures import printable

WIDE = 60
"""The columns from which the latency has its maximum and lines are not split."""

MIN_WIDTH = 20
_MIN_WAITED = 3.0
_MIN_COLUMN = 10


class Line(NamedTuple):
    """A line of the view; the highest ranks are left out if the terminal is too low."""

    rank: int
    text: Text


class Panel:
    """Lays out the state of a run.

    Args:
        waited: seconds since the present phase began.
    """

    def __init__(
        self, status: RunStatus, width: int, symbols: Symbols, waited: float = 0.0
    ) -> None:
        self._status = status
        # The last column stays empty: some terminals break the line there.
        self._width = max(MIN_WIDTH, width - 1)
        self._symbols = symbols
        self._waited = waited
        self._is_wide = width >= WIDE
        self._label = 13 if self._is_wide else 8

    def lines(self, height: int) -> list[Text]:
        """Return at most `height` lines, none wider than the terminal."""
        lines = [*self._all()]
        keep = {*sorted(range(len(lines)), key=lambda one: (lines[one].rank, one))[:height]}
        texts = [line.text for number, line in enumerate(lines) if number in keep]
        for text in texts:
            text.truncate(self._width, overflow="crop")
        return texts

    def _all(self) -> Iterator[Line]:
        status = self._status
        yield Line(0, self._head())
        if status.phase and not status.is_running:
            yield from self._phase()
        if not status.reporting:
            return
        yield Line(1, self._bar())
        yield from self._load()
        yield from self._errors()
        yield from self._latency()
        yield from self._history()
        yield from self._limits()
        yield from self._checks()
        slowest = status.slowest()
        if slowest is not None:
            name, p95 = slowest
            text = f"{printable(name)}, p95 {figures.seconds(p95)}"
            yield Line(7, self._row("slowest", self._fit(text, self._width - self._label)))

    def _phase(self) -> Iterator[Line]:
        """Yield what is done; after a while also what the agent waits for."""
        waited = f" ({self._waited:.0f} s)" if self._waited >= _MIN_WAITED else ""
        yield Line(1, Text(self._fit(printable(self._status.phase), self._width - 8) + waited))
        if self._status.message and self._waited >= _MIN_WAITED:
            yield Line(1, Text(self._fit(printable(self._status.message), self._width), "dim"))

    def _head(self) -> Text:
        state = self._status.state or "preparing"
        style = "yellow" if self._status.is_paused else "cyan"
        if self._status.is_paused:
            state = "paused"
        agents = len(self._status.agents)
        if agents > 1:
            state = f"{state} on {agents} agents"
        name = self._fit(printable(self._status.name), max(4, self._width - len(state) - 2))
        return Text.assemble((name, "bold"), "  ", (state, style))

    def _bar(self) -> Text:
        at, total = self._status.at, self._status.duration
        passed = figures.duration(at)
        if total is None:
            return Text(f"{passed} since the start")
        left = f"{figures.duration(total - at)} left"
        clock = f" {passed} of {figures.duration(total)}, {left}"
        if self._width - len(clock) < 8:
            clock = f" {left}"
        width = self._width - len(clock)
        done = round(width * min(1.0, at / total))
        return Text.assemble(
            (self._symbols.done * done, "green"),
            (self._symbols.left * (width - done), "dim"),
            clock,
        )

    def _load(self) -> Iterator[Line]:
        status = self._status
        actual = status.total("started_per_second" if status.is_open else status.rate_member)
        in_flight = figures.count(status.total("in_flight"))
        planned = status.total("planned")
        if not status.is_driven:
            parts = [f"{figures.rate(actual)} results"]
        elif status.is_open:
            rate = f" of {figures.rate(planned)}" if planned else ""
            parts = [f"{figures.rate(actual)}{rate}", f"{in_flight} in flight"]
        else:
            # At the end no users are planned, and their calls still return.
            users = f" of {figures.count(planned)}" if planned else ""
            parts = [f"{in_flight}{users} in flight", figures.rate(actual)]
        dropped = status.total("dropped")
        if status.is_open and not dropped:
            parts.append("0 dropped")
        is_rate = status.is_open or not status.is_driven
        yield from self._split("rate" if is_rate else "users", parts)
        if dropped:
            now = figures.rate(status.total("dropped_per_second"))
            text = f"{figures.count(dropped)}, {now} in the last second"
            yield Line(3, self._row("dropped", text, "yellow"))

    def _split(self, label: str, parts: list[str]) -> Iterator[Line]:
        """Yield the parts in as few lines as the width allows."""
        joint = f" {self._symbols.dot} "
        row = ""
        for part in parts:
            longer = f"{row}{joint}{part}" if row else part
            if row and len(longer) > self._width - self._label:
                yield Line(2, self._row(label, row))
                label, longer = "", part
            row = longer
        yield Line(2, self._row(label, row))

    def _errors(self) -> Iterator[Line]:
        status = self._status
        for label, part, whole, noun in (
            ("errors", "errors", "results", "results"),
            ("failed", "failed", "returned", "calls"),
        ):
            number, of = status.total(part), status.total(whole)
            if label == "failed" and not number:
                continue
            text = f"{figures.count(number)} of {figures.count(of)} {noun}"
            if not self._is_wide:
                text = figures.count(number)
            if number:
                text += f" ({figures.share(number, of)})"
            yield Line(3, self._row(label, text, "bold red" if number else ""))

    def _latency(self) -> Iterator[Line]:
        status = self._status
        columns = max(1, min(4, (self._width - self._label) // _MIN_COLUMN))
        names = ("p50", "p95", "p99", "max")[:columns]
        column = min(12, (self._width - self._label) // columns)
        heads = "".join(name.rjust(column) for name in names)
        member = status.latency_member
        yield Line(4, self._row("", heads, "dim"))
        rows = [("last second" if self._is_wide else "last 1s", member)]
        if member == "latency":
            rows.append(("whole run" if self._is_wide else "run", "latency_total"))
        for label, source in rows:
            found = status.latency(source)
            cells = "".join(figures.seconds(found[name]).rjust(column) for name in names)
            yield Line(4, self._row(label, cells))

    def _history(self) -> Iterator[Line]:
        history = self._status.history
        if len(history) < 2:
            return
        last = max(history)
        columns = self._width - self._label - 14
        if columns < 10:
            return
        seconds = [history.get(at) for at in range(max(min(history), last - columns + 1), last + 1)]
        calls = [None if one is None else one.calls for one in seconds]
        p95 = [None if one is None else one.p95 for one in seconds]
        rate = "calls/s" if self._status.is_driven else "res/s"
        for label, values, shown in ((rate, calls, figures.rate), ("p95", p95, figures.seconds)):
            highest = max((value for value in values if value is not None), default=None)
            if highest is not None:
                line = sparkline(values, self._symbols.levels)
                text = Text.assemble((line, "cyan"), f" max {shown(highest)}")
                yield Line(8, self._row(label, text))

    def _limits(self) -> Iterator[Line]:
        current = self._status.current_limits()
        if current:
            yield Line(5, self._limit(f"{', '.join(current)} now", "bold yellow"))
        past = [cause for cause in sorted(self._status.limits) if cause not in current]
        if past:
            latest = max(self._status.limits[cause] for cause in past)
            at = figures.duration(latest)
            yield Line(6, self._limit(f"{', '.join(past)} until {at}", "yellow"))

    def _limit(self, text: str, style: str) -> Text:
        return self._row("limit", self._fit(printable(text), self._width - self._label), style)

    def _checks(self) -> Iterator[Line]:
        checks = self._status.checks()
        for check in checks:
            rank = 5 if check.passed is False else 7
            yield Line(rank, self._check(check))

    def _check(self, check: CheckStatus) -> Text:
        passed, failed, dot = self._symbols.passed, self._symbols.failed, self._symbols.dot
        sign, style = {True: (passed, "green"), False: (failed, "bold red"), None: (dot, "dim")}[
            check.passed
        ]
        figure = value_now(self._status, check.metric, check.threshold)
        if figure is None and check.passed is False:
            figure = check.value
        # Without a present figure it is enough that the threshold holds.
        value = ""
        if figure is not None or not check.passed:
            value = value_of(check.metric, check.threshold, figure)
        room = self._width - len(sign) - len(value) - 3
        text = self._fit(printable(f"{check.metric}: {check.threshold}"), max(8, room))
        return Text.assemble((sign, style), f" {text}  ", (value, style))

    def _row(self, label: str, content: str | Text, style: str = "") -> Text:
        text = Text(label.ljust(self._label), "dim")
        return Text.assemble(text, Text(content, style) if isinstance(content, str) else content)

    def _fit(self, text: str, width: int) -> str:
        cut = Text(text)
        cut.truncate(max(1, width - len(self._symbols.ellipsis)), overflow="crop")
        whole = Text(text)
        whole.truncate(width, overflow="crop")
        return text if whole.plain == text else cut.plain + self._symbols.ellipsis
