"""D8: a load test at the collector's address gets no results."""

from __future__ import annotations

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.programs import Builder
from peers.waiting import until
from twisted.internet import reactor, task

REASON = "a process of the load test listens there"

# Prints results.
REPORTING = """
from goloagent.sdk import report, serve

def run():
    time.sleep(0.1)
    report(method="GET", url="http://x/", status=200, duration_seconds=0.1)

serve(run)
"""
# Listens at the collector's port, at every address that is free.
IMPOSTOR = """
import threading
from goloagent.sdk import serve

def answer(listener):
    while True:
        connection, _ = listener.accept()
        os.write(2, b"accepted\\n")
        try:
            if connection.recv(65536):
                os.write(2, b"received\\n")
                connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
        except ConnectionError:
            pass

{daemon}
for host in ("::1", "127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, {port}), family=family)
    except OSError:
        continue
    threading.Thread(target=answer, args=(listener,), daemon=True).start()
{rest}
"""
ITSELF = {"daemon": "", "rest": "serve(lambda: time.sleep(0.1))"}
# A daemon in its own session listens, and its parent serves RPC.
DAEMON = {
    "daemon": "if os.fork():\n    serve(lambda: time.sleep(0.1))\n    os._exit(0)\nos.setsid()\n"
    "if os.fork():\n    os._exit(0)\n",
    "rest": "time.sleep(3600)",
}


@pytest.mark.parametrize("shape", [ITSELF, DAEMON], ids=["itself", "daemon"])
async def test_d8_the_collector_is_down(
    isolated_agent: Agent, collector: Collector, script: Builder, shape: dict[str, str]
) -> None:
    """The agent connects to a load test at the collector's port, and sends it nothing."""
    agent = isolated_agent
    await collector.close()
    reporting = await agent.queue("reporting", script(REPORTING), duration=1, users=2)
    pending = (await agent.ended(reporting))["results"]["pending"]
    assert pending > 0
    text = IMPOSTOR.format(port=collector.port, **shape)
    impostor = await agent.queue("impostor", script(text), duration=600, users=1)
    stderr = agent.run_log(impostor, "impostor", "err.log")
    while (await agent.job(reporting))["delivery"]["last_error"] != REASON:
        await task.deferLater(reactor, 0.05)
    await until(lambda: "accepted" in stderr.read_text())
    await agent.request("DELETE", f"/jobs/{impostor}")
    await agent.ended(impostor)
    print(f"D8: {pending} results pending next to an impostor: {stderr.read_text().split()}")
    assert (await agent.job(reporting))["results"]["pending"] == pending
    assert "received" not in stderr.read_text()
    collector.open()
    await agent.settled(reporting)
    assert len(collector.results("reporting")) == pending


async def test_d8_another_address_of_the_name(
    idle_agent: Agent, collector: Collector, script: Builder
) -> None:
    """A load test at one address of localhost does not prevent delivery to the collector."""
    idle_agent.options["--collector"] = f"http://localhost:{collector.port}"
    await idle_agent.start()
    text = IMPOSTOR.format(port=collector.port, **ITSELF)
    text = text.replace("serve(lambda: time.sleep(0.1))", REPORTING.partition("\n\n")[2])
    text = text.replace("import serve", "import report, serve")
    job_id = await idle_agent.queue("both", script(text), duration=1, users=2)
    job = await idle_agent.settled(job_id)
    assert job["results"]["delivered"] == len(collector.results("both")) > 0
    assert "received" not in idle_agent.run_log(job_id, "both", "err.log").read_text()
