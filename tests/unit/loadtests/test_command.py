"""The results of commands, and the arguments of their load test."""

from __future__ import annotations

import pytest

from goloagent.loadtests import command
from goloagent.loadtests.execution import MAX_STDERR_BYTES, Outcome


def outcome(code: int, stderr: bytes = b"", killed: str | None = None) -> Outcome:
    """Return an outcome with an output of three bytes."""
    first, last = stderr[:MAX_STDERR_BYTES], stderr[MAX_STDERR_BYTES:]
    return Outcome(code, 0.5, 3, (first, last), killed)


@pytest.mark.parametrize(
    ("result", "judged"),
    [
        (outcome(0), (200, None)),
        (outcome(0, b"a warning\n"), (200, None)),
        (outcome(1), (1, "exit code 1")),
        (outcome(255), (255, "exit code 255")),
        (outcome(200), (200, "exit code 200")),
        (outcome(22, b"curl: (22) 404\n"), (22, "exit code 22: curl: (22) 404")),
        (outcome(2, b"\n first \nsecond\n\nlast"), (2, "exit code 2: first … last")),
        (outcome(-9), (137, "killed by signal 9 (SIGKILL)")),
        (outcome(-64, b"x"), (192, "killed by signal 64 (SIGRTMAX): x")),
        (outcome(-50), (178, "killed by signal 50 (50)")),
        (
            outcome(-9, b"slow", "killed after the timeout of 1 s"),
            (0, "killed after the timeout of 1 s: slow"),
        ),
        (outcome(0, b"", "killed at the end"), (0, "killed at the end")),
    ],
)
def test_the_status_and_error_of_an_execution(
    result: Outcome, judged: tuple[int, str | None]
) -> None:
    """Only exit code 0 is no error, and every other one is visible in both."""
    assert command.judge(result) == judged


def test_a_long_stderr() -> None:
    """The error has the ends of its first and last line."""
    status, error = command.judge(outcome(1, b"a" * 3000 + b"\n" + b"b" * 3000))
    assert (status, error) == (1, f"exit code 1: {'a' * 140} … {'b' * 140}")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["curl", "-s", "--timeout", "9"], (["curl", "-s", "--timeout", "9"], 60, None)),
        (["--", "curl", "--", "x"], (["curl", "--", "x"], 60, None)),
        (["--timeout", "2.5", "--", "--odd"], (["--odd"], 2.5, None)),
        (
            ["--directory", "/srv", "./x", "--directory", "y"],
            (["./x", "--directory", "y"], 60, "/srv"),
        ),
    ],
)
def test_arguments(arguments: list[str], expected: tuple[list[str], float, str | None]) -> None:
    """Those from the command on are its own."""
    options = command.parse(arguments)
    assert (options.command, options.timeout, options.directory) == expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "COMMAND is missing"),
        (["--"], "COMMAND is missing"),
        (["--timeout", "0", "x"], "--timeout 0: must be over 0 seconds"),
        (["--timeout", "nan", "x"], "--timeout nan: must be over 0 seconds"),
        (["--timeout", "soon", "x"], "invalid float value: 'soon'"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error is one sentence."""
    with pytest.raises(SystemExit):
        command.parse(arguments)
    assert sentence in capsys.readouterr().err


def test_a_long_command_line_is_cut() -> None:
    """It is the URL of each result."""
    assert command.shorten("x" * 500) == "x" * 500
    assert command.shorten("x" * 501) == "x" * 499 + "…"
