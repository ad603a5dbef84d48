"""Run the fuzzers' checks over their seeds and over former findings."""

from __future__ import annotations

import importlib

import pytest
from fuzz import TARGETS, form


@pytest.mark.parametrize("target", TARGETS)
def test_the_seeds_pass(target: str) -> None:
    """A fuzzer begins with inputs that break nothing, or it would end at once."""
    module = importlib.import_module(f"fuzz.{target}")
    seeds = list(module.seeds())
    assert len(seeds) >= 6
    for seed in seeds:
        module.check(seed)


@pytest.mark.parametrize("header", [b"X: \n", b"X\n: ", b"X: a\n\n", b"\nX: a"])
def test_a_line_feed_in_a_part_header_is_refused_in_any_packets(header: bytes) -> None:
    """Found by form: the parser took it when the header's end came in the same packet."""
    disposition = b'Content-Disposition: form-data; name="file"; filename="f"'
    body = b"--b\r\n" + header + b"\r\n" + disposition + b"\r\n\r\n#!/bin/sh\n\r\n--b--\r\n"
    for size in range(1, len(body) + 1):
        assert form.upload(body, size) == 400


def test_a_boundary_begins_a_line_in_any_packets() -> None:
    """Found by form: behind a preamble that came byte by byte, any place was good enough."""
    part = b'\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n#!\r\n--b--\r\n'
    form.check(b"\x00x--b" + part)
    form.check(b"\x00x--b\r\n--b" + part)
