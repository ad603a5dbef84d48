"""The proxy for a URL from the environment, by the rules of Go's net/http."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.address import HttpUrl
from goloagent.transport.proxy import Proxy, ProxySettingError, find

COLLECTOR = "http://c.example:8082"


def proxy(url: str = COLLECTOR, **environ: str) -> str | None:
    """Return the proxy for a URL as text."""
    found = find(HttpUrl.parse(url), environ)
    return None if found is None else f"{found.variable} {found.url}"


def test_each_scheme_has_its_variable() -> None:
    """Http and https have their own proxies; the upper-case name has precedence."""
    both = {"HTTP_PROXY": "http://plain:1", "https_proxy": "https://tls:2"}
    assert proxy("http://c.example", **both) == "HTTP_PROXY http://plain:1"
    assert proxy("https://c.example", **both) == "https_proxy https://tls:2"
    assert proxy(HTTP_PROXY="upper:1", http_proxy="lower:1") == "HTTP_PROXY http://upper:1"
    assert proxy(HTTP_PROXY="", http_proxy="lower") == "http_proxy http://lower"
    assert proxy(HTTPS_PROXY="http://tls:2", ALL_PROXY="http://all:3") is None
    assert proxy() is None


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8082",
        "http://localhost.",
        "http://127.0.0.1:8082",
        "http://127.8.9.1",
        "http://[::1]:8082",
    ],
)
def test_this_host_is_reached_directly(url: str) -> None:
    """Loopback addresses have no proxy."""
    assert proxy(url, HTTP_PROXY="http://proxy:3128") is None


@pytest.mark.parametrize(
    ("excluded", "url", "direct"),
    [
        ("*", COLLECTOR, True),
        ("c.example", COLLECTOR, True),
        ("C.Example", COLLECTOR, True),
        ("example", COLLECTOR, True),
        (".example", COLLECTOR, True),
        ("*.example", COLLECTOR, True),
        ("a, c.example ,b", COLLECTOR, True),
        ("c.example:8082", COLLECTOR, True),
        ("c.example:80", COLLECTOR, False),
        ("c.example:80", "http://c.example", True),
        (".c.example", COLLECTOR, False),
        ("*.c.example", COLLECTOR, False),
        ("ample", COLLECTOR, False),
        ("xample", "http://c.example.", False),
        ("c.example", "http://c.example.", True),
        ("", COLLECTOR, False),
        (",", COLLECTOR, False),
        ("10.0.0.0/8", "http://10.1.2.3:8082", True),
        ("10.0.0.0/8", COLLECTOR, False),
        ("10.1.2.3", "http://10.1.2.3:8082", True),
        ("10.1.2.3:8082", "http://10.1.2.3:8082", True),
        ("10.1.2.3:1", "http://10.1.2.3:8082", False),
        ("10.1.2.4", "http://10.1.2.3:8082", False),
        ("2001:db8::/32", "http://[2001:db8::1]", True),
        ("2001:db8::1", "http://[2001:db8::1]", True),
        ("[2001:db8::1]:80", "http://[2001:db8::1]", True),
        ("xn--bcher-kva.example", "http://bücher.example", True),
        ("bücher.example", "http://bücher.example", True),
        ("!", COLLECTOR, False),
    ],
)
def test_excluded_hosts(excluded: str, url: str, direct: bool) -> None:
    """NO_PROXY has hosts, domains, addresses and networks, with or without a port."""
    environ = {"HTTP_PROXY": "http://proxy:3128", "no_proxy": excluded}
    assert (proxy(url, **environ) is None) is direct


@pytest.mark.parametrize(
    "setting",
    ["socks5://user:secret@proxy:1080", "http://user:secret@proxy:x", "://", "a b", "https://a_b"],
)
def test_a_proxy_that_cannot_be_used(setting: str) -> None:
    """The error has the variable and what to do, without the password."""
    with pytest.raises(ProxySettingError, match=r"^HTTP_PROXY: .*NO_PROXY$") as wrong:
        proxy(HTTP_PROXY=setting)
    assert "secret" not in str(wrong.value)
    assert proxy(HTTP_PROXY=setting, NO_PROXY="c.example") is None
    assert proxy("http://localhost", HTTP_PROXY=setting) is None


def test_authorization() -> None:
    """The user and password of the URL are decoded and sent as Basic."""
    found = find(HttpUrl.parse(COLLECTOR), {"HTTP_PROXY": "http://us%65r:p%3Aw@proxy"})
    assert found is not None
    assert found.authorization == "Basic dXNlcjpwOnc="
    assert "p%3Aw" not in repr(found)
    assert Proxy(HttpUrl.parse("http://proxy"), "HTTP_PROXY").authorization is None


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_environment(setting: str, excluded: str) -> None:
    """For any variables there is a proxy, none, or an error of one line."""
    with suppress(ProxySettingError):
        proxy(HTTP_PROXY=setting, NO_PROXY=excluded)
