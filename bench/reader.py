"""Read a load test's stdout as the agent does, without delivery: `python -m bench.reader`.

It reads from the pipe to out.log, validates and counts, with or without statistics.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import ProcessProtocol

from bench import peer
from goloagent.concurrency.cooperation import take_turn
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.sandbox.pipe_reader import PipeReader
from goloagent.wal.result_writer import ResultWriter
from goloagent.wal.run_log import RunLogWriter


class Reader(ProcessProtocol):
    """Write a flood to the log."""

    def __init__(self, writer: ResultWriter) -> None:
        self._writer = writer

    def outReceived(self, data: bytes) -> None:
        """Append to the log and count lines, as a run does."""
        self._writer.stdout(data)
        take_turn(reactor, self._writer.count())  # type: ignore[arg-type]

    def processEnded(self, reason: object) -> None:
        """Stop the reactor at the end."""
        reactor.stop()  # type: ignore[attr-defined]


def main(logs: Path, seconds: str, with_statistics: bool) -> dict[str, Any]:
    """Read a flood to its end; return the number of lines, the seconds and the CPU time."""
    observe = RunStatistics().add if with_statistics else None
    logs.mkdir(exist_ok=True)
    writer = ResultWriter(RunLogWriter.create(logs, "bench", str(time.time_ns())), observe)
    command = [str(peer.program()), "flood", seconds]
    cpu, begin = time.process_time(), time.perf_counter()
    reader = Reader(writer)
    reactor.spawnProcess(reader, command[0], command)  # type: ignore[attr-defined]
    PipeReader(reader.transport, 1)
    reactor.run()  # type: ignore[attr-defined]
    writer.close()
    assert not writer.line_counter.invalid
    return {
        "done": writer.line_counter.valid,
        "seconds": time.perf_counter() - begin,
        "cpu": time.process_time() - cpu,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "statistics")))
