"""Preflight creates everything with the right modes, or fails with one sentence."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import attrs
import pytest

from goloagent.host import preflight
from goloagent.host.startup_error import StartupError
from goloagent.options import Options
from goloagent.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings of an agent below `tmp_path` that changes to no other user."""
    options = Options()
    options.parseOptions(["--state", str(tmp_path / "state"), "--logs", str(tmp_path / "logs")])
    return attrs.evolve(options.settings, run_as=None)


@pytest.fixture
def narrow_umask() -> Iterator[None]:
    """Have the umask that twistd sets when it daemonizes."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def now() -> datetime:
    """Return a time."""
    return datetime(2026, 1, 2, tzinfo=timezone.utc)


def mode(path: Path) -> int:
    """Return the permission bits of what lies at `path`."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("narrow_umask")
def test_another_user_can_come_to_its_directory(settings: Settings) -> None:
    """Load tests of another user can enter below the state directory, with any umask."""
    preflight.acquire(settings, now).release()
    assert mode(settings.state) == mode(settings.state / "work") == 0o711
    assert mode(settings.logs) == 0o750
    assert mode(settings.state / "lock") == 0o600
    assert mode(settings.state / "golo-agent.sqlite") == 0o600


def test_modes_that_are_there_stay(settings: Settings) -> None:
    """The mode of an existing directory is kept."""
    settings.state.mkdir(mode=0o700)
    preflight.acquire(settings, now).release()
    assert mode(settings.state) == 0o700


def test_a_way_that_another_user_cannot_go(settings: Settings) -> None:
    """A directory on the way that shuts the load tests' user out is named before any job fails."""
    settings.state.mkdir(mode=0o700)
    with pytest.raises(StartupError, match=f"nobody may not enter {settings.state}$"):
        preflight.acquire(attrs.evolve(settings, run_as="nobody"), now)


def test_damage_is_known_until_all_is_restored(settings: Settings) -> None:
    """A life that ends amid the restoring, whatever it had restored, is followed by another try."""
    preflight.acquire(settings, now).release()
    (settings.state / "golo-agent.sqlite").write_bytes(b"no database" * 1000)
    first = preflight.acquire(settings, now)
    assert first.damage is not None
    assert "golo-agent.sqlite.damaged-2026" in first.damage
    first.release()
    second = preflight.acquire(settings, now)
    assert second.damage == first.damage
    second.restored()
    second.release()
    third = preflight.acquire(settings, now)
    assert third.damage is None
    third.release()


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A manager or a container may run the agent as any number."""
    monkeypatch.setattr("os.geteuid", lambda: 4_000_000_001)
    assert preflight.own_user() == "4000000001"
