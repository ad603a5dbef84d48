"""What an error looks like."""

from __future__ import annotations

import json

import pytest

from goloagent.http.problem import Problem, not_found, quoted, render


@pytest.mark.parametrize("accept", [[], ["*/*"], ["text/plain"], ["text/html, */*;q=0.8"]])
def test_plain_text_is_the_rule(accept: list[str]) -> None:
    """Errors are one line of plain text, as Go's http.Error writes them."""
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
def test_json_is_given_to_who_asks(accept: list[str]) -> None:
    """Whoever accepts a JSON type gets RFC 9457 problem details, with the problem's own headers."""
    headers, body = render(Problem(503, "the queue is full", {"Retry-After": "30"}), accept)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Retry-After"] == "30"
    assert int(headers["Content-Length"]) == len(body)
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
        (b"\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        (b"\x00\x1f\x7f", r'"\x00\x1f\x7f"'),
        ("é☺𝄞".encode(), '"é☺𝄞"'),
        (b"\xff\xc3", r'"\xff\xc3"'),
        ("\u00a0\u2028".encode(), r'"\u00a0\u2028"'),
        ("\U000e0001".encode(), r'"\U000e0001"'),
    ],
)
def test_quoting_is_that_of_go(text: bytes, expected: str) -> None:
    """Texts are quoted as fmt's %q quotes them (the expected values are Go's own)."""
    assert quoted(text) == expected


def test_a_path_is_shown_decoded() -> None:
    """A missing path is named as Go's URL.Path has it, without percent-encoding."""
    assert not_found(b"/a%20b%0a").detail == r'"/a b\n" does not exist'
