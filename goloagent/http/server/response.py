"""The bodies and headers of responses."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from goloagent.http.problem import Problem, reason_phrase, render
from goloagent.http.server.context import UPLOAD_PATH


def json_body(value: Any) -> bytes:
    """Return a value as JSON, spaced as the responses of the go-lo agent were."""
    return msgspec.json.format(msgspec.json.encode(value), indent=0)


def problem_response(request: Any, problem: Problem) -> bytes:
    """Log `problem`, set its status and headers on `request`, and return the body."""
    accept = request.requestHeaders.getRawHeaders(b"Accept", [])
    request.audit_refusal(problem)
    headers, body = render(problem, [line.decode("latin-1") for line in accept])
    is_upload = request.path == UPLOAD_PATH
    phrase = reason_phrase(problem) if is_upload else HTTPStatus(problem.status).phrase
    request.setResponseCode(problem.status, phrase.encode())
    for name, value in headers.items():
        lines = [value] if isinstance(value, str) else value
        request.responseHeaders.setRawHeaders(name, lines)
    return body
