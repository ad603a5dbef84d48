"""The addresses of listeners in the log."""

from __future__ import annotations

from socket import gethostname

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from goloagent.host.listeners import url_of

HOST = gethostname()


@pytest.mark.parametrize(
    ("description", "address", "expected"),
    [
        ("tcp:8081", IPv4Address("TCP", "127.0.0.1", 8081), "http://127.0.0.1:8081/"),
        ("ssl:8443", IPv4Address("TCP", "10.0.0.1", 8443), "https://10.0.0.1:8443/"),
        ("tcp6:8081", IPv6Address("TCP", "::1", 8081), "http://[::1]:8081/"),
        ("unix:/run/x", UNIXAddress("/run/x"), "the Unix socket /run/x"),
        (
            "tcp:8081",
            IPv4Address("TCP", "0.0.0.0", 8081),
            f"all interfaces, port 8081: http://{HOST}:8081/",
        ),
        (
            "systemd:domain=INET6:name=http",
            IPv6Address("TCP", "::", 8081),
            f"all interfaces, port 8081: http://{HOST}:8081/",
        ),
    ],
)
def test_an_address_becomes_a_url(description: str, address: object, expected: str) -> None:
    """Wildcard addresses become the host name; Unix sockets are paths."""
    assert url_of(description, address) == expected
