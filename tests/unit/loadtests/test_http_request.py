"""The request that a URL and options describe."""

from __future__ import annotations

import base64

import pytest

from goloagent.loadtests.http_request import HttpRequest, InvalidRequest, build


def request(
    url: str, *headers: str, method: str | None = None, data: bytes | None = None
) -> HttpRequest:
    """Build a request."""
    return build(url, method, headers, data, "golo/1")


def test_a_url_alone() -> None:
    """It is a GET with the usual headers."""
    built = request("http://localhost:8000/a?b=c#d")
    assert built == HttpRequest(
        method="GET",
        url="http://localhost:8000/a?b=c",
        is_https=False,
        host="localhost",
        port=8000,
        content=b"GET /a?b=c HTTP/1.1\r\nHost: localhost:8000\r\n"
        b"User-Agent: golo/1\r\nAccept: */*\r\n\r\n",
    )


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "path", "shown"),
    [
        ("http://example.com", "example.com", 80, "example.com", "/", "http://example.com/"),
        ("http://example.com:80/", "example.com", 80, "example.com", "/", "http://example.com/"),
        ("https://example.com", "example.com", 443, "example.com", "/", "https://example.com/"),
        ("http://a:443/", "a", 443, "a:443", "/", "http://a:443/"),
        ("http://[::1]:81/x", "::1", 81, "[::1]:81", "/x", "http://[::1]:81/x"),
        ("HTTP://EXAMPLE.com/A", "example.com", 80, "example.com", "/A", "http://example.com/A"),
        ("http://a?x", "a", 80, "a", "/?x", "http://a/?x"),
        ("http://a/é%20ü", "a", 80, "a", "/%C3%A9%20%C3%BC", "http://a/é%20ü"),
        (
            "http://bücher.example/",
            "xn--bcher-kva.example",
            80,
            "xn--bcher-kva.example",
            "/",
            "http://xn--bcher-kva.example/",
        ),
    ],
)
def test_a_url(url: str, host: str, port: int, authority: str, path: str, shown: str) -> None:
    """Its parts are where they belong."""
    built = request(url)
    assert (built.host, built.port, built.url) == (host, port, shown)
    assert built.content.startswith(f"GET {path} HTTP/1.1\r\nHost: {authority}\r\n".encode())


def test_data_and_headers() -> None:
    """A body makes a POST, and a header replaces a usual one of any case."""
    built = request("http://a/", "accept: text/html", "X: 1", "X: 2", "Host: b", data=b"\x00body")
    assert built.method == "POST"
    head, _, body = built.content.partition(b"\r\n\r\n")
    assert body == b"\x00body"
    assert head.split(b"\r\n") == [
        b"POST / HTTP/1.1",
        b"User-Agent: golo/1",
        b"Content-Length: 5",
        b"accept: text/html",
        b"X: 1",
        b"X: 2",
        b"Host: b",
    ]
    assert request("http://a/", method="PUT", data=b"").content.startswith(b"PUT / HTTP/1.1\r\n")


def test_a_password_is_sent_and_not_shown() -> None:
    """It is HTTP's basic authentication."""
    built = request("http://me:p%40ss@a/")
    assert built.url == "http://a/"
    token = base64.b64encode(b"me:p@ss")
    assert b"\r\nAuthorization: Basic " + token + b"\r\n" in built.content


@pytest.mark.parametrize(
    ("url", "headers", "method", "words"),
    [
        ("localhost:8000", (), None, "not a URL such as http://localhost:8000/: localhost:8000"),
        ("ftp://a/", (), None, "not a URL"),
        ("http://", (), None, "not a URL"),
        ("http://a:99999/", (), None, "not a URL"),
        ("http://a:b/", (), None, "not a URL"),
        ("http://[::1/", (), None, "not a URL"),
        ("http://a/\r\nX: y", (), None, "not a URL"),
        ("http://a/ b", (), None, "not a URL"),
        ("http://" + "ü" * 70 + "/", (), None, "not a URL"),
        ("http://a/", ("X",), None, "--header 'X': it must be like 'Accept: text/html'"),
        ("http://a/", ("X Y: z",), None, "it must be like"),
        ("http://a/", ("X: y\r\nZ: 1",), None, "it must be like"),
        ("http://a/", ("Content-Length: 5",), None, "--data determines it"),
        ("http://a/", ("transfer-encoding: chunked",), None, "--data determines it"),
        ("http://a/", (), "GET /", "--method GET /: it must be one word"),
    ],
)
def test_wrong_arguments(
    url: str, headers: tuple[str, ...], method: str | None, words: str
) -> None:
    """Each is one sentence, and nothing could be smuggled into the request."""
    with pytest.raises(InvalidRequest) as raised:
        request(url, *headers, method=method)
    assert words in str(raised.value)
