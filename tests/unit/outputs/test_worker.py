"""When batches close, what follows from each answer, and that nothing is lost, mixed or left.

The collector and the logs are in memory and the time is a clock's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from goloagent.jobs.job import Job, State
from goloagent.jobs.spec import JobSpec
from goloagent.outputs.batch import Batch
from goloagent.outputs.batch_size import BATCH_RESULTS
from goloagent.outputs.fair_queue import QUANTUM
from goloagent.outputs.feed import BATCH_SECONDS
from goloagent.outputs.retry import PROBE_SECONDS, REJECT_LIMIT, REJECT_LIMIT_IF_MOST
from goloagent.outputs.sink import Response
from goloagent.outputs.status import DeliveryStatus
from goloagent.outputs.worker import OutputWorker
from goloagent.results.line_counter import LineCounter
from goloagent.results.parser import MAX_BODY_BYTES

START = datetime(2026, 1, 2, tzinfo=timezone.utc)
OK = Response(status=200)
CHATTER = b"x" * 99 + b"\n"
AWAY = Response(error="no answer: refused")


def result(number: int, length: int = 0) -> bytes:
    """Return the line of one result."""
    start = b'{"timestamp":"2026-01-02T03:04:05Z","sequenceID":"%d","url":"' % number
    return start + b"x" * (length - len(start) - 3) + b'"}\n'


def results(count: int, first: int = 0) -> bytes:
    """Return the lines of so many results."""
    return b"".join(result(number) for number in range(first, first + count))


@attrs.define(eq=False)
class MemoryLog:
    """A run's log in memory that counts as the run does, and breaks when told to."""

    job: Job
    content: bytearray = attrs.Factory(bytearray)
    rejected: list[tuple[Batch, Response]] = attrs.Factory(list)
    open: int = 0
    error: Exception | None = None
    reject_error: Exception | None = None
    tally: LineCounter = attrs.Factory(LineCounter)
    inode: int = 1

    def size(self) -> int:
        return len(self.content)

    def version(self) -> tuple[int, int, int]:
        return 0, self.inode, 0

    def read(self, offset: int, count: int) -> bytes:
        if self.error is not None:
            raise self.error
        return bytes(self.content[offset : offset + count])

    def reject(self, batch: Batch, answer: Response) -> None:
        if self.reject_error is not None:
            raise self.reject_error
        self.rejected.append((batch, answer))

    def close(self) -> None:
        self.open -= 1

    def count(self) -> None:
        """Bring the job's account up to date."""
        self.job.lines.read, self.job.lines.invalid = self.tally.read, self.tally.invalid
        self.job.verified_range = self.tally.verified_range


@attrs.define
class Push:
    """One push as it arrived."""

    seconds: float
    name: str
    key: str
    body: bytes

    @property
    def ids(self) -> list[int]:
        return [int(one["sequenceID"]) for one in json.loads(self.body)]


