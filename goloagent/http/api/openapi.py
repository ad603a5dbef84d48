"""The OpenAPI 3.1 document, from the declarations of endpoints and the types of their bodies."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from goloagent import VERSION
from goloagent.http.api.endpoint import Body, Endpoint, Response
from goloagent.http.auth.access import TOKEN_HEADER
from goloagent.http.problem import ProblemDetails

_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
_COMPONENT = "#/components/schemas/{name}"
COMMON_ERRORS = {
    400: "The request is no valid HTTP/1.1.",
    401: "The bearer token is missing or wrong.",
    403: "The client address, the Host or the web site is not allowed.",
    413: "The body is longer than 256 KiB.",
    500: "The agent has a defect; its log says more.",
    503: "The agent cannot read or write its disk.",
}

Handled = tuple[Endpoint, Callable[..., Any]]
_BY_TOKEN: list[dict[str, list[str]]] = [{"token": []}, {"password": []}]


def document(handled: Iterable[Handled], token: bool) -> dict[str, Any]:
    """Return the document of endpoints with their handlers; `token`: whether one is required."""
    handled = list(handled)
    types = [kind for operation, _ in handled for kind in _types(operation)]
    schemas, components = msgspec.json.schema_components(
        [*types, ProblemDetails], ref_template=_COMPONENT
    )
    schema_of = dict(zip([*map(_key, types), _key(ProblemDetails)], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation, function in handled:
        path = paths.setdefault(_PARAMETER.sub(r"{\1}", operation.path), {})
        described = path[operation.method.lower()] = _operation_object(
            operation, function, schema_of
        )
        if token and operation.token_optional:
            described["security"] = [{}, *_BY_TOKEN]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "golo-agent",
            "version": VERSION,
            "description": "A daemon that turns any executable into a load test.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"Or in {TOKEN_HEADER}, if a proxy keeps Authorization.",
                },
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


def _operation_object(
    operation: Endpoint, function: Callable[..., Any], schema_of: dict[str, Any]
) -> dict[str, Any]:
    summary, _, more = (inspect.getdoc(function) or "").partition("\n\n")
    responses = {
        status: _error_object(sentence, schema_of)
        for status, sentence in {**COMMON_ERRORS, **operation.errors}.items()
    }
    responses |= {
        status: _response_object(reply, schema_of) for status, reply in operation.responses.items()
    }
    description: dict[str, Any] = {
        "operationId": function.__name__,
        "summary": " ".join(summary.split()),
        "parameters": [*_path_parameters(operation), *_query_parameters(operation)],
        "responses": {str(status): responses[status] for status in sorted(responses)},
    }
    if more:
        description["description"] = more
    if operation.body is not None:
        description["requestBody"] = _body_object(operation.body, schema_of)
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
        {"name": name, "in": "query", "schema": _parameter_schema(schema, components)}
        for name, schema in members.items()
    ]


def _parameter_schema(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """Return a member's schema as that of a parameter, which is never null."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        schema = {**choices[0], **{k: v for k, v in schema.items() if k == "description"}}
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    return schema


def _response_object(reply: Response, schema_of: dict[str, Any]) -> dict[str, Any]:
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


def _error_object(sentence: str, schema_of: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": sentence,
        "content": {
            "text/plain; charset=utf-8": {"schema": {"type": "string"}},
            "application/problem+json": {"schema": schema_of[_key(ProblemDetails)]},
        },
    }


def _body_object(body: Body, schema_of: dict[str, Any]) -> dict[str, Any]:
    schema = {} if body.type is None else schema_of[_key(body.type)]
    return {"required": True, "content": {body.media_type: {"schema": {**schema, **body.schema}}}}
