"""The body of ``POST /queue``: a job as a JSON object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress

from goloagent.core.job_spec import (
    DEFAULT_USERS,
    MAX_DURATION_SECONDS,
    MAX_USERS,
    NAME_PATTERN,
    InvalidSpec,
    parse,
)


def seeds() -> Iterator[bytes]:
    """Yield valid and invalid jobs."""
    yield b'{"name":"checkout","users":25,"duration":60,"binary":"6c2f"}'
    yield b'{"name":"","users":0,"duration":604800,"binary":null,"more":{"a":[1.5,true]}}'
    yield b'{"users":null,"duration":-1,"users":100000}'
    yield b'{"name":"\\u002e\\ud83d\\ude00","users":1e2,"duration":1E400,"binary":"\\u0000"}'
    yield b"[" * 33 + b"]" * 33
    yield b'{"a":' * 31 + b"{}" + b"}" * 31
    yield b"\xef\xbb\xbf{} {}"
    yield b'{"load":{"stages":[{"rate":10,"duration":"1m"}],"seed":3},"share":{"index":1,"of":2}}'
    yield b'{"rate":1e3,"duration":"90s","drive":"jsonrpc","args":["-c"],"run":{"id":"r"}}'
    yield b'{"env":{"A":"1"},"files":[{"name":"a","binary":"b"}],"tags":{"a":"1"}}'
    yield b'{"thresholds":{"errors{url:/a*}":["rate<1%",{"threshold":"rate<0.1","delay":"5s"}]}}'


def check(data: bytes) -> None:
    """Parse a job within all limits, or raise an error of one line that can be encoded."""
    try:
        spec, ignored = parse(data)
    except InvalidSpec as error:
        text = str(error)
        assert text
        assert "\n" not in text
        text.encode()
        return
    assert re.fullmatch(NAME_PATTERN, spec.name)
    assert (not spec.members) <= spec.users <= MAX_USERS
    assert 0 <= spec.duration_seconds <= MAX_DURATION_SECONDS
    spec.binary.encode()
    body = None
    with suppress(ValueError):
        body = json.loads(data)
    assert isinstance(body, dict)
    assert set(ignored) <= set(body)
    if {name.casefold() for name in body} == set(body) and not spec.members:
        assert spec.users == (body.get("users") or DEFAULT_USERS)