class World:
    """A worker, its clock, a collector that answers what `answer` says, and logs."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.pushes: list[Push] = []
        self.logs: dict[str, MemoryLog] = {}
        self.most_open = 0
        self.saved: list[tuple[str, int, int, int]] = []
        self.save_error: Exception | None = None
        self.waiting: Deferred[Response] | None = None
        self.cancelled: list[str] = []
        # None: the push waits, until the test answers it.
        self.answer: Callable[[Push], Response | None] = lambda push: OK
        self.faults: list[str | None] = []
        self.notices: list[str] = []
        self.worker = OutputWorker(
            self.clock,
            self.now,
            self.push,
            self.open_log,
            self.save,
            self.faults.append,
            self.notices.append,
        )
        self.worker.start()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.clock.seconds())

    async def push(self, name: str, key: str, body: bytes) -> Response:
        assert self.waiting is None, "two pushes at once"
        assert len(body) <= MAX_BODY_BYTES
        push = Push(self.clock.seconds(), name, key, body)
        self.pushes.append(push)
        answer = self.answer(push)
        if answer is not None:
            return answer
        self.waiting = Deferred(lambda _: self.cancelled.append(key))
        try:
            return await self.waiting
        finally:
            self.waiting = None

    def open_log(self, job: Job) -> MemoryLog:
        log = self.logs[job.id]
        log.open += 1
        self.most_open = max(self.most_open, sum(log.open for log in self.logs.values()))
        return log

    def save(self, job: Job) -> None:
        if self.save_error is not None:
            raise self.save_error
        account = job.results
        assert account.pending >= 0
        self.saved.append((job.id, account.committed, account.delivered, account.rejected))

    # What a run does.

    def begin(self, name: str = "shop", number: int = 1) -> Job:
        job = Job(f"job-{number}", JobSpec(name, 1, 1, "b"), START, State.RUNNING)
        job.log_version = (0, 1, 0)
        self.logs[job.id] = MemoryLog(job)
        self.worker.begin(job)
        return job

    def grow(self, job: Job, data: bytes) -> None:
        log = self.logs[job.id]
        log.content += data
        log.tally.feed(data)
        log.count()
        self.worker.on_appended(job)

    def end(self, job: Job, data: bytes = b"") -> None:
        if data:
            self.grow(job, data)
        log = self.logs[job.id]
        log.tally.close()
        log.count()
        job.state = State.FINISHED
        self.worker.end(job)

    # What a test asks.

    @property
    def sizes(self) -> list[int]:
        return [len(push.ids) for push in self.pushes]

    def ids(self, name: str = "shop") -> list[int]:
        return [number for push in self.pushes if push.name == name for number in push.ids]

    def status(self, job: Job) -> DeliveryStatus:
        return self.worker.status(job)

    def settle(self) -> None:
        """Let everything happen that is due at once."""
        for _ in range(100):
            self.clock.advance(0)

    def stop(self, seconds: float = 5.0) -> list[object]:
        stopped: list[object] = []
        self.worker.stop(seconds).addBoth(stopped.append)
        return stopped

    def assert_at_rest(self) -> None:
        """Nothing runs, waits or is open any more."""
        assert self.clock.getDelayedCalls() == []
        assert self.waiting is None
        assert [log.open for log in self.logs.values()] == [0] * len(self.logs)


@pytest.fixture
def world() -> World:
    """Return a world with a worker that has started."""
    return World()


# When a batch closes.


def test_a_batch_closes_at_256_results(world: World) -> None:
    """The 256th result sends the batch at once; 255 wait."""
    job = world.begin()
    world.grow(job, results(255))
    assert world.pushes == []
    world.grow(job, results(1, 255))
    assert world.sizes == [BATCH_RESULTS]


def test_a_batch_closes_a_second_after_its_first_result(world: World) -> None:
    """A lone result waits one second, counted from it and from no later one."""
    job = world.begin()
    world.clock.advance(100)
    world.grow(job, result(0))
    world.clock.advance(0.6)
    world.grow(job, result(1))
    world.clock.advance(0.39)
    assert world.pushes == []
    world.clock.advance(0.01)
    assert world.ids() == [0, 1]
    assert world.pushes[0].seconds == pytest.approx(101, abs=1e-6)
    world.grow(job, result(2))
    world.clock.advance(BATCH_SECONDS - 0.01)
    assert world.sizes == [2]
    world.clock.advance(0.01)
    assert world.sizes == [2, 1]


def test_what_is_left_of_a_full_batch_waits_its_second(world: World) -> None:
    """257 results at once are a batch now, and one a second later."""
    job = world.begin()
    world.grow(job, results(257))
    assert world.sizes == [256]
    world.clock.advance(1)
    assert world.sizes == [256, 1]


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 511, 512, 513, 100_003])
def test_the_end_sends_the_rest_at_once(world: World, count: int) -> None:
    """Every result of a job is sent when it ends, exactly once, in order, without a wait."""
    job = world.begin()
    world.end(job, results(count))
    assert world.ids() == list(range(count))
    assert world.clock.seconds() == 0
    assert (job.results.delivered, job.results.pending) == (count, 0)
    world.assert_at_rest()


def test_the_last_line_needs_no_newline(world: World) -> None:
    """A last result that was not ended by a newline is one, and is sent at the end only."""
    job = world.begin()
    world.grow(job, results(2)[:-1])
    world.clock.advance(10)
    assert world.ids() == [0]
    world.end(job)
    assert world.ids() == [0, 1]
    assert job.fully_delivered


def test_invalid_lines_are_committed_and_not_sent(world: World) -> None:
    """Bad lines cost only themselves: the offset goes past them and nobody is sent one."""
    job = world.begin()
    world.end(job, b"bad\n" + result(0) + b"bad\n" * 300 + result(1) + b"bad\n")
    world.settle()
    assert world.ids() == [0, 1]
    assert job.results.committed == len(world.logs[job.id].content)
    world.assert_at_rest()


def test_a_log_without_results_sends_nothing(world: World) -> None:
    """Output that is no result makes no request, however much there is."""
    job = world.begin()
    world.end(job, CHATTER * 30_000)
    world.settle()
    assert world.pushes == []
    assert job.fully_delivered
    world.assert_at_rest()


def test_megabytes_of_garbage_leave_others_their_turn(world: World) -> None:
    """Between stretches without results the reactor goes round."""
    job = world.begin()
    world.end(job, CHATTER * 30_000 + result(0))
    pushed_before_others: list[bool] = []
    world.clock.callLater(0, lambda: pushed_before_others.append(bool(world.pushes)))
    world.clock.advance(0)
    assert pushed_before_others == [False]
    assert world.ids() == [0]


def test_batches_grow_while_behind(world: World) -> None:
    """Behind, each batch is twice the one before; when it has caught up, 256."""
    world.answer = lambda push: None
    job = world.begin()
    world.grow(job, results(256))
    world.grow(job, results(6000, 256))
    while world.waiting is not None:
        world.waiting.callback(OK)
    assert world.sizes == [256, 512, 1024, 2048, 2416]
    world.grow(job, results(600, 6256))
    while world.waiting is not None:
        world.waiting.callback(OK)
    assert world.sizes[5:] == [256, 256]
    world.end(job)
    assert world.waiting is not None
    world.waiting.callback(OK)
    assert world.ids() == list(range(6856))


@pytest.mark.parametrize(("milliseconds", "most"), [(5, 256), (1, 1024), (0, 10_000)])
def test_a_slow_collector_is_sent_what_it_takes(world: World, milliseconds: int, most: int) -> None:
    """However far behind, no batch grows for which the collector needs seconds."""
    world.answer = lambda push: None
    job = world.begin()
    world.end(job, results(20_000))
    while world.waiting is not None:
        world.clock.advance(milliseconds / 1000 * world.sizes[-1])
        world.waiting.callback(OK)
    assert most / 2 <= max(world.sizes) <= most
    assert world.ids() == list(range(20_000))


def test_batches_never_exceed_a_mebibyte(world: World) -> None:
    """However far behind, a body is at most 1 MiB; the catching up comes close to it."""
    job = world.begin()
    world.end(job, b"".join(result(number, 20_000) for number in range(1000)))
    sizes = [len(push.body) for push in world.pushes]
    assert MAX_BODY_BYTES * 0.9 < max(sizes) <= MAX_BODY_BYTES
    assert world.ids() == list(range(1000))


# Who is sent what.


def test_the_key_is_the_stretch_of_the_log(world: World) -> None:
    """A key names the job and the bytes, the keys of a log lie end to end."""
    job = world.begin()
    world.end(job, b"bad\n" + results(600))
    ends = [-1]
    for push in world.pushes:
        job_id, _, stretch = push.key.partition("/")
        first, last = map(int, stretch.split("-"))
        assert job_id == job.id
        assert first == ends[-1] + 1
        ends.append(last)
    assert ends[-1] == len(world.logs[job.id].content) - 1


def test_two_jobs_are_never_mixed(world: World) -> None:
    """Two logs at once go to their own names, each in order, each batch of one job."""
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


def test_tracks_take_turns(world: World) -> None:
    """A run that keeps printing does not starve the rest of an earlier one."""
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


# Many runs that wait.


def test_however_many_runs_wait_few_logs_are_open(world: World) -> None:
    """After an outage over thousands of runs one log at a time is open, and the live run's."""
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
    assert world.most_open <= 3  # the live one's, one that begins, and one of those that are over
    assert all(job.fully_delivered for job in jobs)
    assert live.results.delivered == 5000
    world.end(live)
    world.assert_at_rest()


