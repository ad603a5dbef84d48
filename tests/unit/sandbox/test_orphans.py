"""The mark that processes of a job bear."""

from __future__ import annotations

from pathlib import Path

import pytest

from goloagent.sandbox.orphans import VARIABLE, bears, mark_of


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (b"", False),
        (b"PATH=/bin\0GOLO_JOB=1-2/job\0", True),
        (b"GOLO_JOB=1-2/job-10\0", True),
        (b"GOLO_JOB=1-2/another\0", False),
        (b"GOLO_JOB=1-23/job\0", False),
        (b"X=GOLO_JOB=1-2/job\0", False),
        (b"MY_GOLO_JOB=1-2/job\0", False),
        (b"\xff\0GOLO_JOB=1-2/job", True),
    ],
)
def test_bears(environ: bytes, expected: bool) -> None:
    """A variable of that very name bears it, wherever it stands among others."""
    assert VARIABLE == "GOLO_JOB"
    assert bears(environ, "1-2/job") is expected


def test_mark_of_a_state_directory(tmp_path: Path) -> None:
    """All marks of a directory begin alike whatever it is called, and no other directory's do."""
    state, other = tmp_path / "state", tmp_path / "other"
    state.mkdir()
    other.mkdir()
    (tmp_path / "link").symlink_to(state)
    whole = mark_of(state)
    assert mark_of(tmp_path / "link") == whole
    assert mark_of(state, "job") == f"{whole}job"
    assert not mark_of(other, "job").startswith(whole)
