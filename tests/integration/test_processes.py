"""J2 and J7: nothing outlives its job, by any ending, and many jobs leave nothing behind."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from peers.agent import TIMEOUTS, Agent
from peers.programs import ACCEPT, ANSWER_CALLS, Builder
from peers.waiting import until

from goloagent.concurrency.threads import BULK_THREADS, CRITICAL_THREADS
from goloagent.sandbox import orphans
from goloagent.sandbox.isolation import IsolationBackend

# The reactor's, the pools', the one that guards a stop, and one that a check of the host starts.
MAX_THREADS = 1 + CRITICAL_THREADS + BULK_THREADS + 1 + 1
ROUNDS = 20 if os.environ.get("GOLO_SOAK") else 4
JOBS_PER_ROUND = 10

# A load test with a child, a grandchild in its process group, and a daemon in its own session that
# has none of its pipes. All four print "born"; a SIGTERM handler is set before.
PROCESS_TREE = """
def live():
    os.write(2, b"born\\n")
    while True:
        signal.pause()

if os.fork() == 0:
    if os.fork() == 0:
        live()
    live()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(2, b"born\\n")
        os.closerange(0, 3)
        while True:
            signal.pause()
    os._exit(0)
os.wait()

host, port = os.environ["GOLO_RPC_ADDR"].rsplit(":", 1)
listener = socket.create_server((host, int(port)))
os.write(2, b"born\\n")
connection, _ = listener.accept()
"""
LIVE_ON = "while True:\n    signal.pause()\n"
IGNORES_SIGTERM = (
    f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{PROCESS_TREE}{ANSWER_CALLS}{LIVE_ON}"
)
HANDLES_SIGTERM = f"""
def end(*_):
    os.write(1, b"last words\\n")
    os._exit(0)

signal.signal(signal.SIGTERM, end)
{PROCESS_TREE}{ANSWER_CALLS}{LIVE_ON}"""

# A load test that answers one call and exits.
SHORT = f"""
from goloagent.netrpc import Server
{ACCEPT}
server = Server()
calls = server.receive(connection.recv(65536))
print('{{"sequenceID": "1", "status": 200, "timestamp": "2024-02-29T12:00:00Z"}}', flush=True)
connection.sendall(server.reply(calls[0]))
"""


async def run_process_tree(agent: Agent, loadtest: Path) -> str:
    """Return the job once its four processes run and the agent drives the load test."""
    job_id = await agent.queue("tree", loadtest, duration=600)
    await agent.reached(job_id, "running")
    stderr = agent.run_log(job_id, "tree", "err.log")
    await until(lambda: stderr.read_text().count("born") == 4)
    assert len(agent.processes()) >= 4
    return job_id


@pytest.mark.parametrize("cancel", [False, True], ids=["duration", "cancel"])
async def test_j2_by_the_end_of_the_job(
    isolated_agent: Agent, isolation: IsolationBackend, script: Builder, cancel: bool
) -> None:
    """Processes that ignore SIGTERM are killed after the grace period, daemons too."""
    program = script(IGNORES_SIGTERM)
    job_id = await run_process_tree(isolated_agent, program)
    if cancel:
        answer = await isolated_agent.request("DELETE", f"/jobs/{job_id}")
        assert (answer.status, answer.json["state"]) == (202, "stopping"), answer
    else:
        await isolated_agent.end_load(job_id)
    seconds = await until(lambda: not isolated_agent.processes())
    timeouts = TIMEOUTS.quiet_seconds + TIMEOUTS.grace_seconds
    job = await isolated_agent.ended(job_id)
    print(
        f"J2: by {'cancel' if cancel else 'duration'}, {isolation.name}: orphans 0 of 4, after "
        f"{seconds:.1f} s, of which {timeouts} s are timeouts"
    )
    state = ("cancelled", "cancelled") if cancel else ("finished", None)
    assert (job["state"], job["reason"], job["exit"]) == (*state, {"signal": "SIGKILL"}), job


async def test_j2_by_sigterm_of_the_agent(
    isolated_agent: Agent, isolation: IsolationBackend, script: Builder
) -> None:
    """A stop of the agent kills processes that ignore SIGTERM."""
    await run_process_tree(isolated_agent, script(IGNORES_SIGTERM))
    assert await isolated_agent.stop() == 0
    left = isolated_agent.processes()
    print(f"J2: by SIGTERM of the agent, {isolation.name}: orphans {len(left)} of 4")
    assert left == []


async def test_j2_by_kill_of_the_agent(
    isolated_agent: Agent, isolation: IsolationBackend, script: Builder
) -> None:
    """A PID namespace ends with a killed agent; other backends end processes at the next start."""
    job_id = await run_process_tree(isolated_agent, script(IGNORES_SIGTERM))
    await isolated_agent.kill(alone=True)
    if isolation.name == "pid-namespace":
        await until(lambda: not isolated_agent.processes())
    await isolated_agent.start()
    left = isolated_agent.processes()
    print(f"J2: by kill -9, {isolation.name}: orphans {len(left)} of 4 after the next start")
    assert left == []
    assert (await isolated_agent.job(job_id))["state"] == "interrupted"


async def test_j2_in_order(
    isolated_agent: Agent, isolation: IsolationBackend, script: Builder
) -> None:
    """SIGTERM reaches the process group, and the log has what each process prints at its end."""
    job_id = await run_process_tree(isolated_agent, script(HANDLES_SIGTERM))
    await isolated_agent.end_load(job_id)
    job = await isolated_agent.ended(job_id)
    assert (job["state"], job["exit"]) == ("finished", {"code": 0}), job
    assert isolated_agent.run_log(job_id, "tree").read_text() == "last words\n" * 3
    await until(lambda: not isolated_agent.processes())
    print(f"J2: in order, {isolation.name}: last words of 3 of 3, orphans 0 of 4")
    health = (await isolated_agent.request("GET", "/health")).json
    assert health["protections"]["processes"] == isolation.name


_USE_SCHED_BATCH = "import os; os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))"


@pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", _USE_SCHED_BATCH], check=False).returncode != 0,
    reason="processes may not change their scheduling here",
)
async def test_only_the_agent_runs_under_sched_batch(agent: Agent, script: Builder) -> None:
    """The agent does not preempt the load; a load test has the default scheduling."""
    assert os.sched_getscheduler(agent.pid) == os.SCHED_BATCH
    program = script("print(os.sched_getscheduler(0), file=sys.stderr)")
    job = await agent.ended(await agent.queue("scheduled", program, duration=1))
    assert job["stderr_tail"] == str(os.SCHED_OTHER)


# A duration that no other process of this machine sleeps for.
SLEEP = f"601.{os.getpid()}"
# A load test with a daemon that has left its process group, session, parent, pipes and environment.
DETACHED = f"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 3)
        os.execve("/bin/sleep", ["sleep", "{SLEEP}"], {{}})
    os._exit(0)
os.wait()
signal.pause()
"""


