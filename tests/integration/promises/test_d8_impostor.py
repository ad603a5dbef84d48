"""D8: a load test that listens where the collector should is sent no results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_twisted
from peers.agent import Agent
from peers.collector import Collector
from twisted.internet import reactor, task

import goloagent
from goloagent.sandbox.isolation import IsolationBackend

REASON = "a process of the load test listens there"
CHECKOUT = str(Path(goloagent.__file__).parents[1])

# Prints one result; then, as the other job, takes the collector's place at every address it can.
VICTIM = f"""
import os, sys, time
sys.path.insert(0, {CHECKOUT!r})
from goloagent.sdk import report, serve

def run():
    time.sleep(0.1)
    report(method="GET", url="http://x/", status=200, duration_seconds=0.1)

serve(run)
"""
IMPOSTOR = f"""
import os, socket, sys, threading, time
sys.path.insert(0, {CHECKOUT!r})
from goloagent.sdk import serve

def take(listener):
    while True:
        connection, _ = listener.accept()
        os.write(2, b"accepted\\n")
        try:
            if connection.recv(65536):
                os.write(2, b"heard\\n")
                connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
        except ConnectionError:
            pass

{{daemon}}
for host in ("::1", "127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, {{port}}), family=family)
    except OSError:
        continue
    threading.Thread(target=take, args=(listener,), daemon=True).start()
{{rest}}
"""
ITSELF = {"daemon": "", "rest": "serve(lambda: time.sleep(0.1))"}
# A daemon takes the place, in a session of its own, while its parent serves RPC.
DAEMON = {
    "daemon": "if os.fork():\n    serve(lambda: time.sleep(0.1))\n    os._exit(0)\nos.setsid()\n"
    "if os.fork():\n    os._exit(0)\n",
    "rest": "time.sleep(3600)",
}


async def impostor_is_refused(
    agent: Agent, collector: Collector, script: Callable[..., Path], shape: dict[str, str]
) -> None:
    """Leave results pending, have a load test take the collector's place, and give it back."""
    await collector.close()
    victim = await agent.queue("victim", script(VICTIM), duration=1, users=2)
    job = await agent.ended(victim)
    pending = job["results"]["pending"]
    assert pending > 0
    text = IMPOSTOR.format(port=collector.port, **shape)
    thief = await agent.queue("thief", script(text), duration=6, users=1)
    heard = agent.run_log(thief, "thief", "err.log")
    await agent.reached(thief, "running")
    while (await agent.job(victim))["delivery"]["last_error"] != REASON:
        await task.deferLater(reactor, 0.05)
    await agent.ended(thief)
    victim_now = await agent.job(victim)
    print(
        f"D8: {pending} results pending beside an impostor; it heard: {heard.read_text().split()}"
    )
    assert victim_now["results"]["pending"] == pending
    assert "heard" not in heard.read_text()
    assert "accepted" in heard.read_text()
    collector.open()
    await agent.settled(victim)
    assert len(collector.results("victim")) == pending


@pytest.mark.parametrize("shape", [ITSELF, DAEMON], ids=["itself", "daemon"])
@pytest_twisted.ensureDeferred
async def test_d8_the_collector_is_down(
    idle_agent: Agent,
    collector: Collector,
    script: Callable[..., Path],
    containment: IsolationBackend,
    shape: dict[str, str],
) -> None:
    """A load test that has the collector's port is connected to, and sent nothing."""
    idle_agent.options["--containment"] = containment.name
    await idle_agent.start()
    await impostor_is_refused(idle_agent, collector, script, shape)


@pytest_twisted.ensureDeferred
async def test_d8_another_address_of_the_name(
    idle_agent: Agent, collector: Collector, script: Callable[..., Path]
) -> None:
    """A load test at one address of localhost does not keep results from the real one."""
    url = f"http://localhost:{collector.port}"
    idle_agent.options["--collector"] = url
    await idle_agent.start()
    text = IMPOSTOR.format(port=collector.port, **ITSELF)
    # Its own results are printed beside the impostor, and delivered past it.
    text = text.replace("serve(lambda: time.sleep(0.1))", VICTIM.partition("\n\n")[2])
    text = text.replace("import serve", "import report, serve")
    job_id = await idle_agent.queue("both", script(text), duration=2, users=2)
    job = await idle_agent.settled(job_id)
    assert job["results"]["delivered"] == len(collector.results("both")) > 0
    heard = idle_agent.run_log(job_id, "both", "err.log")
    assert "heard" not in heard.read_text()
