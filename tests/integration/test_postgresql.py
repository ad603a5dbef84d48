"""A real PostgreSQL stores each result once, whatever happens to it or to the agent."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_twisted
from peers.certificate import Authority
from peers.postgresql import PostgreSQL, postgresql
from peers.sinks import Sinks
from twisted.internet import defer, reactor, task

from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.sink import Disposition, Response
from goloagent.outputs.sinks.rows import COLUMNS

RUN = RunLabels("job-1", "shop", "run-1", "agent-1", tags={"release": "1.4.2", "nul": "a\0b"})
SQL = Path(__file__).parents[2] / "etc/postgresql/golo_results.sql"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """Run one server for all tests."""
    with postgresql() as server:
        yield server


@pytest.fixture
def small(server: PostgreSQL) -> Iterator[str]:
    """Return the name of a tablespace of 4 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    directory = Path(tempfile.mkdtemp(prefix="golo-small-", dir="/tmp"))
    owner = server.directory.stat()
    options = f"size=4m,mode=700,uid={owner.st_uid},gid={owner.st_gid}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
    mounted = subprocess.run(mount, check=False, capture_output=True, text=True)
    if mounted.returncode:
        directory.rmdir()
        pytest.skip(f"a file system cannot be mounted: {mounted.stderr.strip()}")
    server.execute(f"CREATE TABLESPACE small LOCATION '{directory}'")
    yield "small"
    subprocess.run(["umount", "--lazy", str(directory)], check=False)
    directory.rmdir()


@pytest.fixture
def table(request: pytest.FixtureRequest) -> str:
    """Return the name of a table that no other test uses."""
    return str(request.node.name)[:40]


def line(**members: object) -> bytes:
    """Return a result as a load test prints it."""
    return json.dumps({"timestamp": "2026-01-02T03:04:05.123456789Z", **members}).encode() + b"\n"


def log_of(results: int) -> bytes:
    """Return a log with as many results."""
    return b"".join(line(url=f"http://x/{n % 7}", status=200, duration=n) for n in range(results))


def batches(log: bytes, results: int) -> list[tuple[Batch, int]]:
    """Return the batches of a log, each with its ordinal."""
    found, rest, ordinal = [], Batch(0, len(log), log), 0
    while rest.text:
        batch, rest = rest.take(results)
        found.append((batch, ordinal))
        ordinal += batch.results
    return found


async def stored(sink: Any, batch: Batch, ordinal: int, run: RunLabels = RUN) -> None:
    """Send a batch as a worker does, until the server has it."""
    for _ in range(600):
        response: Response = await sink.send(run, batch, ordinal)
        if response.disposition is Disposition.DELIVERED:
            return
        assert response.disposition is Disposition.RETRY, response
        await task.deferLater(reactor, 0.1)
    raise AssertionError(response)


def ordinals(server: PostgreSQL, table: str, job: str = "job-1") -> list[int]:
    """Return the ordinals of a job's results."""
    query = f'SELECT ordinal FROM "{table}" WHERE job = %s ORDER BY ordinal'
    return [ordinal for (ordinal,) in server.query(query, job)]


