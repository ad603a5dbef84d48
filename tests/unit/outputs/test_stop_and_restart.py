"""The stop of the worker, and its restart at the checkpoint."""

from __future__ import annotations

import pytest
from conftest import LoggedErrors
from unit.outputs.world import AWAY, OK, World, results

from goloagent.outputs.batch_size import BATCH_RESULTS
from goloagent.outputs.sink import Response


def test_a_stop_sends_the_rest(world: World) -> None:
    """With a working collector a stop sends everything and closes all logs."""
    job = world.begin()
    world.grow(job, results(100))
    stopped = world.stop()
    assert stopped == [None]
    assert world.ids() == list(range(100))
    world.assert_at_rest()


def test_a_stop_does_not_try_a_refused_run(world: World) -> None:
    """Results of a refused name stay, and the rest is sent."""
    world.answer = lambda push: Response(401) if push.name == "typo" else OK
    refused = world.begin("typo", 1)
    world.end(refused, results(300))
    job = world.begin("shop", 2)
    world.grow(job, results(100))
    before = len(world.pushes)
    assert world.stop() == [None]
    assert [push.name for push in world.pushes[before:]] == ["shop"]
    assert (refused.results.pending, job.results.pending) == (300, 0)
    world.assert_at_rest()


@pytest.mark.parametrize("answer", [AWAY, Response(503, retry_after=300.0)], ids=str)
def test_a_stop_in_an_outage_tries_once_more(world: World, answer: Response) -> None:
    """A collector that is down is tried once; the results stay in the log."""
    world.answer = lambda push: answer
    job = world.begin()
    world.end(job, results(300))
    before = len(world.pushes)
    assert world.stop() == [None]
    assert len(world.pushes) == before + 1
    assert (job.results.pending, job.results.committed) == (300, 0)
    world.assert_at_rest()


def test_a_stop_cancels_a_push_that_hangs(world: World) -> None:
    """At its timeout a stop cancels the push, whose batch is not delivered."""
    world.answer = lambda push: None
    job = world.begin()
    world.end(job, results(300))
    stopped = world.stop(5)
    world.clock.advance(4.9)
    assert stopped == []
    world.clock.advance(0.1)
    assert stopped == [None]
    assert world.cancelled == [world.pushes[0].key]
    assert job.results.delivered == 0
    world.assert_at_rest()


def test_a_response_during_the_stop_counts(world: World) -> None:
    """A push with a response during the stop is committed, and the next ones follow."""
    world.answer = lambda push: None if len(world.pushes) == 1 else OK
    job = world.begin()
    world.end(job, results(300))
    stopped = world.stop(5)
    assert world.waiting is not None
    world.waiting.callback(OK)
    assert stopped == [None]
    assert job.fully_delivered
    world.assert_at_rest()


def test_a_stop_does_not_wait_for_a_broken_log(world: World, logged_errors: LoggedErrors) -> None:
    """A paused run stays, and its log is closed."""
    job = world.begin()
    world.logs[job.id].error = OSError("away")
    world.end(job, results(1))
    assert world.stop() == [None]
    assert len(logged_errors.flush(OSError)) == 1
    world.assert_at_rest()


def test_a_restart_continues_at_the_committed_offset(world: World) -> None:
    """After a restart exactly the uncommitted results are sent, under the job's name."""
    world.answer = lambda push: OK if len(world.pushes) == 1 else AWAY
    job = world.begin()
    world.end(job, results(BATCH_RESULTS + 444))
    world.stop()
    assert job.results.delivered == BATCH_RESULTS
    following = World()
    following.logs = world.logs
    following.worker.begin(job)
    following.worker.end(job)
    assert following.ids() == list(range(BATCH_RESULTS, BATCH_RESULTS + 444))
    assert job.fully_delivered
    following.assert_at_rest()
