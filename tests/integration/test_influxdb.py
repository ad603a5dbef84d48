"""Results and the timeline in a real InfluxDB 1: complete, unique, and explained if refused."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from integration.test_remote_write import EACH, LENGTH, Load
from peers.influxdb import InfluxDb
from peers.sinks import Sinks

from goloagent.core.stats.histogram import Histogram
from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.sink import Disposition

NOW = datetime.now(timezone.utc)
RUN = RunLabels("job-1", "shop", "run-1", "agent, 1", NOW, {"release": "1.4 = 2", "job": "x"})

Start = Callable[..., Any]


@pytest_twisted.async_yield_fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Return a function that starts a database."""
    started: list[InfluxDb] = []

    async def begin(directory: Path = tmp_path, **options: Any) -> InfluxDb:
        started.append(InfluxDb(directory, **options))
        await started[-1].ready()
        return started[-1]

    yield begin
    for database in started:
        await database.stop()


def lines(count: int, **more: Any) -> list[bytes]:
    """Return results of two seconds, many of which have one time, method, URL and status."""
    generator = random.Random(1)
    made = []
    for number in range(count):
        duration = int(generator.lognormvariate(16, 1))
        result = {
            "timestamp": NOW.strftime("%Y-%m-%dT%H:%M:") + ("05Z" if number % 2 else "06.5Z"),
            "duration": duration,
            "method": "GET",
            "url": "/cart" if number % 3 else "/",
            "status": 500 if number % 10 == 0 else 200,
            "size": number,
            "sequenceID": f"user-{number}",
        }
        made.append(json.dumps(result | more).encode())
    return made


def batch(of: list[bytes]) -> Batch:
    """Return a batch of all lines."""
    text = b"".join(line + b"\n" for line in of)
    return Batch(0, len(text), text)


def url(database: InfluxDb, more: str = "") -> str:
    """Return the option of the output."""
    return f"influx=influx+{database.url}?database={database.database}{more}"


async def test_every_result_is_a_point_of_its_own(start: Start, sinks: Sinks) -> None:
    """Results of one time replace none, a repeat in other batches adds none, percentiles agree."""
    database = await start()
    sink = sinks.make(url(database))
    results = lines(10_000)
    whole = batch(results)
    assert (await sink.send(RUN, whole, 0)).disposition is Disposition.DELIVERED
    first, second = whole.take(3_333)
    assert (await sink.send(RUN, second, 3_333)).disposition is Disposition.DELIVERED
    assert (await sink.send(RUN, first, 0)).disposition is Disposition.DELIVERED

    rows = await database.query("SELECT * FROM golo_results")
    assert sorted(row["size"] for row in rows) == list(range(10_000))
    by_size = {row["size"]: row for row in rows}
    for number, line in enumerate(results):
        result, row = json.loads(line), by_size[number]
        assert row["duration"] == result["duration"] / 1e9
        assert (row["url"], row["status"]) == (result["url"], str(result["status"]))
        assert row["is_error"] == (result["status"] == 500)
        assert row["sequence_id"] == result["sequenceID"]
        assert row["agent"] == "agent, 1"
        assert (row["release"], row["tag_job"], row["job"]) == ("1.4 = 2", "x", "job-1")
    histogram = Histogram()
    histogram.record([json.loads(line)["duration"] for line in results])
    for percentile, ours in zip((50, 95, 99), histogram.quantiles(500, 950, 990), strict=True):
        theirs = await database.value(
            f'SELECT percentile("duration", {percentile}) FROM golo_results'
        )
        assert theirs * 1e9 == pytest.approx(ours, rel=0.002)


async def test_texts_are_stored_as_they_were_printed(start: Start, sinks: Sinks) -> None:
    """The database reads each odd text as it was, but for control characters and backslashes."""
    database = await start()
    sink = sinks.make(url(database))
    texts = [
        "a, b=c d", "=", ",", " x ", '"', '""', "'", "\\", "a\\", "a\\,b", "\\\\", "\\n", '\\"',
        "\u00e9\U0001f600", "#", "# a=1 2", "a=1i", "t", "%26", "\n", "a\nb", "\0", "\t x", "\x7f",
        "x" * 5_000,
    ]  # fmt: skip
    results = [
        json.dumps({"timestamp": NOW.isoformat(), "url": text, "error": text, "size": number})
        for number, text in enumerate(texts)
    ]
    sent = await sink.send(RUN, batch([line.encode() for line in results]), 0)
    assert sent.disposition is Disposition.DELIVERED, sent
    rows = {row["size"]: row for row in await database.query("SELECT * FROM golo_results")}
    assert len(rows) == len(texts)
    for number, text in enumerate(texts):
        tag = text.replace("\\", "/")[:1_024]
        field = text.replace("\n", "\\n").replace("\t", "\\t")
        for control in "\n\0\t\x7f":
            tag = tag.replace(control, "?")
            field = field.replace(control, "\N{REPLACEMENT CHARACTER}")
        assert (rows[number]["url"], rows[number]["error"]) == (tag, field), repr(text)