@pytest_twisted.ensureDeferred
async def test_rows(server: PostgreSQL, sinks: Sinks, table: str) -> None:
    """Each member is in its column, whatever a result has; NUL becomes U+FFFD."""
    texts = ["a\tb\\c\nd\re", "\\N", "", "\\.", "naïve 😀", "nul \0."]
    errors: list[object] = [*texts, {"code": 1, "nul": "\0"}, [1, None], 5, True, ""]
    lines = [
        line(url=texts[n % 6], method=texts[(n + 1) % 6], sequenceID=texts[n % 5], error=error)
        for n, error in enumerate(errors)
    ]
    lines += [line(status=2**63 - 1, size=-(2**63), duration=0), line(url="\ud800")]
    log = b"".join(lines)
    sink = sinks.make(f"pg={server.url}?table={table}")
    await stored(sink, Batch(0, len(log), log), 40)
    rows = server.query(f'SELECT {", ".join(COLUMNS)} FROM "{table}" ORDER BY ordinal')
    assert len(rows) == len(lines)
    for number, (row, text) in enumerate(zip(rows, lines, strict=True)):
        found, result = dict(zip(COLUMNS, row, strict=True)), json.loads(text)
        assert found["timestamp"].isoformat().startswith("2026-01-02T03:04:05.12345")
        assert (found["job"], found["run"], found["name"]) == ("job-1", "run-1", "shop")
        assert (found["agent"], found["ordinal"]) == ("agent-1", 40 + number)
        assert found["tags"] == {"release": "1.4.2", "nul": "a\ufffdb"}
        error = result.get("error")
        if not isinstance(error, str | None):
            error = json.dumps(error)
        for name, value in {
            **result,
            "error": error,
            "sequence_id": result.get("sequenceID"),
        }.items():
            if name in found and name != "timestamp":
                if isinstance(value, str):
                    value = value.replace("\0", "\ufffd").replace("\ud800", "\ufffd")
                assert found[name] == value, name


@pytest_twisted.ensureDeferred
async def test_timestamps(server: PostgreSQL, sinks: Sinks, table: str) -> None:
    """Any timestamp of RFC 3339 is stored, to the microsecond."""
    times = {
        "0000-01-01T00:00:00Z": "0001-01-01 00:00:00 BC",
        "0000-02-29T12:00:00.5+23:59": "0001-02-28 12:01:00.5 BC",
        "0001-01-01T00:00:00Z": "0001-01-01 00:00:00",
        "0001-01-01T00:00:00+00:01": "0001-12-31 23:59:00 BC",
        "9999-12-31T23:59:59.999999Z": "9999-12-31 23:59:59.999999",
        "9999-12-31T23:59:59-23:59": "10000-01-01 23:58:59",
        "2024-02-29T10:00:00.1234569+02:00": "2024-02-29 08:00:00.123457",
        f"2026-01-02T03:04:05.{'1' * 400}Z": "2026-01-02 03:04:05.111111",
    }
    log = b"".join(line(timestamp=time) for time in times)
    sink = sinks.make(f"pg={server.url}?table={table}")
    for batch, ordinal in batches(log, 1):
        await stored(sink, batch, ordinal)
    query = (
        f"""SELECT timestamp AT TIME ZONE 'UTC' = %s::timestamp FROM "{table}" WHERE ordinal = %s"""
    )
    for number, expected in enumerate(times.values()):
        assert server.query(query, expected, number) == [(True,)], expected


@pytest_twisted.ensureDeferred
async def test_repeats(server: PostgreSQL, sinks: Sinks, table: str) -> None:
    """A batch that is stored is skipped, and one that is stored in part is cut."""
    log = log_of(100)
    whole = Batch(0, len(log), log)
    sink, other = (sinks.make(f"{name}={server.url}?table={table}") for name in ("a", "b"))
    for batch, ordinal in batches(log, 30)[:2]:
        await stored(sink, batch, ordinal)
        await stored(other, batch, ordinal)
    await stored(other, whole, 0)
    await stored(sink, whole, 0)
    for batch, ordinal in batches(log, 7):
        await stored(sink, batch, ordinal)
    assert ordinals(server, table) == list(range(100))


@pytest_twisted.ensureDeferred
async def test_jobs_and_agents_at_once(server: PostgreSQL, sinks: Sinks, table: str) -> None:
    """Agents that start together create the tables once, and each job has its own results."""
    log = log_of(200)

    async def deliver(number: int) -> None:
        sink = sinks.make(f"pg={server.url}?table={table}&schema=public")
        run = RunLabels(f"job-{number % 3}", "shop", "r", f"agent-{number}")
        for batch, ordinal in batches(log, 20):
            await stored(sink, batch, ordinal, run)

    await defer.gatherResults([defer.ensureDeferred(deliver(n)) for n in range(6)])
    for job in range(3):
        assert ordinals(server, table, f"job-{job}") == list(range(200))


