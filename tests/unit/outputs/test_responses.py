"""The consequences of each response for the batch, its run and the output."""

from __future__ import annotations

import json

import pytest
from unit.outputs.world import AWAY, OK, World, refuse, results

from goloagent.outputs.retry import REJECT_LIMIT, REJECT_LIMIT_IF_MOST
from goloagent.outputs.sink import Response


def test_every_commit_is_saved(world: World) -> None:
    """Offset and counts are saved together after each response."""
    job = world.begin()
    world.end(job, results(600))
    ends = [int(push.key.split("-")[-1]) + 1 for push in world.pushes]
    sizes = world.sizes
    saves = [(job.id, end, sum(sizes[: n + 1]), 0) for n, end in enumerate(ends)]
    assert world.saved == [*saves, saves[-1]]


@pytest.mark.parametrize("status", [500, 503, 408, 425, 429, None])
def test_a_collector_that_is_away_gets_the_same_batch_again(
    world: World, status: int | None
) -> None:
    """The same results are sent, within the same key, until they are delivered."""
    world.answer = lambda push: OK if len(world.pushes) > 5 else Response(status, error="away")
    job = world.begin()
    world.grow(job, results(256))
    world.grow(job, results(1000, 256))
    world.end(job)
    assert world.status(job).state == "retrying"
    assert job.results.committed == 0
    for _ in range(20):
        world.clock.advance(1)
    keys = [push.key for push in world.pushes[:6]]
    lasts = [int(key.split("-")[-1]) for key in keys]
    assert {key.rpartition("-")[0] for key in keys} == {"job-1/0"}
    assert lasts == sorted(lasts, reverse=True)
    assert len(set(keys)) == (1 if status is None else len(set(lasts)))
    taken = [number for push in world.pushes[5:] for number in push.ids]
    assert taken == list(range(1256))
    assert (world.status(job).state, world.status(job).retry_at) == ("ok", None)
    world.assert_at_rest()


def test_new_results_cause_no_retry(world: World) -> None:
    """New results during an outage make no request, so R5 is true while a run prints."""
    world.answer = lambda push: AWAY
    job = world.begin()
    hour = 3600 * 2
    for half_second in range(hour):
        world.grow(job, results(40, 40 * half_second))
        world.clock.advance(0.5)
        if half_second > 500:
            break
    world.end(job)
    world.clock.pump([0.5] * (hour - half_second))
    assert 100 < len(world.pushes) <= 300
    assert world.stop() == [None]


@pytest.mark.parametrize(
    "refused", [(0, 1, 2), (0, 128, 255), (7, 8, 200), (*range(0, 256, 2),)], ids=len
)
def test_several_refused_results(world: World, refused: tuple[int, ...]) -> None:
    """Each result is delivered or rejected exactly once, in order."""
    world.answer = refuse(*refused)
    job = world.begin()
    world.end(job, results(256))
    rejected = [json.loads(batch.body())[0] for batch, _ in world.logs[job.id].rejected]
    assert [int(one["sequenceID"]) for one in rejected] == list(refused)
    taken = [n for push in world.pushes if not set(refused) & set(push.ids) for n in push.ids]
    assert taken == sorted(set(range(256)) - set(refused))
    assert job.fully_delivered


def test_a_run_is_paused_if_most_of_its_results_are_refused(world: World) -> None:
    """A wrong setting costs a few rejections; other runs continue."""
    world.answer = lambda push: (
        Response(400, text="schema") if push.name == "odd" and world.clock.seconds() < 100 else OK
    )
    odd, good = world.begin("odd", number=1), world.begin("good", number=2)
    world.end(odd, results(256))
    world.end(good, results(256))
    world.run_due()
    assert (good.results.delivered, world.status(good).state) == (256, "ok")
    assert odd.results.rejected == REJECT_LIMIT_IF_MOST - 1
    assert (world.status(odd).state, world.status(odd).last_error) == (
        "holding",
        "most results are refused: 400 schema",
    )
    requests = len(world.pushes)
    world.clock.pump([0.5] * 250)
    probes = [push.seconds for push in world.pushes[requests:]]
    assert probes[:4] == [30, 60, 90, 120]
    assert odd.results.rejected == REJECT_LIMIT_IF_MOST - 1
    assert odd.results.delivered == 256 - odd.results.rejected
    assert world.status(odd).state == "ok"
    assert odd.fully_delivered


def test_many_refused_results_in_a_row(world: World) -> None:
    """They do not pause a run whose other results are delivered."""
    refused = range(300, 300 + REJECT_LIMIT - 1)
    world.answer = refuse(*refused)
    job = world.begin()
    world.end(job, results(1000))
    world.run_due()
    assert (job.results.rejected, job.results.delivered) == (len(refused), 1000 - len(refused))
    assert job.fully_delivered


def test_a_setting_that_becomes_wrong(world: World) -> None:
    """After many deliveries, rejections end after a full batch of them."""
    world.answer = lambda push: Response(400) if max(push.ids) >= 600 else OK
    job = world.begin()
    world.end(job, results(2000))
    world.run_due()
    assert (job.results.delivered, job.results.rejected) == (600, REJECT_LIMIT - 1)
    assert world.status(job).state == "holding"


def test_commits_are_in_order_while_a_batch_is_split(world: World) -> None:
    """All results before the saved offset are delivered or rejected at any moment of a split."""
    world.answer = refuse(100)
    job = world.begin()
    world.end(job, results(256))
    offsets = [committed for _, committed, _, _ in world.saved]
    assert offsets == sorted(offsets)
    length = [len(results(count)) for count in range(257)]
    for _, committed, delivered, rejected in world.saved:
        assert committed == length[delivered + rejected]


def test_a_delivery_without_a_status_says_so() -> None:
    """A response without a status and an error is shown by its meaning."""
    assert str(Response.delivered()) == "delivered"
