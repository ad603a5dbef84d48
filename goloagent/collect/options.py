"""The options of ``golo collect``, which are some of the agent's, and its service."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Sequence

from twisted.application.service import IService
from twisted.python import usage

from goloagent import VERSION, settings
from goloagent.options import VALUES, terminal_and_log
from goloagent.options import Options as AgentOptions
from goloagent.settings import Settings, WrongOption

DEFAULT_LISTEN = "tcp:8082:interface=127.0.0.1"
DEFAULT_STATE = "/var/lib/golo-collect"

_NAMES = (
    "outputs",
    "state",
    "token-file",
    "log-format",
    "max-log",
    "min-free",
    "keep-days",
    "keep-size",
    "keep-jobs",
    "max-connections",
    "max-connections-per-peer",
)
_CHANGED = {
    "state": (DEFAULT_STATE, "directory of the received results, until all outputs have them"),
    "outputs": (
        None,
        "settings file (TOML) of outputs: a table for each, with its url and members",
    ),
    "log-format": ("text", f"format of its own log: {', '.join(settings.LOG_FORMATS)}"),
    "min-free": (
        "128MiB",
        "minimum free disk space to take results; capped at 10 % of the filesystem",
    ),
    "keep-days": ("30", "days after which a job's log is removed, if outputs have all of it"),
    "max-log": ("10GiB", "size of a job's log at which another job begins"),
}


class Options(usage.Options):
    """The command line; `settings` has its values after parsing."""

    longdesc = (
        "Takes results by the protocol of collectors, POST /push/NAME, and delivers each of them "
        "to outputs, such as files and databases."
    )
    optParameters = tuple(
        (name, None, *_CHANGED.get(name, (default, text)))
        for name, default, text in VALUES
        if name in _NAMES
    )
    optFlags = (("no-auth", None, "allow other hosts to connect without a token"),)

    settings: Settings

    def __init__(self) -> None:
        super().__init__()
        self._listen: list[str] = []
        self._more: list[str] = []

    def opt_listen(self, endpoint: str) -> None:
        """Twisted server endpoint; may be repeated (default: tcp:8082:interface=127.0.0.1)."""
        self._listen.append(endpoint)

    def opt_allow_from(self, cidr: str) -> None:
        """Network of clients that may connect, in CIDR; may be repeated (default: any)."""
        self._more += ["--allow-from", cidr]

    def opt_output(self, setting: str) -> None:
        """NAME=URL of an output; may be repeated."""
        self._more += ["--output", setting]

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"golo collect {VERSION}")
        raise SystemExit(0)

    def getSynopsis(self) -> str:
        """Return the line of usage, which does not name twistd."""
        return "Usage: golo collect --output NAME=URL [options]"

    def parseArgs(self, *arguments: str) -> None:
        """Refuse arguments; the first may be a part of a value with a space."""
        if arguments:
            raise usage.UsageError(f"unexpected argument {arguments[0]}; quote values with spaces")

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse the command line, or exit with one line on stderr."""
        try:
            super().parseOptions(sys.argv[1:] if options is None else options)
            self.settings = self._settings()
        except (usage.UsageError, WrongOption) as error:
            raise SystemExit(f"golo collect: {error}") from None

    def _settings(self) -> Settings:
        agent = AgentOptions()
        words = ["--collector", "none", "--logs", f"{self['state']}/runs", *self._more]
        for endpoint in self._listen or [DEFAULT_LISTEN]:
            words += ["--listen", endpoint]
        for name in _NAMES:
            if self[name] is not None:
                words += [f"--{name}", self[name]]
        if os.geteuid() == 0:  # no load test runs, so all belongs to this user
            words += ["--run-as", pwd.getpwuid(0).pw_name]
        if self["no-auth"]:
            words.append("--no-auth")
        found = agent.parse(words)
        if not found.outputs:
            raise WrongOption(
                "no output is given; name one by --output NAME=URL or in a file by --outputs FILE"
            )
        return found


def makeService(options: Options) -> IService:
    """Return the collector as a service; opens nothing, because twistd may still fork."""
    from goloagent.collect.service import CollectService

    return CollectService(options.settings, *terminal_and_log(options.parent, options.settings))
