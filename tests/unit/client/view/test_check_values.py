"""The present figures of thresholds."""

from __future__ import annotations

import pytest
from peers.views import progress, state

from goloagent.client.view.check_values import value_now
from goloagent.client.view.status import RunStatus

OVER = {"errors": [{"threshold": "rate<1%", "over": "10s"}, "rate<2%"]}


def running(agents: int = 1) -> RunStatus:
    """Return a run of agents with errors."""
    status = RunStatus("checkout")
    for agent in range(agents):
        status.event(str(agent), "state", state(thresholds=OVER))
        status.progress(str(agent), progress(10, errors=20, dropped=3))
    return status


@pytest.mark.parametrize(
    ("metric", "expression", "value"),
    [
        ("duration", "p(95)<1s", 0.0079),
        ("http_req_duration", "p(99)<1000", 0.0123),
        ("duration", "med<1s", 0.0031),
        ("duration", "max<1s", 0.0301),
        ("duration", "p(90)<1s", None),
        ("duration", "avg<1s", None),
        ("duration{url:/a}", "p(95)<1s", None),
        ("iteration", "p(95)<1s", None),
        ("errors", "rate<2%", 0.01),
        ("errors", "rate<1%", None),
        ("errors", "count<5", 20),
        ("dropped", "count==0", 3),
        ("results", "rate>5", None),
        ("of_the_future", "p(95)<1s", None),
    ],
)
def test_a_figure_is_that_of_the_whole_run_or_none(
    metric: str, expression: str, value: float | None
) -> None:
    """A figure that the progress lacks is not guessed, nor one of the last seconds."""
    assert value_now(running(), metric, expression) == value


def test_of_several_agents_percentiles_are_unknown() -> None:
    """Counts are added, and the maximum is the maximum."""
    status = running(agents=2)
    assert value_now(status, "duration", "p(95)<1s") is None
    assert value_now(status, "duration", "max<1s") == 0.0301
    assert value_now(status, "errors", "count<5") == 40


def test_before_the_load_there_is_none() -> None:
    """No progress, no figure."""
    assert value_now(RunStatus(), "errors", "count<5") is None
