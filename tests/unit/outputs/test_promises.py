"""R5, R6 and R7 on a fake clock: an hour of outage, and a refusal at every place of a batch."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import chain, pairwise

import pytest
from unit.outputs.world import OK, START, Push, World, result, results

from goloagent.outputs.batch_size import BATCH_RESULTS
from goloagent.outputs.retry import MAX_DELAY_SECONDS, MAX_RETRY_AFTER_SECONDS, PROBE_SECONDS
from goloagent.outputs.sink import BatchLimits, Response

HOUR_SECONDS = 3600
STEP_SECONDS = 0.05
MAX_REQUESTS = 300
MAX_EXTRA_REQUESTS = 16
WRONG_SECONDS = 30


def pass_time(world: World, seconds: float, step_seconds: float = STEP_SECONDS) -> None:
    """Advance the clock in short steps."""
    world.clock.pump([step_seconds] * round(seconds / step_seconds))


@pytest.mark.parametrize(
    "answer",
    [Response(error="no answer: refused"), Response(status=503), Response(status=429)],
    ids=str,
)
def test_r5_an_hour_of_outage_is_few_requests(answer: Response) -> None:
    """With full jitter up to 30 s an hour has at most 300 requests, at irregular times."""
    world = World()
    world.answer = lambda push: answer
    world.grow(world.begin(), results(BATCH_RESULTS))
    pass_time(world, HOUR_SECONDS)
    times = [push.seconds for push in world.pushes]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    print(f"R5: {answer}: {len(times)} requests an hour, gaps {min(gaps):.1f} to {max(gaps):.1f} s")
    assert len(times) <= MAX_REQUESTS
    assert max(gaps) <= MAX_DELAY_SECONDS + 2 * STEP_SECONDS
    assert len({round(gap) for gap in gaps[10:]}) > 10, "the requests are at regular times"
    # Each is the first batch again, or the beginning of it.
    assert {push.key.rpartition("-")[0] for push in world.pushes} == {"job-1/0"}
    assert max(len(push.body) for push in world.pushes) == len(world.pushes[0].body)


@pytest.mark.parametrize(
    ("asked", "waited"), [(7.0, 7.0), (300.0, 300.0), (86400.0, MAX_RETRY_AFTER_SECONDS)]
)
def test_r5_retry_after_is_honoured(asked: float, waited: float) -> None:
    """The collector can ask for a wait of up to 300 s, which the status shows."""
    world = World()
    world.answer = lambda push: Response(status=503, retry_after=asked)
    job = world.begin()
    world.grow(job, results(BATCH_RESULTS))
    assert world.status(job).retry_at == START + timedelta(seconds=waited)
    pass_time(world, waited - 2 * STEP_SECONDS)
    assert len(world.pushes) == 1
    pass_time(world, 4 * STEP_SECONDS)
    print(f"R5: Retry-After {asked:.0f}: tried again after {world.pushes[1].seconds:.1f} s")
    assert len(world.pushes) == 2


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize(
    ("count", "places", "most"),
    [
        (256, range(256), MAX_EXTRA_REQUESTS),
        (BATCH_RESULTS, (0, 1, 1000, 2047, 2048, BATCH_RESULTS - 1), 24),
    ],
    ids=["256", "full"],
)
def test_r6_a_refused_result_at_each_place(
    status: int, count: int, places: Iterable[int], most: int
) -> None:
    """At each place of a batch it alone is rejected; a halving costs two requests."""
    worst = 0
    for place in places:
        world = World()

        def answer(push: Push, place: int = place) -> Response:
            return Response(status=status) if place in push.ids else OK

        world.answer = answer
        job = world.begin()
        world.grow(job, results(count))
        world.clock.advance(BatchLimits().seconds)
        world.run_due()
        assert (job.results.delivered, job.results.rejected) == (count - 1, 1), place
        delivered = [push.ids for push in world.pushes if place not in push.ids]
        assert list(chain.from_iterable(delivered)) == [n for n in range(count) if n != place]
        [(batch, refused)] = world.logs[job.id].rejected
        assert (batch.lines, refused.status) == ([result(place)[:-1]], status)
        worst = max(worst, len(world.pushes) - 1)
    print(f"R6: {status} for one of {count}, at each place: {worst} extra requests at most")
    assert worst <= most


@pytest.mark.parametrize(
    "answer",
    [
        *(Response(status=status) for status in (401, 403, 404, 405, 407, 418, 301, 302, 307)),
        Response(error="certificate verify failed", certificate=True),
    ],
    ids=str,
)
def test_r7_a_wrong_setting_loses_nothing(answer: Response) -> None:
    """Delivery pauses with a probe every 30 s; after a correction everything is delivered."""
    world = World()
    world.answer = lambda push: answer
    job = world.begin()
    world.grow(job, results(BATCH_RESULTS))
    pass_time(world, WRONG_SECONDS / 2)
    world.end(job, results(BATCH_RESULTS, BATCH_RESULTS))
    pass_time(world, WRONG_SECONDS / 2 - STEP_SECONDS)
    probes = len(world.pushes)
    assert (world.status(job).state, world.status(job).last_error) == ("holding", str(answer))
    assert world.status(job).retry_at == START + timedelta(seconds=PROBE_SECONDS)
    assert job.results.delivered == job.results.rejected == 0
    world.answer = lambda push: OK
    pass_time(world, PROBE_SECONDS)
    world.run_due()
    lost = 2 * BATCH_RESULTS - len(set(world.ids()))
    print(f"R7: {answer} for {WRONG_SECONDS} s: {probes} requests, lost {lost}")
    assert probes == 1
    assert lost == 0
    assert (job.results.delivered, job.results.rejected) == (2 * BATCH_RESULTS, 0)
    assert world.status(job).state == "ok"
