"""Declarations of endpoints, from which the router and the OpenAPI document are built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import attrs

JSON = "application/json"

_Handler = TypeVar("_Handler", bound=Callable[..., Any])
_MARK = "__operation__"


@attrs.frozen
class Response:
    """A successful response.

    Attributes:
        type: the type of a JSON body.
        media_type: empty if there is no body.
        headers: a sentence for each header.
        other_types: media types that a client may request instead.
    """

    description: str
    type: Any = None
    media_type: str = JSON
    headers: Mapping[str, str] = attrs.field(factory=dict)
    other_types: tuple[str, ...] = ()


@attrs.frozen
class Body:
    """The body of a request: its type if it is JSON, and an additional JSON schema."""

    type: Any = None
    media_type: str = JSON
    schema: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Endpoint:
    """One method of a path with parameters as ``<name>``.

    Attributes:
        errors: a sentence for each status of a `Problem`.
        query: a Struct with a member for each query parameter.
        token_optional: whether a request without the token gets some response.
    """

    method: str
    path: str
    responses: Mapping[int, Response]
    errors: Mapping[int, str] = attrs.field(factory=dict)
    query: Any = None
    body: Body | None = None
    token_optional: bool = False


def endpoint(
    method: str, path: str, responses: Mapping[int, Response], **more: Any
) -> Callable[[_Handler], _Handler]:
    """Return a decorator that declares the `Endpoint` of a method."""
    declared = Endpoint(method, path, responses, **more)

    def declare(handler: _Handler) -> _Handler:
        setattr(handler, _MARK, declared)
        return handler

    return declare


def endpoints(routes: object) -> Iterator[tuple[Endpoint, Callable[..., Any]]]:
    """Yield the endpoints of an object with its methods, in the order of declaration."""
    for declared, function in endpoints_of(type(routes)):
        yield declared, getattr(routes, function.__name__)


def endpoints_of(kind: type) -> Iterator[tuple[Endpoint, Callable[..., Any]]]:
    """Yield the endpoints of a class with their functions, in the order of declaration."""
    for function in vars(kind).values():
        declared = getattr(function, _MARK, None)
        if declared is not None:
            yield declared, function
