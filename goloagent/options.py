"""The options of ``twistd golo-agent`` and the service that they configure.

Invalid values end the start here, with one line and before the daemon forks. Nothing is opened.
The table of options makes this module long.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.application.service import IService
from twisted.logger import ILogObserver
from twisted.python import usage

from goloagent import VERSION, settings
from goloagent.core.output_schemes import SCHEMES
from goloagent.settings import Settings, WrongOption

if TYPE_CHECKING:
    from goloagent.host.terminal import Terminal

_TWISTD_PIDFILE = "twistd.pid"
# As in Go's strconv.ParseBool.
_GO_BOOLEANS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False"), False
)
DEFAULT_LISTEN = "tcp:8081:interface=127.0.0.1"
DEFAULT_COLLECTOR = "http://localhost:8082"

# Each option with its default and help.
TIMEOUTS = (
    ("start-timeout", "60", "seconds for a load test to listen on the RPC address"),
    (
        "drain-timeout",
        "30",
        "seconds to wait for calls in flight after a job's duration; at most 3 after a cancel",
    ),
    (
        "quiet-period",
        "1",
        "seconds without a byte on stdout after which a load test gets SIGTERM",
    ),
    (
        "output-timeout",
        "10",
        "maximum seconds to wait for the quiet period; at most 3 after a cancel",
    ),
    (
        "grace",
        "10",
        "seconds between SIGTERM and SIGKILL of a load test; at most 10 after a cancel",
    ),
)
VALUES = (
    (
        "collector",
        None,
        "URL of the collector; results are posted to URL/push/<name>; none: only log them "
        "(default: http://localhost:8082, or none if there is an --output)",
    ),
    (
        "collector-ca",
        None,
        "file (PEM) with the authorities of an https collector's certificate (default: the "
        "system's)",
    ),
    (
        "collector-cert",
        None,
        "file (PEM) with the client certificate for an https collector, and its key unless "
        "--collector-key has it",
    ),
    ("collector-key", None, "file (PEM) with the key of --collector-cert"),
    (
        "collector-token-file",
        None,
        "file containing the bearer token for the collector; read again when it changes",
    ),
    (
        "outputs",
        None,
        "settings file (TOML) of further outputs: a table for each, with its url and its members",
    ),
    ("logs", "/var/log/loadtest-agent", "directory of each load test's stdout and stderr"),
    ("state", "/var/lib/golo-agent", "directory of the job database and the uploaded binaries"),
    (
        "rpc",
        "127.0.0.1:9999",
        "HOST:PORT where load tests serve RPC; passed to them as GOLO_RPC_ADDR",
    ),
    (
        "token-file",
        None,
        "file containing the bearer token required on every request (default: none)",
    ),
    (
        "run-as",
        None,
        "user of the load tests (default: the agent's user; `nobody` if that is root)",
    ),
    (
        "containment",
        settings.AUTO,
        f"isolation backend of load tests: {', '.join(settings.ISOLATION_BACKENDS)}",
    ),
    ("log-format", "text", f"format of the agent's own log: {', '.join(settings.LOG_FORMATS)}"),
    *TIMEOUTS,
    (
        "max-upload",
        "512MiB",
        "maximum size of a binary, in bytes or with KiB, MiB, GiB, kB, MB, GB",
    ),
    ("max-binaries", "10GiB", "maximum size of all binaries; the oldest unused ones are removed"),
    ("max-log", "10GiB", "maximum size of a run's log; a job that reaches it ends"),
    (
        "min-free",
        "128MiB",
        "minimum free disk space to run a job; capped at 10 % of the filesystem",
    ),
    ("keep-days", "30", "days after which the log of a delivered run is removed"),
    ("keep-size", "50GiB", "maximum size of all delivered runs' logs; the oldest are removed"),
    (
        "keep-jobs",
        "100000",
        "maximum number of jobs in the history; the oldest without a log are removed",
    ),
    ("max-connections", "256", "maximum number of connections"),
    (
        "max-connections-per-peer",
        "32",
        "maximum number of connections from one address or one IPv6 /64",
    ),
)


class Options(usage.Options):
    """The command line; `settings` has its values after parsing."""

    synopsis = "[options]"
    longdesc = (
        "Runs uploaded load tests one at a time and delivers each of their results to a collector "
        "and to further outputs, such as files and databases. The schemes of their URLs are "
        f"{', '.join(SCHEMES)}."
    )

    optParameters = tuple((name, None, default, text) for name, default, text in VALUES)
    optFlags = (
        ("insecure", None, "accept a collector whose TLS certificate does not verify"),
        ("no-auth", None, "allow other hosts to connect without a token"),
    )

    settings: Settings

    def __init__(self) -> None:
        super().__init__()
        self._listen: list[str] = []
        self._allow_from: list[str] = []
        self._output: list[str] = []

    def opt_listen(self, endpoint: str) -> None:
        """Twisted server endpoint; may be repeated (default: tcp:8081:interface=127.0.0.1)."""
        self._listen.append(endpoint)

    def opt_allow_from(self, cidr: str) -> None:
        """Network of clients that may connect, in CIDR; may be repeated (default: any)."""
        self._allow_from.append(cidr)

    def opt_output(self, setting: str) -> None:
        """NAME=URL of a further output; may be repeated (default: none)."""
        self._output.append(setting)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse the command line, or exit with one line on stderr."""
        try:
            self.settings = self.parse([*_two_dashes(sys.argv[1:] if options is None else options)])
        except (usage.UsageError, WrongOption) as error:
            raise SystemExit(f"golo-agent: {error}") from None

    def parse(self, words: Sequence[str]) -> Settings:
        """Return the values of a command line.

        Raises:
            UsageError, WrongOption: it is invalid.
        """
        super().parseOptions([*words])
        return self._settings()

    def postOptions(self) -> None:
        """Disable twistd's pid file in the foreground unless one is named.

        After a kill the file would name another process and prevent the next start. The lock of the
        state directory excludes a second agent.
        """
        twistd = self.parent
        if twistd is not None and twistd["logger"] and self["log-format"] != settings.TEXT:
            raise usage.UsageError(
                f"--log-format {self['log-format']}: twistd's --logger formats the log; use one of "
                "them"
            )
        if twistd is not None and twistd["nodaemon"] and twistd["pidfile"] == _TWISTD_PIDFILE:
            twistd["pidfile"] = ""

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"golo-agent {VERSION}")
        raise SystemExit(0)

    def parseArgs(self, *arguments: str) -> None:
        """Take no arguments."""
        if arguments:
            raise usage.UsageError(f"unexpected argument: {arguments[0]}")

    def _settings(self) -> Settings:
        for option, _, default, _ in self.optParameters:
            if self[option] == "" and default != "":
                raise WrongOption(f"--{option}: it is empty; give a value or leave it out")
        host, port = settings.rpc_address(self["rpc"])
        listen = tuple(self._listen or [DEFAULT_LISTEN])
        token_file = Path(self["token-file"]) if self["token-file"] is not None else None
        for text in listen:
            private = settings.listener(text).is_private
            if token_file is None and not self["no-auth"] and not private:
                raise WrongOption(
                    f"--listen {text}: other hosts reach it, so it needs --token-file or --no-auth"
                )
        if self._seconds("quiet-period") > self._seconds("output-timeout"):
            raise WrongOption(
                f"--quiet-period {self['quiet-period']}: --output-timeout "
                f"{self['output-timeout']} ends it; use a longer --output-timeout"
            )
        outputs = settings.outputs(self._output, self["outputs"])
        return Settings(
            collector=settings.collector(
                self["collector"] or ("none" if outputs else DEFAULT_COLLECTOR),
                insecure=bool(self["insecure"]),
                ca=self["collector-ca"],
                certificate=self["collector-cert"],
                key=self["collector-key"],
                token_file=self["collector-token-file"],
            ),
            outputs=outputs,
            logs=Path(self["logs"]).absolute(),
            state=Path(self["state"]).absolute(),
            listen=listen,
            rpc_host=host,
            rpc_port=port,
            token_file=token_file,
            no_auth=bool(self["no-auth"]),
            allow_from=tuple(settings.network(text) for text in self._allow_from),
            run_as=_run_as(self["run-as"]),
            containment=settings.isolation_backend(self["containment"]),
            log_format=settings.log_format(self["log-format"]),
            start_timeout_seconds=self._seconds("start-timeout"),
            drain_timeout_seconds=self._seconds("drain-timeout"),
            quiet_period_seconds=self._seconds("quiet-period"),
            output_timeout_seconds=self._seconds("output-timeout"),
            grace_seconds=self._seconds("grace"),
            max_upload_bytes=settings.size_bytes("--max-upload", self["max-upload"]),
            max_binaries_bytes=settings.size_bytes("--max-binaries", self["max-binaries"]),
            max_log_bytes=settings.size_bytes("--max-log", self["max-log"]),
            min_free_bytes=settings.size_bytes("--min-free", self["min-free"]),
            keep_jobs=settings.count("--keep-jobs", self["keep-jobs"], "jobs"),
            keep_days=settings.days("--keep-days", self["keep-days"]),
            keep_bytes=settings.size_bytes("--keep-size", self["keep-size"]),
            max_connections=settings.count(
                "--max-connections", self["max-connections"], "connections"
            ),
            max_connections_per_peer=settings.count(
                "--max-connections-per-peer", self["max-connections-per-peer"], "connections"
            ),
        )

    def _seconds(self, option: str) -> float:
        return settings.seconds(f"--{option}", self[option])


