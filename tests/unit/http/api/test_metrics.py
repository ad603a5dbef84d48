"""Metrics over HTTP."""

from __future__ import annotations

from unit.http.in_memory import Agent


def test_the_exposition_is_answered_as_it_is(agent: Agent) -> None:
    """Accept goes in whole, however many headers it came in; content type and bytes come out."""
    given = list[str]()

    def exposition(accept: str) -> tuple[str, bytes]:
        given.append(accept)
        return "text/plain; version=0.0.4; charset=utf-8", b"a 1.0\n"

    agent.exposition = exposition
    answer = agent.request(
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: a/b;q=1, c/d\r\nAccept: e/f\r\n\r\n"
    )
    assert (answer.status, answer.body, given) == (200, b"a 1.0\n", ["a/b;q=1, c/d, e/f"])
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
