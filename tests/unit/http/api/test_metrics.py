"""The endpoint of metrics."""

from __future__ import annotations

from unit.http.in_memory import Agent


def test_the_exposition(agent: Agent) -> None:
    """All Accept headers are joined; content type and body are those of the exporter."""
    given = list[str]()

    def exposition(accept: str) -> tuple[str, bytes]:
        given.append(accept)
        return "text/plain; version=0.0.4; charset=utf-8", b"a 1.0\n"

    agent.exposition = exposition
    response = agent.request(
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: a/b;q=1, c/d\r\nAccept: e/f\r\n\r\n"
    )
    assert (response.status, response.body, given) == (200, b"a 1.0\n", ["a/b;q=1, c/d, e/f"])
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
