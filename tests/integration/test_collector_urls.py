"""Every accepted collector URL is delivered to.

Client, sockets and HTTP are real; only names are resolved by the test.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from peers.scripted_collector import Pusher, Server
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHostnameResolver
from zope.interface import implementer

from goloagent.outputs.sink import Response

TAKEN = Response(status=200)


@implementer(IHostnameResolver)
class Names:
    """Resolves names to addresses of this host by a table."""

    def __init__(self) -> None:
        self.table: dict[str, list[str]] = {}
        self.asked: list[str] = []

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0, **_: Any) -> Any:
        self.asked.append(hostName)
        receiver.resolutionBegan(self)
        for address in self.table.get(hostName, []):
            kind = IPv6Address if ":" in address else IPv4Address
            receiver.addressResolved(kind("TCP", address, portNumber))
        receiver.resolutionComplete()


@pytest.fixture
def names() -> Iterator[Names]:
    """Install a resolver in the reactor."""
    resolver = Names()
    before = reactor.nameResolver
    reactor.installNameResolver(resolver)
    yield resolver
    reactor.installNameResolver(before)


@pytest_twisted.async_yield_fixture
async def serve() -> AsyncIterator[Callable[[str], Server]]:
    """Return a function that runs a collector on an address of this host."""
    servers: list[Server] = []

    def start(interface: str) -> Server:
        servers.append(Server(reactor, interface=interface))
        return servers[-1]

    yield start
    for server in servers:
        await server.close()


@pytest_twisted.async_yield_fixture
async def pusher() -> AsyncIterator[Pusher]:
    """Return a client."""
    pusher = Pusher(reactor)
    yield pusher
    await pusher.close()


@pytest.mark.parametrize(
    ("url", "interface", "asked", "host", "path"),
    [
        ("http://127.0.0.1:{}", "127.0.0.1", None, "127.0.0.1:{}", "/push/shop"),
        ("http://127.8.9.1:{}", "127.8.9.1", None, "127.8.9.1:{}", "/push/shop"),
        ("http://[::1]:{}", "::1", None, "[::1]:{}", "/push/shop"),
        ("http://[0:0::1]:{}/a", "::1", None, "[::1]:{}", "/a/push/shop"),
        ("http://[::ffff:127.0.0.1]:{}", "127.0.0.1", None, "127.0.0.1:{}", "/push/shop"),
        ("HTTP://LOCALHOST:{}", "127.0.0.1", "localhost", "localhost:{}", "/push/shop"),
        ("http://c.example.:{}", "127.0.0.1", "c.example.", "c.example.:{}", "/push/shop"),
        ("http://a_b:{}/", "127.0.0.1", "a_b", "a_b:{}", "/push/shop"),
        ("http://_a_.b-:{}", "::1", "_a_.b-", "_a_.b-:{}", "/push/shop"),
        ("http://xn--a:{}", "127.0.0.1", "xn--a", "xn--a:{}", "/push/shop"),
        ("http://bücher:{}", "127.0.0.1", "xn--bcher-kva", "xn--bcher-kva:{}", "/push/shop"),
        ("http://c:{}/p/q/", "127.0.0.1", "c", "c:{}", "/p/q/push/shop"),
        ("http://c:{}/%41%2f/ü;x=1/@", "127.0.0.1", "c", "c:{}", "/%41%2f/%C3%BC;x=1/@/push/shop"),
        ("http://c:{}/a//b/../c", "127.0.0.1", "c", "c:{}", "/a/c/push/shop"),
    ],
)
async def test_every_kind_of_url(
    serve: Callable[[str], Server],
    pusher: Pusher,
    names: Names,
    url: str,
    interface: str,
    asked: str | None,
    host: str,
    path: str,
) -> None:
    """A batch arrives with the host and path of the URL."""
    server = serve(interface)
    if asked is not None:
        names.table[asked] = [interface]
    assert await pusher.push(url.format(server.port)) == TAKEN
    assert names.asked == ([] if asked is None else [asked])
    [request] = server.requests
    assert request.startswith(f"POST {path} HTTP/1.1\r\n".encode())
    assert f"\r\nHost: {host.format(server.port)}\r\n".encode() in request


async def test_a_link_local_address(serve: Callable[[str], Server], pusher: Pusher) -> None:
    """The interface of a link-local address is used, and not sent."""
    address = link_local()
    if address is None:
        pytest.skip("this host has no link-local IPv6 address")
    plain, _, interface = address.partition("%")
    server = serve(address)
    assert await pusher.push(f"http://[{plain}%25{interface}]:{server.port}") == TAKEN
    assert f"Host: [{plain}]:{server.port}\r\n".encode() in server.requests[0]


def link_local() -> str | None:
    """Return a link-local address of this host with its interface, or None."""
    with open("/proc/net/if_inet6") as table:  # noqa: PTH123
        for line in table:
            digits, _, _, scope, _, interface = line.split()
            if scope == "20":
                packed = bytes.fromhex(digits)
                return f"{socket.inet_ntop(socket.AF_INET6, packed)}%{interface}"
    return None


async def test_the_address_that_worked_is_tried_first(
    serve: Callable[[str], Server], pusher: Pusher, names: Names
) -> None:
    """A refused address of a name costs one attempt, and the next address is used."""
    server = serve("127.0.0.1")
    names.table["c"] = ["::1", "127.0.0.2", "127.0.0.1"]
    url = f"http://c:{server.port}"
    assert await pusher.push(url) == TAKEN
    dialer = pusher.collector(url).poster.dialer
    assert dialer._last == "127.0.0.1"


async def test_a_name_without_an_address(pusher: Pusher, names: Names) -> None:
    """The reason names the host."""
    answer = await pusher.push("http://nowhere.example:8082")
    assert answer == Response(error="the host name nowhere.example cannot be resolved")
