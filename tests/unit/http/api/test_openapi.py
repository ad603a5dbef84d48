"""The OpenAPI document: valid, and complete."""

from __future__ import annotations

import json
import re
from typing import Any

import attrs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from unit.http.in_memory import Agent

from goloagent.http.api.openapi import COMMON_ERRORS
from goloagent.http.auth.access import AccessPolicy

TOKEN = "Authorization: Bearer secret\r\n"


def described(agent: Agent, head: str = "") -> Any:
    """Return the document."""
    response = agent.request(
        f"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode()
    )
    assert response.status == 200
    return json.loads(response.body)


def test_it_is_openapi_3_1(agent: Agent) -> None:
    """The document is valid: schemas, references, parameters, unique ids."""
    document = described(agent)
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_it_has_all_routes(agent: Agent) -> None:
    """Its operations are those of the router."""
    rules = agent.application().url_map.iter_rules()
    served = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in rules
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")  # the router adds them to each GET, and to all
    }
    assert served == {
        (method.upper(), path)
        for path, operations in described(agent)["paths"].items()
        for method in operations
    }


def test_every_operation_has_its_errors(agent: Agent) -> None:
    """The common errors and its own are among its responses."""
    for path, operations in described(agent)["paths"].items():
        for method, operation in operations.items():
            statuses = set(operation["responses"])
            assert {str(status) for status in COMMON_ERRORS} <= statuses, (method, path)
            assert "404" in statuses or "{" not in path, (method, path)
            assert operation["summary"].endswith("."), (method, path)


@pytest.mark.parametrize(
    ("token", "security"), [(None, [{}]), (b"secret", [{"token": []}, {"password": []}])]
)
def test_the_token(agent: Agent, token: bytes | None, security: list[Any]) -> None:
    """The document says whether this agent requires one."""
    agent.access = attrs.evolve(agent.access, token=token)
    assert isinstance(agent.access, AccessPolicy)
    document = described(agent, TOKEN)
    assert document["security"] == security
    own = {
        path: operation["security"]
        for path, operations in document["paths"].items()
        for operation in operations.values()
        if "security" in operation
    }
    assert own == ({} if token is None else {"/health": [{}, *security]})


def test_a_response_of_several_types(agent: Agent) -> None:
    """Metrics have the types of all formats."""
    reply = described(agent)["paths"]["/metrics"]["get"]["responses"]["200"]
    assert set(reply["content"]) == {
        "text/plain",
        "application/openmetrics-text",
        "application/vnd.google.protobuf",
    }
