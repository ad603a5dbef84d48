"""The files of a run: JSON, JUnit, HTML, and the summary of GitHub Actions."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from goloagent.client.config.plan import ReportPlan
from goloagent.client.errors import ClientError, reason_of
from goloagent.client.exit_codes import ExitCode
from goloagent.client.view.stream import SafeStream
from goloagent.report import codec
from goloagent.report.html import render
from goloagent.report.junit import to_junit
from goloagent.report.model import Report

STDOUT = Path("-")


def written(plan: ReportPlan, reports: Sequence[Report], stdout: IO[str], code: int) -> int:
    """Write the files of a plan, and return `code`, or INVALID if it is 0 and one is not written.

    Of several runs, JSON has all, and the others have the last. Each failure is printed.
    """
    if not reports:
        return code
    last = reports[-1]
    errors: list[ClientError] = []
    for path, content in (
        (plan.json, lambda: _json(reports)),
        (plan.junit, lambda: to_junit(last, socket.gethostname())),
        (plan.html, lambda: render(last)),
    ):
        try:
            if path == STDOUT:
                _print(stdout, _json([codec.without_details(report) for report in reports]))
            elif path is not None:
                write_file(path, content)
        except ClientError as error:
            errors.append(error)
    for failure in errors:
        with suppress(OSError):
            print(f"golo: {failure}", file=sys.stderr, flush=True)
    return code or (ExitCode.INVALID if errors else ExitCode.OK)


def _print(stdout: IO[str], text: bytes) -> None:
    """Print a text; a reader that has closed the pipe has read enough."""
    try:
        stdout.write(text.decode() + "\n")
        stdout.flush()
    except BrokenPipeError:
        SafeStream(stdout).lose()
    except OSError as error:
        SafeStream(stdout).lose()
        raise ClientError(f"standard output: {reason_of(error)}") from None


def _json(reports: Sequence[Report]) -> bytes:
    """Return one report, or an array of several."""
    return codec.encode(reports[0]) if len(reports) == 1 else msgspec.json.encode(list(reports))


def write_file(path: Path, content: Callable[[], bytes]) -> None:
    """Replace a file at once, so that no reader sees a part; write into a pipe or device."""
    data = content()
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        new = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            new.write_bytes(data)
            new.replace(target)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise ClientError(f"{path}: {reason_of(error)}") from None
