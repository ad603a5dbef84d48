"""Which isolation backend is selected, of those that the system allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from goloagent import settings
from goloagent.sandbox import isolation
from goloagent.sandbox.isolation import (
    Cgroup,
    IsolationBackend,
    IsolationUnavailable,
    PidNamespace,
    ProcessGroup,
    backends,
    select,
)

ALL = (PidNamespace(), Cgroup(Path("/cgroup"), "1-2/"), ProcessGroup())


@pytest.fixture
def unavailable(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the names of the backends that the system forbids."""
    names: set[str] = set()

    def probe(backend: IsolationBackend, user: str | None) -> str | None:
        assert user == "nobody"
        return "Operation not permitted" if backend.name in names else None

    monkeypatch.setattr(isolation, "probe", probe)
    return names


@pytest.mark.parametrize(
    ("forbidden", "selected"),
    [
        (set(), "pid-namespace"),
        ({"cgroup"}, "pid-namespace"),
        ({"pid-namespace"}, "cgroup"),
        ({"pid-namespace", "cgroup"}, "process-group"),
    ],
)
def test_the_strongest_is_selected(
    unavailable: set[str], forbidden: set[str], selected: str
) -> None:
    """The first one that works is selected; the last one always works."""
    unavailable |= forbidden
    assert select(None, "nobody", ALL).name == selected


@pytest.mark.parametrize("wanted", [backend.name for backend in ALL])
def test_a_name_selects_it(unavailable: set[str], wanted: str) -> None:
    """A backend that is named is selected although a stronger one works."""
    assert select(wanted, "nobody", ALL).name == wanted


@pytest.mark.parametrize("wanted", ["pid-namespace", "cgroup"])
def test_an_unavailable_name_is_an_error(unavailable: set[str], wanted: str) -> None:
    """The error has the system's reason; no other backend replaces it."""
    unavailable |= {wanted}
    with pytest.raises(IsolationUnavailable, match="Operation not permitted"):
        select(wanted, "nobody", ALL)


def test_the_option_names_them_all() -> None:
    """Each backend is a value of `--containment`, the strongest first."""
    assert (
        settings.AUTO,
        *(backend.name for backend in backends("1-2/")),
    ) == settings.ISOLATION_BACKENDS


def test_probe_without_a_cgroup() -> None:
    """If none is mounted, the error says so."""
    assert isolation.probe(Cgroup(None, "1-2/"), None) == (
        "no cgroup v2 is mounted that the agent is in"
    )
