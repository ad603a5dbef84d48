"""Which children that have ended are found, in a directory that models /proc."""

from __future__ import annotations

from pathlib import Path

import pytest

from goloagent.sandbox import reaper


def test_a_zombie_of_any_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may give itself any bytes for a name; it keeps no other from being reaped."""
    stats = {
        1: b"1 (twistd) S 0 1 1",
        7: b"7 (\xff) Z 8) Z 1 7 7",
        8: b"8 (a b) Z 1 8 8",
        9: b"9 (another's) Z 7 9 9",
        10: b"10 (lives) R 1 10 10",
    }
    for pid, stat in stats.items():
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_bytes(stat)
    (tmp_path / "11").mkdir()  # it has been reaped meanwhile
    (tmp_path / "self").mkdir()
    monkeypatch.setattr(reaper, "_PROC", tmp_path)
    assert sorted(reaper._zombies(1)) == [7, 8]
