"""What becomes of a job, told to its followers: states at once, and progress while it runs."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import attrs
import pytest
from unit.http.in_memory import NOW, Agent, Connection

from goloagent.core.record import Record
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.http.streaming.events import STALL_SECONDS
from goloagent.jobs.job import Job, State
from goloagent.jobs.spec import JobSpec
from goloagent.results.parser import parse
from goloagent.runs.monitor import BEAT_SECONDS, BEATS_PER_KEEPALIVE, RunMonitor

RESULT = b'{"timestamp":"2026-01-02T03:04:05Z","status":200,"duration":%d}\n'


@attrs.define
class Running:
    """What the pulse knows of a run."""

    job: Job
    statistics: RunStatistics = attrs.Factory(RunStatistics)


def queued(agent: Agent, job_id: str = "one") -> Job:
    """Put a job into the store."""
    job = Job(job_id, JobSpec("shop", 1, 1, "b"), NOW)
    agent.store.add(job)
    return job


def become(agent: Agent, job: Job, state: State) -> None:
    """Bring a job into another state, as the agent does."""
    job.state = state
    agent.bus.publish_state(job)
    agent.store.save(job)


def follow(agent: Agent, job_id: str = "one", headers: str = "", method: str = "GET") -> Connection:
    """Follow a job."""
    connection = agent.connect()
    start = f"{method} /jobs/{job_id}/events HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
    connection.send(start.encode())
    return connection


def pulse(agent: Agent, run: Running | None) -> RunMonitor:
    """Return the pulse of an agent that is running `run`, begun."""
    pulse = RunMonitor(agent.clock, lambda: NOW, lambda: run, agent.bus)  # type: ignore[arg-type, return-value]
    pulse.start()
    return pulse


def some(*durations: int) -> list[Record]:
    """Return results that took so many nanoseconds."""
    return parse(b"".join(RESULT % duration for duration in durations)).results


def parsed(body: bytes) -> list[tuple[str, str | None, Any]]:
    """Return the kind, id and data of every event, as a browser takes them apart."""
    found = []
    for block in body.decode().removesuffix("\n\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line != ":")
        if "data" in fields:
            found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    return found


def states(connection: Connection) -> list[str]:
    """Return the states that were told."""
    events = parsed(connection.chunks()[0])
    assert all(data["state"] == number for kind, number, data in events if kind == "state")
    return [data["state"] for kind, _, data in events if kind == "state"]


def test_every_state(agent: Agent) -> None:
    """The present state comes at once and so does each other; the last one ends the stream."""
    job = queued(agent)
    connection = follow(agent)
    assert states(connection) == ["queued"]
    become(agent, job, State.STARTING)
    become(agent, job, State.RUNNING)
    agent.bus.publish_state(job)  # it is saved for other reasons too
    assert states(connection) == ["queued", "starting", "running"]
    assert connection.chunks()[1] is False
    become(agent, job, State.FINISHED)
    assert states(connection) == ["queued", "starting", "running", "finished"]
    assert connection.chunks()[1] is True
    assert len(agent.bus) == 0


def test_the_headers(agent: Agent) -> None:
    """A browser takes it for events, and nothing on the way keeps or holds it back."""
    queued(agent)
    connection = follow(agent)
    head = connection.received.partition(b"\r\n\r\n")[0].decode()
    assert "Content-Type: text/event-stream" in head
    assert "Cache-Control: no-store" in head
    assert "X-Accel-Buffering: no" in head
    assert b"retry: 1000\n\n" in connection.received


def test_a_job_that_is_over(agent: Agent) -> None:
    """Who did not see its last state is told it; who did is told to come no more."""
    job = queued(agent)
    become(agent, job, State.INTERRUPTED)
    answer = follow(agent).response()
    assert [event[1] for event in parsed(answer.body)] == ["interrupted"]
    answer = follow(agent, headers="Last-Event-ID: running\r\n").response()
    assert [event[1] for event in parsed(answer.body)] == ["interrupted"]
    answer = follow(agent, headers="Last-Event-ID: interrupted\r\n").response()
    assert (answer.status, answer.body) == (204, b"")


def test_who_comes_again_while_it_runs(agent: Agent) -> None:
    """The state comes again: it may not be what it was."""
    become(agent, queued(agent), State.RUNNING)
    assert states(follow(agent, headers="Last-Event-ID: running\r\n")) == ["running"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_such_job(agent: Agent, method: str) -> None:
    """There is nothing to follow."""
    connection = follow(agent, "two", method=method)
    assert connection.response(bodies=method == "GET").status == 404


def test_head(agent: Agent) -> None:
    """HEAD follows nothing."""
    queued(agent)
    assert follow(agent, method="HEAD").response(bodies=False).status == 200
    assert len(agent.bus) == 0


def test_progress(agent: Agent) -> None:
    """Each second has its rates and latency; the whole run's latency and errors stand beside."""
    job = queued(agent)
    become(agent, job, State.RUNNING)
    run = Running(job)
    beat = pulse(agent, run)
    connection = follow(agent)
    job.calls.started, job.calls.ok, job.calls.failed = 12, 4, 2
    job.lines.read = 5
    run.statistics.add(some(1_000_000_000, 3_000_000_000))
    run.statistics.add(parse(RESULT.replace(b"200", b"500") % 2_000_000_000).results)
    agent.clock.advance(BEAT_SECONDS)
    job.calls.ok = 5
    agent.clock.advance(BEAT_SECONDS)
    first, second = [data for kind, _, data in parsed(connection.chunks()[0]) if kind == "progress"]
    beat.stop()
    assert first["time"] == "2026-01-02T03:04:05.600000Z"
    assert (first["calls_per_second"], second["calls_per_second"]) == (6, 1)
    assert (first["results_per_second"], second["results_per_second"]) == (3, 0)
    assert (first["errors_per_second"], second["errors_per_second"]) == (1, 0)
    assert (first["errors"], second["errors"]) == (1, 1)
    assert (first["in_flight"], second["in_flight"]) == (6, 5)
    assert first["pending"] == 5
    assert first["latency"] == first["latency_total"] == second["latency_total"]
    assert first["latency"]["max"] == 3
    assert first["latency"]["p50"] == pytest.approx(2, rel=0.001)
    assert second["latency"] == {"p50": None, "p95": None, "p99": None, "max": None}


