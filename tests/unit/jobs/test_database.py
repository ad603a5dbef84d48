"""The database saves jobs and binaries durably, and live jobs are one object each."""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goloagent.core.job_spec import JobSpec
from goloagent.core.spans import Span
from goloagent.core.stats.cpu_usage import CpuUsage, RunCpu
from goloagent.core.stats.summary import ErrorSummary
from goloagent.filesystem.durable import SyncFailed
from goloagent.jobs.database import Binary, Content, Damaged, SettledRun, Store
from goloagent.jobs.job import (
    CallCounts,
    Checkpoint,
    Exit,
    FailureReason,
    InvalidLine,
    Job,
    LineCounts,
    State,
)
from goloagent.jobs.job_table import JobFilter

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
BINARY = Binary("b", "0" * 64, 12, NOW)
COUNT = st.integers(0, 2**60)
SECONDS = st.floats(0, 1e6)
MEMBERS = {"rate": 1.5, "duration": "90s", "args": ["\u2028"], "tags": {"a": "b"}}
USAGES = st.builds(CpuUsage, SECONDS, SECONDS)
JOBS = st.builds(
    Job,
    id=st.uuids().map(str),
    spec=st.builds(JobSpec, st.text(), COUNT, COUNT, st.text())
    | st.builds(JobSpec, st.text(), COUNT, COUNT, st.text(), st.just(MEMBERS)),
    queued_at=st.just(NOW),
    state=st.sampled_from(State),
    cause=st.none() | st.builds(FailureReason, st.text(min_size=1), st.text()),
    started_at=st.none() | st.just(NOW + timedelta(seconds=1)),
    ended_at=st.none() | st.just(NOW + timedelta(microseconds=1)),
    exit=st.none() | st.builds(Exit, code=COUNT) | st.builds(Exit, signal=st.just("SIGKILL")),
    stderr_tail=st.text(),
    invalid_line=st.none() | st.builds(InvalidLine, st.integers(1, 2**62), st.text(), st.text()),
    warnings=st.lists(st.text()).map(tuple),
    limited=st.lists(st.builds(Span, st.text(), SECONDS, SECONDS)).map(tuple),
    cpu=st.none() | st.builds(RunCpu, USAGES, st.none() | USAGES),
    errors=st.lists(st.builds(ErrorSummary)).map(tuple),
    has_log=st.booleans(),
    calls=st.builds(CallCounts, COUNT, COUNT, COUNT),
    lines=st.builds(LineCounts, COUNT, COUNT),
    checkpoint=st.builds(Checkpoint, COUNT, COUNT, COUNT, COUNT),
)