@pytest_twisted.ensureDeferred
async def test_tables_by_hand(server: PostgreSQL, sinks: Sinks) -> None:
    """A role that may not create tables stores into those of the SQL file, which are the same."""
    described = (
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns"
        " WHERE table_schema = %s ORDER BY table_name, ordinal_position"
    )
    indexes = "SELECT replace(indexdef, %s, '') FROM pg_indexes WHERE schemaname = %s ORDER BY 1"
    server.execute(
        "CREATE SCHEMA made AUTHORIZATION golo; CREATE SCHEMA hand; CREATE ROLE few LOGIN"
    )
    server.execute(f"GRANT USAGE ON SCHEMA hand TO few; SET search_path = hand; {SQL.read_text()}")
    log = log_of(10)
    url = server.url.replace("golo@", "few@")
    sink = sinks.make(f"few={url}?schema=hand")
    response = await sink.send(RUN, Batch(0, len(log), log), 0)
    assert response.disposition is Disposition.PAUSE
    assert "permission denied" in response.error
    assert "etc/postgresql" in response.error
    server.execute(
        "GRANT INSERT ON hand.golo_results TO few;"
        "GRANT SELECT, INSERT, UPDATE ON hand.golo_checkpoints TO few"
    )
    await stored(sink, Batch(0, len(log), log), 0)
    await stored(sinks.make(f"golo={server.url}?schema=made"), Batch(0, len(log), log), 0)
    assert server.query(described, "hand") == server.query(described, "made") != []
    assert server.query(indexes, "hand.", "hand") == server.query(indexes, "made.", "made") != []


@pytest_twisted.ensureDeferred
async def test_a_row_that_is_refused(server: PostgreSQL, sinks: Sinks, table: str) -> None:
    """A constraint refuses a batch, which is to be split, and nothing of it is stored."""
    sink = sinks.make(f"pg={server.url}?table={table}")
    assert await sink.check() is None
    server.execute(f'ALTER TABLE "{table}" ADD CHECK (duration <> 3)')
    log = log_of(10)
    for batch, ordinal in batches(log, 5):
        response = await sink.send(RUN, batch, ordinal)
        refused = ordinal == 0
        assert (response.disposition is Disposition.SPLIT) == refused, response
    assert ordinals(server, table) == [5, 6, 7, 8, 9]


@pytest_twisted.ensureDeferred
async def test_wrong_settings(server: PostgreSQL, sinks: Sinks, tmp_path: Path) -> None:
    """A pause with a sentence that names what to correct."""
    log = log_of(1)
    password = tmp_path / "password"
    password.write_text("guarded:wrong")
    server.execute(
        "CREATE ROLE guarded LOGIN PASSWORD 'right'; CREATE SCHEMA guarded AUTHORIZATION guarded"
    )
    address = f"127.0.0.1:{server.port}"
    guarded = f"postgresql://{address}/golo?password-file={password}&schema=guarded"
    cases = {
        f"postgresql://golo@{address}/nowhere": 'database "nowhere" does not exist',
        f"postgresql://ghost@{address}/golo": 'role "ghost" does not exist',
        guarded: "password authentication failed",
        f"{server.url}?insecure=yes": "does not support SSL",
        f"{server.url}?schema=absent": 'schema "absent" does not exist',
        f"{server.url}?schema=pg_catalog": "permission denied",
    }
    for url, sentence in cases.items():
        sink = sinks.make(f"pg={url}")
        response = await sink.send(RUN, Batch(0, len(log), log), 0)
        assert response.disposition is Disposition.PAUSE, response
        assert sentence in response.error
        assert "\n" not in response.error
        assert "wrong" not in response.error
        assert sentence in await sink.check()
    password.write_text("guarded:right")  # is read again
    await stored(sinks.make(f"pg={guarded}"), Batch(0, len(log), log), 0)


