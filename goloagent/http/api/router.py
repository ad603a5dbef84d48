"""The router of the API, and the handler of its errors."""

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
    """``/openapi.json``: the endpoints of all `routes` and this one."""

    def __init__(self, routes: Iterable[object], token: bool) -> None:
        self._document = document(chain.from_iterable(map(endpoints, [*routes, self])), token)

    @endpoint("GET", "/openapi.json", {200: Response("An OpenAPI 3.1 document.", dict[str, Any])})
    def get_openapi(self, request: Request) -> bytes:
        """Describe this API."""
        return request.json_response(200, self._document)


def build_api(*routes: object, token: bool = False) -> Klein:
    """Return the application of all `routes`; `token` says whether one is required."""
    app = Klein()
    for handler in [*routes, DescriptionRoutes(routes, token)]:
        for declared, serve in endpoints(handler):
            name = f"{declared.method} {declared.path}"
            app.route(declared.path, methods=[declared.method], endpoint=name)(serve)
    app.handle_errors(Exception)(_on_error)
    return app


def route_check(app: Klein) -> Callable[[bytes, bytes], None]:
    """Return a function that raises the Problem of an unknown method or percent-encoded path."""
    router = app.url_map.bind("localhost")

    def check(method: bytes, path: bytes) -> None:
        try:
            router.match(unquote_to_bytes(path).decode(), method.decode("latin-1"))
        except HTTPException as error:
            raise _routing_problem(error, method, path) from None

    return check


def _on_error(request: Any, failure: Failure) -> bytes:
    """Respond to an exception of a route or of the router."""
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
        return _routing_problem(error, request.method, request.path)
    if isinstance(error, OSError):
        _log.error("{request}: {error}", request=request.line, error=error)
        return disk_problem(error)
    _log.failure("request failed: {request}", failure, request=request.line)
    return Problem(500, "internal error")


def _routing_problem(error: HTTPException, method: bytes, path: bytes) -> Problem:
    """Return the 405 or 404 of an error of the router; a redirect is a 404."""
    if isinstance(error, MethodNotAllowed):
        allow = ", ".join(sorted(error.valid_methods or ()))
        return Problem(405, f"Method {quoted(method)} is not supported", {"Allow": allow})
    return not_found(path)
