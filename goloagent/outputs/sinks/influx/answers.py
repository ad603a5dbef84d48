"""The meaning of InfluxDB's answers: whether a setting is wrong, or a point. Pure.

InfluxDB stores the good points of a request and refuses the others. A batch with a refused point is
divided until the point is alone: the good ones are written again, which changes nothing.
"""

from __future__ import annotations

import re

from goloagent.outputs.poster import located
from goloagent.outputs.sink import Disposition, Response

# Of InfluxDB 1.6 to 3, in lower case.
_WRONG = {
    "database not found": 'create the database, by CREATE DATABASE "NAME", or correct database',
    "retention policy not found": "create the retention policy, or correct retention-policy",
    "bucket": "create the bucket, or correct bucket and org",
    "organization": "correct org",
    "field type conflict": (
        "other points of the measurement have a field of another type; choose a database of its own"
        " for golo"
    ),
    "invalid column type": (
        "other points of the table have a column of another type; choose a database of its own for"
        " golo"
    ),
    "max-values-per-tag": (
        "increase max-values-per-tag in [data] of InfluxDB's settings, or let the load test report"
        " fewer different URLs"
    ),
    "max-series-per-database": (
        "increase max-series-per-database in [data] of InfluxDB's settings, or let the load test"
        " report fewer different URLs"
    ),
}
_NOT_FOUND = ("bucket", "organization")
_PARTS = ("partial write", "unable to parse")
_names_error = re.compile(r'"error"\s*:\s*"[^"]').search
_dropped = re.compile(r"dropped=([0-9]+)").search


def explained(response: Response, points: int) -> Response:
    """Return the response to a body with `points`, with its meaning and what to do."""
    status, text = response.status, response.text.lower()
    if status is None:
        return response
    if 200 <= status < 300:
        # Version 3 in the cloud stores the good points and lists the others with status 201, and
        # servers that are compatible may name an error with status 200.
        is_partial = (status == 201 and text) or _names_error(text)
        return Response.refused(_short(response)) if is_partial else response.unless_cut()
    for words, advice in _WRONG.items():
        if words in text and (words not in _NOT_FOUND or "not found" in text):
            return Response.wrong(f"{_short(response)}: {advice}")
    if "retention policy" in text and points > 1 and _count_dropped(text) >= points:
        return Response.wrong(
            f"{_short(response)}: the database keeps no points as old as these; use a longer"
            " retention policy, or abandon these results"
        )
    if any(words in text for words in _PARTS) and response.disposition is Disposition.RETRY:
        return Response.refused(_short(response))
    return located(response, "no InfluxDB")


def _count_dropped(text: str) -> int:
    found = _dropped(text)
    return int(found[1]) if found else 0


def _short(response: Response) -> str:
    return " ".join(str(response).split())
