"""The API: the routes of every room, behind one router, and what becomes of their errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any
from urllib.parse import unquote_to_bytes

from klein import Klein
from twisted.logger import Logger
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from goloagent.http.api.endpoint import Response, endpoint, endpoints
from goloagent.http.api.openapi import document
from goloagent.http.problem import Problem, disk_problem, not_found, quoted
from goloagent.http.server.request import Request
from goloagent.http.server.response import problem_response

_log = Logger()


class DescriptionRoutes:
    """``/openapi.json``: what all `rooms` serve, and this one."""

    def __init__(self, rooms: Iterable[object], token: bool) -> None:
        self._document = document(chain.from_iterable(map(endpoints, [*rooms, self])), token)

    @endpoint("GET", "/openapi.json", {200: Response("An OpenAPI 3.1 document.", dict[str, Any])})
    def get_openapi(self, request: Request) -> bytes:
        """Describe this API."""
        return request.json_response(200, self._document)


def build_api(*rooms: object, token: bool = False) -> Klein:
    """Return the application that serves what the methods of `rooms` declare.

    `token` says that every request needs one.
    """
    app = Klein()
    for room in [*rooms, DescriptionRoutes(rooms, token)]:
        for declared, serve in endpoints(room):
            name = f"{declared.method} {declared.path}"
            app.route(declared.path, methods=[declared.method], endpoint=name)(serve)
    app.handle_errors(Exception)(_failed)
    return app


def route_check(app: Klein) -> Callable[[bytes, bytes], None]:
    """Return what raises the Problem that a method and path, percent-encoded, are no route."""
    router = app.url_map.bind("localhost")

    def check(method: bytes, path: bytes) -> None:
        try:
            router.match(unquote_to_bytes(path).decode(), method.decode("latin-1"))
        except HTTPException as error:
            raise _no_route(error, method, path) from None

    return check


def _failed(request: Any, failure: Failure) -> bytes:
    """Answer for whatever a route, or the search for one, raised."""
    problem = _problem(request, failure)
    if request.startedWriting:
        request.cut()
        return b""
    return problem_response(request, problem)


def _problem(request: Request, failure: Failure) -> Problem:
    error = failure.value
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return _no_route(error, request.method, request.path)
    if isinstance(error, OSError):
        _log.error("{method} {uri}: {error}", method=request.method, uri=request.uri, error=error)
        return disk_problem(error)
    _log.failure("request failed: {method} {uri}", failure, method=request.method, uri=request.uri)
    return Problem(500, "internal error")


def _no_route(error: HTTPException, method: bytes, path: bytes) -> Problem:
    """Return the answer to the router's: no such method, no such path, or one that it redirects."""
    if isinstance(error, MethodNotAllowed):
        allow = ", ".join(sorted(error.valid_methods or ()))
        return Problem(405, f"Method {quoted(method)} is not supported", {"Allow": allow})
    return not_found(path)
