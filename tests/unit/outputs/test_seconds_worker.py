"""The worker, the feed of a timeline and the sink of Prometheus, with receivers of all kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import cramjam
import pytest
from peers import remote_write
from twisted.internet.task import Clock
from unit.outputs.sinks.test_prometheus import Receiver
from unit.outputs.test_seconds_feed import START, Run

from goloagent.core.output_schemes import SECOND
from goloagent.jobs.job import Checkpoint, Job, State
from goloagent.outputs.checkpoint import Account
from goloagent.outputs.dead_letter import open_for_delivery
from goloagent.outputs.labels import labels_of
from goloagent.outputs.seconds import SecondsBatch
from goloagent.outputs.seconds_feed import SecondsFeed
from goloagent.outputs.sink import Response
from goloagent.outputs.sinks.prometheus.sink import PrometheusSink
from goloagent.outputs.worker import OutputWorker
from goloagent.wal.run_files import RunFiles

NAME = "metrics"


@attrs.define
class Server(Receiver):
    """A receiver whose `refuse` may respond to a body, or return None to let it be stored."""

    refuse: Callable[[bytes], Response | None] = lambda body: None
    sizes: list[int] = attrs.Factory(list)

    async def post(self, path: str, body: bytes, *more: Any) -> Response:
        plain = bytes(cramjam.snappy.decompress_raw(body))
        self.sizes.append(len(plain))
        refusal = self.refuse(plain)
        return await super().post(path, body, *more) if refusal is None else refusal


class World:
    """A run with an output of metrics, on a clock."""

    def __init__(self, logs: Path) -> None:
        self.clock = Clock()
        self.server = Server()
        self.run = Run(logs)
        self.run.feed.close()
        self.job = self.run.job
        self.job.outputs = {NAME: Checkpoint(unit=SECOND)}
        self.saved = 0
        self.notices: list[str] = []
        self.worker = self.new_worker()

    def new_worker(self) -> OutputWorker:
        sink = PrometheusSink("http://there", self.server, self.clock)
        files = RunFiles(self.run.logs)

        async def send(job: Job, batch: SecondsBatch, ordinal: int) -> Response:
            return await sink.send(labels_of(job, "agent-1"), batch, ordinal)

        def make_feed(account: Account) -> SecondsFeed:
            return SecondsFeed(
                account, files.follow_timeline, lambda job: open_for_delivery(files, NAME, job)
            )

        def save(job: Job) -> None:
            self.saved += 1

        worker = OutputWorker(
            self.clock, lambda: START, send, make_feed, save, notice=self.notices.append,
            output=NAME,
        )  # fmt: skip
        worker.start()
        worker.begin(self.job)
        return worker

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds * 2)):
            self.clock.advance(0.5)

    def load(self, seconds: int, results: int = 3) -> None:
        """Let the run go on for some seconds."""
        for _ in range(seconds):
            self.run.second(results)
            self.worker.on_appended(self.job)
            self.advance(1)

    def end(self, closed: bool = True) -> None:
        self.run.end(closed)
        self.worker.end(self.job)
        self.advance(1)

    @property
    def results(self) -> dict[int, float]:
        """The samples of the number of results, by seconds after the start; None is the end."""
        begin = round(START.timestamp())
        for labels, samples in self.server.stored.items():
            if ("__name__", "golo_results_total") in labels:
                return {at // 1000 - begin: value for at, value in samples.items()}
        return {}

    def assert_delivered(self, seconds: int, rejected: int = 0) -> None:
        counts = self.job.account(NAME)
        assert counts.valid == self.run.written
        assert (counts.pending, counts.rejected, counts.abandoned) == (0, rejected, 0)
        assert self.job.outputs[NAME].finished
        assert not self.job.has_pending(NAME)
        if not rejected:
            expected = {second: 3.0 * second for second in range(seconds + 1)}
            assert self.results == {**expected, seconds + 1: None}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Make a world."""
    made = World(tmp_path)
    yield made
    made.worker.stop(0)
    made.advance(1)
    made.run.close()


