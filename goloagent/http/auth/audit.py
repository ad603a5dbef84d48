"""Who did what: a line for every upload, queueing, cancel and removal, and for refusals.

What was done is always written. Refusals cost whoever causes them nothing, so of these only so many
are written that nobody fills a disk with them; the next line says how many were left out. Does not
know HTTP, tokens or where the log goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs
from twisted.logger import Logger

from goloagent.http.problem import quoted

MAX_REFUSAL_BURST = 60
REFUSALS_PER_SECOND = 1.0
MAX_VALUE_CHARS = 200

_log = Logger("goloagent.audit")
_IS_PLAIN = re.compile(r"[A-Za-z0-9_.:/+-]+").fullmatch


@attrs.define
class Audit:
    """The lines, timed by `seconds`; `count` is told the status of each refusal.

    A peer is an IP address, or None for the client of a Unix socket.
    """

    seconds: Callable[[], float]
    on_refusal: Callable[[int], None] = lambda status: None
    _tokens: float = attrs.field(init=False, default=MAX_REFUSAL_BURST)
    _looked: float = attrs.field(init=False, default=0.0)
    _unwritten: int = attrs.field(init=False, default=0)

    def record(self, act: str, peer: str | None, **details: object) -> None:
        """Write what `peer` did; a detail that is None is left out."""
        given = {"peer": peer or "unix", **details}
        words = [f"{name}={_word(value)}" for name, value in given.items() if value is not None]
        _log.info("{line}", line=" ".join([act, *words]))

    def record_refusal(
        self, peer: str | None, status: int, why: str, request: str | None = None
    ) -> None:
        """Write that `peer` was refused, `request` being its method and path, if it came so far."""
        self.on_refusal(status)
        now = self.seconds()
        earned = (now - self._looked) * REFUSALS_PER_SECOND
        self._tokens, self._looked = min(self._tokens + earned, MAX_REFUSAL_BURST), now
        if self._tokens < 1:
            self._unwritten += 1
            return
        unwritten = self._unwritten or None
        self._tokens, self._unwritten = self._tokens - 1, 0
        self.record("refuse", peer, status=status, request=request, why=why, unwritten=unwritten)


def _word(value: object) -> str:
    """Return a value as one word, whoever chose it: bounded, quoted and escaped."""
    text = str(value)
    if len(text) > MAX_VALUE_CHARS:
        text = f"{text[:MAX_VALUE_CHARS]}…"
    return text if _IS_PLAIN(text) else quoted(text.encode("utf-8", "surrogateescape"))
