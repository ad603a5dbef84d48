"""The meaning of PostgreSQL's errors, by their SQLSTATE. Pure."""

from __future__ import annotations

import re

import psycopg

from goloagent.outputs.sink import Response

_MAX_CHARS = 300

# Classes of SQLSTATE, or whole codes, which come first (PostgreSQL, appendix A).
_READ_ONLY = "25006"
_RETRY = frozenset({"08", "25", "40", "53", "55", "57", "58", "XX", _READ_ONLY})
_REFUSED = frozenset({"21", "22", "23", "27", "44", "54", "P0"})  # a row, or a trigger for it
_TABLES = "create the tables by etc/postgresql/golo_results.sql"
_REMEDIES = {
    "28": "correct the user or the password-file of the output",
    "3D": "create the database, or correct the URL of the output",
    "3F": "create the schema, or correct the schema of the output",
    "42501": f"grant the role what it needs, or {_TABLES}",
    "42P01": _TABLES,
    "42703": "another table has its name: choose one by table=NAME, or drop it",
    "42": "correct the table of the output",
}

# libpq has no SQLSTATE for an error of the connection. In another language than English, all of
# them are retried.
_WRONG_CONNECTIONS = {
    r"no password supplied": "name a password-file in the URL of the output",
    r'authentication failed|FATAL:\s+(?:role|user) "': _REMEDIES["28"],
    r'FATAL:\s+database "': _REMEDIES["3D"],
    r"FATAL:\s+permission denied": "grant the role CONNECT on the database",
    r"no pg_hba\.conf entry|authentication method": "let the role in by the server's pg_hba.conf",
    r"does not support SSL": "remove ca and insecure from the URL, or let the server use TLS",
    r"certificate|private key|signature failure": "correct ca, cert, key or the host of the output",
}


def response_to(error: psycopg.Error) -> Response:
    """Return the response that an error is."""
    state = error.sqlstate
    if state is None:
        text = _line(str(error))
        for pattern, remedy in _WRONG_CONNECTIONS.items():
            if re.search(pattern, text):
                return Response.wrong(f"{text}; {remedy}")
        return Response(error=text)
    text = _line(error.diag.message_primary or str(error))
    if detail := error.diag.message_detail:
        text += f" ({_line(detail)})"
    for key in (state, state[:2]):
        if key in _RETRY:
            return Response(error=text)
        if key in _REFUSED:
            return Response.refused(text)
        if key in _REMEDIES:
            return Response.wrong(f"{text}; {_REMEDIES[key]}")
    return Response.wrong(text)


def _line(text: str) -> str:
    return " ".join(text.split())[:_MAX_CHARS]
