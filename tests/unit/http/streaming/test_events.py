"""The events of a job: changes of state at once, and progress while it runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from unit.http.in_memory import NOW, Agent, Connection

from goloagent.core.job_spec import JobSpec
from goloagent.http.streaming.event_bus import KEEPALIVE_SECONDS
from goloagent.http.streaming.events import STALL_SECONDS
from goloagent.jobs.job import Job, State

RESULT = b'{"timestamp":"2026-01-02T03:04:05Z","status":200,"duration":%d}\n'


def queued(agent: Agent, job_id: str = "one") -> Job:
    """Add a job to the store."""
    job = Job(job_id, JobSpec("shop", 1, 1, "b"), NOW)
    agent.store.add(job)
    return job


def set_state(agent: Agent, job: Job, state: State) -> None:
    """Change the state of a job, as the agent does."""
    job.state = state
    agent.bus.publish_state(job)
    agent.store.save(job)


def follow(
    agent: Agent, job_id: str = "one", headers: str = "", method: str = "GET", query: str = ""
) -> Connection:
    """Follow a job."""
    connection = agent.connect()
    start = f"{method} /jobs/{job_id}/events{query} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
    connection.send(start.encode())
    return connection


def parsed(body: bytes) -> list[tuple[str, str | None, Any]]:
    """Return the kind, id and data of all events, as a browser parses them."""
    found = []
    for block in body.decode().removesuffix("\n\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line != ":")
        if "data" in fields:
            found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    return found


def states(connection: Connection) -> list[str]:
    """Return the received states."""
    events = parsed(connection.chunks()[0])
    assert all(data["state"] == number for kind, number, data in events if kind == "state")
    return [data["state"] for kind, _, data in events if kind == "state"]


def test_every_state(agent: Agent) -> None:
    """The present state and each change are sent at once; the last one ends the stream."""
    job = queued(agent)
    connection = follow(agent)
    assert states(connection) == ["queued"]
    set_state(agent, job, State.STARTING)
    set_state(agent, job, State.RUNNING)
    agent.bus.publish_state(job)  # it is saved for other reasons too
    assert states(connection) == ["queued", "starting", "running"]
    assert connection.chunks()[1] is False
    set_state(agent, job, State.FINISHED)
    assert states(connection) == ["queued", "starting", "running", "finished"]
    assert connection.chunks()[1] is True
    assert len(agent.bus) == 0


def test_the_headers(agent: Agent) -> None:
    """Browsers recognize events, and proxies neither cache nor buffer them."""
    queued(agent)
    connection = follow(agent)
    head = connection.received.partition(b"\r\n\r\n")[0].decode()
    assert "Content-Type: text/event-stream" in head
    assert "Cache-Control: no-store" in head
    assert "X-Accel-Buffering: no" in head
    assert b"retry: 1000\n\n" in connection.received


def test_a_finished_job(agent: Agent) -> None:
    """A client gets the last state once, then 204."""
    job = queued(agent)
    set_state(agent, job, State.INTERRUPTED)
    response = follow(agent).response()
    assert [event[1] for event in parsed(response.body)] == ["interrupted"]
    response = follow(agent, headers="Last-Event-ID: running\r\n").response()
    assert [event[1] for event in parsed(response.body)] == ["interrupted"]
    response = follow(agent, headers="Last-Event-ID: interrupted\r\n").response()
    assert (response.status, response.body) == (204, b"")


def test_a_client_that_reconnects(agent: Agent) -> None:
    """It gets the present state again."""
    set_state(agent, queued(agent), State.RUNNING)
    assert states(follow(agent, headers="Last-Event-ID: running\r\n")) == ["running"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_unknown_job(agent: Agent, method: str) -> None:
    """It is 404."""
    connection = follow(agent, "two", method=method)
    assert connection.response(bodies=method == "GET").status == 404


def test_head(agent: Agent) -> None:
    """HEAD follows no job."""
    queued(agent)
    assert follow(agent, method="HEAD").response(bodies=False).status == 200
    assert len(agent.bus) == 0


def test_progress_is_of_one_job(agent: Agent) -> None:
    """A subscriber of another job does not get it."""
    job, other = queued(agent), queued(agent, "two")
    connection = follow(agent, "two")
    agent.bus.publish_progress(job, {"at": 1}, dict)
    assert [kind for kind, _, _ in parsed(connection.chunks()[0])] == ["state"]
    agent.bus.publish_progress(other, {"at": 1}, dict)
    assert [kind for kind, _, _ in parsed(connection.chunks()[0])] == ["state", "progress"]


def test_progress_with_histograms(agent: Agent) -> None:
    """Those who want them get them, and they are made only then, once."""
    job, made = queued(agent), []

    def detailed() -> dict[str, int]:
        made.append(1)
        return {"at": 1, "histogram": 2}

    plain = follow(agent)
    agent.bus.publish_progress(job, {"at": 1}, detailed)
    assert made == []
    first, second = (follow(agent, query="?histograms=hdr") for _ in range(2))
    agent.bus.publish_progress(job, {"at": 1}, detailed)
    assert made == [1]
    last = [parsed(one.chunks()[0])[-1][2] for one in (plain, first, second)]
    assert last == [{"at": 1}, {"at": 1, "histogram": 2}, {"at": 1, "histogram": 2}]
    assert follow(agent, query="?histograms=all").response().status == 400


def test_keepalive(agent: Agent) -> None:
    """An idle stream has a comment every 15 s and is not aborted."""
    queued(agent)
    connection = follow(agent)
    before = connection.chunks()[0]
    for _ in range(8):
        agent.bus.keep_alive()
        agent.clock.advance(KEEPALIVE_SECONDS)
    assert connection.chunks() == (before + b":\n\n" * 8, False)
    assert not connection.closed


def test_many_subscribers(agent: Agent) -> None:
    """All get the same event, encoded once."""
    job = queued(agent)
    connections = [follow(agent) for _ in range(50)]
    assert len(agent.bus) == 50
    set_state(agent, job, State.RUNNING)
    set_state(agent, job, State.CANCELLED)
    bodies = {connection.chunks() for connection in connections}
    assert len(bodies) == 1
    assert states(connections[0]) == ["queued", "running", "cancelled"]


def test_a_client_that_disconnects(agent: Agent) -> None:
    """It is unsubscribed, and the others are not affected."""
    job = queued(agent)
    gone, stays = follow(agent), follow(agent)
    gone.lose()
    assert len(agent.bus) == 1
    set_state(agent, job, State.RUNNING)
    assert states(stays) == ["queued", "running"]
    assert states(gone) == ["queued"]


def test_a_client_that_is_behind(agent: Agent) -> None:
    """It misses progress, gets states, and continues once it has caught up."""
    job = queued(agent)
    set_state(agent, job, State.RUNNING)
    connection = follow(agent)
    connection.stall()
    agent.bus.publish_progress(job, {"at": 1}, dict)
    set_state(agent, job, State.STOPPING)
    assert [kind for kind, _, _ in parsed(connection.chunks()[0])] == ["state", "state"]
    connection.resume()
    agent.bus.publish_progress(job, {"at": 2}, dict)
    assert [kind for kind, _, _ in parsed(connection.chunks()[0])][2:] == ["progress"]
    agent.clock.advance(STALL_SECONDS)
    assert not connection.aborted


def test_an_event_for_a_client_that_is_behind(agent: Agent) -> None:
    """An event that is published once is written; other jobs' clients do not get it."""
    job = queued(agent)
    other = queued(agent, "two")
    connection = follow(agent)
    connection.stall()
    agent.bus.publish(job, "limited", {"cause": "ports"})
    agent.bus.publish(other, "limited", {"cause": "loop-lag"})
    assert parsed(connection.chunks()[0])[1:] == [("limited", None, {"cause": "ports"})]
    connection.lose()


