"""Whose fault a failure is, who waits for it, and at which run it is shown."""

from __future__ import annotations

from typing import Any

import pytest
from unit.outputs.world import AWAY, OK, World, results

from goloagent.jobs.job import Job
from goloagent.outputs.retry import PROBE_SECONDS
from goloagent.outputs.sink import Response
from goloagent.outputs.status import DeliveryStatus
from goloagent.outputs.worker import RESTART_SECONDS

BY_NAME = [301, 302, 307, 401, 403, 404, 405, 407, 410, 418]


@pytest.fixture
def world() -> World:
    """Return a world with a worker that has started."""
    return World()


def over(world: World, name: str, number: int, count: int = 300) -> Job:
    """Add a run that is over and pending."""
    job = world.begin(name, number)
    world.end(job, results(count))
    return job


@pytest.mark.parametrize("status", BY_NAME)
def test_a_refused_name_is_shown_at_its_run_alone(world: World, status: int) -> None:
    """The others go on at once, and what was wrong is gone from sight when it is mended."""
    mended = False
    world.answer = lambda push: Response(status) if push.name == "typo" and not mended else OK
    refused, healthy = over(world, "typo", 1), over(world, "shop", 2)
    assert healthy.fully_delivered
    assert world.clock.seconds() == 0
    assert world.status(healthy) == DeliveryStatus()
    shown = world.status(refused)
    assert (shown.state, shown.last_error) == ("holding", str(status))
    assert world.worker.state == "holding"
    new = world.begin("shop", 3)
    world.grow(new, results(10))
    assert world.status(new) == DeliveryStatus()
    world.end(new)
    mended = True
    world.clock.pump([0.5] * 70)
    assert refused.fully_delivered
    assert world.status(refused) == DeliveryStatus()
    assert world.worker.state == "ok"
    world.assert_at_rest()


def test_an_outage_is_shown_at_every_run_that_waits(world: World) -> None:
    """While nothing tells whose fault it is, it is everybody's, until something is taken."""
    world.answer = lambda push: AWAY if world.clock.seconds() < 5 else OK
    one, two = over(world, "one", 1), over(world, "two", 2)
    queued = world.begin("three", 3)
    assert {world.status(job).state for job in (one, two)} == {"retrying"}
    assert world.status(queued) == DeliveryStatus(), "nothing of it is pending"
    world.clock.pump([0.5] * 80)
    assert {world.status(job) for job in (one, two)} == {DeliveryStatus()}
    later = over(world, "later", 4)
    assert later.fully_delivered
    assert world.status(later) == DeliveryStatus()


def test_thousands_of_refused_runs_get_few_probes(world: World) -> None:
    """When every name is refused an hour has at most 300 requests, however many runs wait."""
    world.answer = lambda push: Response(404)
    jobs = [over(world, f"name-{number}", number, 3) for number in range(3000)]
    world.clock.pump([1.0] * 3600)
    first_hour = len(world.pushes)
    world.clock.pump([1.0] * 3600)
    second_hour = len(world.pushes) - first_hour
    print(f"3,000 refused runs: {first_hour} requests in the first hour, then {second_hour}")
    assert first_hour <= 300
    assert 100 <= second_hour <= 130
    world.answer = lambda push: OK
    world.clock.pump([1.0] * int(PROBE_SECONDS + 1))
    world.run_due()
    assert all(job.fully_delivered for job in jobs), "when the first is taken, the others are tried"
    world.assert_at_rest()


def test_a_healthy_run_among_thousands_of_refused_ones_is_delivered(world: World) -> None:
    """It gets its turn, and from then on what it prints is sent as it comes."""
    world.answer = lambda push: OK if push.name == "shop" else Response(404)
    for number in range(2000):
        over(world, f"name-{number}", number, 3)
    healthy = world.begin("shop", 5000)
    world.grow(healthy, results(500))
    world.clock.pump([0.5] * round(4 * PROBE_SECONDS))
    assert healthy.results.delivered == 500
    requests = len(world.pushes)
    for number in range(1, 61):
        world.grow(healthy, results(500, 500 * number))
        world.clock.pump([0.1] * 10)
        assert healthy.results.pending <= 500
    refused = [push for push in world.pushes[requests:] if push.name != "shop"]
    print(f"beside a healthy run: {len(refused)} requests for refused names in a minute")
    assert len({push.name for push in refused}) >= len(refused) - 3, "each is tried once"


def test_runs_of_one_refused_name_do_not_hold_up_another_name(world: World) -> None:
    """The names take turns: one that is mended is noticed however many wait of another."""
    mended = False
    world.answer = lambda push: OK if push.name == "mended" and mended else Response(403)
    for number in range(500):
        over(world, "typo", number, 3)
    job = over(world, "mended", 501)
    world.clock.pump([1.0] * 600)
    mended = True
    world.clock.pump([1.0] * round(3 * PROBE_SECONDS))
    assert job.fully_delivered


