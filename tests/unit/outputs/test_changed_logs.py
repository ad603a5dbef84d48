"""Logs that another program cuts, replaces or appends to."""

from __future__ import annotations

import json

import pytest
from unit.outputs.world import AWAY, CHATTER, OK, World, result, results

from goloagent.outputs.batch_size import BATCH_RESULTS


def test_lines_removed_from_a_log_are_abandoned_and_reported(world: World) -> None:
    """If a log is cut, its removed results are counted and the others delivered."""
    world.answer = lambda push: AWAY if world.clock.seconds() < 5 else OK
    job = world.begin()
    world.grow(job, results(1000))
    log = world.logs[job.id]
    kept = len(results(300)) + 5
    written = len(log.content)
    del log.content[kept:]
    log.content += bytes(written - kept - 1) + b"\n"  # the hole, as the writer fills it
    world.end(job, results(200, 1000))
    world.clock.pump([0.5] * 80)
    assert all(json.loads(push.body) for push in world.pushes)
    assert sorted(set(world.ids())) == [*range(300), *range(1000, 1200)]
    assert (job.results.delivered, job.results.abandoned, job.results.pending) == (500, 700, 0)
    assert job.fully_delivered
    assert len(world.notices) == 1
    assert "700 results" in world.notices[0]
    world.assert_at_rest()


@pytest.mark.parametrize("complete", [False, True])
def test_a_log_that_is_short_is_not_waited_for(world: World, complete: bool) -> None:
    """Delivery skips counted lines that are gone at once."""
    world.answer = lambda push: AWAY if world.clock.seconds() < 5 else OK
    job = world.begin()
    world.grow(job, results(1000))
    world.logs[job.id].content.clear()
    if complete:
        world.end(job)
    world.clock.pump([0.5] * 80)
    results_ = job.results
    assert results_.delivered + results_.abandoned == 1000
    assert results_.abandoned > 0  # all but those in memory
    assert len(world.notices) == 1
    assert job.results.committed == job.verified_range.stop
    if not complete:
        world.end(job)
    world.assert_at_rest()


def test_another_file_in_a_log_s_place_is_not_sent_unread(world: World) -> None:
    """Data that is not JSON is not sent, also if its bytes were counted as results."""
    world.answer = lambda push: AWAY if world.clock.seconds() < 5 else OK
    job = world.begin()
    count = BATCH_RESULTS + 44
    world.end(job, results(count))
    log = world.logs[job.id]
    log.inode = 2
    text = CHATTER * ((len(log.content) - len(result(7))) // len(CHATTER)) + result(7)
    log.content[:] = text + b" " * (len(log.content) - len(text))
    begun = len(world.pushes)
    world.clock.pump([0.5] * 80)
    assert [push.ids for push in world.pushes[begun:] if push.seconds >= 5] == [[7]]
    assert (job.results.delivered, job.results.abandoned, job.results.pending) == (1, count - 1, 0)
    world.assert_at_rest()


def test_data_appended_by_another_program_is_not_sent(world: World) -> None:
    """Lines after the last counted one are not results of the run."""
    world.answer = lambda push: AWAY if world.clock.seconds() < 5 else OK
    job = world.begin()
    world.end(job, results(300))
    world.logs[job.id].content += results(50, 5000)
    world.clock.pump([0.5] * 80)
    assert sorted(set(world.ids())) == list(range(300))
    assert (job.results.delivered, job.results.abandoned) == (300, 0)
    world.assert_at_rest()
