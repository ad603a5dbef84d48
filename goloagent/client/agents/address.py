"""The address of an agent."""

from __future__ import annotations

import attrs

from goloagent.core.address import AddressError, HttpUrl, bracketed, parse_host, parse_port, split

DEFAULT_PORT = 8081


@attrs.frozen
class AgentAddress:
    """An agent by its URL or by the path of its Unix socket; exactly one is set."""

    url: HttpUrl | None = None
    socket: str | None = None

    @classmethod
    def parse(cls, text: str) -> AgentAddress:
        """Parse ``host``, ``host:port``, ``[v6]:port``, an http(s) URL or ``unix:/path``.

        Raises:
            AddressError: it is something else.
        """
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if not path.startswith("/"):
                raise AddressError("write the path of a socket in full, as unix:/run/golo.sock")
            return cls(socket=path)
        if "://" in text:
            url = HttpUrl.parse(text)
            if url.userinfo is not None:
                raise AddressError("give the token by --token-file, not in the URL")
            return cls(url)
        host, port = split(text)
        return cls(
            HttpUrl("http", parse_host(host), DEFAULT_PORT if port is None else parse_port(port))
        )

    def __str__(self) -> str:
        """Return it to show."""
        if self.url is None:
            return f"unix:{self.socket}"
        if self.url.scheme == "http" and not self.url.path:
            return f"{bracketed(self.url.host)}:{self.url.port}"
        return str(self.url)
