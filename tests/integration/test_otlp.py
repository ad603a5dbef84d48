"""A receiver of OTLP gets each window of a timeline, and a repeat has the same data points."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from integration.test_remote_write import EACH, LENGTH, Load, assert_totals
from peers.otlp_receiver import OtlpReceiver
from peers.prometheus import NATIVE, Prometheus
from peers.sinks import Sinks

from goloagent.outputs.sink import Disposition, Response

PROMETHEUS_PATH = "/api/v1/otlp/v1/metrics"


@pytest_twisted.async_yield_fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    """Run a receiver."""
    receiver = OtlpReceiver()
    yield receiver
    await receiver.close()


async def send(url: str, load: Load, first: int = 0, end: int = LENGTH) -> Response:
    """Send windows."""
    sinks = Sinks()
    try:
        sink = sinks.make(f"metrics=otlp+{url}")
        response = await sink.send(load.run, load.batch(first, end), 0)
        assert isinstance(response, Response)
        return response
    finally:
        await sinks.close()


async def test_a_run(receiver: OtlpReceiver) -> None:
    """Counts and percentiles are the agent's; repeats in other parts add nothing."""
    load = Load()
    for first, end in ((0, 12), (10, 20), (5, LENGTH), (LENGTH, LENGTH)):
        response = await send(receiver.url, load, first, end)
        assert response.disposition is Disposition.DELIVERED, response
    assert receiver.repeated
    assert receiver.newest("golo.results", run="run-1", release="1.4.2") == LENGTH * EACH
    assert receiver.newest("golo.calls.failed", job_id="id-1") == LENGTH
    assert receiver.newest("golo.planned", model="open") == EACH
    count, total, buckets = receiver.newest("golo.duration")
    assert count == load.whole.count
    assert total == pytest.approx(load.whole.total / 1e9, rel=1e-4)
    for thousandth in (500, 950, 990):
        rank, below = thousandth / 1000 * count, 0
        for bucket in sorted(buckets):
            below += buckets[bucket]
            if below >= rank:
                break
        (expected,) = load.whole.quantiles(thousandth)
        base = 2 ** (1 / 256)
        assert base**bucket * 0.999 <= expected / 1e9 <= base ** (bucket + 1) * 1.001
    (resource,) = receiver.resources
    assert (resource["service.name"], resource["service.instance.id"]) == ("golo", "agent-1")
    assert all(points[max(points)] is None for points in receiver.points.values())


async def test_rejected_data_points(receiver: OtlpReceiver) -> None:
    """They are said with the reason of the receiver."""
    receiver.reject = lambda request: (7, "too many attributes")
    response = await send(receiver.url, Load())
    assert response.disposition is Disposition.SPLIT
    assert str(response) == "7 data points were rejected: too many attributes"


async def test_a_receiver_that_is_busy(receiver: OtlpReceiver) -> None:
    """Nothing is given up."""
    receiver.status = 503
    assert (await send(receiver.url, Load())).disposition is Disposition.RETRY


async def test_the_receiver_of_prometheus(tmp_path: Path) -> None:
    """It has the series of remote write."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("there is no prometheus (Debian: prometheus)")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    version = re.search(r"version (\d+)[.](\d+)", said.stdout + said.stderr)
    assert version is not None, said
    numbers = int(version[1]), int(version[2])
    if numbers < (2, 47):
        pytest.skip(f"prometheus {version[1]}.{version[2]} has no receiver for OTLP; 2.47 has one")
    flag = "--web.enable-otlp-receiver" if numbers >= (3, 0) else ""
    option = flag or "--enable-feature=otlp-write-receiver,native-histograms"
    server = Prometheus(tmp_path, None, option, *([NATIVE] if flag else []))
    await server.reached("vector(1)", 1)
    load = Load()
    response = await send(server.url + PROMETHEUS_PATH, load)
    assert response.disposition is Disposition.DELIVERED, response
    await assert_totals(server, load)
    await server.stop()
