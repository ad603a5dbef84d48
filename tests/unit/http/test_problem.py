"""The format of error responses."""

from __future__ import annotations

import json

import pytest

from goloagent.http.problem import Problem, not_found, quoted, render


@pytest.mark.parametrize("accept", [[], ["*/*"], ["text/plain"], ["text/html, */*;q=0.8"]])
def test_plain_text_is_the_default(accept: list[str]) -> None:
    """Errors are one line of plain text, as the 2018 agent sent them."""
    assert render(Problem(400, "http: no such file"), accept) == (
        {
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Length": "19",
            "X-Content-Type-Options": "nosniff",
        },
        b"http: no such file\n",
    )


@pytest.mark.parametrize(
    "accept",
    [
        ["application/json"],
        ["application/problem+json"],
        ["Application/*; q=0.5"],
        ["text/html", "*/*, application/json;q=0.9"],
    ],
)
def test_problem_details(accept: list[str]) -> None:
    """A client that accepts a JSON type gets RFC 9457 problem details, and all headers."""
    headers, body = render(Problem(503, "the queue is full", {"Retry-After": "30"}), accept)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Retry-After"] == "30"
    assert int(str(headers["Content-Length"])) == len(body)
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "the queue is full",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"PUT", '"PUT"'),
        (b'a"b\\c', r'"a\"b\\c"'),
        (b"\n\x00\x1f\x7f", r'"\n\u0000\u001f\u007f"'),
        ("é☺𝄞".encode(), '"é☺𝄞"'),
        (b"\xff", r'"\udcff"'),
        ("é\u2028".encode(), r'"\u00e9\u2028"'),
    ],
)
def test_quoted_text(text: bytes, expected: str) -> None:
    """Quoted text is printable: other characters are escaped."""
    assert quoted(text) == expected


def test_a_path_is_shown_decoded() -> None:
    """A 404 names the path without percent-encoding."""
    assert not_found(b"/a%20b%0a").detail == r'"/a b\n" does not exist'