def test_a_long_run_does_not_hold_up_a_short_one(world: World) -> None:
    """Runs that are over change places after so many batches, long before a long one's end."""
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


def test_a_run_that_breaks_the_collector_holds_up_no_other(world: World) -> None:
    """While one run's batch is never answered in order the others are delivered."""
    world.answer = lambda push: Response(500) if push.name == "poison" else OK
    poison = world.begin("poison", 0)
    world.end(poison, results(10))
    jobs = [world.begin("over", number) for number in range(1, 21)]
    for job in jobs:
        world.end(job, results(300))
    world.clock.pump([0.5] * 240)
    assert [job.fully_delivered for job in jobs] == [True] * len(jobs)
    assert poison.results.pending == 10


def test_what_was_sent_is_sent_again_as_it_was(world: World) -> None:
    """A batch keeps its key until it is settled, though its log was let go of meanwhile."""
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


# What follows from an answer.


def test_every_commit_is_saved(world: World) -> None:
    """Each answer that settles a batch is kept at once, offset and counts together."""
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
    """The same results until they are taken, within the same key; nothing else meanwhile."""
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


def test_new_results_do_not_hasten_a_retry(world: World) -> None:
    """What a run prints in an outage makes no request: R5 holds while it runs, too."""
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


def test_retry_after_is_waited_for(world: World) -> None:
    """The collector's wish decides when it is asked again, and people see when."""
    world.answer = lambda push: Response(503, retry_after=77.0) if len(world.pushes) < 2 else OK
    job = world.begin()
    world.end(job, results(1))
    assert world.status(job).retry_at == START + timedelta(seconds=77)
    world.clock.advance(76.9)
    assert len(world.pushes) == 1
    world.clock.advance(0.1)
    assert len(world.pushes) == 2


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 405, 407, 418])
def test_a_wrong_setting_holds_and_drops_nothing(world: World, status: int) -> None:
    """One probe every 30 s until it is mended; then everything is sent."""
    world.answer = lambda push: Response(status) if world.clock.seconds() < 100 else OK
    job = world.begin()
    world.end(job, results(300))
    assert world.status(job).state == "holding"
    assert world.status(job).last_error == str(status)
    assert world.status(job).retry_at == START + timedelta(seconds=PROBE_SECONDS)
    world.clock.pump([0.5] * 250)
    assert [push.seconds for push in world.pushes[:5]] == [0, 30, 60, 90, 120]
    assert world.ids()[4 * 256 :] == list(range(300))
    assert job.fully_delivered


