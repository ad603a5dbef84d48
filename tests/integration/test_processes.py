"""J2 and J7: nothing outlives its job, by any ending, and many jobs leave nothing behind."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from peers.agent import Agent
from peers.waiting import until

import goloagent
from goloagent.concurrency.threads import BULK_THREADS, CRITICAL_THREADS
from goloagent.runs.timeouts import Timeouts
from goloagent.sandbox import orphans
from goloagent.sandbox.isolation import IsolationBackend

BOUNDS = Timeouts()
# What ending everything may take beyond the grace period.
SLACK_SECONDS = 1.0
# The reactor's, the pools', the one that guards a stop, and one that a check of the host starts.
MOST_THREADS = 1 + CRITICAL_THREADS + BULK_THREADS + 1 + 1
ROUNDS = 20 if os.environ.get("GOLO_SOAK") else 4
JOBS_PER_ROUND = 10

CHECKOUT = str(Path(goloagent.__file__).parents[1])
IMPORTS = f"import os, signal, socket, sys\nsys.path.insert(0, {CHECKOUT!r})\n"

# A load test with a child, a grandchild in its group, and a daemon in a session of its own that
# holds none of its pipes. The four note when they are there; what they do at SIGTERM precedes.
FAMILY = """
from goloagent.netrpc import Server

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
server = Server()
while data := connection.recv(65536):
    for call in server.receive(data):
        connection.sendall(server.reply(call))
while True:
    signal.pause()
"""
STUBBORN = IMPORTS + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FAMILY
ORDERLY = (
    IMPORTS
    + """
def end(*_):
    os.write(1, b"last words\\n")
    os._exit(0)

signal.signal(signal.SIGTERM, end)
"""
    + FAMILY
)

# A load test that answers one call and is gone.
SHORT = (
    IMPORTS
    + """
from goloagent.netrpc import Server
host, port = os.environ["GOLO_RPC_ADDR"].rsplit(":", 1)
connection, _ = socket.create_server((host, int(port))).accept()
server = Server()
calls = server.receive(connection.recv(65536))
print('{"sequenceID": "1", "status": 200, "timestamp": "2024-02-29T12:00:00Z"}', flush=True)
connection.sendall(server.reply(calls[0]))
"""
)


@pytest_twisted.async_fixture
async def contained(idle_agent: Agent, containment: IsolationBackend) -> Agent:
    """An agent that is ready and was told how to keep processes together."""
    idle_agent.options["--containment"] = containment.name
    await idle_agent.start()
    return idle_agent


async def running_family(agent: Agent, loadtest: Path, duration: int) -> str:
    """Queue a family and return its job once all four are there and the agent drives them."""
    job_id = await agent.queue("family", loadtest, duration=duration)
    await agent.reached(job_id, "running")
    noted = agent.run_log(job_id, "family", "err.log")
    await until(lambda: noted.read_text().count("born") == 4, 10)
    assert len(agent.processes()) >= 4
    return job_id


@pytest_twisted.ensureDeferred
async def test_j2_by_duration(
    contained: Agent, containment: IsolationBackend, script: Callable[..., Path]
) -> None:
    """What ignores SIGTERM is gone a second after the grace period, daemons with the rest."""
    job_id = await running_family(contained, script(STUBBORN), duration=1)
    await contained.reached(job_id, "stopping")
    bound = BOUNDS.quiet_seconds + BOUNDS.grace_seconds + SLACK_SECONDS
    seconds = await until(lambda: not contained.processes(), bound)
    job = await contained.ended(job_id)
    assert (job["state"], job["exit"]) == ("finished", {"signal": "SIGKILL"}), job
    print(
        f"J2: by duration, {containment.name}: survivors 0 of 4, {seconds:.1f} s after the last "
        f"call, of which {BOUNDS.quiet_seconds + BOUNDS.grace_seconds:.0f} s are quiet and grace"
    )


@pytest_twisted.ensureDeferred
async def test_j2_by_cancel(contained: Agent, script: Callable[..., Path]) -> None:
    """A cancelled job that ignores SIGTERM is gone a second after the grace period."""
    job_id = await running_family(contained, script(STUBBORN), duration=600)
    begin = time.monotonic()
    answer = await contained.request("DELETE", f"/jobs/{job_id}")
    assert (answer.status, answer.json["state"]) == (202, "stopping"), answer
    bound = BOUNDS.quiet_seconds + BOUNDS.grace_seconds + SLACK_SECONDS
    await until(lambda: not contained.processes(), bound)
    seconds = time.monotonic() - begin
    job = await contained.ended(job_id)
    print(
        f"J2: by cancel, {contained.options['--containment']}: survivors 0 of 4, "
        f"{seconds:.1f} s after it, of which {bound - SLACK_SECONDS:.0f} s are quiet and grace"
    )
    assert (job["state"], job["reason"]) == ("cancelled", "cancelled"), job
    assert job["exit"] == {"signal": "SIGKILL"}
    assert seconds <= bound


@pytest_twisted.ensureDeferred
async def test_j2_by_sigterm_of_the_agent(
    contained: Agent, containment: IsolationBackend, script: Callable[..., Path]
) -> None:
    """When the agent has ended in order, none of what ignores SIGTERM is left."""
    await running_family(contained, script(STUBBORN), duration=600)
    begin = time.monotonic()
    assert await contained.stop() == 0
    left = contained.processes()
    assert left == []
    print(
        f"J2: by SIGTERM of the agent, {containment.name}: survivors {len(left)} of 4, "
        f"{time.monotonic() - begin:.1f} s after it"
    )


@pytest_twisted.ensureDeferred
async def test_j2_by_kill_of_the_agent(
    contained: Agent, containment: IsolationBackend, script: Callable[..., Path]
) -> None:
    """A namespace ends with a killed agent, at once; other ways end at the agent's next start."""
    job_id = await running_family(contained, script(STUBBORN), duration=600)
    await contained.kill(alone=True)
    if containment.name == "pid-namespace":
        seconds = await until(lambda: not contained.processes(), SLACK_SECONDS)
        print(f"J2: by kill -9, pid-namespace: survivors 0 of 4, {seconds:.2f} s after it")
    await contained.start()
    left = contained.processes()
    assert left == []
    print(f"J2: by kill -9, {containment.name}: survivors {len(left)} of 4 after the next start")
    assert (await contained.job(job_id))["state"] == "interrupted"


