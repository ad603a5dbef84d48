"""Valid jobs, and the errors of invalid ones."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.core import job_spec as spec
from goloagent.core.job_spec import InvalidSpec, JobSpec, parse

ASKED = {"name": "shop", "users": 7, "duration": 60, "binary": "b"}


def body(**members: object) -> bytes:
    """Return a good request with some members changed."""
    return json.dumps(ASKED | members).encode()


def nested(levels: int) -> str:
    """Return a request of so many levels; the object itself is one."""
    return '{"x":' + "[" * (levels - 1) + "]" * (levels - 1) + "}"


def test_every_member_is_taken() -> None:
    """A full request becomes a job with exactly what was asked."""
    assert parse(body()) == (JobSpec("shop", 7, 60, "b"), ())


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ('{"Name":"shop","USERS":7,"Duration":60,"bInArY":"b"}', 7),
        ('{"name":"shop","u\u017fers":7,"duration":60,"binary":"b"}', 7),
        ('{"name":"shop","Users":1,"users":7,"duration":60,"binary":"b"}', 7),
        ('{"name":"shop","users":1,"Users":2,"users":7,"duration":60,"binary":"b"}', 7),
        ('{"name":"shop","users":7,"Users":null,"users":null,"duration":60,"binary":"b"}', 7),
    ],
)
def test_members_are_those_that_go_takes(text: str, users: int) -> None:
    """The case of a name does not matter, the last of one name counts, null changes nothing."""
    assert parse(text.encode()) == (JobSpec("shop", users, 60, "b"), ())


def test_a_member_is_refused_whatever_its_case() -> None:
    """A capital is no way round the bounds of a member."""
    with pytest.raises(InvalidSpec, match=r"at `\$\.users`"):
        parse(b'{"Users":"5"}')
    with pytest.raises(InvalidSpec, match="invalid duration -1"):
        parse(b'{"DURATION":-1}')
    with pytest.raises(InvalidSpec, match=r"got `object` - at `\$\.users`"):
        parse(b'{"users":{"a":1}}')


@pytest.mark.parametrize("text", ["{}", '{"name":"","users":0,"duration":0,"binary":""}'])
def test_zero_and_missing_are_the_same(text: str) -> None:
    """As in Go, a missing member is a zero one, and zero users and names have defaults."""
    assert parse(text.encode()) == (JobSpec("dead_letter", 25, 0, ""), ())


def test_null_is_missing() -> None:
    """A null member is a missing one."""
    text = b'{"name":null,"users":null,"duration":null,"binary":null}'
    assert parse(text) == parse(b"{}")


def test_unknown_members_are_ignored_and_named() -> None:
    """Unknown members change nothing, and each is named once, as it was written."""
    text = b'{"user":1,"Priority":{"a":[1,2.5,"x",null]},"durations":9,"user":2,"users":7}'
    assert parse(text) == (parse(b'{"users":7}')[0], ("user", "Priority", "durations"))


@pytest.mark.parametrize("text", [b"[]", b"null", b"5", b'[["users",7]]'])
def test_only_an_object_is_a_job(text: bytes) -> None:
    """JSON of another type is refused by its type."""
    with pytest.raises(InvalidSpec, match=r"^invalid JSON: Expected `object`, got"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b"{} x",
        b"{}{}",
        b"[]",
        b"null",
        b'"x"',
        b"1",
        b"{'a':1}",
        b'{"a":1,}',
        b'{"x":NaN}',
        b'{"x":Infinity}',
        b'{"x":01}',
        b'{"x":"\x00"}',
        b'{"x":"\\ud800"}',
        b"\xef\xbb\xbf{}",
        b'{"x":"\xff"}',
        b'{"users":' + b"9" * 5000 + b"}",
        b'{"x":' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_not_a_json_object_is_refused(text: bytes) -> None:
    """Anything but one whole JSON object in UTF-8 is refused as invalid JSON."""
    with pytest.raises(InvalidSpec, match=r"^invalid JSON: ."):
        parse(text)


def test_the_broken_byte_is_named() -> None:
    """The client learns which byte is not UTF-8."""
    with pytest.raises(InvalidSpec, match=r"not UTF-8 at byte 6$"):
        parse(b'{"x":"\xff"}')


@pytest.mark.parametrize("levels", [33, 1000, 30_000])
def test_deep_nesting_is_refused(levels: int) -> None:
    """More than 32 levels are refused, however many there are, also in unknown members."""
    with pytest.raises(InvalidSpec, match="nested deeper than 32 levels"):
        parse(nested(levels).encode())


def test_32_levels_are_taken() -> None:
    """The deepest nesting that is allowed is allowed."""
    assert parse(nested(32).encode())[0] == parse(b"{}")[0]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("users", "5"),
        *(
            (member, value)
            for member in ("users", "duration")
            for value in (1.5, 1.0, True, [], {})
        ),
    ],
)
def test_numbers_are_integers(member: str, value: object) -> None:
    """As in Go, a number member takes an integer and nothing that looks like one."""
    with pytest.raises(InvalidSpec, match=rf"invalid JSON: .*\$\.{member}"):
        parse(body(**{member: value}))


@pytest.mark.parametrize("member", ["name", "binary"])
@pytest.mark.parametrize("value", [5, True, ["x"], {}])
def test_names_are_strings(member: str, value: object) -> None:
    """A string member takes nothing else, and the client learns which it was."""
    with pytest.raises(InvalidSpec, match=rf"\$\.{member}"):
        parse(body(**{member: value}))


@pytest.mark.parametrize(
    ("member", "most"), [("users", spec.MAX_USERS), ("duration", spec.MAX_DURATION_SECONDS)]
)
def test_numbers_have_bounds(member: str, most: int) -> None:
    """The largest number is taken; one more, or one below zero, is refused with the bounds."""
    parse(body(**{member: most}))
    for value in (most + 1, -1, -(10**30), 10**30):
        with pytest.raises(InvalidSpec, match=f"^invalid {member} {value}: 0 to {most} is allowed"):
            parse(body(**{member: value}))


@pytest.mark.parametrize("name", ["a", "_", "9", "A.b-c_d", "a..", "x" * 64])
def test_names_that_are_taken(name: str) -> None:
    """A name of the allowed letters is kept as it is."""
    assert parse(body(name=name))[0].name == name


@pytest.mark.parametrize(
    "name",
    [
        ".",
        "..",
        ".a",
        "-a",
        "a/b",
        "a\\b",
        "a\x00",
        "a\n",
        " a",
        "a b",
        "é",
        "\N{FULLWIDTH DIGIT ONE}",
        "x" * 65,
        "/",
    ],
)
def test_names_that_are_refused(name: str) -> None:
    """A name must be a directory and a part of a URL without escapes."""
    with pytest.raises(InvalidSpec, match=r"^invalid name "):
        parse(body(name=name))


@given(st.text(max_size=70))
def test_a_name_is_taken_or_refused_by_its_pattern(name: str) -> None:
    """Every text is either a name by the published pattern or refused."""
    if re.fullmatch(spec.NAME_PATTERN, name):
        assert parse(body(name=name))[0].name == name
    elif name:
        with pytest.raises(InvalidSpec):
            parse(body(name=name))


@given(
    st.binary() | st.text().map(str.encode) | st.builds(nested, st.integers(1, 50)).map(str.encode)
)
def test_no_bytes_end_in_another_error(text: bytes) -> None:
    """Any body is a job within its bounds or an `InvalidSpec`."""
    try:
        job, _ = parse(text)
    except InvalidSpec:
        return
    if not job.members:
        assert 0 < job.users <= spec.MAX_USERS
    assert 0 <= job.duration_seconds <= spec.MAX_DURATION_SECONDS