@pytest_twisted.ensureDeferred
async def test_outages(server: PostgreSQL, sinks: Sinks, table: str) -> None:
    """Sessions that end, a restart, a kill and a read-only server: each result is stored once."""
    sink = sinks.make(f"pg={server.url}?table={table}")
    parts = batches(log_of(60), 10)
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'golo'"

    def restart() -> None:
        server.stop()
        server.start()

    def crash() -> None:
        server.kill()
        server.start()

    def read_only() -> None:
        server.execute("ALTER ROLE golo SET default_transaction_read_only = on")
        server.query(end)

    for (batch, ordinal), trouble in zip(
        parts, (lambda: None, restart, crash, lambda: server.query(end), read_only), strict=False
    ):
        trouble()
        if trouble is read_only:
            await sink.send(RUN, batch, ordinal)  # finds out that its session has ended
            response = await sink.send(RUN, batch, ordinal)
            assert response.disposition is Disposition.RETRY
            assert "read-only" in response.error
            server.execute("ALTER ROLE golo RESET default_transaction_read_only")
        await stored(sink, batch, ordinal)
    server.stop()
    assert "Connection refused" in await sink.check()
    response = await sink.send(RUN, *parts[5])
    assert response.disposition is Disposition.RETRY
    server.start()
    await stored(sink, *parts[5])
    assert ordinals(server, table) == list(range(60))


@pytest_twisted.ensureDeferred
async def test_a_server_that_hangs(server: PostgreSQL, sinks: Sinks, table: str) -> None:
    """The time-out ends an attempt, and a connection too."""
    sink = sinks.make(f"pg={server.url}?table={table}&timeout=1s")
    first, second = batches(log_of(20), 10)
    await stored(sink, *first)
    server.signal(signal.SIGSTOP)
    try:
        response = await sink.send(RUN, *second)
        assert response.disposition is Disposition.RETRY
        assert response.timed_out
        response = await sink.send(RUN, *second)
        assert response.disposition is Disposition.RETRY
    finally:
        server.signal(signal.SIGCONT)
    await stored(sink, *second)
    assert ordinals(server, table) == list(range(20))


@pytest_twisted.ensureDeferred
async def test_a_standby_that_is_not_waited_for(
    server: PostgreSQL, sinks: Sinks, table: str
) -> None:
    """The server commits with a warning if its wait is cancelled; that is no delivery."""
    sink = sinks.make(f"pg={server.url}?table={table}")
    first, second = batches(log_of(20), 10)
    await stored(sink, *first)
    server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    server.execute("SELECT pg_reload_conf()")
    waits = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    try:
        for _ in range(2):
            sending = defer.ensureDeferred(sink.send(RUN, *second))
            while not (found := server.query(waits)):
                await task.deferLater(reactor, 0.02)
            server.query("SELECT pg_cancel_backend(%s)", *found[0])
            response = await sending
            assert response.disposition is Disposition.RETRY
            assert "canceling wait for synchronous replication" in str(response)
    finally:
        server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        server.execute("SELECT pg_reload_conf()")
    await stored(sink, *second)
    assert ordinals(server, table) == list(range(20))


@pytest_twisted.ensureDeferred
async def test_commits_are_synchronous(server: PostgreSQL, sinks: Sinks, table: str) -> None:
    """Also if a pooler gives a transaction another session, which begins with the role's value."""
    server.execute("CREATE TABLE seen (value text)")
    server.execute("GRANT ALL ON seen TO golo")
    server.execute("ALTER ROLE golo SET synchronous_commit = off")
    try:
        sink = sinks.make(f"pg={server.url}?table={table}")
        first, second = batches(log_of(20), 10)
        await stored(sink, *first)
        server.execute(
            "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$"
        )
        server.execute(f'CREATE TRIGGER see AFTER INSERT ON "{table}" EXECUTE FUNCTION see()')
        connection = sink.session._connection
        connection.autocommit = True
        connection.execute("DISCARD ALL")
        connection.autocommit = False
        await stored(sink, *second)
    finally:
        server.execute("ALTER ROLE golo RESET synchronous_commit")
    assert server.query("SELECT value FROM seen") == [("on",)]