def refuse(*numbers: int) -> Callable[[Push], Response]:
    """Return a collector that refuses batches with any of these results."""
    return lambda push: Response(422, text="no") if set(numbers) & set(push.ids) else OK


def test_one_refused_result_takes_no_other_with_it(world: World) -> None:
    """Wherever in 256 it stands, it alone is rejected, with at most 16 extra requests."""
    for number, refused in enumerate(range(0, 256, 5)):
        world.pushes.clear()
        world.answer = refuse(refused)
        job = world.begin(number=number)
        world.end(job, results(256))
        [(batch, answer)] = world.logs[job.id].rejected
        assert batch.lines == [result(refused)[:-1]]
        assert (answer.status, answer.text) == (422, "no")
        assert (job.results.delivered, job.results.rejected) == (255, 1)
        assert len(world.pushes) <= 1 + 16
        assert job.fully_delivered


@pytest.mark.parametrize(
    "refused", [(0, 1, 2), (0, 128, 255), (7, 8, 200), (*range(0, 256, 2),)], ids=len
)
def test_several_refused_results_are_all_found(world: World, refused: tuple[int, ...]) -> None:
    """What is taken and what is rejected add up, in order, each exactly once."""
    world.answer = refuse(*refused)
    job = world.begin()
    world.end(job, results(256))
    rejected = [json.loads(batch.body())[0] for batch, _ in world.logs[job.id].rejected]
    assert [int(one["sequenceID"]) for one in rejected] == list(refused)
    taken = [n for push in world.pushes if not set(refused) & set(push.ids) for n in push.ids]
    assert taken == sorted(set(range(256)) - set(refused))
    assert job.fully_delivered


