"""R12: logs are whole: each run's out.log and err.log have the bytes that it printed."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from peers.agent import Agent

BLOCKS = 350
PROGRAM = """\
import hashlib, os, random, sys, threading
from pathlib import Path
from goloagent.sdk import serve

chance, once, notes = random.Random(), threading.Lock(), Path({notes!r})
def emit(descriptor, count):
    digest = hashlib.sha256()
    for _ in range(count):
        block = chance.randbytes(chance.randrange(1, 65536))
        digest.update(block)
        while block:
            block = block[os.write(descriptor, block):]
    return digest.hexdigest()

def call():
    if not once.acquire(blocking=False):
        return
    digests = [None, None]
    def stream(index):
        digests[index] = emit(index + 1, {blocks})
    threads = [threading.Thread(target=stream, args=(index,)) for index in (0, 1)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    (notes / Path.cwd().name).write_text(" ".join(digests))

serve(call)
"""


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_r12_bytes_printed_are_bytes_in_the_logs(agent: Agent, tmp_path: Path) -> None:
    """Random bytes on both streams of two runs of one name are stored separately."""
    notes = tmp_path / "digests"
    notes.mkdir()
    program = tmp_path / "printer"
    path = f"import sys; sys.path[:0] = {sys.path!r}\n"
    program.write_text(
        f"#!{sys.executable}\n{path}{PROGRAM.format(notes=str(notes), blocks=BLOCKS)}"
    )
    binary = await agent.upload(program)
    jobs = [await agent.queue("twice", binary, duration=1, users=1) for _ in range(2)]
    total = 0
    for job_id in jobs:
        await agent.settled(job_id)
        printed = (notes / job_id).read_text().split()
        paths = [agent.run_log(job_id, "twice", file) for file in ("out.log", "err.log")]
        total += sum(path.stat().st_size for path in paths)
        assert [_digest(path) for path in paths] == printed
    print(
        f"R12: {total} bytes in {4 * BLOCKS} blocks, on both streams of two runs of one "
        "name: by hash the same as printed"
    )
    assert total > 20_000_000
