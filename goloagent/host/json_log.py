"""The agent's log as JSON: one object a line, for journald, Loki and other collectors of logs.

A line is bounded, because journald splits longer ones. Fields of other packages' events are
omitted, because these can be any object; their message has what the text format shows.
"""

from __future__ import annotations

import json
import math
import signal
import sys
import syslog
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, cast

from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import FileLogObserver, ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.logfile import LogFile
from zope.interface import implementer

MAX_MESSAGE_CHARACTERS = 8_192
MAX_FIELD_CHARACTERS = 1_024
MAX_TRACEBACK_CHARACTERS = 16_384

_OWN = "goloagent"
_LEGACY = frozenset({"format", "isError", "system"})  # Twisted adds them for old observers
_DEFAULT_FILE = "twistd.log"
_PRIORITIES = {
    "debug": syslog.LOG_DEBUG,
    "info": syslog.LOG_INFO,
    "warn": syslog.LOG_WARNING,
    "error": syslog.LOG_ERR,
    "critical": syslog.LOG_CRIT,
}


def format_json(event: LogEvent) -> str:
    """Return an event as a line: time, level, namespace, message, its fields, and a traceback.

    Nothing is returned for an event without a message, as in the text format.
    """
    seconds = event.get("log_time", 0.0)
    message, failure = formatEvent(event), event.get("log_failure")
    if not message and failure is None:
        return ""
    value: dict[str, object] = {
        "time": datetime.fromtimestamp(seconds, timezone.utc)
        .isoformat(timespec="microseconds")
        .replace("+00:00", "Z"),
        "level": _level(event),
        "namespace": str(event.get("log_namespace", "")),
        "message": _bounded(message, MAX_MESSAGE_CHARACTERS),
    }
    for name, field in _fields(event):
        if name not in value and field != message:
            value[name] = field
    if failure is not None:
        # The end names the exception.
        value["traceback"] = _utf8(failure.getTraceback()[-MAX_TRACEBACK_CHARACTERS:])
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def open_json_log(twistd: Mapping[str, Any]) -> ILogObserver:
    """Return the observer that writes where twistd's options say, as twistd would in its format.

    Raises:
        SystemExit: a daemon cannot log to stdout.
    """
    if twistd["syslog"]:
        return SyslogJson(twistd["prefix"])
    name, foreground = twistd["logfile"], twistd["nodaemon"]
    if name == "-" and not foreground:
        raise SystemExit("golo-agent: --logfile -: a daemon has no stdout; add --nodaemon")
    if name == "-" or (foreground and not name):
        # Bytes, because JSON is UTF-8 in every locale.
        return FileLogObserver(getattr(sys.stdout, "buffer", sys.stdout), format_json)
    file = LogFile.fromFullPath(name or _DEFAULT_FILE)
    if signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, lambda *_: _from_thread(file.rotate))
    return FileLogObserver(cast(Any, file), format_json)


@implementer(ILogObserver)
class SyslogJson:
    """Writes events to syslog, with the priority of their level."""

    def __init__(self, prefix: str) -> None:
        syslog.openlog(prefix)

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
        if line := format_json(event):
            syslog.syslog(_PRIORITIES[_level(event)], line.rstrip("\n"))


def _from_thread(function: Any) -> None:
    from twisted.internet import reactor

    cast(IReactorFromThreads, reactor).callFromThread(function)


def _level(event: LogEvent) -> str:
    level = event.get("log_level", LogLevel.info)
    return cast(str, level.name)


def _fields(event: LogEvent) -> Iterator[tuple[str, object]]:
    if not str(event.get("log_namespace", "")).startswith(_OWN):
        return
    for name, value in event.items():
        if name.startswith("log_") or name in _LEGACY:
            continue
        is_number = isinstance(value, bool | int) or (
            isinstance(value, float) and math.isfinite(value)
        )
        yield name, value if is_number or value is None else _bounded(value, MAX_FIELD_CHARACTERS)


def _bounded(value: object, characters: int) -> str:
    text = str(value)
    return _utf8(text if len(text) <= characters else f"{text[:characters]}…")


def _utf8(text: str) -> str:
    """Escape surrogates, such as those of file names that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
