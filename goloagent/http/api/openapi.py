"""The API's description, OpenAPI 3.1, made of the operations that the router serves.

Pure. Schemas are those of the types that the answers are encoded from (JSON Schema 2020-12, by
msgspec).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from goloagent import VERSION
from goloagent.http.api.endpoint import Body, Endpoint, Response
from goloagent.http.problem import ProblemDetails

_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
_COMPONENT = "#/components/schemas/{name}"
COMMON_ERRORS = {
    400: "The request is not as HTTP/1.1 wants it.",
    401: "The bearer token is missing or wrong.",
    403: "The peer, the Host or the web site may not.",
    413: "The body is longer than 64 KiB.",
    500: "The agent has a defect; its log says more.",
    503: "What the agent keeps on disk cannot be read or written.",
}

Served = tuple[Endpoint, Callable[..., Any]]


_BY_TOKEN: list[dict[str, list[str]]] = [{"token": []}, {"password": []}]


def document(served: Iterable[Served], token: bool) -> dict[str, Any]:
    """Return the OpenAPI document of operations, each with the function that serves it.

    `token` says that every request needs one.
    """
    served = list(served)
    types = [kind for operation, _ in served for kind in _types(operation)]
    schemas, components = msgspec.json.schema_components(
        [*types, ProblemDetails], ref_template=_COMPONENT
    )
    schema_of = dict(zip([*map(_key, types), _key(ProblemDetails)], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation, function in served:
        path = paths.setdefault(_PARAMETER.sub(r"{\1}", operation.path), {})
        described = path[operation.method.lower()] = _described(operation, function, schema_of)
        if token and operation.token_optional:
            described["security"] = [{}, *_BY_TOKEN]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "golo-agent",
            "version": VERSION,
            "description": "Turns any executable into a load test.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "password": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The token, with any user name: for browsers.",
                },
            },
        },
        "security": _BY_TOKEN if token else [{}],
    }


def _types(operation: Endpoint) -> list[Any]:
    replies = [reply.type for reply in operation.responses.values()]
    body = operation.body.type if operation.body else None
    return [kind for kind in [*replies, body] if kind is not None]


def _key(kind: Any) -> str:
    return repr(kind)


def _described(
    operation: Endpoint, function: Callable[..., Any], schema_of: dict[str, Any]
) -> dict[str, Any]:
    summary, _, more = (inspect.getdoc(function) or "").partition("\n\n")
    responses = {
        status: _error(sentence, schema_of)
        for status, sentence in {**COMMON_ERRORS, **operation.errors}.items()
    }
    responses |= {status: _reply(reply, schema_of) for status, reply in operation.responses.items()}
    description: dict[str, Any] = {
        "operationId": function.__name__,
        "summary": " ".join(summary.split()),
        "parameters": [*_path_parameters(operation), *_query_parameters(operation)],
        "responses": {str(status): responses[status] for status in sorted(responses)},
    }
    if more:
        description["description"] = more
    if operation.body is not None:
        description["requestBody"] = _body(operation.body, schema_of)
    return description


def _path_parameters(operation: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(operation.path)
    ]


def _query_parameters(operation: Endpoint) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    _, components = msgspec.json.schema_components([operation.query])
    members = components[operation.query.__name__]["properties"]
    return [
        {"name": name, "in": "query", "schema": _given(schema, components)}
        for name, schema in members.items()
    ]


def _given(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """Return a member's schema as that of a parameter: one that is null is not given."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        schema = {**choices[0], **{k: v for k, v in schema.items() if k == "description"}}
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    return schema


def _reply(reply: Response, schema_of: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "string"} if reply.type is None else schema_of[_key(reply.type)]
    description: dict[str, Any] = {"description": reply.description}
    if reply.media_type:
        kinds = (reply.media_type, *reply.other_types)
        description["content"] = {kind: {"schema": schema} for kind in kinds}
    if reply.headers:
        description["headers"] = {
            name: {"description": meaning, "schema": {"type": "string"}}
            for name, meaning in reply.headers.items()
        }
    return description


def _error(sentence: str, schema_of: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": sentence,
        "content": {
            "text/plain; charset=utf-8": {"schema": {"type": "string"}},
            "application/problem+json": {"schema": schema_of[_key(ProblemDetails)]},
        },
    }


def _body(body: Body, schema_of: dict[str, Any]) -> dict[str, Any]:
    schema = {} if body.type is None else schema_of[_key(body.type)]
    return {"required": True, "content": {body.media_type: {"schema": {**schema, **body.schema}}}}