def test_when_most_results_are_refused_their_run_holds(world: World) -> None:
    """A wrong setting costs a few rejections and no more; other runs go on meanwhile."""
    world.answer = lambda push: (
        Response(400, text="schema") if push.name == "odd" and world.clock.seconds() < 100 else OK
    )
    odd, good = world.begin("odd", number=1), world.begin("good", number=2)
    world.end(odd, results(256))
    world.end(good, results(256))
    world.settle()
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


def test_a_stretch_of_refused_results_is_rejected_and_passed(world: World) -> None:
    """Neighbours that the collector refuses do not hold a run whose other results it takes."""
    refused = range(300, 300 + REJECT_LIMIT - 1)
    world.answer = refuse(*refused)
    job = world.begin()
    world.end(job, results(1000))
    world.settle()
    assert (job.results.rejected, job.results.delivered) == (len(refused), 1000 - len(refused))
    assert job.fully_delivered


def test_a_setting_that_becomes_wrong_holds_after_a_full_batch(world: World) -> None:
    """However much was taken before, rejections end when nothing is taken any more."""
    world.answer = lambda push: Response(400) if max(push.ids) >= 600 else OK
    job = world.begin()
    world.end(job, results(2000))
    world.settle()
    assert (job.results.delivered, job.results.rejected) == (600, REJECT_LIMIT - 1)
    assert world.status(job).state == "holding"


def test_commits_are_in_order_while_a_batch_is_divided(world: World) -> None:
    """A restart at any moment of a division goes on where everything before is settled."""
    world.answer = refuse(100)
    job = world.begin()
    world.end(job, results(256))
    offsets = [committed for _, committed, _, _ in world.saved]
    assert offsets == sorted(offsets)
    length = [len(results(count)) for count in range(257)]
    for _, committed, delivered, rejected in world.saved:
        assert committed == length[delivered + rejected]


# What breaks.


def test_a_log_that_cannot_be_read_stops_no_other(world: World, logged_errors: Any) -> None:
    """An OSError rests its own track for a while; the others go on, and it goes on later."""
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


def test_a_rejection_that_cannot_be_written_is_tried_again(
    world: World, logged_errors: Any
) -> None:
    """A full disk loses no refused result: it counts as rejected only when it is written."""
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


def test_a_commit_that_cannot_be_saved_stops_nothing(world: World, logged_errors: Any) -> None:
    """While the database cannot be written delivery goes on slowly and repeats nothing."""
    job = world.begin()
    world.save_error = RuntimeError("database or disk is full")
    world.end(job, results(300))
    assert len(logged_errors.flush(RuntimeError)) == 1
    world.save_error = None
    world.clock.advance(PROBE_SECONDS)
    assert world.ids() == list(range(300))
    assert world.saved[-1] == (job.id, len(results(300)), 300, 0)
    world.assert_at_rest()


# A log that others change.


def test_what_is_gone_from_a_log_is_abandoned_and_said(world: World) -> None:
    """A log that is cut while results wait: they are counted, the others are delivered."""
    world.answer = lambda push: AWAY if world.clock.seconds() < 5 else OK
    job = world.begin()
    world.grow(job, results(1000))
    log = world.logs[job.id]
    kept = len(results(300)) + 5
    written = len(log.content)
    del log.content[kept:]
    log.content += bytes(written - kept - 1) + b"\n"  # what the writer makes of the hole
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
    """Where lines were counted and none are, delivery goes past them at once."""
    world.answer = lambda push: AWAY if world.clock.seconds() < 5 else OK
    job = world.begin()
    world.grow(job, results(1000))
    world.logs[job.id].content.clear()
    if complete:
        world.end(job)
    world.clock.pump([0.5] * 80)
    results_ = job.results
    assert results_.delivered + results_.abandoned == 1000
    assert results_.abandoned > 0  # all but what was in memory already
    assert len(world.notices) == 1
    assert job.results.committed == job.verified_range.stop
    if not complete:
        world.end(job)
    world.assert_at_rest()