def test_each_second(world: World) -> None:
    """Windows are sent within a second, also without results, and the end with the last."""
    world.load(3)
    assert max(world.results) >= 2
    world.load(2)
    world.end()
    world.assert_delivered(5)
    assert world.saved
    assert world.server.requests <= 7


def test_a_run_without_results(world: World) -> None:
    """Its calls are delivered, and the job is settled."""
    world.load(3, results=0)
    assert 2 in world.results
    world.end()
    assert world.results[4] is None
    assert world.job.outputs[NAME].finished


def test_an_outage(world: World) -> None:
    """After it, all windows are there."""
    world.load(2)
    world.server.refuse = lambda body: Response(503)
    world.load(300)
    assert world.worker.status(world.job).state == "retrying"
    requests = len(world.server.sizes)
    assert requests < 60
    world.end()
    world.server.refuse = lambda body: None
    world.advance(60)
    world.assert_delivered(302)


def test_a_wrong_setting(world: World) -> None:
    """The output holds with the option to set, and goes on when it is set."""
    text = "remote write receiver needs to be enabled with --enable-feature=x"
    world.server.refuse = lambda body: Response(404, text=text)
    world.load(5)
    status = world.worker.status(world.job)
    assert status.state == "holding"
    assert "--web.enable-remote-write-receiver" in str(status.last_error)
    world.server.refuse = lambda body: None
    world.load(60)
    world.end()
    world.advance(60)
    world.assert_delivered(65)


def test_a_limit_of_bodies(world: World) -> None:
    """Batches become smaller until they are taken, and the size is remembered."""
    world.server.refuse = lambda body: Response(413) if len(body) > 9000 else None
    world.load(1)
    world.server.answer = Response(503)
    world.load(400)
    world.end()
    world.server.answer = None
    world.server.sizes.clear()
    world.advance(120)
    world.assert_delivered(401)
    taken = [size for size in world.server.sizes if size <= 9000]
    refused = len(world.server.sizes) - len(taken)
    assert refused <= len(taken) // 4


def test_a_window_that_is_refused(world: World) -> None:
    """It is rejected with its results, and the others are delivered."""

    def refuse(body: bytes) -> Response | None:
        times = {at for series in remote_write.decode(body).values() for at in series.samples}
        bad = round(START.timestamp() * 1000) + 7000
        return Response(400, text="invalid") if bad in times else None

    world.server.refuse = refuse
    world.load(20)
    world.end()
    world.advance(60)
    world.assert_delivered(20, rejected=3)
    assert set(range(22)) - set(world.results) == {7}
    assert world.results[20] == 60
    rejected = (world.run.path.parent / f"rejected.{NAME}.jsonl").read_text().splitlines()
    assert len(rejected) == 1


def test_a_restart(world: World) -> None:
    """Another worker goes on where the first one was, also if it was killed before it saved."""
    world.load(4)
    checkpoint = attrs.evolve(world.job.outputs[NAME])
    world.load(4)
    world.worker.stop(0)
    world.job.outputs[NAME] = checkpoint
    world.run.print(3)
    world.run.end(closed=False)
    world.job.state = State.INTERRUPTED
    world.worker = world.new_worker()
    world.worker.end(world.job)
    world.advance(30)
    world.assert_delivered(9)


def test_given_up(world: World) -> None:
    """A run that is given up is finished, and its results are abandoned."""
    world.server.refuse = lambda body: Response(400, text="out of bounds")
    world.load(5)
    world.end()
    assert "out_of_order_time_window" in str(world.worker.status(world.job).last_error)
    assert world.worker.abandon(world.job) == 15
    world.advance(60)
    assert not world.job.has_pending(NAME)
    assert world.job.account(NAME).abandoned == 15


def test_seconds_that_could_not_be_written(world: World) -> None:
    """Their results are abandoned with a sentence about the timeline."""
    world.load(2)
    world.run.print(5)
    assert world.run.timeline is not None
    world.run.timeline._lose("disk full")
    world.run.ended_at += 1
    world.load(2)
    world.end()
    world.advance(5)
    assert world.job.account(NAME).abandoned == 5
    assert world.notices == [
        f"the timeline of job {world.job.id} is incomplete: 5 results are in none of its seconds,"
        " and count as abandoned"
    ]
