"""The meaning of the answers of InfluxDB for a batch, and the path of each version."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from goloagent.core.output_parser import parse_option
from goloagent.core.output_setting import SettingError
from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.registry import SinkContext, make_sink
from goloagent.outputs.sink import Disposition, Response
from goloagent.outputs.sinks.influx import write_path
from goloagent.outputs.sinks.influx.answers import explained
from goloagent.outputs.sinks.influx.sink import InfluxResultSink, InfluxSecondsSink

CONFLICT = 'partial write: field type conflict: input field "size" on measurement "m" dropped=1'
BEYOND = "partial write: points beyond retention policy dropped="
BEYOND_2 = (
    "failure writing points to database: partial write: dropped 2 points outside retention policy"
    " of duration 1h0m0s dropped="
)
UNPARSED = "unable to parse 'm,a=1 f= 1': missing field value"
PARTIAL_3 = '{"error":"partial write of line protocol occurred","data":[{"error_message":"x"}]}'
MANY = "partial write: max-values-per-tag limit exceeded (100000/100000): measurement=m dropped=1"


@pytest.mark.parametrize(
    ("status", "text", "points", "meaning", "advice"),
    [
        (204, "", 9, Disposition.DELIVERED, ""),
        (200, "", 9, Disposition.DELIVERED, ""),
        # A part of it is stored, and the answer is a success all the same.
        (201, PARTIAL_3, 9, Disposition.SPLIT, ""),
        (200, PARTIAL_3, 9, Disposition.SPLIT, ""),
        (200, '{"status":"ok","error":""}', 9, Disposition.DELIVERED, ""),
        (400, PARTIAL_3, 9, Disposition.SPLIT, ""),
        (400, UNPARSED, 9, Disposition.SPLIT, ""),
        (500, f"partial write: {UNPARSED} dropped=0", 9, Disposition.SPLIT, ""),
        (400, f"{BEYOND}2", 9, Disposition.SPLIT, ""),
        (400, f"{BEYOND}9", 9, Disposition.PAUSE, "use a longer retention policy"),
        (400, f"{BEYOND}1", 1, Disposition.SPLIT, ""),
        (422, f"{BEYOND_2}9", 9, Disposition.PAUSE, "use a longer retention policy"),
        (422, f"{BEYOND_2}2", 9, Disposition.SPLIT, ""),
        (400, CONFLICT, 9, Disposition.PAUSE, "choose a database of its own"),
        (422, CONFLICT, 9, Disposition.PAUSE, "choose a database of its own"),
        (400, "invalid column type for column 'size'", 9, Disposition.PAUSE, "database of its own"),
        (400, MANY, 9, Disposition.PAUSE, "increase max-values-per-tag"),
        (400, "max-series-per-database exceeded", 9, Disposition.PAUSE, "fewer different URLs"),
        (404, 'database not found: "golo"', 9, Disposition.PAUSE, "create the database"),
        (500, "retention policy not found: x", 9, Disposition.PAUSE, "correct retention-policy"),
        (404, "404 page not found", 9, Disposition.PAUSE, "there is no InfluxDB at this address"),
        (404, 'bucket "golo" not found', 9, Disposition.PAUSE, "create the bucket"),
        (404, 'organization name "me" not found', 9, Disposition.PAUSE, "correct org"),
        (401, "authorization failed", 9, Disposition.PAUSE, ""),
        (413, "Request Entity Too Large", 9, Disposition.SPLIT, ""),
        (429, "limit of the bucket", 9, Disposition.RETRY, ""),
        (500, "engine: cache-max-memory-size exceeded", 9, Disposition.RETRY, ""),
        (500, "timeout", 9, Disposition.RETRY, ""),
        (503, "", 9, Disposition.RETRY, ""),
    ],
)
def test_answers(status: int, text: str, points: int, meaning: Disposition, advice: str) -> None:
    """Each answer has its meaning, and says what to do if a setting is wrong."""
    found = explained(Response(status, text=text), points)
    assert found.disposition is meaning
    assert advice in str(found)
    assert text.split('"')[0] in str(found)


def test_no_answer() -> None:
    """A failed connection is retried."""
    response = Response(error="connection refused")
    assert explained(response, 9) is response


def output(query: str) -> Any:
    """Return the setting of an output."""
    return parse_option(f"influx=influx+http://influx.example:8086/base?{query}")


@pytest.mark.parametrize(
    ("query", "version", "path"),
    [
        ("database=golo", "1", "/write?db=golo&precision=ns"),
        (
            "database=a%26b&retention-policy=one%20day",
            "1",
            "/write?db=a%26b&rp=one%20day&precision=ns",
        ),
        ("bucket=b/c&org=me", "2", "/api/v2/write?org=me&bucket=b%2Fc&precision=ns"),
        ("database=golo", "3", "/api/v3/write_lp?db=golo&precision=nanosecond"),
    ],
)
def test_paths(query: str, version: str, path: str) -> None:
    """Each version has its path, with quoted names."""
    assert write_path(version, output(query)) == path


class Poster:
    """Gives the responses of a list, and keeps the bodies."""

    def __init__(self, *responses: Response) -> None:
        self.responses = list(responses)
        self.posted: list[tuple[str, bytes, Any]] = []

    async def post(self, path: str, body: bytes, content_type: str, headers: Any) -> Response:
        self.posted.append((path, body, headers))
        return self.responses.pop(0)

    async def check(self) -> str | None:
        return "no"

    async def close(self) -> None:
        """Do nothing."""


def context() -> Any:
    """Return a context without a thread."""
    return SinkContext(Clock(), None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("timeout=3s", "database is missing"),
        ("bucket=b", "org is missing"),
        ("org=me", "database is missing"),
        ("database=a&bucket=b", "org is missing"),
        ("database=a&bucket=b&org=me", "database is not of InfluxDB 2"),
        ("database=a&org=me", "org is not of InfluxDB 1"),
        ("database=a&version=3&retention-policy=x", "retention-policy is not of InfluxDB 3"),
        ("database=a&version=4", "version=4 is not one of 1, 2, 3"),
        ("database=a&token-file=/nowhere", "token-file /nowhere: No such file"),
    ],
)
def test_wrong_members(query: str, sentence: str) -> None:
    """A wrong combination of members is one sentence."""
    with pytest.raises(SettingError, match=f"--output influx: {sentence}"):
        make_sink(output(query), context())


def test_units() -> None:
    """`unit` chooses between results and the timeline."""
    assert isinstance(make_sink(output("database=a"), context()), InfluxResultSink)
    seconds = make_sink(output("database=a&unit=second"), context())
    assert isinstance(seconds, InfluxSecondsSink)
    assert seconds.url == "influx+http://influx.example:8086/base"


async def test_a_batch_of_several_bodies_ends_with_the_first_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each body has the trace of the run; the first other answer is that of the batch."""
    monkeypatch.setattr("goloagent.outputs.sinks.influx.points.MAX_BODY_BYTES", 1)
    run = RunLabels("j", "n", "r", "a", traceparent="00-1-2-01")
    text = b'{"timestamp":"2026-01-02T03:04:05Z"}\n' * 600
    batch = Batch(0, len(text), text)
    answers = (Response(204), Response(503), Response(204), Response(204), Response(204))
    poster = Poster(*answers)
    sink = InfluxResultSink("url", poster, Clock(), "/write?db=a")
    assert (await sink.send(run, batch, 0)).status == 503
    assert (await sink.send(run, batch, 0)).disposition is Disposition.DELIVERED
    assert [body.count(b"\n") for _, body, _ in poster.posted] == [256, 256, 256, 256, 88]
    assert {path for path, _, _ in poster.posted} == {"/write?db=a"}
    assert all(headers == {"traceparent": "00-1-2-01"} for _, _, headers in poster.posted)
    assert await sink.check() == "no"


async def test_a_login_page_stores_nothing() -> None:
    """A proxy in the place of the database pauses the output, and loses no point."""
    text = b'{"timestamp":"2026-01-02T03:04:05Z"}\n'
    page = Response(200, text="<HTML lang=en><body>Log in</body>")
    sink = InfluxResultSink("url", Poster(page), Clock(), "/write?db=a")
    found = await sink.send(RunLabels("j", "n", "r", "a"), Batch(0, len(text), text), 0)
    assert found.disposition is Disposition.PAUSE
    assert str(found) == "200 with a web page, which no backend sends; correct the URL"


def test_an_answer_without_a_text() -> None:
    """Its status alone says what to do."""
    assert "415: add gzip=no" in str(explained(Response(415), 1))
    assert "404: there is no InfluxDB" in str(explained(Response(404), 1))
    assert explained(Response(201), 1).disposition is Disposition.DELIVERED


def test_an_answer_that_is_cut() -> None:
    """The rest of a success may list refused points."""
    assert explained(Response(201, is_whole=False), 1).disposition is Disposition.RETRY
    assert explained(Response(204, is_whole=False), 1).disposition is Disposition.RETRY
    assert explained(Response(400, is_whole=False), 1).disposition is Disposition.SPLIT
