"""Which containment is chosen, of those that the system allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from goloagent import settings
from goloagent.sandbox import isolation
from goloagent.sandbox.isolation import (
    Cgroup,
    IsolationBackend,
    NotAllowed,
    PidNamespace,
    ProcessGroup,
    backends,
    select,
)

ALL = (PidNamespace(), Cgroup(Path("/cgroup"), "1-2/"), ProcessGroup())


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of ways that the system refuses; of the others it allows each."""
    refused: set[str] = set()

    def attempt(way: IsolationBackend, user: str | None) -> str | None:
        assert user == "nobody"
        return "Operation not permitted" if way.name in refused else None

    monkeypatch.setattr(isolation, "probe", attempt)
    return refused


@pytest.mark.parametrize(
    ("refused", "chosen"),
    [
        (set(), "pid-namespace"),
        ({"cgroup"}, "pid-namespace"),
        ({"pid-namespace"}, "cgroup"),
        ({"pid-namespace", "cgroup"}, "process-group"),
    ],
)
def test_the_surest_is_chosen(refuse: set[str], refused: set[str], chosen: str) -> None:
    """Of those that are allowed, which the last always is."""
    refuse |= refused
    assert select(None, "nobody", ALL).name == chosen


@pytest.mark.parametrize("wanted", [way.name for way in ALL])
def test_one_is_wanted(refuse: set[str], wanted: str) -> None:
    """It is that one, whatever else is allowed."""
    assert select(wanted, "nobody", ALL).name == wanted


@pytest.mark.parametrize("wanted", ["pid-namespace", "cgroup"])
def test_one_is_wanted_that_is_refused(refuse: set[str], wanted: str) -> None:
    """The system's reason is told, and no other is taken in its place."""
    refuse |= {wanted}
    with pytest.raises(NotAllowed, match="Operation not permitted"):
        select(wanted, "nobody", ALL)


def test_the_option_names_them_all() -> None:
    """Each can be asked for on the command line, the surest first."""
    assert (settings.AUTO, *(way.name for way in backends("1-2/"))) == settings.ISOLATION_BACKENDS


def test_no_cgroup_to_be_found() -> None:
    """Where none is mounted, the attempt at it says so."""
    refusal = isolation.probe(Cgroup(None, "1-2/"), None)
    assert refusal == "no cgroup v2 is mounted that the agent is in"
