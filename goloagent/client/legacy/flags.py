"""The flags of 2018, by the syntax and with the sentences of Go's package flag."""

from __future__ import annotations

from collections.abc import Sequence

# Name: default, meaning.
FLAGS = {
    "agent-tag": ("agent", "the tag of the agents, for the provider digitalocean"),
    "f": ("config.toml", "the job's file in TOML"),
    "provider": ("localhost", "where agents are found: localhost, env, digitalocean"),
    "schedule": ("./schedule", "the load test to upload"),
}


class UsageError(Exception):
    """The flags are wrong, or help is requested; the message has whole lines for stderr."""


def parse(program: str, arguments: Sequence[str]) -> dict[str, str]:
    """Return the value of each flag; arguments after the first that is no flag are ignored.

    Raises:
        UsageError: one is unknown or has no value, or it is ``-h`` or ``-help``.
    """
    values = {name: default for name, (default, _) in FLAGS.items()}
    left = list(arguments)
    while left and left[0].startswith("-") and left[0] not in ("-", "--"):
        word = left.pop(0)
        name, equals, value = word[2 if word.startswith("--") else 1 :].partition("=")
        if not name or name.startswith("-"):
            raise _usage(program, f"bad flag syntax: {word}")
        if name not in FLAGS:
            help_requested = name in ("h", "help")
            message = None if help_requested else f"flag provided but not defined: -{name}"
            raise _usage(program, message)
        if not equals:
            if not left:
                raise _usage(program, f"flag needs an argument: -{name}")
            value = left.pop(0)
        values[name] = value
    return values


def _usage(program: str, message: str | None) -> UsageError:
    lines = [] if message is None else [message]
    lines.append(f"Usage of {program}:")
    for name, (default, meaning) in FLAGS.items():
        lines += [f"  -{name} string", f'    \t{meaning} (default "{default}")']
    return UsageError("".join(f"{line}\n" for line in lines))