@pytest_twisted.ensureDeferred
async def test_j2_in_order(
    contained: Agent, containment: IsolationBackend, script: Callable[..., Path]
) -> None:
    """SIGTERM reaches the whole group, and what each prints at its end is in the log."""
    job_id = await running_family(contained, script(ORDERLY), duration=1)
    job = await contained.ended(job_id)
    assert (job["state"], job["exit"]) == ("finished", {"code": 0}), job
    assert contained.run_log(job_id, "family").read_text() == "last words\n" * 3
    await until(lambda: not contained.processes(), SLACK_SECONDS)
    print(f"J2: in order, {containment.name}: last words of 3 of 3, survivors 0 of 4")


@pytest_twisted.ensureDeferred
async def test_health_says_which(contained: Agent, containment: IsolationBackend) -> None:
    """An operator can tell which protection is in force."""
    health = (await contained.request("GET", "/health")).json
    assert health["protections"]["processes"] == containment.name


_GIVE_WAY = "import os; os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))"


@pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", _GIVE_WAY], check=False).returncode != 0,
    reason="processes may not change their scheduling here",
)
@pytest_twisted.ensureDeferred
async def test_the_agent_gives_way(contained: Agent, script: Callable[..., Path]) -> None:
    """It interrupts nobody who runs; a load test is scheduled as whatever else is started."""
    assert os.sched_getscheduler(contained.pid) == os.SCHED_BATCH
    told = script("import os, sys; print(os.sched_getscheduler(0), file=sys.stderr)")
    job_id = await contained.queue("scheduled", told, duration=1)
    job = await contained.ended(job_id)
    assert job["stderr_tail"] == str(os.SCHED_OTHER)


# A load test with a daemon that has left its group, session, parent, pipes and environment.
DESERTED = (
    IMPORTS
    + """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 3)
        os.execve("/bin/sleep", ["sleep", "601.5"], {})
    os._exit(0)
os.wait()
signal.pause()
"""
)


