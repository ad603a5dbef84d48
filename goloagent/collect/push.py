"""A push: the results in the body of a request, and what its key says about them. Pure."""

from __future__ import annotations

import hashlib
import re
import zlib

import attrs
import msgspec

from goloagent.concurrency.steps import Steps
from goloagent.results.parser import parse_steps

MAX_BODY_BYTES = 4 << 20
MAX_KEY_CHARS = 200

_RANGE = re.compile(r"([0-9a-f-]{36})/([0-9]{1,18})-([0-9]{1,18})")
_GZIP = 16 + zlib.MAX_WBITS
_MAX_MEMBERS = 16


class InvalidPush(Exception):
    """The body is no array of results; the message is for the client."""


@attrs.frozen
class Source:
    """The sender of a name's results: a job of an agent, or a peer whose requests name no job."""

    name: str
    sender: str


@attrs.frozen
class Push:
    """The results of one request.

    Args:
        key: the ``Idempotency-Key``, or "".
        first: the offset of the results in the log of their job, if the key has it.
        end: the offset behind them, or 0.
        text: the results, one on each line.
        results: their number.
        peer: the address of the sender.
    """

    source: Source
    key: str
    first: int
    end: int
    text: bytes = attrs.field(repr=False)
    results: int
    peer: str
    traceparent: str = ""

    @property
    def has_range(self) -> bool:
        """Whether the key says where the results were in the log of their job."""
        return self.end > 0


def read_key(name: str, peer: str, key: str) -> tuple[Source, int, int]:
    """Return the source of a push, and the range of its results if the key has one, else 0, 0.

    Agents send ``JOB/FIRST-LAST``, the bytes of the results in the log of a job.
    """
    match = _RANGE.fullmatch(key)
    if match is None or int(match[3]) < int(match[2]):
        return Source(name, f"peer {peer}"), 0, 0
    return Source(name, match[1]), int(match[2]), int(match[3]) + 1


def key_of(header: bytes) -> str:
    """Return the key in an ``Idempotency-Key``, which may have any bytes; a long one is hashed."""
    if len(header) > MAX_KEY_CHARS:
        return f"sha256 {hashlib.sha256(header).hexdigest()}"
    return header.decode("latin-1")


def decompress(body: bytes) -> bytes:
    """Return a body without its gzip encoding.

    Raises:
        InvalidPush: it is no gzip, or too large.
    """
    plain = b""
    for _ in range(_MAX_MEMBERS):
        stream = zlib.decompressobj(_GZIP)
        try:
            plain += stream.decompress(body, MAX_BODY_BYTES + 1 - len(plain))
        except zlib.error:
            raise InvalidPush("the body is not gzip, as Content-Encoding says") from None
        if len(plain) > MAX_BODY_BYTES or not stream.eof:
            raise InvalidPush(f"the body is longer than {MAX_BODY_BYTES} bytes, or is incomplete")
        body = stream.unused_data
        if not body:
            return plain
    raise InvalidPush(f"the body has more than {_MAX_MEMBERS} members of gzip")


def lines_of(body: bytes) -> Steps[tuple[bytes, int]]:
    """Return the results in a JSON array, one on each line, and their number.

    Raises:
        InvalidPush: it is no such array, or has something else than results.
    """
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidPush(f"the body is not a JSON array: {error}") from None
    yield
    try:
        lines = [_line(bytes(item)) for item in items]
    except msgspec.DecodeError as error:
        raise InvalidPush(f"the body is not JSON: {error}") from None
    text = b"".join(line + b"\n" for line in lines)
    yield
    parsed = yield from parse_steps(text)
    if parsed.invalid_offsets:
        number = text.count(b"\n", 0, parsed.invalid_offsets[0])
        shown = lines[number][:100].decode("utf-8", "replace")
        raise InvalidPush(f"item {number + 1} of {len(lines)} is no result: {shown}")
    return text, len(lines)


def _line(item: bytes) -> bytes:
    """Return an item on one line; only white space between members changes."""
    return item if b"\n" not in item and b"\r" not in item else msgspec.json.format(item, indent=-1)
