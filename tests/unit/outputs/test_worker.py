"""The worker: when batches close, their order, many runs, and failures."""

from __future__ import annotations

import pytest
from conftest import LoggedErrors
from unit.outputs.world import AWAY, CHATTER, OK, World, refuse, result, results

from goloagent.outputs.batch_size import BATCH_RESULTS
from goloagent.outputs.fair_queue import QUANTUM
from goloagent.outputs.retry import PROBE_SECONDS
from goloagent.outputs.sink import BatchLimits, Response
from goloagent.results.parser import MAX_BODY_BYTES

# The size and time of batches.


def test_a_batch_closes_at_4096_results(world: World) -> None:
    """The 4,096th result sends the batch at once; 4,095 wait."""
    job = world.begin()
    world.grow(job, results(4095))
    assert world.pushes == []
    world.grow(job, results(1, 4095))
    assert world.sizes == [BATCH_RESULTS] == [4096]


def test_a_batch_closes_at_a_mebibyte(world: World) -> None:
    """Long results are sent at once when they fill a body."""
    job = world.begin()
    count = MAX_BODY_BYTES // 20_000
    world.grow(job, b"".join(result(number, 20_000) for number in range(count)))
    assert world.pushes == []
    world.grow(job, result(count, 20_000))
    assert world.sizes == [count]
    world.clock.advance(BatchLimits().seconds)
    assert world.sizes == [count, 1]


def test_a_batch_closes_half_a_second_after_its_first_result(world: World) -> None:
    """A batch is sent half a second after its first result."""
    job = world.begin()
    world.clock.advance(100)
    world.grow(job, result(0))
    world.clock.advance(0.3)
    world.grow(job, result(1))
    world.clock.advance(0.19)
    assert world.pushes == []
    world.clock.advance(0.01)
    assert world.ids() == [0, 1]
    assert world.pushes[0].seconds == pytest.approx(100.5, abs=1e-6)
    world.grow(job, result(2))
    world.clock.advance(BatchLimits().seconds - 0.01)
    assert world.sizes == [2]
    world.clock.advance(0.01)
    assert world.sizes == [2, 1]


def test_the_rest_of_a_full_batch_waits(world: World) -> None:
    """4,097 results are a batch now, and another half a second later."""
    job = world.begin()
    world.grow(job, results(4097))
    assert world.sizes == [4096]
    world.clock.advance(BatchLimits().seconds)
    assert world.sizes == [4096, 1]


def test_eight_thousand_results_a_second_are_two_pushes(world: World) -> None:
    """At a steady rate the time closes each batch."""
    job = world.begin()
    for number in range(0, 80_000, 160):
        world.grow(job, results(160, number))
        world.clock.advance(0.02)
    assert len(world.pushes) <= 21


@pytest.mark.parametrize("count", [0, 1, 256, 4095, 4096, 4097, 100_003])
def test_the_end_sends_the_rest_at_once(world: World, count: int) -> None:
    """At its end all results of a job are sent at once, each once, in order."""
    job = world.begin()
    world.end(job, results(count))
    assert world.ids() == list(range(count))
    assert world.clock.seconds() == 0
    assert (job.results.delivered, job.results.pending) == (count, 0)
    world.assert_at_rest()


def test_the_last_line_needs_no_newline(world: World) -> None:
    """A last result without a newline is sent at the end of the run."""
    job = world.begin()
    world.grow(job, results(2)[:-1])
    world.clock.advance(10)
    assert world.ids() == [0]
    world.end(job)
    assert world.ids() == [0, 1]
    assert job.fully_delivered


def test_invalid_lines_are_committed_and_not_sent(world: World) -> None:
    """The offset advances over invalid lines, which are not sent."""
    job = world.begin()
    world.end(job, b"bad\n" + result(0) + b"bad\n" * 300 + result(1) + b"bad\n")
    world.run_due()
    assert world.ids() == [0, 1]
    assert job.results.committed == len(world.logs[job.id].content)
    world.assert_at_rest()


def test_a_log_without_results_sends_nothing(world: World) -> None:
    """Megabytes of other output make no request."""
    job = world.begin()
    world.end(job, CHATTER * 30_000)
    world.run_due()
    assert world.pushes == []
    assert job.fully_delivered
    world.assert_at_rest()