def test_times_go_on_when_the_clock_is_set(agent: Agent) -> None:
    """A job's seconds follow each other, forwards, and the next job's begin with the new time."""
    job, other = queued(agent), queued(agent, "two")
    become(agent, job, State.RUNNING)
    times, run = [NOW], [Running(job)]
    beat = RunMonitor(agent.clock, lambda: times[-1], lambda: run[-1], agent.bus)  # type: ignore[arg-type, return-value]
    beat.start()
    connections = [follow(agent), follow(agent, "two")]
    for hours in (0, 2, -2):
        times.append(NOW + timedelta(hours=hours))
        agent.clock.advance(BEAT_SECONDS)
    run.append(Running(other))
    agent.clock.advance(BEAT_SECONDS)
    beat.stop()
    told = [
        data["time"]
        for connection in connections
        for kind, _, data in parsed(connection.chunks()[0])
        if kind == "progress"
    ]
    assert told == [
        "2026-01-02T03:04:05.600000Z",
        "2026-01-02T03:04:06.600000Z",
        "2026-01-02T03:04:07.600000Z",
        "2026-01-02T01:04:05.600000Z",
    ]


def test_progress_is_of_the_job_that_runs(agent: Agent) -> None:
    """Who follows another one is only told its state."""
    become(agent, queued(agent), State.RUNNING)
    other = queued(agent, "two")
    connection = follow(agent, "two")
    beat = pulse(agent, Running(agent.store.get("one") or other))
    agent.clock.advance(BEAT_SECONDS)
    assert [kind for kind, _, _ in parsed(connection.chunks()[0])] == ["state"]
    beat.stop()


def test_a_beat_that_comes_late(agent: Agent) -> None:
    """Rates are by the time that really passed."""
    job = queued(agent)
    become(agent, job, State.RUNNING)
    run = Running(job)
    beat = pulse(agent, run)
    connection = follow(agent)
    run.statistics.add(some(*range(1, 7)))
    agent.clock.advance(3 * BEAT_SECONDS)
    (event,) = [data for kind, _, data in parsed(connection.chunks()[0]) if kind == "progress"]
    assert event["results_per_second"] == 2
    beat.stop()


def test_a_job_that_is_over_has_no_progress(agent: Agent) -> None:
    """Its statistics are another thread's by then, and are left alone."""
    job = queued(agent)
    become(agent, job, State.FINISHED)
    run = Running(job)
    run.statistics.add(some(1))
    beat = pulse(agent, run)
    agent.clock.advance(BEAT_SECONDS)
    assert run.statistics.progress().last_second is None
    beat.stop()