@pytest.mark.parametrize("ending", ["SIGTERM", "kill -9 and a start"])
@pytest_twisted.ensureDeferred
async def test_j2_deserted(
    contained: Agent, containment: IsolationBackend, script: Callable[..., Path], ending: str
) -> None:
    """A daemon that has left the environment, too, outlives a group only if the agent is killed."""
    job_id = await contained.queue("deserted", script(DESERTED), duration=1)
    await contained.reached(job_id, "starting", "running")
    await until(lambda: len(deserters()) == 1, 10)
    if ending == "SIGTERM":
        assert await contained.stop() == 0
    else:
        await contained.kill(alone=True)
        await contained.start()
    left = deserters()
    print(f"J2: a deserter, {ending}, {containment.name}: survivors {len(left)} of 1")
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    outlives = containment.name == "process-group" and ending != "SIGTERM"
    assert len(left) == outlives


def deserters() -> list[int]:
    """Find what such a load test has left."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if command.read_bytes() == b"sleep\x00601.5\x00":
                found.append(int(command.parent.name))
        except OSError:
            continue  # it has ended by now
    return found


def test_a_survivor_in_another_environment() -> None:
    """Only the marked are ended: not a process of another job, nor one without a mark."""
    with (
        family("ours-1/job") as ours,
        family("ours-1/other") as other,
        family("ours-2/job") as theirs,
        family(None) as stranger,
    ):
        assert orphans.kill_tagged("ours-1/job") == (1, 0)
        assert ours.wait(5) == -9
        assert orphans.kill_tagged("ours-1/") == (1, 0)
        assert other.wait(5) == -9
        assert orphans.kill_tagged("ours-1/") == (0, 0)
        assert (theirs.poll(), stranger.poll()) == (None, None)


class family(subprocess.Popen[bytes]):  # noqa: N801
    """A process with a mark, killed when the test is over."""

    def __init__(self, mark: str | None) -> None:
        environment = {} if mark is None else {orphans.VARIABLE: mark}
        super().__init__(["/bin/sleep", "600"], env=environment)

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait()


@attrs.frozen
class Holdings:
    """What a process holds; `zombies` are children that nobody has waited for."""

    descriptors: int
    threads: int
    zombies: int
    rss_bytes: int


def holdings(pid: int) -> Holdings:
    """Look at a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    (rss_kib,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
    return Holdings(
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=len(list(Path(f"/proc/{pid}/task").iterdir())),
        zombies=sum(fields[:2] == ["Z", str(pid)] for fields in processes()),
        rss_bytes=int(rss_kib) * 1024,
    )


def processes() -> Iterator[list[str]]:
    """Give the state, parent and further numbers of every process."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            yield stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended by now


@pytest_twisted.ensureDeferred
async def test_j7_many_jobs(
    contained: Agent, containment: IsolationBackend, script: Callable[..., Path]
) -> None:
    """After many jobs (`make soak`: 200) the agent has the resources of the first ones.

    Memory that is leaked grows in every round; the allocator's share stops growing.
    """
    binary = await contained.upload(script(SHORT))

    async def run_jobs() -> None:
        ids = [
            await contained.queue("short", binary, duration=60, users=1)
            for _ in range(JOBS_PER_ROUND)
        ]
        jobs = [await contained.settled(job_id) for job_id in ids]
        assert {(job["reason"], job["results"]["delivered"]) for job in jobs} == {("exited", 1)}

    await run_jobs()
    before, begin = holdings(contained.pid), time.monotonic()
    rss = [before.rss_bytes]
    for _ in range(ROUNDS):
        await run_jobs()
        rss.append(holdings(contained.pid).rss_bytes)
    after = holdings(contained.pid)
    growth = [(later - earlier) / 2**20 for earlier, later in itertools.pairwise(rss)]
    print(
        f"J7: {ROUNDS * JOBS_PER_ROUND} jobs in {time.monotonic() - begin:.0f} s, "
        f"{containment.name}: {before} before, {after} after, RSS growth of each round "
        f"{', '.join(f'{one:.1f}' for one in growth)} MiB"
    )
    # A sync or a push under way has a descriptor or two for a moment; a leak has one a job.
    assert after.descriptors <= before.descriptors + 3
    assert after.zombies == before.zombies
    assert after.threads <= MOST_THREADS
    assert min(growth) <= 1
    assert "delivery is retrying" not in contained.log