def test_other_output_is_skipped_in_steps(world: World) -> None:
    """The reactor runs between ranges without results."""
    job = world.begin()
    world.end(job, CHATTER * 30_000 + result(0))
    pushed_before_others: list[bool] = []
    world.clock.callLater(0, lambda: pushed_before_others.append(bool(world.pushes)))
    world.clock.advance(0)
    assert pushed_before_others == [False]
    assert world.ids() == [0]


def test_batches_grow_while_the_run_lags(world: World) -> None:
    """While the run lags each batch doubles; then batches have 4,096 results."""
    world.answer = lambda push: None
    job = world.begin()
    world.grow(job, results(4096))
    world.grow(job, results(26_000, 4096))
    while world.waiting is not None:
        world.waiting.callback(OK)
    assert world.sizes[:2] == [4096, 8192]
    assert world.sizes[2] > 8192
    world.clock.advance(BatchLimits().seconds)
    while world.waiting is not None:
        world.waiting.callback(OK)
    assert sum(world.sizes) == 30_096
    count = len(world.sizes)
    world.grow(job, results(9000, 30_096))
    while world.waiting is not None:
        world.waiting.callback(OK)
    assert world.sizes[count:] == [4096, 4096]
    world.end(job)
    assert world.waiting is not None
    world.waiting.callback(OK)
    assert world.ids() == list(range(39_096))


@pytest.mark.parametrize(("milliseconds", "most"), [(5, 256), (1, 1024), (0, 20_000)])
def test_batches_for_a_slow_collector(world: World, milliseconds: int, most: int) -> None:
    """After the first batch none is so large that the collector needs seconds for it."""
    world.answer = lambda push: None
    job = world.begin()
    world.end(job, results(40_000))
    while world.waiting is not None:
        world.clock.advance(milliseconds / 1000 * world.sizes[-1])
        world.waiting.callback(OK)
    assert world.sizes[0] == BATCH_RESULTS
    assert most / 2 <= max(world.sizes[1:]) <= most
    assert world.ids() == list(range(40_000))


def test_batches_never_exceed_a_mebibyte(world: World) -> None:
    """A body has at most 1 MiB, and nearly that while the run lags."""
    job = world.begin()
    world.end(job, b"".join(result(number, 20_000) for number in range(1000)))
    sizes = [len(push.body) for push in world.pushes]
    assert MAX_BODY_BYTES * 0.9 < max(sizes) <= MAX_BODY_BYTES
    assert world.ids() == list(range(1000))


# Keys, names and order.


def test_the_key_is_the_range_of_the_log(world: World) -> None:
    """A key has the job and its bytes; the keys of a log are adjacent."""
    job = world.begin()
    world.end(job, b"bad\n" + results(600))
    ends = [-1]
    for push in world.pushes:
        job_id, _, byte_range = push.key.partition("/")
        first, last = map(int, byte_range.split("-"))
        assert job_id == job.id
        assert first == ends[-1] + 1
        ends.append(last)
    assert ends[-1] == len(world.logs[job.id].content) - 1


def test_two_jobs_are_never_mixed(world: World) -> None:
    """Concurrent logs go to their own names, in order, each batch from one job."""
    one, two = world.begin("one", 1), world.begin("two", 2)
    for start in range(0, 1000, 100):
        world.grow(one, results(100, start))
        world.grow(two, results(100, 5000 + start))
        world.clock.advance(0.3)
    world.end(one)
    world.end(two)
    assert world.ids("one") == list(range(1000))
    assert world.ids("two") == list(range(5000, 6000))
    assert {(push.name, push.key.split("/")[0]) for push in world.pushes} == {
        ("one", "job-1"),
        ("two", "job-2"),
    }


def test_feeds_take_turns(world: World) -> None:
    """A run that prints continuously does not starve an earlier one."""
    world.answer = lambda push: None
    earlier, live = world.begin("earlier", 1), world.begin("live", 2)
    world.grow(live, results(300))
    world.end(earlier, b"".join(result(number, 20_000) for number in range(200)))
    for round_ in range(20):
        world.clock.advance(2)
        world.grow(live, results(5000, 300 + 5000 * round_))
        assert world.waiting is not None
        world.waiting.callback(OK)
    names = [push.name for push in world.pushes]
    assert earlier.results.pending == 0
    assert names[:8].count("earlier") == 4


# Many pending runs.