def test_keepalive(agent: Agent) -> None:
    """A quiet stream carries a comment every 15 s, and is never cut for its silence."""
    queued(agent)
    connection = follow(agent)
    before = connection.chunks()[0]
    beat = pulse(agent, None)
    agent.clock.pump([BEAT_SECONDS] * BEATS_PER_KEEPALIVE * 8)
    assert connection.chunks() == (before + b":\n\n" * 8, False)
    assert not connection.closed
    beat.stop()


def test_many_followers(agent: Agent) -> None:
    """All are told the same, made once."""
    job = queued(agent)
    connections = [follow(agent) for _ in range(50)]
    assert len(agent.bus) == 50
    become(agent, job, State.RUNNING)
    become(agent, job, State.CANCELLED)
    bodies = {connection.chunks() for connection in connections}
    assert len(bodies) == 1
    assert states(connections[0]) == ["queued", "running", "cancelled"]


def test_a_client_that_goes_away(agent: Agent) -> None:
    """Nothing is kept for it, and the others are told on."""
    job = queued(agent)
    gone, stays = follow(agent), follow(agent)
    gone.lose()
    assert len(agent.bus) == 1
    become(agent, job, State.RUNNING)
    assert states(stays) == ["queued", "running"]
    assert states(gone) == ["queued"]


def test_a_client_that_is_behind(agent: Agent) -> None:
    """It misses progress, gets states, and goes on when it has caught up."""
    job = queued(agent)
    become(agent, job, State.RUNNING)
    beat = pulse(agent, Running(job))
    connection = follow(agent)
    connection.stall()
    agent.clock.advance(BEAT_SECONDS)
    become(agent, job, State.STOPPING)
    assert [kind for kind, _, _ in parsed(connection.chunks()[0])] == ["state", "state"]
    connection.resume()
    agent.clock.advance(BEAT_SECONDS)
    assert [kind for kind, _, _ in parsed(connection.chunks()[0])][2:] == ["progress"]
    agent.clock.advance(STALL_SECONDS)
    assert not connection.aborted
    beat.stop()


def test_a_client_that_reads_nothing(agent: Agent) -> None:
    """It is dropped after 10 s."""
    queued(agent)
    connection = follow(agent)
    connection.stall()
    agent.clock.advance(STALL_SECONDS - 0.1)
    assert not connection.aborted
    agent.clock.advance(0.1)
    assert connection.aborted
    connection.lose()
    assert len(agent.bus) == 0
    assert agent.clock.getDelayedCalls() == []


def test_the_end_reaches_who_is_behind(agent: Agent) -> None:
    """The last state is written behind what waits, and nothing is left."""
    job = queued(agent)
    connection = follow(agent)
    connection.stall()
    become(agent, job, State.CANCELLED)
    assert states(connection) == ["queued", "cancelled"]
    assert connection.chunks()[1] is True
    agent.clock.advance(STALL_SECONDS)
    assert not connection.aborted


def test_a_slow_client_that_catches_up_is_served_on(agent: Agent) -> None:
    """However often it was behind, what it reads ends the one time that it had."""
    job = queued(agent)
    connection = follow(agent)
    connection.stall()
    agent.clock.advance(STALL_SECONDS - 1)
    become(agent, job, State.RUNNING)
    connection.stall()  # by the state, written while it was behind
    connection.resume()
    agent.clock.advance(2 * STALL_SECONDS)
    assert not connection.aborted
    assert states(connection) == ["queued", "running"]
    connection.lose()
    assert agent.clock.getDelayedCalls() == []


def test_a_client_that_takes_something_is_not_dropped(agent: Agent) -> None:
    """A byte in each ten seconds is progress; a state written meanwhile is none of the client's."""
    job = queued(agent)
    connection = follow(agent)
    connection.transport.unsent = 70000
    connection.stall()
    for _ in range(100):
        connection.transport.unsent -= 1
        agent.clock.advance(STALL_SECONDS)
    assert not connection.aborted
    become(agent, job, State.RUNNING)
    connection.transport.unsent += 500
    agent.clock.advance(STALL_SECONDS)
    assert connection.aborted
    connection.lose()


def test_an_error_in_one_stream_is_its_own(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, logged_errors: Any
) -> None:
    """A stream that cannot be written is dropped; the job and the other followers go on."""
    job = queued(agent)
    first, second = follow(agent), follow(agent)
    stream = agent.bus._subscribers[job.id].members[0]
    monkeypatch.setattr(stream, "write", lambda data: 1 / 0)
    become(agent, job, State.RUNNING)
    become(agent, job, State.CANCELLED)
    assert (first.aborted, second.aborted) == (True, False)
    assert states(second) == ["queued", "running", "cancelled"]
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    first.lose()
    second.lose()
