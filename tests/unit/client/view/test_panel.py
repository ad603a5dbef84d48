"""The lines of the live view at several sizes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from peers.views import checks, progress, state
from rich.cells import cell_len

from goloagent.client.view.panel import Panel
from goloagent.client.view.status import RunStatus
from goloagent.client.view.symbols import ASCII, UNICODE, Symbols


def running(seconds: int = 46, **members: object) -> RunStatus:
    """Return a run with a broken threshold, errors and limits."""
    status = RunStatus("checkout")
    status.event("a", "state", state())
    for at in range(seconds):
        status.progress("a", progress(at, calls_per_second=100.0 + at))
    status.event("a", "limited", {"cause": "cpu-steal", "from": 12.0, "to": 13.0})
    status.event(
        "a",
        "verdict",
        checks(("duration", "p(95)<250ms", True, 0.0079), ("errors", "rate<1%", False, 0.0121)),
    )
    more: dict[str, object] = {"errors": 111, "failed": 3, "dropped": 7, "limited": ["agent-cpu"]}
    status.progress("a", progress(seconds, **(more | members)))
    return status


def shown(status: RunStatus, width: int, height: int, symbols: Symbols = UNICODE) -> list[str]:
    """Return the lines as text."""
    return [line.plain.rstrip() for line in Panel(status, width, symbols).lines(height)]


def test_at_80_columns() -> None:
    """At 80 columns."""
    assert shown(running(), 80, 23) == [
        "checkout  running",
        "━" * 28 + "─" * 27 + " 0:46 of 1:30, 0:44 left",
        "rate         199/s of 200/s · 12 in flight",
        "dropped      7, 0/s in the last second",
        "errors       111 of 9,200 results (1.21 %)",
        "failed       3 of 9,200 calls (0.03 %)",
        "                      p50         p95         p99         max",
        "last second       3.10 ms     7.90 ms     12.3 ms     30.1 ms",
        "whole run         3.10 ms     7.90 ms     12.3 ms     30.1 ms",
        "calls/s      ▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▅▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆█ max 198/s",
        "p95          " + "█" * 47 + " max 7.90 ms",
        "limit        agent-cpu now",
        "limit        cpu-steal until 0:12",
        "✓ duration: p(95)<250ms  7.9 ms",
        "✗ errors: rate<1%  1.21 %",
    ]


def test_at_40_columns_in_ascii() -> None:
    """At 40 columns in ascii."""
    assert shown(running(), 40, 23, ASCII)[:8] == [
        "checkout  running",
        "########....... 0:46 of 1:30, 0:44 left",
        "rate    199/s of 200/s | 12 in flight",
        "dropped 7, 0/s in the last second",
        "errors  111 (1.21 %)",
        "failed  3 (0.03 %)",
        "               p50       p95       p99",
        "last 1s    3.10 ms   7.90 ms   12.3 ms",
    ]


def test_a_low_terminal_has_the_most_important_lines() -> None:
    """A low terminal has the most important lines."""
    lines = shown(running(), 80, 6)
    assert [line.split()[0] for line in lines[2:]] == ["rate", "dropped", "errors", "failed"]


def test_before_the_load_there_is_the_phase() -> None:
    """Before the load there is the phase."""
    status = RunStatus("checkout", phase="starting an agent")
    assert shown(status, 80, 23) == ["checkout  preparing", "starting an agent"]
    line = Panel(status, 80, UNICODE, waited=7.3).lines(23)[1]
    assert line.plain == "starting an agent (7 s)"


def test_a_fleet_has_its_slowest_agent() -> None:
    """A fleet has its slowest agent."""
    status = running()
    status.progress("10.0.0.7:8081", progress(46))
    lines = shown(status, 80, 23)
    assert lines[0] == "checkout  running on 2 agents"
    assert lines[-1] == "slowest      a, p95 7.90 ms"


def test_users_and_loads_of_their_own() -> None:
    """Users and loads of their own."""
    status = RunStatus("checkout")
    status.event("a", "state", state(load={"model": "closed"}))
    status.progress("a", progress(3, planned=25))
    assert "users        12 of 25 in flight · 198/s" in shown(status, 80, 23)
    status.event("a", "state", state(drive="self", load={"model": "closed"}))
    assert "rate         198/s results" in shown(status, 80, 23)


def test_errors_are_red_limits_yellow_and_nothing_else_is_loud() -> None:
    """Errors are red limits yellow and nothing else is loud."""
    styles = {
        line.plain.split()[0]: {str(span.style) for span in line.spans}
        for line in Panel(running(), 80, UNICODE).lines(23)
    }
    assert "bold red" in styles["errors"]
    assert "bold red" in styles["✗"]
    assert {"yellow", "green"} & styles["limit"] == {"yellow"}
    assert "bold red" not in styles["rate"] | styles["✓"]
    quiet = Panel(running(3, errors=0), 80, UNICODE).lines(23)
    assert "bold red" not in {
        str(span.style) for line in quiet if line.plain.startswith("errors") for span in line.spans
    }


@given(
    st.integers(1, 300),
    st.integers(1, 60),
    st.sampled_from([ASCII, UNICODE]),
    st.text(max_size=200),
    st.sampled_from([0, 1e-9, 0.5, 1e12]),
)
def test_it_fits_any_terminal(
    width: int, height: int, symbols: Symbols, text: str, scale: float
) -> None:
    """No line reaches the last column, whatever an agent sends; very narrow ones count as 20."""
    status = running(int(min(scale, 40)), errors=int(scale), in_flight=int(scale), planned=scale)
    status.name = text
    status.event(text, "verdict", checks((text, text, False, scale)))
    status.progress(text, progress(3, limited=[text], latency={"p95": scale}))
    lines = Panel(status, width, symbols).lines(height)
    assert 0 < len(lines) <= height
    for line in lines:
        assert cell_len(line.plain) <= max(20, width - 1)
        assert line.plain.isprintable()
