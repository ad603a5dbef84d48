"""A tunnel through an HTTP proxy (RFC 9110, CONNECT)."""

from __future__ import annotations

import attrs

from goloagent.transport.stream import Stream

MAX_RESPONSE_BYTES = 16 * 1024


class ProxyError(Exception):
    """The proxy opened no tunnel; the message has its response."""


@attrs.frozen
class Tunnel:
    """A tunnel to `authority` (``host:port``), with the value of ``Proxy-Authorization``."""

    authority: str
    authorization: str | None = attrs.field(default=None, repr=False)

    async def open(self, stream: Stream) -> None:
        """Ask the proxy at the other end of `stream` to connect.

        Raises:
            ProxyError: it did not.
        """
        lines = [f"CONNECT {self.authority} HTTP/1.1", f"Host: {self.authority}"]
        if self.authorization is not None:
            lines.append(f"Proxy-Authorization: {self.authorization}")
        stream.transport.write("\r\n".join([*lines, "\r\n"]).encode("ascii"))
        while b"\r\n\r\n" not in stream.received:
            if len(stream.received) > MAX_RESPONSE_BYTES:
                raise ProxyError("the proxy's answer to CONNECT does not end")
            await stream.next_event()
        head, _, stream.received = stream.received.partition(b"\r\n\r\n")
        status_line = head.split(b"\r\n")[0].decode("ascii", "replace")
        version, _, status = status_line.partition(" ")
        if not version.startswith("HTTP/1.") or not status[:3].isdigit():
            raise ProxyError("the proxy's answer to CONNECT is not HTTP")
        if not status.startswith("2"):
            raise ProxyError(f"the proxy answered {status.strip()} to CONNECT {self.authority}")
