"""``golo collect``: each result of old and new agents, once, in every output."""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import pytest_twisted
from peers.agent import Agent
from peers.collect import Collect, eventually, numbers
from peers.http_backend import HttpBackend
from peers.notes import Notes
from peers.postgresql import postgresql
from twisted.internet import reactor, task

JOB = "0b1e5b84-6f4e-4b6e-9d2c-0a7b6d1f2e3c"
# As the agent of 2018 sent it: Go's encoder, and no key.
BODY_OF_2018 = (
    b'[{"timestamp":"2018-03-02T10:11:12.131415161Z","duration":12345678,"method":"GET",'
    b'"url":"http://shop.example/","status":200,"size":512,"error":null,"sequenceID":"1"},'
    b'{"timestamp":"2018-03-02T10:11:12.231415161+01:00","duration":2345678,"method":"GET",'
    b'"url":"http://shop.example/","status":500,"size":0,"error":"boom","sequenceID":"2"}]'
)


@pytest_twisted.async_yield_fixture
async def collect(tmp_path: Path) -> AsyncIterator[Collect]:
    """Start a collector with an output to ``out.jsonl``."""
    collect = Collect(tmp_path, f"archive=jsonl:{tmp_path}/out.jsonl")
    await collect.start()
    yield collect
    await collect.end("KILL")


def body(*sequence: int) -> bytes:
    """Return the body of a push with these results."""
    return json.dumps(
        [{"timestamp": "2026-01-02T03:04:05Z", "sequenceID": str(number)} for number in sequence]
    ).encode()


def key(first: int, last: int, job: str = JOB) -> str:
    """Return the key of an agent's push: a range of bytes in the log of a job."""
    return f"{job}/{first}-{last}"


async def test_the_agent_of_2018(collect: Collect, tmp_path: Path) -> None:
    """Its pushes have no key: they are stored as they come, as one job of the peer."""
    assert await collect.push("shop", BODY_OF_2018) == (200, "")
    assert await collect.push("shop", BODY_OF_2018) == (200, "")
    await eventually(lambda: numbers(tmp_path / "out.jsonl"), [1, 1, 2, 2])
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert [line["result"] for line in lines] == json.loads(BODY_OF_2018) * 2
    assert [line["ordinal"] for line in lines] == [0, 1, 2, 3]
    assert {line["name"] for line in lines} == {"shop"}
    assert {line["agent"] for line in lines} == {"127.0.0.1"}
    assert len({line["job"] for line in lines}) == 1


async def test_repeats_are_recognised_after_a_kill(collect: Collect, tmp_path: Path) -> None:
    """A key that was stored is never stored again; a partial repeat must be divided."""
    other = "an-id-of-another-tool"
    assert await collect.push("shop", body(1, 2), key(0, 99)) == (200, "")
    assert await collect.push("shop", body(3), other) == (200, "")
    for _ in range(2):
        assert await collect.push("shop", body(1, 2), key(0, 99)) == (200, "")
        assert await collect.push("shop", body(1), key(0, 49)) == (200, "")
        assert await collect.push("shop", body(3), other) == (200, "")
        status, text = await collect.push("shop", body(2, 4), key(50, 149))
        assert status == 422
        assert "up to byte 100" in text
        await collect.end("KILL")
        await collect.start()
    assert await collect.push("shop", body(4), key(100, 149)) == (200, "")
    await eventually(lambda: numbers(tmp_path / "out.jsonl"), [1, 2, 3, 4])
    runs = {
        (line["run"], line["ordinal"])
        for line in map(json.loads, (tmp_path / "out.jsonl").read_bytes().splitlines())
    }
    assert {run for run, _ in runs} >= {JOB}


async def test_a_state_that_is_lost(tmp_path: Path) -> None:
    """Outputs that store each result once take later results for no repeat of the earlier ones."""
    with postgresql() as server:
        outputs = (
            f"all=jsonl:{tmp_path}/all.jsonl",
            f"rows=parquet:{tmp_path}/rows",
            f"database={server.url}",
        )
        for numbers_of_part, first in (((1, 2, 3), 0), ((4, 5, 6), 200)):
            collect = Collect(tmp_path, *outputs)
            await collect.start()
            pushed = body(*numbers_of_part)
            assert (await collect.push("shop", pushed, key(first, first + 199)))[0] == 200
            assert await collect.end() == 0
            shutil.rmtree(collect.state)
        found = server.query("SELECT sequence_id FROM golo_results ORDER BY 1")
    assert [int(number) for (number,) in found] == [1, 2, 3, 4, 5, 6]
    assert numbers(tmp_path / "all.jsonl") == [1, 2, 3, 4, 5, 6]
    rows = pq.read_table(tmp_path / "rows")["sequence_id"].to_pylist()
    assert sorted(map(int, rows)) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("lost", [".", "out.log", "pushes.jsonl"])