@pytest.mark.parametrize(
    "answer",
    [Response(500), Response(503, retry_after=300.0), Response(429, retry_after=300.0)],
    ids=str,
)
def test_a_run_that_fails_alone_waits_alone(world: World, answer: Response) -> None:
    """Once another was taken since it failed, its failures are its own."""
    world.answer = lambda push: answer if push.name == "poison" else OK
    poison = over(world, "poison", 1)
    healthy = world.begin("shop", 2)
    for number in range(600):
        world.grow(healthy, results(500, 500 * number))
        world.clock.pump([0.5, 0.5])
    print(f"{answer}: {healthy.results.delivered} of 300,000 delivered in 600 s")
    # At first nothing tells that it is not the whole collector that asks for a wait.
    assert healthy.results.pending <= 500
    assert world.status(healthy) == DeliveryStatus()
    assert (poison.results.pending, world.status(poison).state) == (300, "retrying")
    tries = [push for push in world.pushes if push.name == "poison" and push.seconds > 300]
    assert len(tries) <= 30


def test_a_run_whose_pushes_hang_takes_a_fifth_of_the_time(world: World) -> None:
    """30 s of each push are lost for the others, but not often."""

    def answer(push: Any) -> Response | None:
        return None if push.name == "poison" else OK

    world.answer = answer
    poison = over(world, "poison", 1)
    healthy = world.begin("shop", 2)
    hung = hanging = 0
    for second in range(3600):
        if world.waiting is not None:
            hung += 1
            hanging += 1
            if hanging == 30:
                hanging = 0
                world.waiting.callback(Response(error="no answer", timed_out=True))
        if second % 10 == 0:
            world.grow(healthy, results(20, 20 * second // 10))
        world.clock.advance(1)
    print(f"an hour beside a run whose pushes hang: {hung} s of it lost")
    assert hung <= 3600 * 0.3
    assert poison.results.pending == 300
    assert healthy.results.pending <= 200


def test_a_certificate_holds_everything(world: World) -> None:
    """Without TLS no name can be tried."""
    world.answer = lambda push: Response(error="expired", certificate=True)
    jobs = [over(world, f"name-{number}", number) for number in range(20)]
    world.clock.pump([1.0] * 3600)
    assert 100 <= len(world.pushes) <= 130
    assert {world.status(job).state for job in jobs} == {"holding"}


# Giving up.


def test_what_is_given_up_is_abandoned_and_not_sent(world: World) -> None:
    """It is counted, its log is closed, and nothing of it is tried again."""
    world.answer = lambda push: Response(404)
    job = over(world, "typo", 1)
    assert world.worker.abandon(job) == 300
    assert (job.results.abandoned, job.results.pending, job.fully_delivered) == (300, 0, True)
    assert job.results.committed == len(world.logs[job.id].content)
    assert world.worker.abandon(job) == 0
    requests = len(world.pushes)
    world.clock.pump([1.0] * 100)
    assert len(world.pushes) == requests
    assert world.status(job) == DeliveryStatus()
    world.assert_at_rest()


def test_an_answer_to_what_was_given_up_counts_for_nothing(world: World) -> None:
    """The account has each result once, whatever becomes of the push that is under way."""
    world.answer = lambda push: None
    job = over(world, "shop", 1)
    assert world.worker.abandon(job) == 300
    assert world.waiting is not None
    world.waiting.callback(OK)
    assert (job.results.delivered, job.results.abandoned, job.results.pending) == (0, 300, 0)
    world.answer = lambda push: OK
    assert over(world, "shop", 2).fully_delivered
    world.assert_at_rest()


def test_a_run_without_a_log_can_be_given_up(world: World, logged_errors: Any) -> None:
    """That is when it is needed most."""
    job = world.begin()
    world.logs[job.id].error = FileNotFoundError(2, "gone")
    world.end(job, results(300))
    assert len(logged_errors.flush(FileNotFoundError)) == 1
    assert "gone" in str(world.status(job).last_error)
    assert world.worker.abandon(job) == 300
    assert job.fully_delivered
    world.clock.advance(PROBE_SECONDS)
    world.assert_at_rest()


# Defects.


def test_a_loop_that_breaks_is_reported_and_begins_again(
    world: World, logged_errors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged once, said until delivery works again, and delivers."""
    with monkeypatch.context() as patch:
        patch.setattr(world.worker._delivery.queue, "next", lambda *_, **__: 1 / 0)
        job = over(world, "shop", 1)
        world.clock.pump([1.0] * round(3 * RESTART_SECONDS + 5))
        assert len(logged_errors.flush(ZeroDivisionError)) == 1
        [fault] = world.faults
        assert fault is not None
        assert "division" in fault
    world.clock.pump([1.0] * round(RESTART_SECONDS))
    assert job.fully_delivered
    assert world.faults[1:] == [None]
    assert world.stop() == [None]
    world.assert_at_rest()


def test_a_broken_loop_can_be_stopped(
    world: World, logged_errors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop does not wait for it to begin again."""
    monkeypatch.setattr(world.worker._delivery.queue, "next", lambda *_, **__: 1 / 0)
    job = over(world, "shop", 1)
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    assert world.stop() == [None]
    assert job.results.pending == 300
    world.assert_at_rest()


def test_a_broken_log_is_logged_once(world: World, logged_errors: Any) -> None:
    """An hour of a disk that cannot be read has one line in the log, and one error at the run."""
    job = world.begin()
    world.logs[job.id].error = OSError(5, "Input/output error")
    world.end(job, results(300))
    world.clock.pump([1.0] * 3600)
    assert len(logged_errors.flush(OSError)) == 1
    assert world.status(job).state == "retrying"
    world.logs[job.id].error = None
    world.clock.pump([1.0] * 31)
    assert job.fully_delivered