def test_few_logs_are_open_for_many_runs(world: World) -> None:
    """After an outage over thousands of runs only one log is open besides the live run's."""
    world.answer = lambda push: AWAY if world.clock.seconds() < 600 else OK
    live = world.begin("live", 0)
    jobs = []
    for number in range(1, 5001):
        jobs.append(world.begin("over", number))
        world.end(jobs[-1], results(3))
        world.grow(live, results(1, number))
        world.clock.advance(0.1)
    world.clock.pump([0.5] * 600)
    print(f"5,000 runs waited: at most {world.most_open} logs open at once")
    assert world.most_open <= 3  # of the live run, a new one, and one that is over
    assert all(job.fully_delivered for job in jobs)
    assert live.results.delivered == 5000
    world.end(live)
    world.assert_at_rest()


def test_a_long_run_does_not_delay_a_short_one(world: World) -> None:
    """Runs that are over alternate after a quantum of batches."""
    world.answer = lambda push: None
    long, short = world.begin("long", 1), world.begin("short", 2)
    world.end(long, b"".join(result(number, 20_000) for number in range(2000)))
    assert world.waiting is not None
    world.waiting.callback(OK)
    world.end(short, results(1))
    while world.waiting is not None:
        world.waiting.callback(OK)
    names = [push.name for push in world.pushes]
    assert names.index("short") == 1 + QUANTUM < len(names) - 1
    assert world.ids("long") == list(range(2000))


def test_a_run_that_breaks_the_collector_delays_no_other(world: World) -> None:
    """While the batches of one run get 500, the others are delivered."""
    world.answer = lambda push: Response(500) if push.name == "poison" else OK
    poison = world.begin("poison", 0)
    world.end(poison, results(10))
    jobs = [world.begin("over", number) for number in range(1, 21)]
    for job in jobs:
        world.end(job, results(300))
    world.clock.pump([0.5] * 240)
    assert [job.fully_delivered for job in jobs] == [True] * len(jobs)
    assert poison.results.pending == 10


def test_a_repeat_has_the_same_key(world: World) -> None:
    """A batch has the same key until it is committed, also if its log was closed meanwhile."""
    world.answer = lambda push: AWAY if len(world.pushes) < 9 else OK
    one, two = world.begin("one", 1), world.begin("two", 2)
    for job in (one, two):
        world.grow(job, results(300) + b"bad\n" * 3)
        world.grow(job, results(3000, 300))
        world.end(job)
    world.clock.pump([0.5] * 240)
    assert one.fully_delivered
    assert two.fully_delivered
    for name in ("one", "two"):
        keys = [push.key for push in world.pushes[:9] if push.name == name]
        assert len(keys) > 2
        assert len(set(keys)) == 1
        assert keys[0] in [push.key for push in world.pushes[9:]] or world.pushes[8].key == keys[0]
        assert sorted({*world.ids(name)}) == list(range(3300))
    assert world.most_open == 2


# Failures.


def test_an_unreadable_log_stops_no_other(world: World, logged_errors: LoggedErrors) -> None:
    """An OSError pauses its own run; the others continue."""
    broken, fine = world.begin("broken", 1), world.begin("fine", 2)
    world.logs[broken.id].error = OSError(5, "the disk is away")
    world.end(broken, results(300))
    world.end(fine, results(300))
    assert world.ids("fine") == list(range(300))
    assert len(logged_errors.flush(OSError)) == 1
    world.logs[broken.id].error = None
    world.clock.advance(PROBE_SECONDS)
    assert world.ids("broken") == list(range(300))
    world.assert_at_rest()


def test_a_rejection_that_cannot_be_written_is_retried(
    world: World, logged_errors: LoggedErrors
) -> None:
    """On a full disk a refused result counts as rejected only once it is written."""
    world.answer = refuse(0)
    job = world.begin()
    log = world.logs[job.id]
    log.reject_error = OSError(28, "No space left on device")
    world.end(job, results(256))
    assert len(logged_errors.flush(OSError)) == 1
    assert (job.results.rejected, job.results.pending) == (0, 256)
    log.reject_error = None
    world.clock.advance(PROBE_SECONDS)
    assert len(log.rejected) == job.results.rejected == 1
    assert job.fully_delivered
    world.assert_at_rest()


def test_a_failed_save_stops_nothing(world: World, logged_errors: LoggedErrors) -> None:
    """While the database cannot be written delivery continues slowly, without repeats."""
    job = world.begin()
    world.save_error = RuntimeError("database or disk is full")
    world.end(job, results(300))
    assert len(logged_errors.flush(RuntimeError)) == 1
    world.save_error = None
    world.clock.advance(PROBE_SECONDS)
    assert world.ids() == list(range(300))
    assert world.saved[-1] == (job.id, len(results(300)), 300, 0)
    world.assert_at_rest()
