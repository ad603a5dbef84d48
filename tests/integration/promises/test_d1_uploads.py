"""D1: uploads stream, and are stored whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.slow_clients import Upload, ask_health, repeating
from peers.waiting import until
from twisted.internet.threads import deferToThread

MIB = 1 << 20
MAX_GROWTH_BYTES = 16 * MIB
# The upload itself takes seconds; a blocked event loop would delay every answer by as much.
MAX_SECONDS = 1.0


def files(agent: Agent) -> list[Path]:
    """Return the files of uploads, complete and incomplete."""
    return [*(agent.state / "incoming").iterdir(), *(agent.state / "binaries").iterdir()]


async def test_d1_memory_stays_flat(idle_agent: Agent, soak: bool) -> None:
    """A large upload costs no memory, and the agent responds to other requests meanwhile."""
    size = (1024 if soak else 256) * MIB
    idle_agent.options["--max-upload"] = "2GiB"
    await idle_agent.start()

    def upload() -> tuple[tuple[int, bytes], list[tuple[int, float]], list[int]]:
        Upload(idle_agent.port, MIB).finish()  # imports and caches are no growth
        with (
            repeating(lambda: idle_agent.resident_bytes, 0.01) as memory,
            repeating(lambda: ask_health(idle_agent.port)) as answers,
        ):
            answer = Upload(idle_agent.port, size).finish()
        return answer, answers, memory

    (status, body), answers, memory = await deferToThread(upload)
    growth, seconds = max(memory) - memory[0], sorted(seconds for _, seconds in answers)
    stall = seconds[len(seconds) * 99 // 100]
    print(
        f"D1: {size // MIB} MiB: memory grew by {growth / MIB:.1f} MiB; {len(seconds)} times "
        f"/health meanwhile, 99 % of them in {stall * 1000:.0f} ms, all in {seconds[-1] * 1000:.0f}"
    )
    assert status == 200, body
    kept = idle_agent.state / "binaries" / json.loads(body)["binary"]
    assert kept.stat().st_size == size - len(Upload.HEAD) - len(Upload.END) + len("#!/bin/sh\n")
    assert {answered for answered, _ in answers} == {200}
    assert growth <= MAX_GROWTH_BYTES
    assert stall <= MAX_SECONDS


@pytest.mark.parametrize("sent", [0, 1, 100_000, 4 * MIB])
async def test_d1_a_cut_leaves_nothing(agent: Agent, sent: int) -> None:
    """An upload that is cut anywhere leaves no file."""
    upload = await deferToThread(Upload, agent.port, 8 * MIB)
    await deferToThread(upload.send, sent)
    await until(lambda: len(files(agent)) == 1)
    upload.cut()
    await until(lambda: files(agent) == [])
    assert (await agent.request("GET", "/health")).status == 200


async def test_d1_a_kill_leaves_nothing(agent: Agent) -> None:
    """The next start removes the partial upload of a killed agent; no job can use it."""
    upload = await deferToThread(Upload, agent.port, 8 * MIB)
    await deferToThread(upload.send, 4 * MIB)
    await until(lambda: sum(file.stat().st_size for file in files(agent)) > MIB)
    [part] = files(agent)
    await agent.kill()
    upload.cut()
    assert part.exists()
    await agent.start()
    assert files(agent) == []
    wanted = json.dumps({"binary": part.name, "duration": 1}).encode()
    answer = await agent.request("POST", "/queue", data=wanted)
    assert (answer.status, answer.text) == (400, f"{part.name} is an invalid binary\n")


async def test_d1_a_stop_leaves_nothing(agent: Agent) -> None:
    """SIGTERM during an upload stops the agent in order, and no binary is stored."""
    upload = await deferToThread(Upload, agent.port, 64 * MIB)
    await deferToThread(upload.send, 32 * MIB)
    await until(lambda: sum(file.stat().st_size for file in files(agent)) > MIB)
    assert await agent.stop() == 0
    upload.cut()
    assert list((agent.state / "binaries").iterdir()) == []
    await agent.start()
    assert files(agent) == []
