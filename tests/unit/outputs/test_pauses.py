"""Failures of one run and of the output: which runs pause, and which show the error."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from conftest import LoggedErrors
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from unit.outputs.world import AWAY, OK, World, results

from goloagent.jobs.job import Job
from goloagent.outputs.retry import PROBE_SECONDS
from goloagent.outputs.sink import Response
from goloagent.outputs.status import DeliveryStatus
from goloagent.outputs.worker import RESTART_SECONDS

BY_NAME = [301, 302, 307, 401, 403, 404, 405, 407, 410, 418]


def finished(world: World, name: str, number: int, count: int = 300) -> Job:
    """Add a run that is over, with pending results."""
    job = world.begin(name, number)
    world.end(job, results(count))
    return job


@pytest.mark.parametrize("status", BY_NAME)
def test_a_refused_name_concerns_only_its_run(world: World, status: int) -> None:
    """The others continue at once, and the error disappears after a correction."""
    corrected = False
    world.answer = lambda push: Response(status) if push.name == "typo" and not corrected else OK
    refused, healthy = finished(world, "typo", 1), finished(world, "shop", 2)
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
    corrected = True
    world.clock.pump([0.5] * 70)
    assert refused.fully_delivered
    assert world.status(refused) == DeliveryStatus()
    assert world.worker.state == "ok"
    world.assert_at_rest()


def test_a_pause_of_one_run_is_logged_once(world: World) -> None:
    """The log names the job and the reason, because the collector itself works."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(str(formatEvent(event)))

    world.answer = lambda push: Response(404, text="no such name") if push.name == "typo" else OK
    globalLogPublisher.addObserver(observe)
    try:
        finished(world, "typo", 1)
        finished(world, "shop", 2)
        world.clock.pump([1.0] * 3600)
    finally:
        globalLogPublisher.removeObserver(observe)
    assert lines == ["delivery of job job-1 is holding: 404 no such name"]


def test_an_outage_concerns_every_pending_run(world: World) -> None:
    """Without a delivery a failure is that of the output."""
    world.answer = lambda push: AWAY if world.clock.seconds() < 5 else OK
    one, two = finished(world, "one", 1), finished(world, "two", 2)
    queued = world.begin("three", 3)
    assert {world.status(job).state for job in (one, two)} == {"retrying"}
    assert world.status(queued) == DeliveryStatus(), "it has no pending results"
    world.clock.pump([0.5] * 80)
    assert {world.status(job) for job in (one, two)} == {DeliveryStatus()}
    later = finished(world, "later", 4)
    assert later.fully_delivered
    assert world.status(later) == DeliveryStatus()


def test_thousands_of_refused_runs_get_few_probes(world: World) -> None:
    """If every name is refused an hour has at most 300 requests for any number of runs."""
    world.answer = lambda push: Response(404)
    jobs = [finished(world, f"name-{number}", number, 3) for number in range(3000)]
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
    assert all(job.fully_delivered for job in jobs), "after the first delivery the others are tried"
    world.assert_at_rest()


def test_a_healthy_run_among_thousands_of_refused_ones(world: World) -> None:
    """It is tried soon, and then delivered without delay."""
    world.answer = lambda push: OK if push.name == "shop" else Response(404)
    for number in range(2000):
        finished(world, f"name-{number}", number, 3)
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
    print(f"with a healthy run: {len(refused)} requests for refused names in a minute")
    assert len({push.name for push in refused}) >= len(refused) - 3, "each is tried once"


def test_refused_names_take_turns(world: World) -> None:
    """A corrected name is tried soon, also if many runs of another name wait."""
    corrected = False
    world.answer = lambda push: OK if push.name == "shop" and corrected else Response(403)
    for number in range(500):
        finished(world, "typo", number, 3)
    job = finished(world, "shop", 501)
    world.clock.pump([1.0] * 600)
    corrected = True
    world.clock.pump([1.0] * round(3 * PROBE_SECONDS))
    assert job.fully_delivered


@pytest.mark.parametrize(
    "answer",
    [Response(500), Response(503, retry_after=300.0), Response(429, retry_after=300.0)],
    ids=str,
)
def test_a_failure_of_one_run(world: World, answer: Response) -> None:
    """If others were delivered since its failure, it waits alone."""
    world.answer = lambda push: answer if push.name == "poison" else OK
    poison = finished(world, "poison", 1)
    healthy = world.begin("shop", 2)
    for number in range(600):
        world.grow(healthy, results(500, 500 * number))
        world.clock.pump([0.5, 0.5])
    print(f"{answer}: {healthy.results.delivered} of 300,000 delivered in 600 s")
    # The first wait is one of the whole output.
    assert healthy.results.pending <= 500
    assert world.status(healthy) == DeliveryStatus()
    assert (poison.results.pending, world.status(poison).state) == (300, "retrying")
    tries = [push for push in world.pushes if push.name == "poison" and push.seconds > 300]
    assert len(tries) <= 30


