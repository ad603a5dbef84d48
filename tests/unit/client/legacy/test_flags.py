"""The flags of 2018: the outputs are those of a program with Go's package flag."""

from __future__ import annotations

import pytest

from goloagent.client.legacy.flags import UsageError, parse

DEFAULTS = {
    "agent-tag": "agent",
    "f": "config.toml",
    "provider": "localhost",
    "schedule": "./schedule",
}
USAGE = """Usage of golo-cli:
  -agent-tag string
    \tthe tag of the agents, for the provider digitalocean (default "agent")
  -f string
    \tthe job's file in TOML (default "config.toml")
  -provider string
    \twhere agents are found: localhost, env, digitalocean (default "localhost")
  -schedule string
    \tthe load test to upload (default "./schedule")
"""


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ([], {}),
        (["-f", "a"], {"f": "a"}),
        (["--f", "a"], {"f": "a"}),
        (["-f=a=b"], {"f": "a=b"}),
        (["--f="], {"f": ""}),
        (["-f", "-schedule", "-schedule", "x"], {"f": "-schedule", "schedule": "x"}),
        (["-f", "a", "-f", "b"], {"f": "b"}),
        (["-f", "a", "word", "-f", "b"], {"f": "a"}),
        (["-f", "a", "--", "-f", "b"], {"f": "a"}),
        (["-f", "a", "-", "-f", "b"], {"f": "a"}),
        (
            ["-agent-tag=t", "--provider", "env", "-schedule", "./s"],
            {"agent-tag": "t", "provider": "env", "schedule": "./s"},
        ),
    ],
)
def test_the_values(arguments: list[str], values: dict[str, str]) -> None:
    """One dash or two; the value follows, or stands after an equals sign."""
    assert parse("golo-cli", arguments) == {**DEFAULTS, **values}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-h"], ""),
        (["--help"], ""),
        (["-x"], "flag provided but not defined: -x\n"),
        (["--x=3"], "flag provided but not defined: -x\n"),
        (["-f"], "flag needs an argument: -f\n"),
        (["---f"], "bad flag syntax: ---f\n"),
        (["-=x"], "bad flag syntax: -=x\n"),
        (["--=x"], "bad flag syntax: --=x\n"),
    ],
)
def test_wrong_flags(arguments: list[str], message: str) -> None:
    """The message, then the usage."""
    with pytest.raises(UsageError) as raised:
        parse("golo-cli", arguments)
    assert str(raised.value) == message + USAGE
