"""What a route is, as data beside the code that serves it.

The router and the API's description are both made of it, so neither can say what the other does
not. Knows no HTTP library and no route.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import attrs

JSON = "application/json"

_Served = TypeVar("_Served", bound=Callable[..., Any])
_MARK = "__operation__"


@attrs.frozen
class Response:
    """An answer of its own kind: what it means, its type when it is JSON, and its headers.

    `headers` has a sentence for each; `other_types` are media types that a client may ask for.
    Without a `media_type` there is no body.
    """

    description: str
    type: Any = None
    media_type: str = JSON
    headers: Mapping[str, str] = attrs.field(factory=dict)
    other_types: tuple[str, ...] = ()


@attrs.frozen
class Body:
    """The body of a request: of a type when it is JSON, and of a JSON schema beside or instead."""

    type: Any = None
    media_type: str = JSON
    schema: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Endpoint:
    """One method of one path, whose parameters stand in it as ``<name>``.

    `errors` has a sentence for each status that is answered with a `Problem`. `query` is a Struct
    with a member for each query parameter. `token_optional` says that it is answered without the
    token, too, in some way.
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
) -> Callable[[_Served], _Served]:
    """Return a decorator that declares a method to serve an `Endpoint` made of the arguments."""
    declared = Endpoint(method, path, responses, **more)

    def declare(served: _Served) -> _Served:
        setattr(served, _MARK, declared)
        return served

    return declare


def endpoints(routes: object) -> Iterator[tuple[Endpoint, Callable[..., Any]]]:
    """Yield what the methods of `room` serve, in the order in which they are written."""
    for declared, function in endpoints_of(type(routes)):
        yield declared, getattr(routes, function.__name__)


def endpoints_of(kind: type) -> Iterator[tuple[Endpoint, Callable[..., Any]]]:
    """Yield what the methods of a class of rooms serve, in the order in which they are written."""
    for function in vars(kind).values():
        declared = getattr(function, _MARK, None)
        if declared is not None:
            yield declared, function
