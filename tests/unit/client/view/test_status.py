"""The state of a run as the views show it."""

from __future__ import annotations

from peers.views import checks, progress, state

from goloagent.client.view.status import RunStatus


def test_figures_of_agents_are_added_and_times_are_those_of_the_slowest() -> None:
    """Figures of agents are added and times are those of the slowest."""
    status = RunStatus("checkout")
    slow = {"p50": 0.004, "p95": 0.5, "p99": 0.6, "max": 0.7}
    for agent, latency in (("a", None), ("b", slow)):
        status.event(agent, "state", state())
        members = {"latency": latency, "latency_total": latency} if latency else {}
        status.progress(agent, progress(3, **members))
    assert (status.total("planned"), status.total("results")) == (400, 1200)
    assert status.latency("latency")["p95"] == 0.5
    assert status.slowest() == ("b", 0.5)
    assert status.history[3].calls == 396
    assert status.history[3].p95 == 0.5


def test_one_agent_is_not_the_slowest() -> None:
    """One agent is not the slowest."""
    status = RunStatus("checkout")
    status.progress("a", progress(3))
    assert status.slowest() is None


def test_the_history_has_a_minute() -> None:
    """The history has a minute."""
    status = RunStatus("checkout")
    for at in range(100):
        status.progress("a", progress(at))
    assert (min(status.history), max(status.history), len(status.history)) == (40, 99, 60)


def test_the_run_is_as_far_as_its_last_agent() -> None:
    """The run is as far as its last agent."""
    status = RunStatus("checkout")
    status.progress("a", progress(12))
    status.progress("b", progress(10))
    assert status.at == 10


def test_a_threshold_that_one_agent_breaks_is_broken() -> None:
    """Two equal thresholds are two."""
    status = RunStatus("checkout")
    equal = ("errors", "rate<1%", True, 0.0)
    status.event("a", "verdict", checks(("duration", "max<1s", True, 0.5), equal, equal))
    status.event("b", "verdict", checks(("duration", "max<1s", False, 1.5), equal, equal))
    found = [(one.metric, one.passed, one.value) for one in status.checks()]
    assert found == [("duration", False, 1.5), ("errors", True, 0.0), ("errors", True, 0.0)]


def test_a_threshold_without_data_is_open() -> None:
    """A threshold without data is open."""
    status = RunStatus("checkout")
    status.event("a", "verdict", checks(("duration", "max<1s", True, None)))
    assert status.checks()[0].passed is None
    status.event("a", "verdict", checks(("duration", "max<1s", False, None)))
    assert status.checks()[0].passed is False


def test_a_change_of_the_duration_moves_the_end() -> None:
    """A later state has the duration of the request, which is no longer valid."""
    status = RunStatus("checkout")
    status.event("a", "state", state())
    status.event("a", "change", {"at": 3.0, "duration": 120.0})
    status.event("a", "state", state("stopping"))
    assert (status.duration, status.state) == (120.0, "stopping")


def test_calls_are_shown_if_there_are_no_results() -> None:
    """Calls are shown if there are no results."""
    status = RunStatus("checkout")
    status.progress("a", progress(3, results=0))
    assert status.latency_member == "iteration"
    status.progress("a", progress(4))
    assert status.latency_member == "latency"


def test_limits_are_of_now_and_of_before() -> None:
    """Limits are of now and of before."""
    status = RunStatus("checkout")
    status.event("a", "limited", {"cause": "cpu-steal", "from": 1.0, "to": 2.0})
    status.progress("a", progress(3, limited=["agent-cpu"]))
    assert status.current_limits() == ["agent-cpu"]
    status.progress("a", progress(4))
    assert status.current_limits() == []
    assert status.limits == {"cpu-steal": 1.0, "agent-cpu": 3.0}