@pytest_twisted.ensureDeferred
async def test_a_full_disk(server: PostgreSQL, sinks: Sinks, table: str, small: str) -> None:
    """Results wait while there is no space, and are stored once when there is some again."""
    sink = sinks.make(f"pg={server.url}?table={table}")
    assert await sink.check() is None
    server.execute(f'ALTER TABLE "{table}" SET TABLESPACE {small}')
    parts = batches(log_of(60_000), 4_000)
    number = 0
    while (response := await sink.send(RUN, *parts[number])).disposition is Disposition.DELIVERED:
        number += 1
    assert response.disposition is Disposition.RETRY, response
    assert "No space left on device" in str(response.error)
    server.execute(f'ALTER TABLE "{table}" SET TABLESPACE pg_default')
    server.execute(f"DROP TABLESPACE {small}")
    for part in parts[number:]:
        await stored(sink, *part)
    assert ordinals(server, table) == list(range(60_000))


@pytest_twisted.ensureDeferred
async def test_cancel(server: PostgreSQL, sinks: Sinks, table: str) -> None:
    """A cancel ends a statement that waits; what is sent again later is stored once."""
    sink = sinks.make(f"pg={server.url}?table={table}")
    first, second = batches(log_of(20), 10)
    await stored(sink, *first)
    with psycopg.connect(server.url) as blocker:
        blocker.execute(f'LOCK TABLE "{table}"')
        sending = defer.ensureDeferred(sink.send(RUN, *second))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while server.query(waiting) == [(0,)]:
            await task.deferLater(reactor, 0.02)
        sending.cancel()
        with pytest.raises(defer.CancelledError):
            await sending
        closing = sink.close()  # does not wait for the lock
        await closing
        blocker.rollback()
    await stored(sink, *second)
    assert ordinals(server, table) == list(range(20))
    chance = random.Random(5)
    for attempt in range(20):
        run = RunLabels(f"cut-{attempt}", "shop", "r", "a")
        sending = defer.ensureDeferred(sink.send(run, *first))
        timer = reactor.callLater(chance.random() * 0.01, sending.cancel)
        with suppress(defer.CancelledError):
            await sending
        if timer.active():
            timer.cancel()
        await stored(sink, *first, run)
        assert ordinals(server, table, run.job) == list(range(10))


@pytest_twisted.ensureDeferred
async def test_tls(sinks: Sinks, tmp_path: Path) -> None:
    """Certificates of both sides are checked."""
    authority, other = Authority(), Authority()
    (tmp_path / "ca").write_bytes(authority.pem)
    (tmp_path / "other").write_bytes(other.pem)
    certificate, key = authority.certify("certified")
    (tmp_path / "cert").write_bytes(certificate)
    (tmp_path / "key").write_bytes(key)
    (tmp_path / "key").chmod(0o600)
    log = log_of(1)
    batch = Batch(0, len(log), log)
    with postgresql() as server:
        server.execute("CREATE ROLE certified LOGIN; GRANT ALL ON DATABASE golo TO certified")
        server.execute("CREATE SCHEMA mine AUTHORIZATION certified")
        server.use_tls(authority)
        certified = server.url.replace("golo@", "certified@") + f"?schema=mine&ca={tmp_path}/ca"
        client = f"&cert={tmp_path}/cert&key={tmp_path}/key"
        await stored(sinks.make(f"a={server.url}?ca={tmp_path}/ca"), batch, 0)
        await stored(sinks.make(f"b={server.url}?insecure=yes"), batch, 0)
        await stored(sinks.make(f"c={certified}{client}"), batch, 0)
        for url, sentence in (
            (f"{server.url}?ca={tmp_path}/other", "SSL error"),
            (certified, "certificate"),
        ):
            response = await sinks.make(f"d={url}").send(RUN, batch, 0)
            assert response.disposition is Disposition.PAUSE, response
            assert sentence in response.error
        server.use_tls(authority, "db.example")
        response = await sinks.make(f"e={server.url}?ca={tmp_path}/ca").send(RUN, batch, 0)
        assert response.disposition is Disposition.PAUSE, response
        assert "db.example" in response.error