async def test_files_that_are_lost(collect: Collect, tmp_path: Path, lost: str) -> None:
    """After a kill they prevent no start, and take no result that is still there."""
    assert (await collect.push("shop", body(1)))[0] == 200
    await eventually(lambda: numbers(tmp_path / "out.jsonl"), [1])
    await collect.end("KILL")
    (log,) = (collect.state / "runs/shop").glob("*/out.log")
    shutil.rmtree(log.parent) if lost == "." else (log.parent / lost).unlink()
    await collect.start()
    assert (await collect.push("shop", body(2)))[0] == 200
    await eventually(lambda: numbers(tmp_path / "out.jsonl"), [1, 2])
    assert b"may have results that are sent again: [Errno 2] No such file" in collect.log
    assert lost != "pushes.jsonl" or log.read_bytes().count(b"\n") == 1


async def test_bodies_that_are_refused(collect: Collect, tmp_path: Path) -> None:
    """One item that is no result refuses the request, of which nothing is stored."""
    good = body(1)
    for wrong, status, words in (
        (b"{", 400, "not a JSON array"),
        (b'{"timestamp":"2026-01-02T03:04:05Z"}', 400, "not a JSON array"),
        (good[:-1], 400, "not a JSON array"),
        (good[:-1] + b',{"timestamp":"yesterday"}]', 400, "item 2 of 2 is no result"),
        (b"[null]", 400, "item 1 of 1 is no result"),
        (b"\xff" + good, 400, "not a JSON array"),
        (b"[" * 100_000, 400, "not a JSON array"),
        (b" " * (5 << 20), 413, ""),
    ):
        found, text = await collect.push("shop", wrong, key(0, 9))
        assert (found, words in text) == (status, True), (wrong[:60], found, text)
    for name in ("Idempotency-Key", "traceparent", "Content-Encoding", "Content-Type"):
        found, text = await collect.push("shop", b"[]", **{name: b"\xff\xfe"})
        assert found in (200, 415), (name, found, text)
    headers = {"Content-Type": "text/plain"}
    assert (await collect.push("shop", good, **headers))[0] == 415
    assert (await collect.push("..%2fetc", good))[0] == 404
    assert (await collect.push("shop", b"[]"))[0] == 200
    spaced = good.replace(b",", b",\n\r\t")
    compressed = gzip.compress(spaced)
    assert await collect.push("shop", compressed, **{"Content-Encoding": "gzip"}) == (200, "")
    await eventually(lambda: numbers(tmp_path / "out.jsonl"), [1])


async def test_a_job_can_be_ended_and_is_accounted_for(collect: Collect) -> None:
    """The jobs of a collector have the resource and the account of an agent's jobs."""
    await collect.push("shop", body(1, 2, 3), key(0, 99))
    job = await collect.get(f"/jobs/{JOB}")
    assert (job["state"], job["results"]["valid"]) == ("running", 3)
    assert await collect.delete(f"/jobs/{JOB}") in (200, 202)
    for _ in range(300):
        job = await collect.get(f"/jobs/{JOB}")
        if job["outputs"]["archive"]["complete"]:
            break
        await task.deferLater(reactor, 0.1)
    assert job["state"] == "finished"
    assert job["outputs"]["archive"]["delivered"] == 3
    # The same job of the agent goes on: another job of the same run.
    assert await collect.push("shop", body(3), key(0, 99)) == (200, "")
    assert await collect.push("shop", body(4), key(100, 149)) == (200, "")
    jobs = (await collect.get("/jobs"))["jobs"]
    assert [one["results"]["valid"] for one in jobs] == [1, 3]