async def test_answers_of_the_database(start: Start, sinks: Sinks) -> None:
    """The database's own answers have the right meaning, and good points are stored."""
    database = await start(max_body_bytes=100_000)

    async def send(option: str, of: Batch, expected: Disposition) -> str:
        response = await sinks.make(option).send(RUN, of, 0)
        assert response.disposition is expected, response
        return str(response)

    small = batch(lines(10))
    pause, split = Disposition.PAUSE, Disposition.SPLIT
    missing = f"influx=influx+{database.url}?database=nope"
    assert "create the database" in await send(missing, small, pause)
    assert "correct retention-policy" in await send(
        url(database, "&retention-policy=no"), small, pause
    )
    await send(url(database, "&gzip=no"), batch(lines(1_000)), split)  # 413

    await database.query("CREATE RETENTION POLICY short ON golo DURATION 1h REPLICATION 1")
    old = lines(1, timestamp="2026-01-02T03:04:05Z", size=77)
    new = lines(1, timestamp=NOW.isoformat(), size=78)
    short = url(database, "&retention-policy=short")
    assert "use a longer" in await send(short, batch(old * 2), pause)
    assert "beyond retention policy" in await send(short, batch(old), split)
    await send(short, batch(old + new), split)
    stored = "SELECT size FROM golo.short.golo_results"
    assert [row["size"] for row in await database.query(stored)] == [78]

    await database.query("CREATE DATABASE other")
    other = f"influx=influx+{database.url}?database=other"
    await database.write("other", b'golo_results,job=x size="large"\n')
    assert "a database of its own" in await send(other, small, pause)


async def test_more_urls_than_the_database_takes(start: Start, sinks: Sinks) -> None:
    """Results with new URLs wait until its limit is increased, and none is given up."""
    database = await start(max_values_per_tag=5)
    many = [line for number in range(9) for line in lines(1, url=f"/{number}")]
    sink = sinks.make(url(database))
    response = await sink.send(RUN, batch(many[:5]), 0)
    assert response.disposition is Disposition.DELIVERED
    response = await sink.send(RUN, batch(many), 0)
    assert response.disposition is Disposition.PAUSE
    assert "increase max-values-per-tag" in str(response)
    assert await database.value("SELECT count(size) FROM golo_results") == 5


async def test_a_full_disk(start: Start, sinks: Sinks, tmpfs: Callable[[str], Path]) -> None:
    """A batch that a full disk refuses is retried; with space again each result is there once."""
    directory = tmpfs("size=6m")
    database = await start(directory)
    sink = sinks.make(url(database))
    big = batch(lines(2_000, error="x" * 300))
    stored = 0
    while True:
        response = await sink.send(attrs.evolve(RUN, job=f"job-{stored}"), big, 0)
        if response.disposition is not Disposition.DELIVERED:
            break
        stored += 1
        assert stored < 1_000
    assert response.disposition is Disposition.RETRY
    assert "no space left" in str(response)
    await database.stop()
    subprocess.run(["mount", "-o", "remount,size=100m", str(directory)], check=True)
    await database.start_again()
    response = await sink.send(attrs.evolve(RUN, job=f"job-{stored}"), big, 0)
    assert response.disposition is Disposition.DELIVERED
    rows = await database.query("SELECT count(size) FROM golo_results GROUP BY job")
    assert [row["count"] for row in rows] == [2_000] * (stored + 1)


async def test_the_timeline(start: Start, sinks: Sinks) -> None:
    """Each window is a point with the run's figures; a repeat in other batches adds none."""
    database = await start()
    sink = sinks.make(url(database, "&unit=second"))
    load = Load()
    for first, end in ((0, 20), (10, 15), (5, LENGTH), (LENGTH, LENGTH)):
        response = await sink.send(load.run, load.batch(first, end), 0)
        assert response.disposition is Disposition.DELIVERED, response
    rows = await database.query("SELECT * FROM golo_seconds WHERE \"model\" = 'open'")
    assert [row["time"] // 1_000_000_000 for row in rows] == [
        int(load.start.timestamp()) + second for second in range(1, LENGTH + 1)
    ]
    assert await database.value("SELECT sum(results) FROM golo_seconds") == LENGTH * EACH
    assert await database.value("SELECT sum(failed) FROM golo_seconds") == LENGTH
    for row, second in zip(rows, load.seconds, strict=True):
        times = second.window.duration
        assert row["duration_p95"] == times.p95 / 1e9
        assert (row["planned"], row["limited"], row["release"]) == (EACH, "", "1.4.2")