def test_a_client_that_does_not_read(agent: Agent) -> None:
    """It is aborted after 10 s."""
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


def test_the_last_state_of_a_client_that_is_behind(agent: Agent) -> None:
    """It is written, and no timer is left."""
    job = queued(agent)
    connection = follow(agent)
    connection.stall()
    set_state(agent, job, State.CANCELLED)
    assert states(connection) == ["queued", "cancelled"]
    assert connection.chunks()[1] is True
    agent.clock.advance(STALL_SECONDS)
    assert not connection.aborted


def test_a_slow_client_that_catches_up(agent: Agent) -> None:
    """Each stall has the full time."""
    job = queued(agent)
    connection = follow(agent)
    connection.stall()
    agent.clock.advance(STALL_SECONDS - 1)
    set_state(agent, job, State.RUNNING)
    connection.stall()  # by the state, written while it was behind
    connection.resume()
    agent.clock.advance(2 * STALL_SECONDS)
    assert not connection.aborted
    assert states(connection) == ["queued", "running"]
    connection.lose()
    assert agent.clock.getDelayedCalls() == []


def test_a_client_that_reads_slowly(agent: Agent) -> None:
    """A byte in ten seconds is progress; a state written meanwhile is none."""
    job = queued(agent)
    connection = follow(agent)
    connection.transport.unsent = 70000
    connection.stall()
    for _ in range(100):
        connection.transport.unsent -= 1
        agent.clock.advance(STALL_SECONDS)
    assert not connection.aborted
    set_state(agent, job, State.RUNNING)
    connection.transport.unsent += 20_000
    agent.clock.advance(STALL_SECONDS)
    assert connection.aborted
    connection.lose()


def test_an_error_in_one_stream(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, logged_errors: Any
) -> None:
    """It is aborted; the job and other subscribers are not affected."""
    job = queued(agent)
    first, second = follow(agent), follow(agent)
    stream = agent.bus._subscribers[job.id].members[0]
    monkeypatch.setattr(stream, "write", lambda data: 1 / 0)
    set_state(agent, job, State.RUNNING)
    set_state(agent, job, State.CANCELLED)
    assert (first.aborted, second.aborted) == (True, False)
    assert states(second) == ["queued", "running", "cancelled"]
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    first.lose()
    second.lose()
