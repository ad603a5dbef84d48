"""A real broker gets every result; a repeat has the key and the ordinal of the first attempt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from peers.kafka import Message, MockCluster, Tansu, tansu
from peers.sinks import Sinks
from twisted.internet import defer, reactor, task

from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.sink import Disposition, Response

RUN = RunLabels("job-1", "shop", "run-1", "agent-1", tags={"release": "1.4.2"})


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tansu]:
    """Run one broker for all tests."""
    with tansu(tmp_path_factory.mktemp("tansu")) as broker:
        yield broker


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """Return the name of a topic that no other test uses."""
    return str(request.node.originalname)


def log_of(results: int, **members: object) -> list[bytes]:
    """Return the lines of a log."""
    time = {"timestamp": "2026-01-02T03:04:05.123456789Z"}
    return [json.dumps({**time, "duration": n, **members}).encode() for n in range(results)]


def batch_of(lines: list[bytes]) -> Batch:
    """Return the batch of some lines."""
    text = b"".join(line + b"\n" for line in lines)
    return Batch(0, len(text), text)


async def delivered(sink: Any, batch: Batch, ordinal: int, run: RunLabels = RUN) -> None:
    """Send a batch as a worker does, until the broker has it."""
    for _ in range(300):
        response: Response = await sink.send(run, batch, ordinal)
        if response.disposition is Disposition.DELIVERED:
            return
        assert response.disposition is Disposition.RETRY, response
        await task.deferLater(reactor, 0.1)
    raise AssertionError(response)


def check(messages: list[Message], lines: list[bytes], job: str = "job-1") -> None:
    """Check that each line is there, and that repeats are equal to the first attempt."""
    found: dict[int, bytes] = {}
    for message in messages:
        assert message.key == job.encode()
        assert found.setdefault(message.ordinal, message.value) == message.value
    assert sorted(found) == list(range(len(lines)))
    for ordinal, line in enumerate(lines):
        assert found[ordinal].endswith(b',"result":%b}' % line)
        value = json.loads(found[ordinal])
        assert (value["job"], value["ordinal"]) == (job, ordinal)


@pytest.mark.parametrize("compression", ["lz4", "zstd", "none"])
@pytest_twisted.ensureDeferred
async def test_each_result_is_a_message(
    broker: Tansu, sinks: Sinks, topic: str, compression: str
) -> None:
    """All results of a job are in one partition, once, in their order."""
    topic += compression
    broker.create(topic, partitions=3)
    lines = log_of(3_000)
    sink = sinks.make(f"k={broker.url(topic)}?compression={compression}")
    assert await sink.check() is None
    for start in range(0, len(lines), 1_000):
        await delivered(sink, batch_of(lines[start : start + 1_000]), start)
    messages = broker.read(topic)
    check(messages, lines)
    assert [one.ordinal for one in messages] == list(range(3_000))


@pytest_twisted.ensureDeferred
async def test_several_brokers(sinks: Sinks, topic: str) -> None:
    """A topic whose partitions have different leaders has the results of all jobs."""
    cluster = MockCluster()
    lines = log_of(100)
    sink = sinks.make(f"k={cluster.url(topic)}")
    for number in range(8):
        await delivered(sink, batch_of(lines), 0, attrs.evolve(RUN, job=f"job-{number}"))
    messages = cluster.read(topic)
    for number in range(8):
        own = [one for one in messages if one.key == f"job-{number}".encode()]
        check(own, lines, f"job-{number}")
        assert len(own) == len(lines)


@pytest_twisted.ensureDeferred
async def test_a_broker_that_hangs(broker: Tansu, sinks: Sinks, topic: str) -> None:
    """The time-out ends an attempt, after which everything is there."""
    broker.create(topic)
    lines = log_of(200)
    sink = sinks.make(f"k={broker.url(topic)}?timeout=1s")
    await delivered(sink, batch_of(lines[:100]), 0)
    broker.pause()
    try:
        response = await sink.send(RUN, batch_of(lines[100:]), 100)
        assert response.disposition is Disposition.RETRY, response
        assert await sink.check() is not None
    finally:
        broker.resume()
    await delivered(sink, batch_of(lines[100:]), 100)
    check(broker.read(topic), lines)


@pytest_twisted.ensureDeferred
async def test_a_time_out_before_all_messages_are_produced(sinks: Sinks, topic: str) -> None:
    """A batch is not delivered if only some of its messages were."""
    cluster, lines = MockCluster(), log_of(2_000)
    sink = sinks.make(f"k={cluster.url(topic)}")
    await delivered(sink, batch_of(lines), 0)
    sink.timeout_seconds = 0.001  # far less than the messages take
    response = await sink.send(RUN, batch_of(lines), len(lines))
    assert response.disposition is Disposition.RETRY, response
    assert response.timed_out


@pytest_twisted.ensureDeferred
async def test_cancel(broker: Tansu, sinks: Sinks, topic: str) -> None:
    """A message that was not sent before a cancel is never sent."""
    broker.create(topic)
    lines = log_of(300)
    sink = sinks.make(f"k={broker.url(topic)}")
    await delivered(sink, batch_of(lines[:100]), 0)
    broker.pause()
    try:
        sending = defer.ensureDeferred(sink.send(RUN, batch_of(lines[100:200]), 100))
        sending.cancel()
        with pytest.raises(defer.CancelledError):
            await sending
        await sink.close()
    finally:
        broker.resume()
    found = len(broker.read(topic))
    await delivered(sink, batch_of(lines[200:]), 200)
    assert len(broker.read(topic)) == found + 100
    await delivered(sink, batch_of(lines[100:200]), 100)
    check(broker.read(topic), lines)


@pytest_twisted.ensureDeferred
async def test_a_message_that_is_too_large(broker: Tansu, sinks: Sinks, topic: str) -> None:
    """Its batch is split, and it is refused alone."""
    broker.create(topic)
    sink = sinks.make(f"k={broker.url(topic)}")
    sink.configuration = {**sink.configuration, "message.max.bytes": 5_000}
    lines = log_of(10)
    large = log_of(1, url="x" * 6_000)
    for batch in (lines[:5] + large + lines[5:], large):
        response = await sink.send(RUN, batch_of(batch), 0)
        assert response.disposition is Disposition.SPLIT, response
        assert "too large" in response.error
    await delivered(sink, batch_of(lines), 0)
    check(broker.read(topic), lines)


@pytest_twisted.ensureDeferred
async def test_results_of_a_megabyte(broker: Tansu, sinks: Sinks, topic: str) -> None:
    """The largest batch has one result."""
    broker.create(topic)
    lines = log_of(2, url="x" * 900_000)
    sink = sinks.make(f"k={broker.url(topic)}?compression=none")
    for ordinal, line in enumerate(lines):
        await delivered(sink, batch_of([line]), ordinal)
    check(broker.read(topic), lines)


@pytest_twisted.ensureDeferred
async def test_wrong_settings(broker: Tansu, sinks: Sinks, tmp_path: Path) -> None:
    """A pause with a sentence that names what to correct."""
    password = tmp_path / "password"
    password.write_text("golo:secret")
    for members, sentence in ((f"password-file={password}&sasl-mechanism=PLAIN", "password-file"),):
        sink = sinks.make(f"k={broker.url()}?timeout=10s&{members}")
        response = await sink.send(RUN, batch_of(log_of(1)), 0)
        assert response.disposition is Disposition.PAUSE, response
        assert sentence in response.error
        assert "secret" not in response.error
        assert sentence in await sink.check()


@pytest_twisted.ensureDeferred
async def test_no_broker(sinks: Sinks, tmp_path: Path) -> None:
    """A broker that is gone is retried, and its state says why."""
    with tansu(tmp_path) as broker:
        sink = sinks.make(f"k={broker.url()}?timeout=2s")
        await delivered(sink, batch_of(log_of(10)), 0)
    response = await sink.send(RUN, batch_of(log_of(10)), 10)
    assert response.disposition is Disposition.RETRY, response
    response = await sink.send(RUN, batch_of(log_of(10)), 10)
    assert response.disposition is Disposition.RETRY, response
    assert "Connection refused" in response.error
    assert "Connection refused" in await sink.check()
