"""Job files of 2018: the values and sentences are those of BurntSushi's toml 0.3.1."""

from __future__ import annotations

from pathlib import Path

import pytest

from goloagent.client.legacy import job_file
from goloagent.client.legacy.errors import LegacyError
from goloagent.client.legacy.job_file import Job
from goloagent.client.legacy.request import encode

JOB = 'type = "job"\n[schema]\n'


@pytest.mark.parametrize(
    ("text", "job"),
    [
        (f'{JOB}name = "checkout"\nusers = 25\nduration = 60\n', Job("checkout", 25, 60)),
        (f'{JOB}NAME = "a"\nUsers = 1_000\nduraTion = -1\n', Job("a", 1000, -1)),
        (f"{JOB}other = 5\n[fleet]\nagents = 3\n", Job()),
        (f"{JOB}Users = 1\nusers = 2\n", Job("", 2, 0)),
        ('TYPE = "job.latest"\n[SCHEMA]\nusers = 9223372036854775807', Job("", 2**63 - 1, 0)),
        ('type = "job.1"', Job()),
    ],
)
def test_a_job(text: str, job: Job) -> None:
    """Names match in any case, unknown members are ignored, missing ones are empty."""
    assert job_file.parse(text.encode()) == job


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('type = "job:latest"', 'Invalid type "job:latest"'),
        ('type = "job.2"', 'Invalid type "job.2"'),
        ("", 'Invalid type ""'),
        ("type = 5", "toml: cannot load TOML value of type int64 into a Go string"),
        (
            f'{JOB}duration = "5m"',
            "toml: cannot load TOML value of type string into a Go integer",
        ),
        (f"{JOB}users = 2.5", "toml: cannot load TOML value of type float64 into a Go integer"),
        (f"{JOB}users = true", "toml: cannot load TOML value of type bool into a Go integer"),
        (
            f"{JOB}users = [1]",
            "toml: cannot load TOML value of type []interface {} into a Go integer",
        ),
        (
            f"{JOB}name = {{a = 1}}",
            "toml: cannot load TOML value of type map[string]interface {} into a Go string",
        ),
        (
            f"{JOB}name = 2018-01-01T00:00:00Z",
            "toml: cannot load TOML value of type time.Time into a Go string",
        ),
        (
            'type = "job"\nschema = 5',
            "toml: type mismatch for main.Job: expected table but found int64",
        ),
        (
            f"{JOB}users = 9223372036854775808",
            "toml: Integer '9223372036854775808' is out of the range of 64-bit signed integers.",
        ),
    ],
)
def test_a_wrong_job(text: str, sentence: str) -> None:
    """The sentence is that of the old program."""
    with pytest.raises(LegacyError) as raised:
        job_file.parse(text.encode())
    assert str(raised.value) == sentence


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (f"{JOB}users = \n", "Near line 3 (last key parsed 'schema.users'): "),
        (f"{JOB}users = 1\nusers = 2\n", "Near line 4 (last key parsed 'schema.users'): "),
        ('type = "job\n', "Near line 1 (last key parsed 'type'): "),
        (f"{JOB}users", "Near line 3 (last key parsed 'schema.users'): "),
        ("a = [" + "[" * 100_000, "toml: values are nested too deep"),
        ("type = \udcff", "toml: the file is not text in UTF-8"),
    ],
)
def test_not_toml(text: str, where: str) -> None:
    """The error has the line and the last key."""
    with pytest.raises(LegacyError) as raised:
        job_file.parse(text.encode(errors="surrogateescape"))
    assert str(raised.value).startswith(where)


def test_no_file(tmp_path: Path) -> None:
    """The error is that of Go's package os."""
    for path, sentence in (
        ("nope.toml", "open nope.toml: no such file or directory"),
        (str(tmp_path), f"read {tmp_path}: is a directory"),
    ):
        with pytest.raises(LegacyError) as raised:
            job_file.read(path)
        assert str(raised.value) == sentence


def test_the_json_of_a_job() -> None:
    """It is that of Go's encoding/json, which escapes HTML."""
    job = Job('a<b>&\u2028\x7f\x01\b\f\n"\\é', -1, 60)
    assert (
        encode(job, "id")
        == (
            r'{"name":"a\u003cb\u003e\u0026\u2028' + "\x7f" + r"\u0001\u0008\u000c\n\"\\é"
            r'","users":-1,"duration":60,"binary":"id"}'
        ).encode()
    )
