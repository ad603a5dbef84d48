"""Addresses as text: each has one form to connect to, or is rejected."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.address import AddressError, HttpUrl, is_loopback, parse_host


@pytest.mark.parametrize(
    ("text", "host", "port", "uri"),
    [
        ("http://localhost:8082", "localhost", 8082, "http://localhost:8082"),
        ("http://localhost:8082/", "localhost", 8082, "http://localhost:8082"),
        ("HTTP://LocalHost:80", "localhost", 80, "http://localhost"),
        ("https://c.example", "c.example", 443, "https://c.example"),
        ("https://c.example:80/a/b/", "c.example", 80, "https://c.example:80/a/b"),
        ("http://c.example.", "c.example.", 80, "http://c.example."),
        ("http://c.example:08082", "c.example", 8082, "http://c.example:8082"),
        ("http://golo_collector:8082", "golo_collector", 8082, "http://golo_collector:8082"),
        ("http://xn--bcher-kva.example", "xn--bcher-kva.example", 80, None),
        ("http://Bücher.example", "xn--bcher-kva.example", 80, "http://xn--bcher-kva.example"),
        ("http://\uff11\uff12\uff17.0.0.1", "127.0.0.1", 80, "http://127.0.0.1"),
        ("http://[::1]:8082", "::1", 8082, "http://[::1]:8082"),
        ("http://[0:0:0::1]", "::1", 80, "http://[::1]"),
        ("http://[::FFFF:127.0.0.1]", "127.0.0.1", 80, "http://127.0.0.1"),
        ("http://[fe80::1%25eth0]:1", "fe80::1%eth0", 1, "http://[fe80::1]:1"),
        ("http://[fe80::1%eth0]", "fe80::1%eth0", 80, "http://[fe80::1]"),
        ("http://h/a%20b/%7Ec", "h", 80, "http://h/a%20b/%7Ec"),
        ("http://h/ä/{x}", "h", 80, "http://h/%C3%A4/%7Bx%7D"),
        ("http://h/\udcff", "h", 80, "http://h/%FF"),
        ("http://h/@a;b=c", "h", 80, "http://h/@a;b=c"),
        ("http://h//a/./b/../c", "h", 80, "http://h/a/c"),
        ("http://h/..", "h", 80, "http://h"),
    ],
)
def test_url(text: str, host: str, port: int, uri: str | None) -> None:
    """A URL has a host and port to connect to, and one form on the wire."""
    url = HttpUrl.parse(text)
    assert (url.host, url.port) == (host, port)
    assert url.to_uri() == (uri or text)
    assert HttpUrl.parse(str(url)) == url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not an http"),
        ("localhost:8082", "not an http"),
        ("ftp://localhost", "not an http"),
        ("http:/localhost", "not an http"),
        ("http://", "not an http"),
        ("http:///push", "not an http"),
        ("http://:8082", "not a host name"),
        ("http://h:", "port"),
        ("http://h:0", "port"),
        ("http://h:65536", "port"),
        ("http://h:+80", "port"),
        ("http://h:٣", "port"),
        ("http://h:port", "port"),
        ("http://h:" + "9" * 5000, "port"),
        ("http://::1:8082", "brackets"),
        ("http://[::1", "[::1]:8082"),
        ("http://[::1]8082", "[::1]:8082"),
        ("http://[]", "not an IPv6"),
        ("http://[127.0.0.1]", "not an IPv6"),
        ("http://[::g]", "not an IPv6"),
        ("http://[fe80::1]", "%25eth0"),
        ("http://[::1%25lo]", "link-local"),
        ("http://[fe80::1%25]", "link-local"),
        ("http://[fe80::1%25a/b]", ""),
        ("http://[::]:8082", "every address"),
        ("http://0.0.0.0:8082", "every address"),
        ("http://224.0.0.1", "one host"),
        ("http://255.255.255.255", "one host"),
        ("http://[ff02::1]", "one host"),
        ("http://127.1:8082", "in full"),
        ("http://2130706433", "in full"),
        ("http://0x7f000001", "in full"),
        ("http://0177.0.0.1", "in full"),
        ("http://1.2.3.4.5", "in full"),
        ("http://256.0.0.1", "in full"),
        ("http://a..b", "not a host name"),
        ("http://.a", "not a host name"),
        ("http://.", "not a host name"),
        ("http://" + "a" * 64, "not a host name"),
        ("http://" + "a." * 127 + "ab", "not a host name"),
        ("http://a%20b", "not a host name"),
        ("http://a!b", "not a host name"),
        ("http://a*b", "not a host name"),
        ("http://\udcff", "not an international"),
        ("http://☃\u200d.example", "not an international"),
        ("http://h/%", "%25"),
        ("http://h/%zz", "%25"),
        ("http://h/a b", "space"),
        (" http://h", "space"),
        ("http://h\n", "space"),
        ("http://h\\a", "space"),
        ("http://h/\x7f", "space"),
        ("http://h?a=b", "query"),
        ("http://h/?", "query"),
        ("http://h/#top", "query"),
    ],
)
def test_unusable_url(text: str, reason: str) -> None:
    """An address without a host to connect to is rejected with one line that has the reason."""
    with pytest.raises(AddressError) as wrong:
        HttpUrl.parse(text)
    assert reason in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_the_password_of_a_url_is_not_shown() -> None:
    """It is available to the proxy's client only."""
    url = HttpUrl.parse("http://user:secret@proxy:3128")
    assert url.userinfo == "user:secret"
    assert "secret" not in f"{url} {url!r} {url.to_uri()}"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("localhost.", True),
        ("a.localhost", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost.example", False),
        ("10.0.0.1", False),
        ("fe80::1%lo", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    """Names and addresses of the loopback interface are recognised."""
    assert is_loopback(host) is loopback


@given(st.text(max_size=40) | st.from_regex(r"https?://[\w\[\]:./=\\%?#@-]{0,40}"))
def test_any_text(text: str) -> None:
    """Any text is rejected, or has an ASCII form that parses to the same URL."""
    with suppress(AddressError):
        url = HttpUrl.parse(text)
        assert url.to_uri().isascii()
        assert HttpUrl.parse(str(url)) == HttpUrl.parse(f"{url}/") == attrs_without_user(url)


def attrs_without_user(url: HttpUrl) -> HttpUrl:
    """Return the URL without user and password."""
    return HttpUrl(url.scheme, url.host, url.port, url.path)


@given(st.text(max_size=20))
def test_any_host(text: str) -> None:
    """A parsed host parses to itself."""
    with suppress(AddressError):
        host = parse_host(text)
        assert parse_host(f"[{host}]" if ":" in host else host) == host