@pytest.mark.parametrize("ending", ["SIGTERM", "kill -9 and a start"])
async def test_j2_detached(
    isolated_agent: Agent, isolation: IsolationBackend, script: Builder, ending: str
) -> None:
    """Such a daemon survives only in a process group, after a kill of the agent."""
    job_id = await isolated_agent.queue("detached", script(DETACHED), duration=1)
    await isolated_agent.reached(job_id, "starting", "running")
    await until(lambda: len(detached_pids()) == 1)
    if ending == "SIGTERM":
        assert await isolated_agent.stop() == 0
    else:
        await isolated_agent.kill(alone=True)
        await isolated_agent.start()
    left = detached_pids()
    print(f"J2: a detached daemon, {ending}, {isolation.name}: orphans {len(left)} of 1")
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    survives = isolation.name == "process-group" and ending != "SIGTERM"
    assert len(left) == survives


def detached_pids() -> list[int]:
    """Return the process IDs of daemons of `DETACHED`."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if command.read_bytes() == f"sleep\0{SLEEP}\0".encode():
                found.append(int(command.parent.name))
        except OSError:
            continue  # it has ended
    return found


def test_only_tagged_processes_are_killed() -> None:
    """A process of another job or agent, or without the tag, is not killed."""
    agent = f"agent-{os.getpid()}"
    with (
        tagged(f"{agent}-1/job") as ours,
        tagged(f"{agent}-1/other") as other,
        tagged(f"{agent}-2/job") as foreign,
        tagged(None) as untagged,
    ):
        assert orphans.kill_tagged(f"{agent}-1/job") == (1, 0)
        assert ours.wait(60) == -9
        assert orphans.kill_tagged(f"{agent}-1/") == (1, 0)
        assert other.wait(60) == -9
        assert orphans.kill_tagged(f"{agent}-1/") == (0, 0)
        assert (foreign.poll(), untagged.poll()) == (None, None)


@contextmanager
def tagged(tag: str | None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process with this tag, and kill it after the test."""
    environment = {} if tag is None else {orphans.VARIABLE: tag}
    with subprocess.Popen(["/bin/sleep", "600"], env=environment) as process:
        yield process
        process.kill()


@attrs.frozen
class Resources:
    """Resources of a process; `zombies` are children that it has not waited for."""

    descriptors: int
    threads: int
    zombies: int
    rss_bytes: int


def resources(pid: int) -> Resources:
    """Return what a process uses."""
    status = Path(f"/proc/{pid}/status").read_text()
    (rss_kib,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return Resources(
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=len(list(Path(f"/proc/{pid}/task").iterdir())),
        zombies=sum(fields[:2] == ["Z", str(pid)] for fields in processes()),
        rss_bytes=int(rss_kib) * 1024,
    )


def processes() -> Iterator[list[str]]:
    """Yield the state, parent and further numbers of every process."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            yield stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended


@pytest.mark.full
async def test_j7_many_jobs(
    isolated_agent: Agent, isolation: IsolationBackend, script: Builder
) -> None:
    """After many jobs (`make soak`: 200) the agent has the resources of the first ones.

    Memory that is leaked grows in every round; the allocator's share stops growing.
    """
    binary = await isolated_agent.upload(script(SHORT))

    async def run_jobs() -> None:
        ids = [
            await isolated_agent.queue("short", binary, duration=60, users=1)
            for _ in range(JOBS_PER_ROUND)
        ]
        jobs = [await isolated_agent.settled(job_id) for job_id in ids]
        assert {(job["reason"], job["results"]["delivered"]) for job in jobs} == {("exited", 1)}

    await run_jobs()
    before, begin = resources(isolated_agent.pid), time.monotonic()
    rss = [before.rss_bytes]
    for _ in range(ROUNDS):
        await run_jobs()
        rss.append(resources(isolated_agent.pid).rss_bytes)
    after = resources(isolated_agent.pid)
    growth = [(later - earlier) / 2**20 for earlier, later in itertools.pairwise(rss)]
    print(
        f"J7: {ROUNDS * JOBS_PER_ROUND} jobs in {time.monotonic() - begin:.0f} s, "
        f"{isolation.name}: {before} before, {after} after, RSS growth of each round "
        f"{', '.join(f'{one:.1f}' for one in growth)} MiB"
    )
    # A sync or a push under way has a descriptor or two for a moment; a leak has one a job.
    assert after.descriptors <= before.descriptors + 3
    assert after.zombies == before.zombies
    assert after.threads <= MAX_THREADS
    assert min(growth) <= 1
    assert "delivery is retrying" not in isolated_agent.log
