"""Load tests in any language run for their duration and get SIGTERM at its end."""

from __future__ import annotations

import re
from pathlib import Path

from peers.agent import Agent
from peers.collector import Collector
from peers.programs import Builder

SECONDS = 3

# Prints 100 results and notes its signals like tests/loadtests/counter.
PYTHON = """
from goloagent.netrpc import Server

RESULT = '{"sequenceID": "%d", "status": 200, "timestamp": "2024-02-29T12:00:00Z"}'
begin = time.monotonic()

def note(number, frame):
    seconds = time.monotonic() - begin
    print(f"signal {number} after {seconds:.3f} s", file=sys.stderr, flush=True)
    if number == signal.SIGTERM:
        os._exit(0)

for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
    signal.signal(number, note)

host, port = os.environ["GOLO_RPC_ADDR"].rsplit(":", 1)
connection, _ = socket.create_server((host, int(port))).accept()
begin, server, printed = time.monotonic(), Server(), 0
while data := connection.recv(65536):
    for call in server.receive(data):
        if printed < 100:
            printed += 1
            print(RESULT % printed, flush=True)
        connection.sendall(server.reply(call))
while True:
    signal.pause()
"""


async def check_run(agent: Agent, collector: Collector, loadtest: Path) -> None:
    """Run a load test of 100 results; its only signal is SIGTERM at the end."""
    job_id = await agent.queue("language", loadtest, duration=SECONDS)
    job = await agent.settled(job_id)
    assert job["state"] == "finished", job
    assert job["results"]["delivered"] == len(collector.results("language")) == 100
    noted = agent.run_log(job_id, "language", "err.log").read_text()
    signals = re.findall(r"^signal (\d+) after ([\d.]+) s$", noted, re.MULTILINE)
    assert [number for number, _ in signals] == ["15"], noted
    assert float(signals[0][1]) >= SECONDS


async def test_go(agent: Agent, collector: Collector, go_loadtest: Builder) -> None:
    """A Go program."""
    await check_run(agent, collector, go_loadtest("counter", count=100))


async def test_python(agent: Agent, collector: Collector, script: Builder) -> None:
    """A Python script with this project's net/rpc server."""
    await check_run(agent, collector, script(PYTHON))


async def test_started_by_a_shell(
    agent: Agent, collector: Collector, go_loadtest: Builder, script: Builder
) -> None:
    """A shell script that starts the load test as a child and waits for it."""
    child = go_loadtest("counter", count=100)
    wrapper = script(f"'{child}'\necho \"it ended with $?\" >&2\n", "/bin/sh")
    await check_run(agent, collector, wrapper)
