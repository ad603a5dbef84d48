"""Reads reports from files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from goloagent.client.errors import ClientError, reason_of
from goloagent.report.codec import NotAReport, decode_all
from goloagent.report.model import Report

MAX_BYTES = 256 << 20
SUFFIXES = (".json", ".html")
_DAMAGE = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)


def read_reports(path: Path) -> list[Report]:
    """Return the reports in a file of JSON or HTML, or in all such files of a directory.

    A run that is in several files of a directory is returned once, with its timeline if one of
    them has it.

    Raises:
        ClientError: a file cannot be read or is no report, or a directory has none.
    """
    if not path.is_dir():
        return _read(path)
    files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
    if not files:
        raise ClientError(f"{path} has no report: no file of it ends with {' or '.join(SUFFIXES)}")
    return unique([report for file in files for report in _read(file)])


def unique(reports: list[Report]) -> list[Report]:
    """Return each run once, with the longest timeline that is known of it."""
    runs: dict[str, Report] = {}
    for report in reports:
        known = runs.get(report.run)
        if known is None or len(known.timeline) < len(report.timeline):
            runs[report.run] = report
    return list(runs.values())


@contextmanager
def refused_if_damaged(name: str) -> Iterator[None]:
    """Make a sentence of what goes wrong with a report that someone has edited.

    Raises:
        ClientError: the figures of the report cannot be those of a run.
    """
    try:
        yield
    except _DAMAGE as error:
        raise ClientError(
            f"{name}: its figures are not those of a run ({type(error).__name__}: {error}); "
            "give a report as golo has written it"
        ) from error


def _read(path: Path) -> list[Report]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ClientError(f"{path}: {reason_of(error)}") from None
    if len(content) > MAX_BYTES:
        raise ClientError(f"{path}: it is larger than {MAX_BYTES >> 20} MiB, so no report of golo")
    try:
        return decode_all(content)
    except NotAReport as error:
        raise ClientError(
            f"{path}: {error}; give a file that golo run --json or --html has written"
        ) from None
