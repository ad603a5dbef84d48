"""The input of a load test, and the sentence for each invalid one."""

from __future__ import annotations

from typing import Any

import pytest

from goloagent.core.load_test_input import (
    InputFile,
    InvalidInput,
    LoadTestInput,
    parse_input,
    parse_tags,
)

FILE = {"name": "users.csv", "binary": "9a1b"}


def test_all_members() -> None:
    """They are taken as they are; values of variables are not in the repr."""
    given = parse_input(
        {
            "args": ["--cart", "3", ""],
            "env": {"TARGET": "https://secret"},
            "files": [{**FILE, "split": "lines", "header": True}],
            "drive": "jsonrpc",
        }
    )
    assert given == LoadTestInput(
        ("--cart", "3", ""),
        {"TARGET": "https://secret"},
        (InputFile("users.csv", "9a1b", True, True),),
        "jsonrpc",
    )
    assert "secret" not in repr(given)


@pytest.mark.parametrize("members", [{}, dict.fromkeys(["args", "env", "files", "drive"])])
def test_missing_members(members: dict[str, Any]) -> None:
    """As before there were any; null is missing."""
    assert parse_input(members) == LoadTestInput()


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"drive": "grpc"}, "drive must be one of: netrpc, jsonrpc, self"),
        ({"args": "--cart"}, "args must be a list of at most 256 texts"),
        ({"args": [3]}, "args must be a list of at most 256 texts"),
        ({"args": ["\0"]}, "args must be a list of at most 256 texts"),
        ({"args": ["x"] * 257}, "args must be a list of at most 256 texts"),
        ({"args": ["é" * 16_384]}, "args has 32769 bytes: at most 32768 are allowed"),
        ({"env": ["A=1"]}, "env must be an object of at most 256 texts"),
        ({"env": {"1A": ""}}, "env.1A: a name is letters, digits and _, no digit first"),
        ({"env": {"": ""}}, "env.: a name is letters"),
        ({"env": {"GOLO_RPC_ADDR": ""}}, "env.GOLO_RPC_ADDR is reserved"),
        ({"env": {"LD_PRELOAD": ""}}, "env.LD_PRELOAD is reserved"),
        ({"env": {"A": 1}}, "env.A must be a text: put it in quotes"),
        ({"env": {"A": "x" * 32_768}}, "env has 32771 bytes: at most 32768 are allowed"),
        ({"files": FILE}, "files must be a list of at most 16"),
        ({"files": [FILE] * 17}, "files must be a list of at most 16"),
        ({"files": ["users.csv"]}, "files[0] must be an object such as"),
        ({"files": [{**FILE, "mode": 1}]}, "files[0].mode is not known: use name, binary"),
        ({"files": [{"binary": "9a1b"}]}, "files[0].name must be 1 to 128 of"),
        ({"files": [{**FILE, "name": "../x"}]}, "files[0].name must be 1 to 128 of"),
        ({"files": [{**FILE, "name": ".x"}]}, "files[0].name must be 1 to 128 of"),
        ({"files": [{"name": "a"}]}, "files[0].binary must be the id of an upload"),
        ({"files": [{**FILE, "split": "words"}]}, 'files[0].split must be "lines"'),
        ({"files": [{**FILE, "header": 1}]}, "files[0].header must be true or false"),
        ({"files": [FILE, FILE]}, "files: users.csv is there twice"),
    ],
)
def test_an_invalid_member_has_its_sentence(members: dict[str, Any], sentence: str) -> None:
    """The message names the member and says what is allowed."""
    with pytest.raises(InvalidInput) as refusal:
        parse_input(members)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    "tags",
    [[], {"a b": "1"}, {"a": 1}, {"a": ""}, {"a": "x" * 257}, {f"t{n}": "1" for n in range(17)}],
)
def test_invalid_tags(tags: object) -> None:
    """Labels of other systems have no more."""
    with pytest.raises(InvalidInput, match="tags"):
        parse_tags(tags)


def test_tags() -> None:
    """They are texts by name."""
    assert parse_tags({"release": "1.4.2"}) == {"release": "1.4.2"}
