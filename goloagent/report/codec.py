"""Reports as JSON, alone or inside of an HTML file."""

from __future__ import annotations

import re
from codecs import BOM_UTF8

import msgspec
from msgspec import structs

from goloagent.report.model import VERSION, Latencies, Report

OPENING = '<script type="application/json" id="report">'
CLOSING = "</script>"
# Inside of a script element, HTML has no other escapes than those of JSON itself.
_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ARRAY = list[msgspec.Raw]
_IN_HTML = re.compile(f"{re.escape(OPENING)}(.*?){re.escape(CLOSING)}".encode(), re.DOTALL)


class NotAReport(ValueError):
    """The bytes are no report; the message says why."""


def encode(report: Report) -> bytes:
    """Return a report as JSON."""
    return msgspec.json.encode(report)


def encode_for_html(report: Report) -> str:
    """Return a report as JSON that contains no character with a meaning in HTML."""
    text = encode(report).decode()
    for unsafe, escaped in _UNSAFE.items():
        text = text.replace(unsafe, escaped)
    return text


def without_details(report: Report) -> Report:
    """Return a report without its timeline and histograms, as ``golo run --json`` writes it."""
    times = {
        name: latency and structs.replace(latency, histogram=None)
        for name, latency in structs.asdict(report.latency).items()
    }
    return structs.replace(report, timeline=[], latency=Latencies(**times))


def decode(file: bytes) -> Report:
    """Return the report in a file of JSON or HTML.

    Raises:
        NotAReport: there is none in it, or one of a later version.
    """
    text = _without_mark(file)
    if text[:1] == b"<":
        found = _IN_HTML.search(text)
        if found is None:
            raise NotAReport("it is HTML without the data of a report")
        text = found[1]
    try:
        version = msgspec.json.decode(text, type=_Versioned).version
        if version > VERSION:
            raise NotAReport(
                f"it is a report of version {version}, and this golo reads up to {VERSION}: "
                "update golo"
            )
        return msgspec.json.decode(text, type=Report)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotAReport(f"it is no report: {error}") from None


def decode_all(file: bytes) -> list[Report]:
    """Return the reports in a file, which may also be a JSON array of them.

    Raises:
        NotAReport: it is something else, or an empty array.
    """
    text = _without_mark(file)
    if text[:1] != b"[":
        return [decode(text)]
    try:
        reports = [decode(bytes(part)) for part in msgspec.json.decode(text, type=_ARRAY)]
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotAReport(f"it is no array of reports: {error}") from None
    if not reports:
        raise NotAReport("it is an array without reports")
    return reports


def _without_mark(file: bytes) -> bytes:
    """Return a file without the byte order mark that some editors and shells write."""
    return file.removeprefix(BOM_UTF8).lstrip()


class _Versioned(msgspec.Struct):
    version: int
