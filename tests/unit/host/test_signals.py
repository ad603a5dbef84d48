"""No signal ends the process unless it should."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from goloagent.host.signals import ACTIONS, Action, Signals

# A defect's, or the kernel's and the service manager's last word.
ABRUPT = {"SIGKILL", "SIGABRT", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP"}
# By default these do not end a process.
HARMLESS = {"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"}
STOP_THE_PROCESS = {"SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"}
STOPPING = [name for name, action in ACTIONS.items() if action.name.startswith("STOP")]
IGNORED = [name for name in ACTIONS if name not in STOPPING and hasattr(signal, name)]


class Taken:
    """Signals of this process, taken, and what was heard of them."""

    def __init__(self) -> None:
        self.stops: list[str] = []
        self.ignored: list[str] = []
        self.signals = Signals(self.stops.append, self.ignored.append)


@pytest.fixture
def taken() -> Iterator[Taken]:
    """Return signals that are not taken yet; all is as before after the test."""
    numbers = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    before = {number: signal.getsignal(number) for number in numbers}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    try:
        for number in numbers - {signal.SIGCHLD}:
            signal.signal(number, signal.SIG_DFL)
        yield Taken()
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def test_every_signal_is_in_the_table() -> None:
    """None is left to its default by oversight."""
    names = {
        signal.Signals(number).name
        for number in range(1, signal.SIGRTMIN)
        if number in set(signal.Signals)
    }
    known = {name for name in ACTIONS if hasattr(signal, name)}  # not on every processor
    assert names == known | ABRUPT | HARMLESS | STOP_THE_PROCESS


@pytest.mark.parametrize("name", STOPPING)
def test_it_stops(taken: Taken, name: str) -> None:
    """In order once the reactor runs, each time; during the start by giving it up."""
    taken.signals.install()
    with pytest.raises(SystemExit) as ended:
        signal.raise_signal(getattr(signal, name))
    assert ended.value.code == 0
    taken.signals.hold()
    signal.raise_signal(getattr(signal, name))
    assert taken.stops == []
    taken.signals.release()
    signal.raise_signal(getattr(signal, name))
    assert taken.stops == [name] * 2
    taken.signals.close()
    signal.raise_signal(getattr(signal, name))
    assert taken.stops == [name] * 2


@pytest.mark.parametrize("name", IGNORED)
def test_it_is_ignored(taken: Taken, name: str) -> None:
    """By a handler, which load tests do not inherit."""
    taken.signals.install()
    signal.raise_signal(getattr(signal, name))
    assert taken.ignored == [name]
    assert signal.getsignal(getattr(signal, name)) not in (signal.SIG_DFL, signal.SIG_IGN)


def test_real_time_signals_are_ignored(taken: Taken) -> None:
    """The first and the last, which have names, and one that has none."""
    taken.signals.install()
    for number in (signal.SIGRTMIN, signal.SIGRTMIN + 1, signal.SIGRTMAX):
        signal.raise_signal(number)
    assert taken.ignored == ["SIGRTMIN", f"signal {signal.SIGRTMIN + 1}", "SIGRTMAX"]


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGQUIT"])
def test_what_was_ignored_stays_ignored(taken: Taken, name: str) -> None:
    """As under nohup, and in the background of a shell without job control."""
    signal.signal(getattr(signal, name), signal.SIG_IGN)
    taken.signals.install()
    taken.signals.release()
    signal.raise_signal(getattr(signal, name))
    assert taken.stops == []


def test_sigterm_is_heeded_however_it_was_inherited(taken: Taken) -> None:
    """Ignored and blocked."""
    assert ACTIONS["SIGTERM"] is Action.STOP
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    taken.signals.install()
    taken.signals.release()
    signal.raise_signal(signal.SIGTERM)
    assert taken.stops == ["SIGTERM"]


def test_a_handler_that_twistd_has_installed_stays(taken: Taken) -> None:
    """As that of SIGUSR1, by which it rotates its log file."""
    rotated: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _: rotated.append(number))
    taken.signals.install()
    signal.raise_signal(signal.SIGUSR1)
    assert (rotated, taken.ignored) == ([signal.SIGUSR1], [])


def test_the_reactor_does_not_keep_sigterm(taken: Taken) -> None:
    """The reactor installs its handler before the agent is notified of its start."""
    taken.signals.install()
    taken.signals.hold()
    signal.signal(signal.SIGTERM, lambda *_: pytest.fail("the reactor's own handler"))
    signal.raise_signal(signal.SIGTERM)
    taken.signals.release()
    assert taken.stops == ["SIGTERM"]


def test_exit_codes_of_children_are_not_lost(taken: Taken) -> None:
    """An ignored SIGCHLD would have the kernel reap them."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    taken.signals.install()
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
