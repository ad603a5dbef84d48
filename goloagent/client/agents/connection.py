"""The connection to an agent: TCP, through a proxy or with TLS, or a Unix socket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from goloagent.client.agents.address import AgentAddress
from goloagent.client.errors import ClientError
from goloagent.transport.client import Client, make_client
from goloagent.transport.credentials import TokenFile
from goloagent.transport.proxy import ProxySettingError, find
from goloagent.transport.tls import FileError, Tls


@attrs.frozen
class Credentials:
    """The files of ``--token-file`` and ``--ca``."""

    token_file: Path | None = None
    ca: Path | None = None


@implementer(IStreamClientEndpoint)
@attrs.define(eq=False)
class SocketDialer:
    """Connects to a Unix socket; `opened` is the number of connections made."""

    _reactor: Any
    path: str
    opened: int = 0

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect a protocol."""
        self.opened += 1
        endpoint = UNIXClientEndpoint(self._reactor, self.path)
        connecting: Deferred[IProtocol] = endpoint.connect(protocolFactory)
        return connecting


@attrs.frozen
class Connection:
    """A client of one agent, the URL before each path, and the headers of each request."""

    client: Client
    url: str
    headers: dict[str, str] = attrs.field(repr=False)


def connect(
    reactor: Any, address: AgentAddress, credentials: Credentials, environ: Mapping[str, str]
) -> Connection:
    """Return the connection to an agent; nothing is opened yet.

    Raises:
        ClientError: a file of the credentials, or the proxy of the environment, is unusable.
    """
    try:
        token = credentials.token_file and TokenFile(credentials.token_file, "--token-file").token
        tls = Tls.load(ca=credentials.ca)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if address.url is None:
            assert address.socket is not None
            dialer = SocketDialer(reactor, address.socket)
            return Connection(Client(reactor, dialer), "http://localhost", headers)
        proxy = find(address.url, environ)
    except (FileError, ProxySettingError) as error:
        raise ClientError(str(error)) from None
    if proxy is not None and proxy.authorization and address.url.scheme == "http":
        headers["Proxy-Authorization"] = proxy.authorization
    _, client = make_client(reactor, address.url, tls, proxy)
    return Connection(client, address.url.to_uri(), headers)
