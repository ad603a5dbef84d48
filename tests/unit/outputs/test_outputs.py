"""Several outputs of an agent: through any history each has its own trouble and account."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import ensureDeferred, maybeDeferred
from twisted.internet.task import Clock, deferLater
from unit.outputs.world import START, results

from goloagent.core.job_spec import JobSpec
from goloagent.core.output_schemes import COLLECTOR, SECOND
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job, State
from goloagent.outputs.availability import Availability
from goloagent.outputs.batch import Batch
from goloagent.outputs.dead_letter import open_for_delivery
from goloagent.outputs.no_output import NoOutput
from goloagent.outputs.output import Output
from goloagent.outputs.outputs import Outputs
from goloagent.outputs.results_feed import ResultsFeed
from goloagent.outputs.sink import BatchLimits, Response
from goloagent.outputs.worker import OutputWorker
from goloagent.results.line_counter import LineCounter
from goloagent.runs.recovery import Recovery
from goloagent.wal.run_files import RunFiles
from goloagent.wal.run_log import RunLogWriter

NAMES = (COLLECTOR, "influx", "pg")
BEHAVIOURS = {
    "ok": Response(200),
    "dead": Response(error="no answer: refused"),
    "refused": Response(404),
    "busy": Response(503),
    "slow": Response(200),
    "lost answer": Response(error="reset", cut=True),
}
SLOW_SECONDS = 0.7

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("print"), st.integers(1, 3000)),
        st.tuples(st.just("advance"), st.sampled_from([0.1, 1.0, 40.0])),
        st.tuples(st.sampled_from(sorted(BEHAVIOURS)), st.sampled_from(NAMES)),
        st.tuples(st.just("end"), st.none()),
        st.tuples(st.just("kill"), st.none()),
        st.tuples(st.just("abandon"), st.sampled_from(NAMES)),
    ),
    max_size=25,
)


@attrs.define
class Backend:
    """Has what it stored, by the ordinal of each result; as it behaves, it stores or not."""

    url: str
    limits: BatchLimits = attrs.Factory(BatchLimits)
    behaviour: str = "ok"
    stored: dict[int, str] = attrs.Factory(dict)
    repeats: int = 0
    clock: Clock = attrs.Factory(Clock)

    async def send(self, job: Job, batch: Batch, ordinal: int) -> Response:
        behaviour = self.behaviour
        if behaviour == "slow":
            await deferLater(self.clock, SLOW_SECONDS)
        if behaviour in ("ok", "slow", "lost answer"):
            for number, line in enumerate(batch.lines, ordinal):
                found = json.loads(line)["sequenceID"]
                self.repeats += number in self.stored
                assert self.stored.setdefault(number, found) == found
        return BEHAVIOURS[behaviour]

    async def check(self) -> str | None:
        return None

    async def close(self) -> None:
        """Do nothing."""


class World:
    """One job on an agent with three outputs, a real database and a real log."""

    def __init__(self, root: Path, required: bool = True) -> None:
        self.path = root / "agent.sqlite"
        self.logs = root / "logs"
        self.logs.mkdir()
        self.backends = {name: Backend(f"http://{name}") for name in NAMES}
        self.printed = 0
        self.kills = 0
        self.abandoned = dict.fromkeys(NAMES, 0)
        self.notices: list[str] = []
        self.store = Store(self.path)
        self.log = RunLogWriter.create(self.logs, "shop", "id")
        self.counter = LineCounter()
        self._start()
        self.job = Job("id", JobSpec("shop", 1, 1, "b"), START, State.RUNNING)
        self.store.add(self.job)
        self.outputs.assign(self.job)
        self.job.has_log, self.job.log_version = True, self.log.version
        self.store.save(self.job)
        self.outputs.begin(self.job)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.clock.seconds())

    def _start(self) -> None:
        self.clock = Clock()
        self.outputs = Outputs(
            {name: self._output(name) for name in NAMES},
            lambda name: NoOutput(self.clock, self.store.save, name),
        )
        self.outputs.start()

    def _output(self, name: str) -> Output:
        backend: Any = self.backends[name]
        backend.clock = self.clock
        availability = Availability(name, name, self.clock.seconds, self.now, lambda: 0)
        worker = OutputWorker(
            self.clock,
            self.now,
            availability.observed(backend.send),
            lambda account: ResultsFeed(
                account, partial(open_for_delivery, RunFiles(self.logs), name), backend.limits
            ),
            lambda job: self.store.save(job),
            pytest.fail,
            self.notices.append,
            name,
        )
        return Output(name, backend, availability, worker)

    # Steps.

    def print(self, count: int) -> None:
        if self.job.state.over:
            return
        text = results(count, self.printed)
        self.log.append_stdout(text)
        self.printed += count
        self.counter.feed(text)
        self._count()
        self.outputs.on_appended(self.job)

    def _count(self) -> None:
        self.job.lines.read = self.counter.read
        self.job.verified_range = self.counter.verified_range

    def end(self) -> None:
        if not self.job.state.over:
            self.log.close()
            self.counter.close()
            self._count()
            self.job.state, self.job.ended_at = State.FINISHED, self.now()
            self.store.save(self.job)
            self.outputs.end(self.job)

    def kill(self) -> None:
        """Lose all but the database and the log, and start again."""
        if not self.job.state.over:
            self.log.close()
        self.kills += 1
        self.store.close()
        self.store = Store(self.path)
        self._start()
        files = RunFiles(self.logs)
        recovery = Recovery(
            self.store,
            files.open,
            self.outputs,
            self.store.save,
            self.now,
            maybeDeferred,
            self.notices.append,
            lambda job, statistics: None,
            lambda job: "",
        )
        assert ensureDeferred(recovery.recover()).called
        found = self.store.get("id")
        assert found is not None
        self.job = found

    def abandon(self, name: str) -> None:
        if self.job.state.over:
            self.abandoned[name] += self.outputs.abandon(self.job, name)
            self.store.save(self.job)

    def advance(self, seconds: float) -> None:
        while seconds > 0:
            step = min(0.1, seconds)
            self.clock.advance(step)
            seconds -= step

    def check(self) -> None:
        """Check the account of each output, and that what was delivered was stored."""
        for name in NAMES:
            counts = self.job.account(name)
            assert counts.valid == self.printed
            assert min(counts.delivered, counts.rejected, counts.abandoned, counts.pending) >= 0
            accounted = counts.delivered + counts.rejected + counts.abandoned + counts.pending
            assert accounted == counts.valid
            assert counts.abandoned == self.abandoned[name]
            assert set(range(counts.delivered)) <= set(self.backends[name].stored)


@settings(max_examples=60)
@given(STEPS)
def test_each_output_has_its_own_account(steps: list[tuple[str, Any]]) -> None:
    """O1, O3, O7, O8: at every moment the account holds, and in the end each has every result."""
    with TemporaryDirectory() as directory:
        world = World(Path(directory))
        for step, value in steps:
            if step in BEHAVIOURS:
                world.backends[value].behaviour = step
            else:
                method: Callable[..., None] = getattr(world, step)
                method() if value is None else method(value)
            world.check()
        for backend in world.backends.values():
            backend.behaviour = "ok"
        world.end()
        for _ in range(60):
            world.advance(10)
            if world.job.fully_delivered:
                break
        world.check()
        assert world.job.fully_delivered, world.outputs.status(world.job)
        for name, backend in world.backends.items():
            # Results that were given up may have been stored, by a push under way.
            count = world.printed - world.abandoned[name]
            assert [*range(count)] == sorted(backend.stored)[:count]
            assert all(backend.stored[number] == str(number) for number in backend.stored)
        assert world.notices == []
        world.store.close()


@pytest.mark.parametrize("behaviour", ["dead", "refused", "busy", "slow", "lost answer"])
def test_the_trouble_of_one_output(tmp_path: Path, behaviour: str) -> None:
    """O2: the others have each result as soon as they would have it alone."""
    world = World(tmp_path)
    world.backends["pg"].behaviour = behaviour
    for _ in range(30):
        world.print(500)
        world.advance(1.0)
        for name in (COLLECTOR, "influx"):
            assert world.job.account(name).pending == 0
            assert world.outputs.status(world.job)[name].state == "ok"
    if behaviour != "slow":
        assert world.outputs.status(world.job)["pg"].last_error is not None
        assert world.outputs.health()["pg"].state != "ok"
    assert [one.repeats for one in world.backends.values()][:2] == [0, 0]
    world.end()
    world.backends["pg"].behaviour = "ok"
    world.advance(60)
    assert world.job.fully_delivered
    world.store.close()


def test_a_second_begin(tmp_path: Path) -> None:
    """It changes nothing, as when a change of another output cannot be saved."""
    world = World(tmp_path)
    for backend in world.backends.values():
        backend.behaviour = "slow"
    for _ in range(5):
        world.print(100)
        world.outputs.begin(world.job)
        world.advance(0.3)
    world.end()
    world.outputs.begin(world.job)
    world.outputs.end(world.job)
    world.advance(20)
    assert world.job.fully_delivered
    assert [backend.repeats for backend in world.backends.values()] == [0, 0, 0]
    world.store.close()


@pytest.mark.parametrize("has_other_unit", [False, True])
def test_an_output_that_is_gone(tmp_path: Path, has_other_unit: bool) -> None:
    """Its results stay pending, with the reason, and can be given up; also if its unit changed."""
    world = World(tmp_path)
    world.backends["pg"].behaviour = "dead"
    world.print(10)
    world.advance(1)
    names = [name for name in NAMES if name != "pg"]
    world.store.close()
    world.store = Store(world.path)
    found = world.store.get("id")
    assert found is not None
    world.job = found
    configured = {name: world.outputs.outputs[name] for name in names}
    if has_other_unit:
        configured["pg"] = attrs.evolve(world.outputs.outputs["pg"], unit=SECOND)
    outputs = Outputs(
        configured,
        lambda name: NoOutput(world.clock, world.store.save, name),
    )
    world.job.state = State.INTERRUPTED
    world.job.lines.read = 10
    outputs.begin(world.job)
    outputs.end(world.job)
    status = outputs.status(world.job)["pg"]
    sentence = (
        "the agent has no output pg that sends results: start it with this output, or give up its"
        " results"
    )
    assert (status.state, status.last_error) == ("holding", sentence)
    assert outputs.states()["pg"] == "holding"
    assert not world.job.fully_delivered
    assert outputs.abandon(world.job, "pg") == 10
    assert not world.job.has_pending("pg")
    world.store.close()
