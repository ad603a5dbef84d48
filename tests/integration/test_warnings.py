"""A job's warnings about output that its author did not intend."""

from __future__ import annotations

from peers.agent import Agent
from peers.programs import ACCEPT, Builder

SERVE = """
import datetime, io, json
from goloagent import sdk

def line(timestamp):
    return json.dumps({"url": "http://x/", "status": 200, "timestamp": timestamp, "duration": 1})

"""
WITH_ZONE = "datetime.datetime.now(datetime.timezone.utc).isoformat()"


async def test_print_needs_no_flush(agent: Agent, script: Builder) -> None:
    """Output of a load test in Python arrives at once, also if it is killed by SIGTERM."""
    text = (
        f"{SERVE}def run():\n    time.sleep(0.02)\n"
        f"    print(line({WITH_ZONE}) + '\\n', end='')\n\nsdk.serve(run)\n"
    )
    job = await agent.settled(await agent.queue("prints", script(text), duration=1, users=2))
    assert job["results"]["valid"] == job["calls"]["ok"] > 0, job
    assert job["warnings"] == []


async def test_a_warning_of_unflushed_output(agent: Agent, script: Builder) -> None:
    """A load test that buffers its output loses results at SIGTERM, and the job warns."""
    text = f"""{SERVE}
from goloagent.netrpc import Server
out = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False), 1 << 20))
{ACCEPT}
server = Server()
while data := connection.recv(65536):
    for call in server.receive(data):
        time.sleep(0.02)
        out.write(line({WITH_ZONE}) + "\\n")
        connection.sendall(server.reply(call))
time.sleep(60)
"""
    job_id = await agent.queue("buffers", script(text), duration=2, users=2)
    job = await agent.settled(job_id)
    assert (job["state"], job["results"]["read"] < job["calls"]["ok"]) == ("finished", True), job
    [warning] = [w for w in job["warnings"] if "flush" in w]
    assert f"job {job_id}: {warning}" in agent.log


async def test_a_timestamp_without_a_zone(agent: Agent, script: Builder) -> None:
    """The job, its warnings and the log name the first invalid line and the reason."""
    text = (
        f"{SERVE}def run():\n    time.sleep(0.02)\n"
        "    print(line(datetime.datetime.now().isoformat()))\n\nsdk.serve(run)\n"
    )
    job_id = await agent.queue("naive", script(text), duration=1, users=2)
    job = await agent.settled(job_id)
    assert job["results"]["invalid"] == job["results"]["read"] > 0
    line = job["invalid_line"]
    assert line["number"] == 1
    assert "has no time zone" in line["reason"]
    assert line["text"].startswith('{"url"')
    assert any("has no time zone" in warning for warning in job["warnings"]), job
    assert "has no time zone" in agent.log
    assert await agent.stop() == 0
    await agent.start()
    again = await agent.job(job_id)
    assert (again["invalid_line"], again["warnings"]) == (line, job["warnings"])
