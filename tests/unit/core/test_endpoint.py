"""Descriptions of endpoints to listen on: what each means, and which are refused.

Every description is also read by Twisted, which must take what is taken here.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import _parse

from goloagent.core.endpoint import Endpoint, EndpointError


@pytest.mark.parametrize(
    ("description", "private"),
    [
        ("tcp:8081:interface=127.0.0.1", True),
        ("tcp:8081:127.0.0.1", True),
        ("tcp:port=8081:interface=127.8.9.1", True),
        (r"tcp:8081:interface=\:\:1", True),
        ("tcp:8081:interface=localhost", True),
        ("tcp:0:interface=127.0.0.1:backlog=9", True),
        (r"tcp6:8081:interface=\:\:1", True),
        (r"tcp6:8081:50:\:\:1", True),
        ("ssl:443:interface=127.0.0.1:privateKey=key.pem", True),
        ("unix:/run/golo.sock", True),
        ("unix:/run/golo.sock:mode=660:lockfile=0", True),
        (r"unix:/run/a\:b\=c", True),
        ("unix:address=/run/golo.sock", True),
        ("tcp:8081", False),
        ("tcp6:8081", False),
        ("tcp:8081:interface=", False),
        ("tcp:8081:interface=0.0.0.0", False),
        (r"tcp:8081:interface=\:\:", False),
        ("tcp:8081:interface=10.0.0.1", False),
        ("systemd:domain=INET:index=0", False),
        ("systemd:domain=UNIX:name=http", False),
    ],
)
def test_private(description: str, private: bool) -> None:
    """Only an endpoint that no other host can reach is private."""
    assert Endpoint.parse(description).is_private is private


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("", "not one of tcp:"),
        ("8081", "not one of tcp:"),
        ("stdio:", "not one of tcp:"),
        ("haproxy:tcp:8081:interface=127.0.0.1", "not one of tcp:"),
        ("tcp", "needs port"),
        ("tcp:", "needs port"),
        ("tcp:http", "port=http"),
        ("tcp:70000", "port=70000"),
        ("tcp:-1", "port=-1"),
        ("tcp:٣", "port=٣"),
        ("tcp:8081:interface=::1", r"write a colon in a value as \:"),
        ("tcp:8081:interface=example.org", "not an IP address"),
        ("tcp:8081:interface=127.1", "not an IP address"),
        ("tcp:8081:interface=127.0.0.1:interface=0.0.0.0", "twice"),
        ("tcp:8081:port=8082", "twice"),
        ("tcp:8081:iface=127.0.0.1", "takes port, interface, backlog"),
        ("tcp:8081:backlog=many", "backlog=many"),
        ("tcp6:8081:interface=127.0.0.1", "use tcp:"),
        ("tcp6:8081:interface=localhost", "not an IP address"),
        ("unix:", "needs address"),
        ("unix:/" + 107 * "x", "longer than 107 bytes"),
        ("unix:/x:mode=999", "mode=999"),
        ("unix:/x:lockfile=yes", "lockfile=yes"),
        ("systemd:", "needs domain"),
        ("systemd:domain=INET", "either name or index"),
        ("systemd:domain=INET:index=0:name=http", "either name or index"),
        ("systemd:domain=IPV4:index=0", "domain=IPV4"),
        ("systemd:domain=INET:index=x", "index=x"),
        ("unix:/x\\", "backslash"),
    ],
)
def test_unusable(description: str, reason: str) -> None:
    """A description that Twisted cannot listen on is rejected with one line that has the reason."""
    with pytest.raises(EndpointError) as wrong:
        Endpoint.parse(description)
    assert reason in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    ("description", "key"),
    [
        ("ssl:443:privateKey=/etc/key.pem:certKey=/etc/cert.pem", "/etc/key.pem"),
        ("ssl:port=443:certKey=cert.pem:privateKey=key.pem", "key.pem"),
        ("ssl:443:key.pem:cert.pem", "key.pem"),
        (r"ssl:443:privateKey=/etc/a\:b.pem:interface=\:\:1", "/etc/a:b.pem"),
        ("ssl:443:interface=127.0.0.1", "server.pem"),
        ("tcp:8081", None),
        ("unix:/run/golo.sock", None),
    ],
)
def test_private_key(description: str, key: str | None) -> None:
    """It is the file that Twisted reads, also by default."""
    assert Endpoint.parse(description).private_key == (None if key is None else Path(key))


@given(
    st.text(max_size=40)
    | st.from_regex(r"(tcp|tcp6|ssl|unix|systemd)(:[a-z=\\:.0-9/]{0,12}){0,3}", fullmatch=True)
)
def test_twisted_parses_the_same(text: str) -> None:
    """Twisted parses an accepted description to the same endpoint."""
    with suppress(EndpointError):
        endpoint = Endpoint.parse(text)
        places, named = _parse(text)
        assert places[0] == endpoint.kind
        assert sorted([*places[1:], *named.values()]) == sorted(endpoint.arguments.values())
        assert named.items() <= endpoint.arguments.items()
