"""Values of job files that JSON does not have, and documents that expand without end."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path
from typing import Any

import pytest

from goloagent.client.config.job_file import read_job_file
from goloagent.client.config.plain_values import NotPlain, PlainValues
from goloagent.client.errors import ClientError


def test_dates_are_texts() -> None:
    """As they are written."""
    found = PlainValues().convert({"tags": {"day": date(2026, 1, 2), "at": time(7, 30), 5: True}})
    assert found == {"tags": {"day": "2026-01-02", "at": "07:30:00", "5": True}}


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"a": [{1, 2}]}, r"a\[0\] must be a text"),
        ({"a": b"x"}, "a must be a text"),
        ({"a": float("nan")}, "a must be a finite number"),
        ({"a": "x\0"}, "a has a NUL"),
    ],
)
def test_values_without_a_form(value: Any, sentence: str) -> None:
    """The error names the place."""
    with pytest.raises(NotPlain, match=sentence):
        PlainValues().convert(value)


LAUGHS = "env:\n  A: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"  {new}: &{new.lower()} [{','.join(['*' + old] * 10)}]\n"
    for old, new in zip("abcdefgh", "BCDEFGHI", strict=True)
)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("j.yaml", LAUGHS, "more than 20000 values"),
        ("j.yaml", "env: &a\n  A: *a\n", "nested deeper"),
        ("j.yaml", "program: x\nrate: 1\nRATE: 2\n", "rate is there twice"),
        ("j.yaml", "on: yes\n", "true is not known"),
        ("j.toml", 'exec = ["a"]\nprogram = "b"\n', "exclude each other"),
        ("j.toml", "[fleet]\nprovider = 5\n", "provider must be a text"),
        ("j.toml", "[report]\nhtml = 5\n", "html must be a text"),
        ("j.toml", '[report]\nstrict = "no"\n', "true or false"),
        ("j.toml", "version = 99\n", "version 99 is not known"),
    ],
)
def test_wrong_job_files(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    """Each has one sentence."""
    (tmp_path / name).write_text(text)
    with pytest.raises(ClientError, match=sentence) as caught:
        read_job_file(tmp_path / name)
    assert "\n" not in str(caught.value)