async def test_agents_through_kills_of_both_sides(
    idle_agent: Agent, collect: Collect, numbered: Notes, tmp_path: Path
) -> None:
    """Each result of an agent is in the file once, although both are killed while it runs."""
    idle_agent.options["--collector"] = "none"
    idle_agent.more = ("--output", f"main=collector+{collect.url}")
    await idle_agent.start()
    job_id = await idle_agent.queue("shop", numbered.script(count=-1, rate=2_000), duration=600)
    generator = random.Random(3)
    out = tmp_path / "out.jsonl"
    for _ in range(3):
        before = len(numbers(out))
        await eventually(lambda before=before: len(numbers(out)) > before, True)
        await task.deferLater(reactor, generator.random() / 2)
        await collect.end("KILL")
        await collect.start()
    await idle_agent.kill()
    await idle_agent.start()
    lines = idle_agent.run_log(job_id, "shop").read_bytes().split(b"\n")
    printed = sorted(int(json.loads(line)["sequenceID"]) for line in lines if line[-1:] == b"}")
    assert len(printed) > 1_000
    await eventually(lambda: numbers(out), printed)


async def test_a_stopped_output_delays_no_other(tmp_path: Path) -> None:
    """PostgreSQL gets each result once, also those that arrive while it is stopped."""
    with postgresql() as server:
        collect = Collect(tmp_path, f"archive=jsonl:{tmp_path}/out.jsonl", f"sql={server.url}")
        await collect.start()
        try:
            assert await collect.push("shop", body(1), key(0, 9)) == (200, "")
            server.stop("immediate")
            for number in range(2, 50):
                push = await collect.push("shop", body(number), key(10 * number, 10 * number + 9))
                assert push == (200, "")
            await eventually(lambda: numbers(tmp_path / "out.jsonl"), list(range(1, 50)))
            await collect.end("KILL")
            await collect.start()
            server.start()

            def stored() -> list[int]:
                try:
                    rows = server.query("SELECT sequence_id FROM golo_results")
                except Exception:  # it is starting
                    return []
                return sorted(int(number) for (number,) in rows)

            await eventually(stored, list(range(1, 50)))
            assert numbers(tmp_path / "out.jsonl") == list(range(1, 50))
        finally:
            await collect.end("KILL")


async def test_an_agent_that_has_lost_its_state(
    idle_agent: Agent, collect: Collect, numbered: Notes, tmp_path: Path
) -> None:
    """It sends all results of its logs again, in other ranges, and none is stored twice."""
    idle_agent.options["--collector"] = "none"
    idle_agent.more = ("--output", f"main=collector+{collect.url}")
    await idle_agent.start()
    job_id = await idle_agent.queue("shop", numbered.script(count=20_000), duration=1)
    await idle_agent.ended(job_id)
    wanted = list(range(1, 20_001))
    await eventually(lambda: numbers(tmp_path / "out.jsonl"), wanted)
    await idle_agent.stop()
    for path in idle_agent.state.glob("golo-agent.sqlite*"):
        path.unlink()
    (idle_agent.run_log(job_id, "shop").parent / "account.json").unlink(missing_ok=True)
    await idle_agent.start()
    for _ in range(600):
        output = (await idle_agent.job(job_id))["outputs"]["main"]
        if output["complete"]:
            break
        await task.deferLater(reactor, 0.1)
    assert (output["delivered"], output["rejected"]) == (20_000, 0)
    assert numbers(tmp_path / "out.jsonl") == wanted


async def test_outputs_of_metrics_get_seconds(tmp_path: Path) -> None:
    """When a job is over, its results are seconds for an output of metrics."""
    backend = HttpBackend()
    collect = Collect(tmp_path, f"seconds=influx+{backend.url}?database=golo&unit=second")
    await collect.start()
    try:
        assert await collect.push("shop", body(*range(1, 11)), key(0, 99)) == (200, "")
        await collect.delete(f"/jobs/{JOB}")

        def sums() -> int:
            lines = b"".join(request.body for request in backend.requests).decode().splitlines()
            assert all(
                line.startswith(f"golo_seconds,agent=127.0.0.1,job={JOB},") for line in lines
            )
            return sum(
                int(count) for line in lines for count in re.findall(r",results=(\d+)i", line)
            )

        await eventually(sums, 10)
    finally:
        await collect.end("KILL")
        await backend.close()
