"""The audit log: a line for every upload, queued job, cancel and removal, and for refusals.

Refusals are rate-limited, because clients without access could fill the disk with them; the next
line has the number of omitted ones.
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
    """The writer of the audit log.

    Args:
        seconds: returns the time, for the rate limit.
        on_refusal: called with the status of each refusal.
    """

    seconds: Callable[[], float]
    on_refusal: Callable[[int], None] = lambda status: None
    _tokens: float = attrs.field(init=False, default=MAX_REFUSAL_BURST)
    _updated: float = attrs.field(init=False, default=0.0)
    _omitted: int = attrs.field(init=False, default=0)

    def record(self, action: str, peer: str | None, **details: object) -> None:
        """Log an action of a client, by its IP address or None; omit details that are None."""
        given = {"peer": peer or "unix", **details}
        given = {name: value for name, value in given.items() if value is not None}
        words = [f"{name}={_word(value)}" for name, value in given.items()]
        _log.info("{line}", line=" ".join([action, *words]), action=action, **given)

    def record_refusal(
        self, peer: str | None, status: int, why: str, request: str | None = None
    ) -> None:
        """Log a refusal; `request` is its method and path, None before they are known."""
        self.on_refusal(status)
        now = self.seconds()
        earned = (now - self._updated) * REFUSALS_PER_SECOND
        self._tokens, self._updated = min(self._tokens + earned, MAX_REFUSAL_BURST), now
        if self._tokens < 1:
            self._omitted += 1
            return
        omitted = self._omitted or None
        self._tokens, self._omitted = self._tokens - 1, 0
        self.record("refuse", peer, status=status, request=request, why=why, unwritten=omitted)


def _word(value: object) -> str:
    """Return a value as one word, bounded, quoted and escaped, because clients choose some."""
    text = str(value)
    if len(text) > MAX_VALUE_CHARS:
        text = f"{text[:MAX_VALUE_CHARS]}…"
    return text if _IS_PLAIN(text) else quoted(text.encode("utf-8", "surrogateescape"))
