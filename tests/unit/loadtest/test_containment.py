"""Which containment is chosen, of those that the system allows."""

from __future__ import annotations

import pytest

from goloagent import settings
from goloagent.loadtest import containment
from goloagent.loadtest.containment import Containment, NotAllowed, choose


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (None, Containment.PID_NAMESPACE),
        (Containment.PID_NAMESPACE, Containment.PID_NAMESPACE),
        (Containment.PROCESS_GROUP, Containment.PROCESS_GROUP),
    ],
)
def test_where_everything_is_allowed(
    monkeypatch: pytest.MonkeyPatch, wanted: Containment | None, chosen: Containment
) -> None:
    """The surest is chosen, unless another is wanted."""
    monkeypatch.setattr(containment, "try_namespace", lambda user: None)
    assert choose(wanted, "nobody") is chosen


def test_where_no_namespace_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next is chosen; who wants a namespace by name is refused with the system's reason."""
    monkeypatch.setattr(containment, "try_namespace", lambda user: "Operation not permitted")
    assert choose(None, None) is Containment.PROCESS_GROUP
    assert choose(Containment.PROCESS_GROUP, None) is Containment.PROCESS_GROUP
    with pytest.raises(NotAllowed, match="Operation not permitted"):
        choose(Containment.PID_NAMESPACE, None)


def test_the_option_names_them_all() -> None:
    """Each can be asked for on the command line."""
    assert (settings.AUTO, *(way.value for way in Containment)) == settings.CONTAINMENTS
