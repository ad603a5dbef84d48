"""Reports are written and read again, as JSON and inside of HTML."""

from __future__ import annotations

import json

import pytest
from msgspec import structs
from peers.reports import part

from goloagent.report.builder import build
from goloagent.report.codec import (
    CLOSING,
    OPENING,
    NotAReport,
    decode,
    decode_all,
    encode,
    encode_for_html,
    without_details,
)

HOSTILE = "</script><script>alert(1)</script><!--<script>&lt;\u2028\u2029]]>"


def test_json() -> None:
    """A report is read as it was written."""
    report = build([part()])
    assert decode(encode(report)) == report


def test_html() -> None:
    """No text of a report can end its element, and all of it is read again."""
    report = structs.replace(build([part()]), name=HOSTILE)
    inside = encode_for_html(report)
    assert not set("<>&\u2028\u2029") & set(inside)
    assert json.loads(inside)["name"] == HOSTILE
    page = f"\n<!doctype html><p>{OPENING[:7]}</p>{OPENING}{inside}{CLOSING}<script></script>"
    assert decode(page.encode()) == report


def test_without_details() -> None:
    """The short form has no timeline and no histogram, and is a report too."""
    short = without_details(build([part()]))
    assert short.timeline == []
    assert b"histogram" not in encode(short)
    assert short.latency.duration is not None
    assert decode(encode(short)) == short


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (b"", "it is no report"),
        (b"[]", "it is no report"),
        (b'{"version": 1}', "it is no report"),
        (b"[" * 100_000, "it is no report"),
        (b'{"version": 2}', "update golo"),
        (b"<html></html>", "HTML without the data"),
        (b"\xff\xfe", "it is no report"),
    ],
)
def test_other_files(file: bytes, sentence: str) -> None:
    """A file that is no report is refused with a sentence."""
    with pytest.raises(NotAReport, match=sentence):
        decode(file)


def test_an_array_without_reports() -> None:
    """There is nothing to write or to compare in it."""
    with pytest.raises(NotAReport, match="without reports"):
        decode_all(b" []")


@pytest.mark.parametrize("form", ["{}", "[{}]", "<p></p>" + OPENING + "{}" + CLOSING])
def test_a_byte_order_mark(form: str) -> None:
    """A file that an editor or a shell has saved with a mark is read."""
    report = build([part()])
    file = form.replace("{}", encode_for_html(report)).encode("utf-8-sig")
    assert decode_all(file) == [report]