def _two_dashes(arguments: Sequence[str]) -> Iterator[str]:
    """Convert options of the go-lo agent: Go accepts ``-x`` for ``--x``, and ``-x=true``.

    Raises:
        UsageError: ``-insecure`` has a value that is not a boolean in Go.
    """
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if option in ("-insecure", "--insecure") and equals:
            if value not in _GO_BOOLEANS:
                raise usage.UsageError(f"{argument}: not true or false")
            if _GO_BOOLEANS[value]:
                yield "--insecure"
        elif option in ("-collector", "-insecure", "-logs"):
            yield f"-{argument}"
        else:
            yield argument


def _run_as(name: str | None) -> str | None:
    """Return the user to change to, or None for the agent's own."""
    root = os.geteuid() == 0
    name = name or ("nobody" if root else None)
    if name is None:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        hint = "; give its name" if name.isdigit() else ""
        raise WrongOption(f"--run-as {name}: there is no such user{hint}") from None
    if entry.pw_uid == os.geteuid():
        return None
    if not root:
        raise WrongOption(f"--run-as {name}: only root can run load tests as another user")
    return name


def makeService(options: Options) -> IService:
    """Return the agent as a service, without opening anything, because twistd may still fork."""
    from goloagent.service import AgentService

    return AgentService(options.settings, *terminal_and_log(options.parent, options.settings))


def terminal_and_log(
    twistd: usage.Options | None, chosen: Settings
) -> tuple[Terminal, Callable[[], ILogObserver] | None]:
    """Return the terminal for errors of the start, and what opens the log unless twistd does."""
    from goloagent.host.json_log import open_json_log
    from goloagent.host.terminal import Terminal

    daemon = twistd is not None and not (twistd["nodaemon"] or twistd["debug"])
    open_log = None
    if twistd is not None and chosen.log_format == settings.JSON:
        open_log = partial(open_json_log, twistd)
    return Terminal.keep(daemon, open_log is None and logs_to_stdout(twistd)), open_log


def logs_to_stdout(twistd: usage.Options | None) -> bool:
    """Return whether the log goes to stdout."""
    if twistd is None or not (twistd["nodaemon"] or twistd["debug"]):
        return False
    elsewhere = twistd["syslog"] or twistd["logger"] or twistd["logfile"] not in (None, "-")
    return not elsewhere
