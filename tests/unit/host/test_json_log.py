"""The log as JSON: each event is one line, whatever it has."""

from __future__ import annotations

import json
import signal
import syslog
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.python import log as legacy

from goloagent.host.json_log import (
    MAX_FIELD_CHARACTERS,
    MAX_MESSAGE_CHARACTERS,
    MAX_TRACEBACK_CHARACTERS,
    format_json,
    open_json_log,
)

VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()


def emit(namespace: str, severity: str, text: str, **fields: Any) -> dict[str, Any]:
    """Return the decoded line of an event."""
    lines: list[str] = []
    publisher = LogPublisher(lambda event: lines.append(format_json(event)))
    Logger(namespace, observer=publisher).emit(LogLevel.levelWithName(severity), text, **fields)
    return decoded(*lines)


def decoded(line: str) -> dict[str, Any]:
    """Return the object of one line."""
    assert line.endswith("\n")
    assert line.count("\n") == 1

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    found = json.loads(line.encode(), parse_constant=refuse)
    assert isinstance(found, dict)
    return found


def test_an_event_has_its_time_level_namespace_message_and_fields() -> None:
    """A value that is neither text nor a number is shown as in the message."""
    found = emit(
        "goloagent.x", "warn", "job {job}: {error}", job="j-1", error=OSError(2, "no"), count=3
    )
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "warn",
        "namespace": "goloagent.x",
        "message": "job j-1: [Errno 2] no",
        "job": "j-1",
        "error": "[Errno 2] no",
        "count": 3,
    }


def test_time_is_rfc_3339() -> None:
    """It is in UTC, with microseconds."""
    line = format_json({"log_time": 1_700_000_000.25, "log_format": "x"})
    assert decoded(line)["time"] == "2023-11-14T22:13:20.250000Z"


def test_a_sentence_is_not_repeated_and_reserved_names_stay() -> None:
    """A field that is the whole message is omitted; no field replaces a member."""
    found = emit("goloagent.x", "info", "{line}", line="a b", time="never", message="x")
    assert set(found) == {"time", "level", "namespace", "message"}
    assert (found["level"], found["message"]) == ("info", "a b")


def test_a_traceback_is_inside_and_without_values() -> None:
    """It has the code, and not what the variables hold."""
    lines: list[str] = []
    logger = Logger("goloagent.x", observer=LogPublisher(lambda e: lines.append(format_json(e))))
    secret = "s3cret-55c0"
    try:
        len(secret) / 0
    except ZeroDivisionError:
        logger.failure("it failed")
    found = decoded(*lines)
    assert found["level"] == "critical"
    assert "ZeroDivisionError: division by zero" in found["traceback"]
    assert "len(secret) / 0" in found["traceback"]
    assert secret not in lines[0]


def test_fields_of_other_packages_are_omitted() -> None:
    """They can be any object; an event of Twisted's old interface has its text."""
    assert "thing" not in emit("twisted.web", "info", "{thing}", thing=object())
    lines: list[str] = []
    legacy.addObserver(observer := lambda event: lines.append(format_json(event)))
    try:
        legacy.msg("two", "words")
    finally:
        legacy.removeObserver(observer)
    assert decoded(*lines)["message"] == "two words"


def test_a_line_is_bounded() -> None:
    """Also with a long message, field or traceback."""
    found = emit("goloagent.x", "info", "{a}!", a="x" * 100_000)
    assert len(found["message"]) == MAX_MESSAGE_CHARACTERS + 1
    assert len(found["a"]) == MAX_FIELD_CHARACTERS + 1
    lines: list[str] = []
    logger = Logger("goloagent.x", observer=LogPublisher(lambda e: lines.append(format_json(e))))
    try:
        raise ValueError("y" * 100_000)
    except ValueError:
        logger.failure("it failed")
    assert len(decoded(*lines)["traceback"]) == MAX_TRACEBACK_CHARACTERS


@given(st.text(), st.dictionaries(st.from_regex(r"[a-z_]{1,9}", fullmatch=True), VALUES))
def test_every_event_is_one_line_of_json(text: str, fields: dict[str, Any]) -> None:
    """Surrogates, infinities, bytes and wrong formats included."""
    event = {**fields, "log_time": 0.0, "log_namespace": "goloagent.x", "log_format": f"a{text}"}
    assert decoded(format_json(event))["namespace"] == "goloagent.x"
    assert format_json({"log_time": 0.0, "log_format": ""}) == ""


def test_a_log_file_is_rotated_by_a_signal(tmp_path: Path) -> None:
    """As twistd does with its own format, unless the signal is in use."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    try:
        path = tmp_path / "agent.log"
        options = {"syslog": False, "nodaemon": False, "logfile": str(path), "prefix": ""}
        observer: Any = open_json_log(options)
        observer({"log_time": 0.0, "log_format": "one"})
        assert callable(signal.getsignal(signal.SIGUSR1))
        assert decoded(path.read_text(encoding="utf-8"))["message"] == "one"
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_daemon_has_no_stdout() -> None:
    """It is refused with one line, as twistd does."""
    with pytest.raises(SystemExit, match="a daemon has no stdout"):
        open_json_log({"syslog": False, "nodaemon": False, "logfile": "-", "prefix": ""})


def test_syslog_gets_lines_with_the_priority_of_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prefix is that of twistd's option."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(syslog, "openlog", lambda prefix: calls.append((prefix,)))
    monkeypatch.setattr(syslog, "syslog", lambda *arguments: calls.append(arguments))
    options = {"syslog": True, "nodaemon": True, "logfile": None, "prefix": "golo"}
    observer: Any = open_json_log(options)
    observer({"log_time": 0.0, "log_format": "oh", "log_level": LogLevel.error})
    opened, (priority, line) = calls
    assert (opened, priority) == (("golo",), syslog.LOG_ERR)
    assert json.loads(line)["message"] == "oh"