def test_a_run_whose_pushes_time_out(world: World) -> None:
    """It takes a fifth of the time."""

    def answer(push: Any) -> Response | None:
        return None if push.name == "poison" else OK

    world.answer = answer
    poison = finished(world, "poison", 1)
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
    print(f"an hour with a run whose pushes hang: {hung} s of it lost")
    assert hung <= 3600 * 0.3
    assert poison.results.pending == 300
    assert healthy.results.pending <= 200


def test_an_invalid_certificate_pauses_everything(world: World) -> None:
    """One probe every 30 s is sent for all runs."""
    world.answer = lambda push: Response(error="expired", certificate=True)
    jobs = [finished(world, f"name-{number}", number) for number in range(20)]
    world.clock.pump([1.0] * 3600)
    assert 100 <= len(world.pushes) <= 130
    assert {world.status(job).state for job in jobs} == {"holding"}


# Abandoned results.


def test_abandoned_results_are_not_sent(world: World) -> None:
    """They are counted, and their log is closed."""
    world.answer = lambda push: Response(404)
    job = finished(world, "typo", 1)
    assert world.worker.abandon(job) == 300
    assert (job.results.abandoned, job.results.pending, job.fully_delivered) == (300, 0, True)
    assert job.results.committed == len(world.logs[job.id].content)
    assert world.worker.abandon(job) == 0
    requests = len(world.pushes)
    world.clock.pump([1.0] * 100)
    assert len(world.pushes) == requests
    assert world.status(job) == DeliveryStatus()
    world.assert_at_rest()


def test_a_response_for_abandoned_results(world: World) -> None:
    """Results in a push that is under way count once, as abandoned."""
    world.answer = lambda push: None
    job = finished(world, "shop", 1)
    assert world.worker.abandon(job) == 300
    assert world.waiting is not None
    world.waiting.callback(OK)
    assert (job.results.delivered, job.results.abandoned, job.results.pending) == (0, 300, 0)
    world.answer = lambda push: OK
    assert finished(world, "shop", 2).fully_delivered
    world.assert_at_rest()


def test_a_response_for_results_that_are_pending_again(world: World) -> None:
    """If results could not be abandoned, a late response to their push changes nothing."""
    world.answer = lambda push: None
    job = finished(world, "shop", 1)
    before = attrs.evolve(job.checkpoint)
    world.worker.abandon(job)
    job.checkpoint = before
    world.worker.begin(job)
    world.worker.end(job)
    world.answer = lambda push: OK
    assert world.waiting is not None
    world.waiting.callback(Response(404))
    world.run_due()
    assert (job.results.delivered, job.results.pending) == (300, 0)
    assert world.status(job) == DeliveryStatus()
    world.assert_at_rest()


def test_results_without_a_log_can_be_abandoned(world: World, logged_errors: LoggedErrors) -> None:
    """Their run no longer shows an error."""
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


def test_a_failed_loop_restarts(
    world: World, logged_errors: LoggedErrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure is logged once, and reported until delivery works again."""
    with monkeypatch.context() as patch:
        patch.setattr(world.worker._delivery.queue, "next", lambda *_, **__: 1 / 0)
        job = finished(world, "shop", 1)
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


def test_a_failed_loop_can_be_stopped(
    world: World, logged_errors: LoggedErrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop does not wait for the restart."""
    monkeypatch.setattr(world.worker._delivery.queue, "next", lambda *_, **__: 1 / 0)
    job = finished(world, "shop", 1)
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    assert world.stop() == [None]
    assert job.results.pending == 300
    world.assert_at_rest()


def test_an_unreadable_log_is_reported_once(world: World, logged_errors: LoggedErrors) -> None:
    """An hour of read errors is one line in the log."""
    job = world.begin()
    world.logs[job.id].error = OSError(5, "Input/output error")
    world.end(job, results(300))
    world.clock.pump([1.0] * 3600)
    assert len(logged_errors.flush(OSError)) == 1
    assert world.status(job).state == "retrying"
    world.logs[job.id].error = None
    world.clock.pump([1.0] * 31)
    assert job.fully_delivered