def test_another_file_in_a_log_s_place_is_not_sent_unread(world: World) -> None:
    """What is no JSON is never sent, though as many bytes were counted as results."""
    world.answer = lambda push: AWAY if world.clock.seconds() < 5 else OK
    job = world.begin()
    world.end(job, results(300))
    log = world.logs[job.id]
    log.inode = 2
    text = CHATTER * (len(log.content) // len(CHATTER)) + result(7)
    log.content[:] = text + b" " * (len(log.content) - len(text))
    begun = len(world.pushes)
    world.clock.pump([0.5] * 80)
    assert [push.ids for push in world.pushes[begun:] if push.seconds >= 5] == [[7]]
    assert (job.results.delivered, job.results.abandoned, job.results.pending) == (1, 299, 0)
    world.assert_at_rest()


def test_what_another_hand_appends_is_not_sent(world: World) -> None:
    """Nothing behind the last counted line is a result of the run."""
    world.answer = lambda push: AWAY if world.clock.seconds() < 5 else OK
    job = world.begin()
    world.end(job, results(300))
    world.logs[job.id].content += results(50, 5000)
    world.clock.pump([0.5] * 80)
    assert sorted(set(world.ids())) == list(range(300))
    assert (job.results.delivered, job.results.abandoned) == (300, 0)
    world.assert_at_rest()


# The stop.


def test_a_stop_sends_what_is_left_and_leaves_nothing(world: World) -> None:
    """With the collector up a stop takes no time, loses nothing and closes everything."""
    job = world.begin()
    world.grow(job, results(100))
    stopped = world.stop()
    assert stopped == [None]
    assert world.ids() == list(range(100))
    world.assert_at_rest()


def test_a_stop_does_not_try_a_refused_run(world: World) -> None:
    """What is refused by its name is left, and the rest is sent."""
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
    """A collector that takes nothing is asked once and not waited for; the rest is kept."""
    world.answer = lambda push: answer
    job = world.begin()
    world.end(job, results(300))
    before = len(world.pushes)
    assert world.stop() == [None]
    assert len(world.pushes) == before + 1
    assert (job.results.pending, job.results.committed) == (300, 0)
    world.assert_at_rest()


def test_a_stop_cancels_a_push_that_hangs(world: World) -> None:
    """At the end of its seconds a stop cancels the push, and its batch is not delivered."""
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


def test_an_answer_in_the_stop_counts(world: World) -> None:
    """A push that is answered during the stop is committed, and the next ones follow."""
    world.answer = lambda push: None if len(world.pushes) == 1 else OK
    job = world.begin()
    world.end(job, results(300))
    stopped = world.stop(5)
    assert world.waiting is not None
    world.waiting.callback(OK)
    assert stopped == [None]
    assert job.fully_delivered
    world.assert_at_rest()


def test_a_stop_with_nothing_to_do_is_done(world: World) -> None:
    """An idle worker stops at once."""
    assert world.stop() == [None]
    world.assert_at_rest()


def test_a_stop_does_not_wait_for_a_broken_log(world: World, logged_errors: Any) -> None:
    """A track that rests is left, and its log closed."""
    job = world.begin()
    world.logs[job.id].error = OSError("away")
    world.end(job, results(1))
    assert world.stop() == [None]
    assert len(logged_errors.flush(OSError)) == 1
    world.assert_at_rest()


# The next life.


def test_the_next_life_goes_on_from_the_committed_offset(world: World) -> None:
    """After a restart exactly what was not committed is sent, under the job's own name."""
    world.answer = lambda push: OK if len(world.pushes) == 1 else AWAY
    job = world.begin()
    world.end(job, results(700))
    world.stop()
    assert job.results.delivered == 256
    following = World()
    following.logs = world.logs
    following.worker.begin(job)
    following.worker.end(job)
    assert following.ids() == list(range(256, 700))
    assert job.fully_delivered
    following.assert_at_rest()
