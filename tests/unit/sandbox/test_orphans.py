"""The tag of a job's processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from goloagent.sandbox.orphans import VARIABLE, env_tag, has_tag


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
def test_has_tag(environ: bytes, expected: bool) -> None:
    """A variable of exactly that name has the tag, wherever it is in the environment."""
    assert VARIABLE == "GOLO_JOB"
    assert has_tag(environ, "1-2/job") is expected


def test_tags_of_a_state_directory(tmp_path: Path) -> None:
    """All tags of a directory share a prefix, by any of its names, and no other's have it."""
    state, other = tmp_path / "state", tmp_path / "other"
    state.mkdir()
    other.mkdir()
    (tmp_path / "link").symlink_to(state)
    prefix = env_tag(state)
    assert env_tag(tmp_path / "link") == prefix
    assert env_tag(state, "job") == f"{prefix}job"
    assert not env_tag(other, "job").startswith(prefix)
