"""The API: the routes of every room, behind one router, and what becomes of their errors."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from klein import Klein
from twisted.logger import Logger
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from goloagent.web.openapi import document
from goloagent.web.operation import Reply, operation, operations
from goloagent.web.problem import Problem, disk_problem, not_found, quoted
from goloagent.web.request import Request, answer

_log = Logger()


class DescriptionRoutes:
    """``/openapi.json``: what all `rooms` serve, and this one."""

    def __init__(self, rooms: Iterable[object], token: bool) -> None:
        self._document = document(chain.from_iterable(map(operations, [*rooms, self])), token)

    @operation("GET", "/openapi.json", {200: Reply("An OpenAPI 3.1 document.", dict[str, Any])})
    def get_openapi(self, request: Request) -> bytes:
        """Describe this API."""
        return request.answer(200, self._document)


def api(*rooms: object, token: bool = False) -> Klein:
    """Return the application that serves what the methods of `rooms` declare.

    `token` says that every request needs one.
    """
    app = Klein()
    for room in [*rooms, DescriptionRoutes(rooms, token)]:
        for declared, serve in operations(room):
            name = f"{declared.method} {declared.path}"
            app.route(declared.path, methods=[declared.method], endpoint=name)(serve)
    app.handle_errors(Exception)(_failed)
    return app


def _failed(request: Any, failure: Failure) -> bytes:
    """Answer for whatever a route, or the search for one, raised."""
    return answer(request, _problem(request, failure))


def _problem(request: Request, failure: Failure) -> Problem:
    error = failure.value
    if isinstance(error, Problem):
        return error
    if isinstance(error, MethodNotAllowed):
        allow = ", ".join(sorted(error.valid_methods or ()))
        return Problem(405, f"Method {quoted(request.method)} is not supported", {"Allow": allow})
    if isinstance(error, OSError):
        _log.error("{method} {uri}: {error}", method=request.method, uri=request.uri, error=error)
        return disk_problem(error)
    if isinstance(
        error, HTTPException
    ):  # the router's: no such path, or one that it would redirect
        return not_found(request.path)
    _log.failure("request failed: {method} {uri}", failure, method=request.method, uri=request.uri)
    return Problem(500, "internal error")
