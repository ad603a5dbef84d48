"""What /health says of the start."""

from __future__ import annotations

from conftest import LoggedErrors

from goloagent.host.health import MAX_NOTICES, HealthState
from goloagent.host.readiness import Health
from goloagent.host.systemd import SystemdNotifier


def condition() -> HealthState:
    """Return the condition of an agent that no service manager watches."""
    return HealthState(SystemdNotifier(lambda _: None))


def notices(condition: HealthState) -> tuple[str, ...]:
    """Return what /health would list."""
    health: Health = condition.current(lambda: None)
    return health.notices


def test_notices_are_few(logged_errors: LoggedErrors) -> None:
    """However many jobs have one, /health stays small and says how many there are."""
    many = condition()
    for number in range(200):
        many.add_notice(f"the log of job {number} is gone")
    assert len(logged_errors.flush()) == 200
    assert len(notices(many)) == MAX_NOTICES + 1
    assert notices(many)[0] == "the log of job 0 is gone"
    assert notices(many)[-1] == f"and {200 - MAX_NOTICES} more, see the log"


def test_all_of_a_few_notices_are_there(logged_errors: LoggedErrors) -> None:
    """As many as fit."""
    few = condition()
    for number in range(MAX_NOTICES):
        few.add_notice(str(number))
    assert len(logged_errors.flush()) == MAX_NOTICES
    assert notices(few) == tuple(map(str, range(MAX_NOTICES)))


def test_a_notice_may_name_any_file(logged_errors: LoggedErrors) -> None:
    """A name that is not UTF-8 can be shown."""
    odd = condition()
    odd.add_notice(f"the file {chr(0xDCFF)} is odd")
    assert logged_errors.flush()
    assert notices(odd) == ("the file \\udcff is odd",)
