"""The sink of InfluxDB with access control, and with other databases that speak its protocols."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from peers.http_backend import HttpBackend
from peers.influxdb import PASSWORD, USER, InfluxDb
from peers.prometheus import VictoriaMetrics
from peers.sinks import Sinks

from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.sink import Disposition

COUNT = 5_000
START = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(minutes=5)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
RUN = RunLabels("job-1", "shop", "run-1", "agent-1", START, {"release": "1.4"}, TRACE)


@pytest_twisted.async_yield_fixture
async def backend() -> AsyncIterator[HttpBackend]:
    """Run a server that keeps requests."""
    backend = HttpBackend()
    yield backend
    await backend.close()


def results(count: int = COUNT) -> Batch:
    """Return results of 10 s, hundreds of which have one time."""
    lines = []
    for number in range(count):
        line = {
            "timestamp": (START + timedelta(seconds=number % 10)).isoformat(),
            "duration": (number + 1) * 1_000_000,
            "method": "GET",
            "url": f"/{number % 3}",
            "status": 500 if number % 5 == 0 else 200,
            "size": number,
            "sequenceID": str(number),
        }
        lines.append(json.dumps(line).encode() + b"\n")
    text = b"".join(lines)
    return Batch(0, len(text), text)


@pytest.mark.parametrize("members", ["database=golo", "bucket=golo&org=shop"])
async def test_victoria_metrics_has_every_result(
    tmp_path: Path, sinks: Sinks, members: str
) -> None:
    """VictoriaMetrics takes the points of InfluxDB 1 and 2; a field is a metric."""
    database = VictoriaMetrics(tmp_path, keeps_all=True)
    try:
        await database.reached("vector(1)", 1)
        sink = sinks.make(f"vm=influx+{database.url}?{members}")
        first, second = results().take(COUNT // 3)
        assert (await sink.send(RUN, first, 0)).disposition is Disposition.DELIVERED
        assert (await sink.send(RUN, second, COUNT // 3)).disposition is Disposition.DELIVERED
        labels = 'job="job-1",run="run-1",name="shop",agent="agent-1",release="1.4"'
        await database.reached(
            f"sum(count_over_time(golo_results_duration{{{labels}}}[1h]))", COUNT
        )
        total = await database.value(f"sum(sum_over_time(golo_results_size{{{labels}}}[1h]))")
        assert total == sum(range(COUNT))
        seconds = await database.value(f"sum(sum_over_time(golo_results_duration{{{labels}}}[1h]))")
        assert seconds == pytest.approx(COUNT * (COUNT + 1) / 2 / 1_000)
        errors = f'sum(count_over_time(golo_results_size{{{labels},status="500"}}[1h]))'
        assert await database.value(errors) == COUNT // 5
    finally:
        await database.stop()


async def test_a_database_with_access_control(tmp_path: Path, sinks: Sinks) -> None:
    """A wrong password holds the output; the right one in the same file delivers everything."""
    database = InfluxDb(tmp_path, authenticated=True)
    try:
        await database.ready()
        path = tmp_path / "password"
        path.write_text(f"{USER}:wrong")
        url = f"influx=influx+{database.url}?database=golo"
        sink = sinks.make(f"{url}&password-file={path}")
        for refused in (sink, sinks.make(url)):
            response = await refused.send(RUN, results(), 0)
            assert response.disposition is Disposition.PAUSE
            assert re.fullmatch("401 .+: correct token-file or password-file.*", str(response))
        assert "authorization failed" in str(await sink.send(RUN, results(), 0))
        path.write_text(f"{USER}:{PASSWORD}")
        assert (await sink.send(RUN, results(), 0)).disposition is Disposition.DELIVERED
        assert await database.value('SELECT count("duration") FROM golo_results') == COUNT
    finally:
        await database.stop()


@pytest.mark.parametrize(
    ("members", "path", "authorization"),
    [
        ("database=a b", "/write?db=a%20b&precision=ns", "Bearer secret"),
        (
            "database=golo&retention-policy=year",
            "/write?db=golo&rp=year&precision=ns",
            "Bearer secret",
        ),
        (
            "bucket=golo&org=a%26b",
            "/api/v2/write?org=a%26b&bucket=golo&precision=ns",
            "Token secret",
        ),
        (
            "database=golo&version=3",
            "/api/v3/write_lp?db=golo&precision=nanosecond",
            "Bearer secret",
        ),
    ],
)
async def test_the_requests_of_each_version(
    backend: HttpBackend,
    sinks: Sinks,
    tmp_path: Path,
    members: str,
    path: str,
    authorization: str,
) -> None:
    """The members choose the version, with its path and its kind of token."""
    token = tmp_path / "token"
    token.write_text("secret\n")
    sink = sinks.make(f"influx=influx+{backend.url}?{members}&token-file={token}")
    assert (await sink.send(RUN, results(3), 7)).disposition is Disposition.DELIVERED
    [request] = backend.requests
    assert request.path == path
    assert request.headers["authorization"] == authorization
    assert request.headers["content-encoding"] == "gzip"
    assert request.headers["traceparent"] == TRACE
    first, *others = request.body.splitlines()
    assert len(others) == 2
    assert first.startswith(b"golo_results,agent=agent-1,job=job-1,name=shop,run=run-1,")
    assert first.endswith(b" %d" % (int(START.timestamp()) * 10**9 + 7))


async def test_a_busy_database(backend: HttpBackend, sinks: Sinks) -> None:
    """A write that the database has no time for is repeated later, when it says so."""
    backend.status, backend.text = 429, b'{"code":"too many requests"}'
    backend.headers = {"Retry-After": "12"}
    sink: Any = sinks.make(f"influx=influx+{backend.url}?bucket=golo&org=shop")
    response = await sink.send(RUN, results(3), 0)
    assert (response.disposition, response.retry_after) == (Disposition.RETRY, 12)
