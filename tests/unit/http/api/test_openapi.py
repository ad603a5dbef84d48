"""The description of the API: valid, and of exactly the routes that are served."""

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
    answer = agent.request(f"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
    assert answer.status == 200
    return json.loads(answer.body)


def test_it_is_openapi_3_1(agent: Agent) -> None:
    """The document keeps to the specification: schemas, references, parameters, unique ids."""
    document = described(agent)
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_it_has_the_routes_that_are_served(agent: Agent) -> None:
    """Whatever the router knows is described, and what is described the router knows."""
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


def test_every_operation_tells_of_its_errors(agent: Agent) -> None:
    """What may happen anywhere is among the answers of each, and so are its own."""
    for path, operations in described(agent)["paths"].items():
        for method, operation in operations.items():
            statuses = set(operation["responses"])
            assert {str(status) for status in COMMON_ERRORS} <= statuses, (method, path)
            assert "404" in statuses or "{" not in path, (method, path)
            assert operation["summary"].endswith("."), (method, path)


@pytest.mark.parametrize(
    ("token", "security"), [(None, [{}]), (b"secret", [{"token": []}, {"password": []}])]
)
def test_it_says_whether_a_token_is_needed(
    agent: Agent, token: bytes | None, security: list[Any]
) -> None:
    """The document is that of this agent."""
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


def test_a_reply_of_several_types_lists_them(agent: Agent) -> None:
    """Metrics come in the format that is accepted."""
    reply = described(agent)["paths"]["/metrics"]["get"]["responses"]["200"]
    assert set(reply["content"]) == {"text/plain", "application/openmetrics-text"}
