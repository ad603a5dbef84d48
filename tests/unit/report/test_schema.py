"""The published schema of reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, ValidationError
from msgspec import structs
from peers.reports import part

from goloagent.report import codec
from goloagent.report.builder import build
from goloagent.report.model import Duty, Outcome
from goloagent.report.schema import UNITS, is_number, schema

FILE = Path(__file__).parents[3] / "docs" / "report.schema.json"
OUTCOME = Outcome(99, "a threshold failed", "It does not hold.")


@pytest.fixture(scope="module")
def published() -> Draft202012Validator:
    """Return a validator of the published schema."""
    found = json.loads(FILE.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(found)
    return Draft202012Validator(found)


def as_json(**members: Any) -> Any:
    """Return a real report with other members as a reader of JSON gets it."""
    duties = [Duty("ready", True, "1 agent became ready.")]
    report = structs.replace(build([part()], outcome=OUTCOME, duties=duties), **members)
    return json.loads(codec.encode(report))


def test_it_is_current() -> None:
    """The file has the types of the code."""
    assert json.loads(FILE.read_text(encoding="utf-8")) == schema(), "run `make docs`"


def test_reports_are_valid(published: Draft202012Validator) -> None:
    """With and without details, before the run, and several of ``--repeat``."""
    published.validate(as_json())
    published.validate([as_json(), as_json()])
    published.validate(as_json(started_at=None, ended_at=None, verdict=None, outcome=None))
    plain = codec.without_details(build([part()], outcome=OUTCOME))
    published.validate(json.loads(codec.encode(plain)))
    assert (plain.timeline, plain.latency.duration.histogram) == ([], None)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("member", "value"),
    [("rate", "320"), ("calls", {"started": 1.5}), ("duties", [{"name": "x"}]), ("verdict", 1)],
)
def test_other_types_are_not(published: Draft202012Validator, member: str, value: object) -> None:
    """Nor is a report that lacks a member."""
    with pytest.raises(ValidationError):
        published.validate(as_json() | {member: value})
    lacking = as_json()
    del lacking["calls"]
    with pytest.raises(ValidationError):
        published.validate(lacking)


def test_every_number_has_a_unit() -> None:
    """No number of a report needs the code to be read."""
    numbers = {
        (name, member): property_.get("description", "")
        for name, definition in schema()["$defs"].items()
        for member, property_ in definition["properties"].items()
        if is_number(property_)
    }
    assert len(numbers) > 80
    assert [key for key, description in numbers.items() if not description] == []
    assert numbers["CountedLatency", "p95"] == "seconds"
    assert numbers["Report", "rate"] == "results a second"
    named = {member for _, member in numbers} | {f"{name}.{member}" for name, member in numbers}
    assert set(UNITS) <= named


def test_members_are_described_where_they_are() -> None:
    """The text of a type does not repeat those of its members."""
    report = schema()["$defs"]["Report"]
    assert report["description"] == (
        "A run. `urls` and `rows` are ordered by their results, the most first."
    )
    assert report["properties"]["timeline"]["description"] == (
        "at most 600 intervals of equal length"
    )


def test_it_is_read_again() -> None:
    """The JSON that validates is a report for `golo report` too."""
    assert codec.decode(msgspec.json.encode(as_json())) == build(
        [part()], outcome=OUTCOME, duties=[Duty("ready", True, "1 agent became ready.")]
    )
