"""The options of ``golo run`` and ``golo check``, each also as a variable ``GOLO_*``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

Options = tuple[tuple[tuple[str, ...], str, dict[str, Any]], ...]


class _Lines(click.types.StringParamType):
    """A text; in a variable, several are separated by line breaks, because they have blanks."""

    envvar_list_splitter = "\n"


_PATH = click.Path(path_type=Path)
# Names, help and more arguments of click, in the order of --help.
_LOAD: Options = (
    (("--users", "-u"), "calls in flight: the closed model [default: 25]", {"type": int}),
    (("--rate", "-r"), "iterations per second: the open model", {"type": float}),
    (
        ("--duration", "-d"),
        "how long, in seconds or as 90s, 5m, 1h30m [default: 30s]",
        {"metavar": "TIME"},
    ),
    (
        ("--stage",),
        "ramp to a value in a time: 30s:100 for users, 30s:100/s for a rate; repeatable",
        {"metavar": "TIME:VALUE", "multiple": True, "type": _Lines()},
    ),
    (
        ("--threshold", "-t"),
        "what must hold, such as 'duration: p(95)<250ms' or 'errors: rate<1%'; repeatable",
        {"metavar": "METRIC: EXPRESSION", "multiple": True, "type": _Lines()},
    ),
)
_INPUT: Options = (
    (
        ("--program",),
        "the load test, if the job file does not name it",
        {"metavar": "FILE"},
    ),
    (
        ("--requirements",),
        "packages of a load test in Python, as for pip",
        {"type": _PATH, "metavar": "FILE"},
    ),
    (("--exec", "is_command"), "each iteration runs the command after --", {"is_flag": True}),
    (
        ("--env", "-e"),
        "a variable of the load test; NAME alone takes its value from here; repeatable",
        {"metavar": "NAME=VALUE", "multiple": True, "type": _Lines()},
    ),
    (
        ("--arg",),
        "an argument of the load test, or several after --; repeatable",
        {"metavar": "TEXT", "multiple": True, "type": _Lines()},
    ),
    (
        ("--file",),
        "a file beside the load test: PATH[,name=NAME][,split][,header]; with split each agent "
        "gets its lines; repeatable",
        {"metavar": "PATH", "multiple": True, "type": _Lines()},
    ),
    (("--name",), "the name of the job [default: that of the program]", {}),
    (
        ("--tag",),
        "a text for outputs and reports; repeatable",
        {"metavar": "NAME=VALUE", "multiple": True, "type": _Lines()},
    ),
    (
        ("--drive",),
        "how the load test is called",
        {"type": click.Choice(["netrpc", "jsonrpc", "self"])},
    ),
)
_FLEET: Options = (
    (
        ("--provider", "-p"),
        "where agents are from: HOST[:PORT], a URL, unix:/PATH, localhost, env ($GOLO_HOSTS), "
        "digitalocean, file:PATH or exec:COMMAND [default: a private agent, for this run only]",
        {},
    ),
    (
        ("--output", "-o"),
        "where results go: the NAME of an output of the agents [default: all], or NAME=URL with a "
        "private agent [default: nowhere]; repeatable; see docs/outputs.md",
        {"metavar": "NAME[=URL]", "multiple": True, "type": _Lines()},
    ),
    (("--agent-tag",), "the tag of digitalocean's droplets [default: agent]", {"metavar": "TAG"}),
    (
        ("--agents",),
        "how many agents [default: all of the provider]",
        {"type": click.IntRange(1, 10_000)},
    ),
    (
        ("--tolerate",),
        "how many agents may be lost [default: 0]",
        {"type": click.IntRange(0, 10_000)},
    ),
    (
        ("--ready-timeout",),
        "how long agents may take to become ready [default: 2m]",
        {"metavar": "TIME"},
    ),
    (("--start-in",), "start the load after a time", {"metavar": "TIME"}),
    (
        ("--at",),
        "start the load at a time, such as 2026-12-01T09:00:00+01:00 or 09:00",
        {"metavar": "TIME"},
    ),
    (
        ("--token-file",),
        "the bearer token of the agents",
        {"type": _PATH, "metavar": "FILE"},
    ),
    (
        ("--ca",),
        "authorities (PEM) of the agents' certificates [default: the system's]",
        {"type": _PATH, "metavar": "FILE"},
    ),
)
_REPORT: Options = (
    (("--json",), "write the report as JSON; - is stdout", {"type": _PATH, "metavar": "FILE"}),
    (("--junit",), "write the verdict as JUnit XML", {"type": _PATH, "metavar": "FILE"}),
    (("--html",), "write the report as one HTML file", {"type": _PATH, "metavar": "FILE"}),
    (("--repeat",), "run so many times [default: 1]", {"type": click.IntRange(1, 1000)}),
    (
        ("--baseline",),
        "compare with a run, or with the file of a report",
        {"metavar": "RUN"},
    ),
    (
        ("--strict",),
        "fail if a load generator was the limit",
        {"is_flag": True, "default": None},
    ),
    (
        ("--delivery-timeout",),
        "how long the delivery of results may take after the end [default: 1m]",
        {"metavar": "TIME"},
    ),
)


def run_options(command: Command) -> Command:
    """Add the options of a run, which are None if they are not given."""
    for options in (_REPORT, _FLEET, _INPUT, _LOAD):
        command = with_options(command, options)
    return command


def report_options(command: Command) -> Command:
    """Add the options of the report and the judgement."""
    return with_options(
        command, tuple(one for one in _REPORT if one[0] not in (("--repeat",), ("--baseline",)))
    )


def with_options(command: Command, options: Options) -> Command:
    """Add options to a command, each also as a variable ``GOLO_*``."""
    for names, text, more in reversed(options):
        variable = "GOLO_" + names[0].strip("-").replace("-", "_").upper()
        more = more if names[0] == "--exec" else {"envvar": variable, **more}
        command = click.option(*names, help=text, **more)(command)
    return command