def job(number: int, state: State = State.QUEUED) -> Job:
    """Return a job with an id of its own."""
    return Job(f"job-{number}", JobSpec("name", 25, 10, "b"), NOW, state)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the database is."""
    return tmp_path / "agent.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """Open an empty store."""
    store = Store(path)
    yield store
    store.close()


@settings(max_examples=50)
@given(JOBS)
def test_a_job_is_kept_whole(kept: Job) -> None:
    """All saved members of a job are read again after a restart."""
    with TemporaryDirectory() as directory:
        for start in range(2):
            store = Store(Path(directory, "agent.sqlite"))
            if not start:
                store.add(kept)
            assert store.get(kept.id) == kept
            store.close()


def test_changes_are_in_the_file_at_once(store: Store, path: Path) -> None:
    """`add`, `save` and `add_binary` write before they return, because a 201 may follow."""
    running = job(1)
    store.add(running)
    store.add(job(2))
    store.add_binary(BINARY)
    running.state, running.checkpoint.committed = State.RUNNING, 77
    store.save(running)
    with closing(Store(path)) as other:
        assert [other.get("job-1"), other.get("job-2")] == [running, job(2)]
        assert other.get("job-1") is not running
        assert other.binary("b") == BINARY


def test_jobs_saved_in_turn_are_each_kept(store: Store, path: Path) -> None:
    """Changed columns are tracked per job, also after a save that failed."""
    one, two = job(1), job(2)
    for added in (one, two):
        store.add(added)
        added.state, added.checkpoint.committed = State.RUNNING, 77
        store.save(added)
    store._database.execute("PRAGMA query_only = 1")
    two.checkpoint.committed = 78
    with pytest.raises(OSError, match="readonly"):
        store.save(two)
    store._database.execute("PRAGMA query_only = 0")
    store.save(two)
    store.save(one)
    with closing(Store(path)) as other:
        assert [other.get("job-1"), other.get("job-2")] == [one, two]


def test_a_live_job_is_one_object(store: Store) -> None:
    """All readers of a job that is not settled get the same object."""
    queued = job(1)
    store.add(queued)
    assert store.get("job-1") is queued
    assert store.queued() == [queued]
    assert store.queued()[0] is next(store.unsettled()) is queued


def test_a_settled_job_is_read_from_its_row(store: Store) -> None:
    """A settled job is not in memory, and can still be saved."""
    over = job(1)
    store.add(over)
    over.state, over.lines.read, over.checkpoint.delivered = State.FINISHED, 2, 1
    store.save(over)
    assert store.get("job-1") is over
    over.checkpoint.delivered = 2
    store.save(over)
    assert list(store.unsettled()) == []
    assert store.get("job-1") == over
    assert store.get("job-1") is not over
    over.checkpoint.committed = 99
    store.save(over)
    assert store.get("job-1") == over


def test_the_queue_keeps_its_order(store: Store, path: Path) -> None:
    """Jobs are queued in order of arrival, also after a restart."""
    for number in (3, 1, 2):
        store.add(job(number))
    store.add(job(9, State.FINISHED))
    order = ["job-3", "job-1", "job-2"]
    assert [queued.id for queued in store.queued()] == order
    other = Store(path)
    assert [queued.id for queued in other.queued()] == order
    other.close()


def test_live_jobs_may_be_saved_during_iteration(store: Store) -> None:
    """Recovery settles jobs while it iterates."""
    for number in range(3):
        store.add(job(number, State.RUNNING))
    for running in store.unsettled():
        running.state = State.INTERRUPTED
        store.save(running)
    assert list(store.unsettled()) == []


def test_unknown_ids(store: Store) -> None:
    """An unknown id is neither a job nor a binary."""
    for unknown in ("", "job-1", "' OR 1=1 --", "../x", "\x00"):
        assert store.get(unknown) is None
        assert store.binary(unknown) is None


def test_ids_are_unique(store: Store) -> None:
    """A second job or binary with the same id is rejected."""
    store.add(job(1))
    store.add_binary(BINARY)
    with pytest.raises(sqlite3.IntegrityError):
        store.add(job(1, State.RUNNING))
    with pytest.raises(sqlite3.IntegrityError):
        store.add_binary(attrs.evolve(BINARY, size=1))
    assert store.get("job-1") == job(1)
    assert store.binary("b") == BINARY


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """A damaged file is detected when it is opened."""
    path.write_bytes(b"not a database, whatever its name says" * 100)
    with pytest.raises(Damaged):
        Store(path)


def _used(path: Path) -> None:
    store = Store(path)
    for number in range(40):
        store.add(job(number))
    store.close()


def test_r10_a_damaged_database(path: Path) -> None:
    """Flipped, cut or zeroed anywhere, it opens with whole rows or raises Damaged."""
    _used(path)
    whole = path.read_bytes()
    places = [*range(0, 200, 7), *range(4096, len(whole), 509)]
    ways = {
        "flipped": lambda at: whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :],
        "cut": lambda at: whole[:at],
        "zeroed": lambda at: whole[:at] + bytes(min(512, len(whole) - at)) + whole[at + 512 :],
    }
    found = {"opened": 0, "damaged": 0}
    for damage in ways.values():
        for at in places:
            path.write_bytes(damage(at))
            try:
                store = Store(path)
            except Damaged:
                found["damaged"] += 1
            else:
                found["opened"] += 1
                store.queued()
                store.close()
            for suffix in ("-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
    print(f"R10: {sum(found.values())} damaged databases: {found}, other ends 0")
    assert found["damaged"] > 0


def test_r8_a_full_database(tmp_path: Path, path: Path, store: Store) -> None:
    """A database that cannot grow raises ENOSPC and keeps its rows."""
    store.add(job(1))
    (pages,) = store._database.execute("PRAGMA page_count").fetchone()
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OSError, match="full") as caught:  # noqa: PT012 (it fails at some job)
        for number in range(2, 200):
            store.add(job(number))
    assert caught.value.errno == errno.ENOSPC
    assert store.get("job-1") == job(1)


def test_a_frozen_store_rejects_changes(store: Store, path: Path) -> None:
    """After a failed sync all writes raise OSError."""
    kept = job(1)
    store.add(kept)
    store.freeze()
    changes = store.changes
    kept.checkpoint.committed = 100
    with pytest.raises(OSError, match="disk"):
        store.save(kept)
    with pytest.raises(OSError, match="disk"):
        store.add(job(2))
    assert store.changes == changes


def test_a_long_wal_goes_into_the_database(store: Store, path: Path) -> None:
    """A sync checkpoints, so that the WAL does not grow without limit."""
    wal = Path(f"{path}-wal")
    kept = job(1)
    store.add(kept)
    while wal.stat().st_size < 2**20:
        kept.checkpoint.committed += 1
        store.save(kept)
    empty = path.stat().st_size
    store.sync()
    assert path.stat().st_size > empty
    kept.checkpoint.committed += 1
    store.save(kept)
    assert wal.stat().st_size < 2**16, "the WAL restarts after a checkpoint"
    assert store.get("job-1") == kept


def test_settled_runs_come_oldest_first(store: Store) -> None:
    """Runs with a log and without pending results are listed until the log is removed."""
    for number, minutes in ((1, 5), (2, 3), (3, 4)):
        over = job(number)
        store.add(over)
        over.state, over.has_log = State.FINISHED, True
        over.ended_at = NOW + timedelta(minutes=minutes)
        over.lines.read = number == 3
        store.save(over)
    assert [run.job_id for run in store.settled_runs()] == ["job-2", "job-1"]
    store.forget_log("job-2")
    assert [run.job_id for run in store.settled_runs()] == ["job-1"]


FIRST_SCHEMA = """
CREATE TABLE binaries (
    id TEXT PRIMARY KEY, sha256 TEXT NOT NULL, size INTEGER NOT NULL, uploaded_at TEXT NOT NULL
) STRICT;
CREATE TABLE jobs (
    position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    users INTEGER NOT NULL, duration_seconds INTEGER NOT NULL, binary TEXT NOT NULL,
    queued_at TEXT NOT NULL, state TEXT NOT NULL, reason TEXT, sentence TEXT, started_at TEXT,
    ended_at TEXT, exit_code INTEGER, exit_signal TEXT, logged INTEGER NOT NULL,
    settled INTEGER NOT NULL, calls_started INTEGER NOT NULL, calls_ok INTEGER NOT NULL,
    calls_failed INTEGER NOT NULL, read INTEGER NOT NULL, invalid INTEGER NOT NULL,
    delivered INTEGER NOT NULL, rejected INTEGER NOT NULL, committed INTEGER NOT NULL
) STRICT;
INSERT INTO binaries VALUES ('b', 'c', 12, '2026-01-02T03:04:05.678901+00:00');
INSERT INTO jobs VALUES
    (1, 'over', 'shop', 1, 2, 'b', '2026-01-02T03:04:05.678901+00:00', 'failed', 'exited', 'It.',
     NULL, NULL, 3, NULL, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0),
    (2, 'waits', 'shop', 1, 2, 'b', '2026-01-02T03:04:05.678901+00:00', 'queued', NULL, NULL,
     NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
"""


def test_a_database_of_the_first_version(path: Path) -> None:
    """It opens with all rows and gets the later columns."""
    database = sqlite3.connect(path)
    database.executescript(FIRST_SCHEMA)
    database.close()
    for tail in ("", "last words"):
        store = Store(path)
        over, waits = store.get("over"), store.get("waits")
        assert over is not None
        assert waits is not None
        assert (over.cause, over.exit, over.stderr_tail) == (
            FailureReason("exited", "It."),
            Exit(3),
            "",
        )
        assert store.queued() == [waits]
        assert waits.stderr_tail == tail
        assert [(binary.id, binary.name) for binary in store.binaries()] == [("b", "")]
        waits.stderr_tail = "last words"
        store.save(waits)
        store.close()


def test_values_of_variables_are_removed_once_a_job_is_over(path: Path) -> None:
    """Not before, because the next start of the agent may run it; their names stay."""
    store = Store(path)
    members = {"env": {"TOKEN": "s3cret-6f1d"}, "tags": {"a": "b"}}
    kept = Job("job-1", JobSpec("name", 25, 10, "b", members), NOW)
    store.add(kept)
    store.close()
    assert b"s3cret-6f1d" in path.read_bytes()
    store = Store(path)
    [kept] = store.queued()
    assert kept.spec.given.env == {"TOKEN": "s3cret-6f1d"}
    kept.state = State.FINISHED
    store.save(kept)
    found = store.get("job-1")
    assert found is not None
    assert (found.spec.given.env, found.spec.tags) == ({"TOKEN": ""}, {"a": "b"})
    store.close()
    assert b"s3cret-6f1d" not in path.read_bytes()
    assert not Path(f"{path}-wal").exists()


def test_a_binary_of_a_file_is_needed(store: Store) -> None:
    """Until the job is over, as the program."""
    members = {"files": [{"name": "a", "binary": "f"}]}
    kept = Job("job-1", JobSpec("name", 25, 10, "b", members), NOW)
    store.add(kept)
    assert store.needed_binaries() == {"b", "f"}
    kept.state = State.CANCELLED
    store.save(kept)
    assert store.needed_binaries() == set()


def test_a_database_of_a_later_version(path: Path) -> None:
    """An older agent uses the columns that it knows."""
    store = Store(path)
    store.add(job(1))
    store._database.executescript(
        "ALTER TABLE jobs ADD COLUMN novelty TEXT NOT NULL DEFAULT ''; PRAGMA user_version = 1000"
    )
    store.close()
    store = Store(path)
    assert store.get("job-1") == job(1)
    store.add(job(2))
    assert [queued.id for queued in store.queued()] == ["job-1", "job-2"]
    assert store._database.execute("PRAGMA user_version").fetchone()[0] == 1000
    store.close()


@pytest.mark.parametrize("pending", [Checkpoint(delivered=2), Checkpoint(3, unit="second")])
def test_a_job_that_an_older_agent_has_settled(path: Path, pending: Checkpoint) -> None:
    """It does so when the collector has all results; the other outputs get the rest."""
    one, done = job(1), job(2)
    for each, checkpoint in ((one, pending), (done, Checkpoint(3))):
        with closing(Store(path)) as store:
            store.add(each)
            each.state, each.has_log, each.ended_at = State.FINISHED, True, NOW
            each.lines, each.checkpoint = LineCounts(3), Checkpoint(3, committed=9)
            each.outputs = {"archive": checkpoint}
            store.save(each)
    with closing(Store(path)) as store:
        store._database.execute("UPDATE jobs SET settled = 1")
    with closing(Store(path)) as store:
        assert list(store.unsettled()) == [one]
        store.save(one)
        assert [run.job_id for run in store.settled_runs()] == ["job-2"]


def binary(number: int, sha256: str, size: int = 1) -> Binary:
    """Return a binary with an id of its own; all have the same time."""
    return Binary(f"binary-{number}", sha256, size, NOW)


def test_binaries_are_listed(store: Store) -> None:
    """The newest is first; a page continues after a binary."""
    kept = [binary(3, "a"), binary(1, "b"), binary(2, "a")]
    for one in kept:
        store.add_binary(one)
    assert store.binaries() == kept[::-1]
    assert store.binaries(limit=2) == [kept[2], kept[1]]
    assert store.binaries(limit=2, before="binary-1") == [kept[0]]
    assert store.binaries(sha256="a") == [kept[2], kept[0]]
    assert store.binaries(sha256="A") == store.binaries(before="unknown") == []


def test_contents_are_those_of_the_newest(store: Store) -> None:
    """Each content is listed once, at the place of its newest binary."""
    for one in (binary(1, "a", 10), binary(2, "b", 20), binary(3, "a", 10)):
        store.add_binary(one)
    assert store.contents() == [Content("b", 20), Content("a", 10)]


def test_a_removed_binary(store: Store, path: Path) -> None:
    """It is removed from the file; jobs keep its id."""
    store.add_binary(BINARY)
    store.add(job(1, State.FINISHED))
    store.remove_binary("b")
    other = Store(path)
    assert other.binary("b") is None
    kept = other.get("job-1")
    assert kept is not None
    assert kept.spec.binary == "b"
    other.close()
    store.add_binary(BINARY)
    store.freeze()
    with pytest.raises(OSError, match="disk"):
        store.remove_binary("b")


@pytest.mark.parametrize("state", State)
def test_needed_binaries(store: Store, state: State) -> None:
    """A binary is needed until its job is over, even with pending results."""
    wanted = job(1)
    store.add(wanted)
    wanted.state, wanted.lines.read = state, 1
    store.save(wanted)
    assert store.needed_binaries() == (set() if state.over else {"b"})


DAMAGES = [
    "state = 'dreaming'",
    "queued_at = 'yesterday'",
    "queued_at = '2026-01-02T03:04:05'",
    "ended_at = ''",
    "ended_at = 'x'",
    "users = -1",
    "delivered = -9",
    "outputs = '{'",
    """outputs = '{"archive": {"delivered": -1}}'""",
    """outputs = '{"archive": {"committed": 100000000000000000000}}'""",
    """outputs = '{"archive": {"unit": "hour"}}'""",
    """outputs = '{"collector": {}}'""",
    "cpu = ''",
    "cpu = '{}'",
    """cpu = '{"agent": {"mean": -1, "max": 1}, "load_test": null}'""",
    "state = CAST(X'ff' AS TEXT)",
    "queued_at = CAST(X'ff' AS TEXT)",
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("live", [True, False])
def test_a_damaged_row_of_a_job_is_skipped(path: Path, damage: str, live: bool) -> None:
    """All queries skip it, and it is reported once."""
    with closing(Store(path)) as store:
        for number in range(3):
            over = job(number)
            store.add(over)
            if not live or number != 1:
                over.state, over.has_log, over.ended_at = State.FINISHED, True, NOW
                store.save(over)
        store._database.execute(f"UPDATE jobs SET {damage} WHERE id = 'job-1'")
        if live:
            store._database.execute("UPDATE jobs SET logged = 0 WHERE id = 'job-1'")
    found: list[str] = []
    with closing(Store(path)) as store:
        store.report_to(found.append)
        for _ in range(2):
            shown = [one.id for one in store.newest(3)]
            assert set(shown) >= {"job-0", "job-2"}
            older = [one.id for one in store.newest(1, before="job-2")]
            assert older in (["job-0"], ["job-1"])
            runs = [run.job_id for run in store.settled_runs()]
            assert runs in (["job-0", "job-2"], ["job-0", "job-1", "job-2"])
            assert (store.get("job-1") is None) == ("job-1" not in shown)
            assert store.count()[State.FINISHED] >= 2
            list(store.unsettled())
        if "ended_at = ''" not in damage:
            assert len(found) == 1, found
            assert "job-1" in found[0]
        store.add(job(7))
        assert store.queued()[-1].id == "job-7"


def test_a_page_continues_after_damaged_rows(store: Store) -> None:
    """A page has the requested length despite them."""
    for number in range(20):
        over = job(number)
        store.add(over)
        over.state = State.FINISHED
        store.save(over)
    store._database.execute("UPDATE jobs SET state = 'x' WHERE position BETWEEN 5 AND 18")
    store.report_to(lambda sentence: None)
    shown = [one.id for one in store.newest(4)]
    assert shown == ["job-19", "job-18", "job-3", "job-2"]


@pytest.mark.parametrize("damage", ["uploaded_at = 'x'", "uploaded_at = CAST(X'ff' AS TEXT)"])
def test_a_damaged_row_of_a_binary_is_skipped(store: Store, damage: str) -> None:
    """All queries skip it, and it is reported once."""
    for number in range(3):
        store.add_binary(binary(number, f"content-{number}"))
    store._database.execute(f"UPDATE binaries SET {damage} WHERE id = 'binary-1'")
    found: list[str] = []
    store.report_to(found.append)
    for _ in range(2):
        assert [one.id for one in store.binaries()] == ["binary-2", "binary-0"]
        assert store.binary("binary-1") is None
        assert len(store.contents()) == 3
    assert len(found) == 1


def test_a_negative_size_is_skipped(store: Store) -> None:
    """It does not count against the quota."""
    for number in range(2):
        store.add_binary(binary(number, f"content-{number}"))
    store._database.execute("UPDATE binaries SET size = -1 WHERE id = 'binary-1'")
    store.report_to(lambda sentence: None)
    assert store.contents() == [Content("content-0", 1)]


@pytest.fixture
def locked(path: Path, store: Store) -> Iterator[sqlite3.Connection]:
    """Lock the database by another connection."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        store.add(job(1))
        other.execute("BEGIN EXCLUSIVE")
        yield other


def test_a_locked_database(store: Store, locked: sqlite3.Connection) -> None:
    """Writes fail at once with EBUSY, reads succeed, and later writes succeed."""
    before = time.monotonic()
    waiting = store.queued()[0]
    writes: list[Callable[[], object]] = [
        lambda: store.add(job(2)),
        lambda: store.save(attrs.evolve(waiting, state=State.CANCELLED)),
        lambda: store.add_binary(BINARY),
        lambda: store.remove_binary("b"),
        lambda: store.forget_log("job-1"),
        lambda: store.forget_jobs(0, 10),
        store.check_writable,
    ]
    for write in writes:
        with pytest.raises(OSError, match="locked") as caught:
            write()
        assert caught.value.errno == errno.EBUSY
    assert store.newest(10) == [waiting]
    assert store.binaries() == []
    assert time.monotonic() - before < 5  # for which SQLite waits by default
    store.sync()
    locked.execute("ROLLBACK")
    store.check_writable()
    store.add(job(2))
    assert store.count() == {State.QUEUED: 2}


def test_a_failed_checkpoint(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The WAL is durable without one, so only an I/O error fails the sync."""
    kept = job(1)
    store.add(kept)
    while Path(f"{path}-wal").stat().st_size < 2**20:
        kept.checkpoint.committed += 1
        store.save(kept)

    def cannot(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", cannot)
        store.sync()

    def failed(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", failed)
        with pytest.raises(SyncFailed):
            store.sync()


def test_old_jobs_are_removed(store: Store, path: Path) -> None:
    """The oldest settled jobs without a log are removed; the newest stay."""
    for number in range(20):
        over = job(number)
        store.add(over)
        if number != 3:
            over.state, over.ended_at, over.has_log = State.FINISHED, NOW, number == 5
            store.save(over)
    assert store.forget_jobs(keep=10, limit=3) == 3
    assert store.forget_jobs(keep=10, limit=100) == 5
    assert store.forget_jobs(keep=10, limit=100) == 0
    left = [one.id for one in store.newest(100)]
    assert left == [f"job-{number}" for number in [*range(19, 9, -1), 5, 3]]
    assert store.count() == {State.FINISHED: 11, State.QUEUED: 1}
    store.forget_log("job-5")
    assert store.forget_jobs(keep=10, limit=100) == 1
    assert store.get("job-3") is not None
    with closing(Store(path)) as other:
        assert other.count() == store.count()


def test_settled_runs_come_in_pages(store: Store) -> None:
    """A page continues after a run, also among runs with the same end."""
    for number in range(10):
        over = job(number)
        store.add(over)
        over.state, over.has_log = State.FINISHED, True
        over.ended_at = NOW + timedelta(microseconds=number // 3)
        store.save(over)
    found = store.settled_runs(4)
    while page := store.settled_runs(4, found[-1]):
        found += page
    assert found == store.settled_runs()
    assert len(found) == 10


def test_no_query_scans_the_history(store: Store) -> None:
    """Each query uses an index, so its time does not grow with the history."""
    scanned: list[str] = []
    original = store._some

    def explain(query: str, values: dict[str, object], *more: object) -> object:
        for row in store._database.execute(f"EXPLAIN QUERY PLAN {query}", values):
            if "SCAN jobs" in row["detail"] and "INDEX" not in row["detail"]:
                scanned.append(query)
            if "TEMP B-TREE" in row["detail"]:
                scanned.append(query)
        return original(query, values, *more)  # type: ignore[arg-type]

    store._some = explain  # type: ignore[method-assign, assignment]
    for state in (None, State.FAILED):
        for name in (None, "shop"):
            for before in ("job-1", None):
                if (state, name, before) != (None, None, None):
                    store.newest(10, JobFilter(state, name), before)
    store.get("job-1")
    store.settled_runs(10)
    store.settled_runs(10, SettledRun("job-1", "shop", NOW))
    store.binaries(10, sha256="0")
    store.binary("b")
    assert scanned == []


def test_the_bytes_of_all_contents(store: Store, path: Path) -> None:
    """Each content counts once while a binary has it, also after a restart."""
    for one in (binary(1, "a", 10), binary(2, "b", 20), binary(3, "a", 10)):
        store.add_binary(one)
    assert store.bytes_with(Content("a", 10)) == 30
    assert store.bytes_with(Content("c", 5)) == 35
    store.remove_binary("binary-1")
    assert store.bytes_with(Content("c", 5)) == 35
    with closing(Store(path)) as other:
        assert other.bytes_with(Content("c", 5)) == 35
    store.remove_binary("binary-3")
    assert store.bytes_with(Content("c", 5)) == 25
    assert store.remove_content("b") == ["binary-2"]
    assert store.bytes_with(Content("c", 5)) == 5
