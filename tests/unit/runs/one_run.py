"""One run with all its dependencies in memory, and methods for its events."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock
from unit.load.peer import Peer

from goloagent.core.job_spec import JobSpec
from goloagent.core.output_schemes import SECOND
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.stats.summary import Summary
from goloagent.core.timeline import Window
from goloagent.filesystem.disk_space import Excess
from goloagent.jobs.job import CallCounts, Checkpoint, FailureReason, Job, State
from goloagent.load.rpc_client import RpcClient
from goloagent.results.line_counter import LineCounter
from goloagent.runs.dependencies import RunDependencies
from goloagent.runs.progress import ProgressResource
from goloagent.runs.run import Run
from goloagent.runs.second_sample import SecondSample
from goloagent.runs.timeouts import Timeouts
from goloagent.runs.transitions import Phase
from goloagent.sandbox.cpu_use import CpuUse
from goloagent.sandbox.process import Watcher
from goloagent.sandbox.program import Invocation
from goloagent.wal.result_writer import ResultWriter

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
RESULT = b'{"timestamp":"2026-01-02T03:04:05Z"}\n'


def cancel_seconds(timeouts: Timeouts) -> float:
    """Return the maximum from a cancel to the end of the run, as docs/lifecycle.md has it."""
    ending = (Phase.DRAINING_CALLS, Phase.WAITING_FOR_OUTPUT, Phase.TERMINATING)
    waiting = sum(timeouts.for_phase(phase, 0, cancelled=True) for phase in ending)
    return waiting + timeouts.pipes_seconds + timeouts.kill_seconds


class MemoryLog:
    """A run's log that holds so many bytes: what comes after them finds the disk full."""

    version = (0, 1, 0)
    intact_from = 0

    def __init__(self) -> None:
        self.out = b""
        self.err = b""
        self.room = 1 << 30
        self.errno = errno.ENOSPC
        self.tail_error: OSError | None = None
        self.closed = False
        self.touch: Callable[[str], None] = lambda _: None

    @property
    def size(self) -> int:
        return len(self.out)

    def append_stdout(self, data: bytes) -> int:
        assert not self.closed
        self.touch("stdout")
        taken = data[: max(0, self.room - self.size)]
        self.out += taken
        return self._check(taken, data)

    def append_stderr(self, data: bytes) -> int:
        assert not self.closed
        self.touch("stderr")
        taken = data[: max(0, self.room - self.size)]
        self.err += taken
        return self._check(taken, data)

    def stderr_tail(self) -> str:
        assert not self.closed
        self.touch("tail")
        if self.tail_error is not None:
            raise self.tail_error
        return self.err.decode()

    def close(self) -> None:
        self.closed = True
        self.touch("close")

    def _check(self, taken: bytes, data: bytes) -> int:
        if len(taken) < len(data):
            raise OSError(self.errno, os.strerror(self.errno))
        return len(data)


class MemoryTimeline:
    """A timeline in memory."""

    def __init__(self) -> None:
        self.windows: list[Window] = []
        self.changes: list[dict[str, Any]] = []
        self.is_closed = False

    def append(self, window: Window) -> None:
        assert not self.is_closed
        self.windows.append(window)

    def note(self, change: dict[str, Any]) -> None:
        self.changes.append(change)

    def close(self) -> None:
        self.is_closed = True


class OneRun:
    """A run of a job with its clock and dependencies; `story` lists their calls in order."""

    def __init__(
        self, users: int = 2, duration_seconds: int = 10, members: Mapping[str, Any] | None = None
    ) -> None:
        self.clock = Clock()
        self.bounds = Timeouts()
        self.story: list[str] = []
        self.saved: list[State] = []
        self.job = Job(
            "job-1", JobSpec("name", users, duration_seconds, "binary", members or {}), NOW
        )
        self.log = MemoryLog()
        self.statistics = RunStatistics()
        self.writer = ResultWriter(self.log, self.statistics.add)  # type: ignore[arg-type]
        self.preparing: Deferred[OneRun] = Deferred()
        self.connecting: Deferred[None] | None = None
        self.looking: Deferred[bool] = succeed(False)
        self.peer: Peer | None = None
        self.program = Path("loadtest")
        self.pid = 1
        self.watcher: Watcher | None = None
        self.exited = False
        self.closed = False
        self.spawn_error: Exception | None = None
        self.store_error: Exception | None = None
        self.excess: Excess | None = None
        self.cpu = CpuUse()
        self.summaries: list[Summary] = []
        self.statistics_error: OSError | None = None
        self.over = False
        self.ended_seconds = 0.0
        self._users: RpcClient | None = None
        self.log.touch = self.touch
        self.failing: dict[str, Exception] = {}
        self.timeline = MemoryTimeline()
        self.opening_seconds = 0.0
        self.progress: list[ProgressResource] = []
        self.detailed: list[ProgressResource] = []
        self.seconds: list[SecondSample] = []
        self.events: list[tuple[str, Any]] = []
        self.run = Run(
            self.job,
            RunDependencies(
                clock=self.clock,
                now=lambda: NOW,
                prepare=lambda _: self.preparing,
                spawn=self._spawn,
                connect=self._connect,
                is_foreign_listener=self._look,
                save=self._save,
                commit=self._commit,
                delivery=self,
                check_space=self._too_much,
                keep_statistics=self._keep_statistics,
                open_timeline=self._open_timeline,  # type: ignore[arg-type]
                watchers=self,
                observe_second=lambda _, second: self.seconds.append(second),
                in_thread=self._in_thread,
                timeouts=self.bounds,
            ),
        )

    def _open_timeline(self, _job: Job, _start: datetime) -> MemoryTimeline:
        self.clock.rightNow += self.opening_seconds
        return self.timeline

    async def _commit(self, job: Job) -> None:
        self._save(job)

    def start(self) -> OneRun:
        """Start the run."""
        self.run.start().addCallback(self._is_over)
        return self

    def come_to(self, phase: Phase) -> OneRun:
        """Start the run and bring it to `phase` in the ordinary way."""
        ways = (
            (Phase.PREPARING, self.start),
            (Phase.LAUNCHING, self.prepared),
            (Phase.CONNECTING, self.launched),
            (Phase.RUNNING, self.connected),
            (Phase.DRAINING_CALLS, lambda: self.clock.advance(self.job.spec.duration_seconds)),
            (Phase.WAITING_FOR_OUTPUT, lambda: self.answer()),
            (Phase.TERMINATING, lambda: self.clock.advance(self.bounds.quiet_seconds)),
            (Phase.CLOSING_PIPES, self.exit),
            (Phase.OVER, self.close),
        )
        for reached, way in ways:
            way()
            if reached is phase:
                break
        return self

    # Watchers.

    def publish_progress(
        self, job: Job, progress: ProgressResource, detailed: Callable[[], ProgressResource]
    ) -> None:
        assert not job.state.over
        self.progress.append(progress)
        self.detailed.append(detailed())

    def publish(self, job: Job, kind: str, value: Any) -> None:
        self.events.append((kind, value))

    # Events.

    def prepared(self) -> None:
        """Have everything be there."""
        self.preparing.callback(self)

    def launched(self) -> None:
        """Have the program run."""
        self.watching.launched()

    def connected(self) -> None:
        """Have the load test accept the connection."""
        assert self.connecting is not None
        assert self._users is not None
        self.peer = Peer(self._users)
        self.connecting.callback(None)

    def answer(self, count: int | None = None, error: str | None = None) -> None:
        """Have the load test answer some calls, or all that wait."""
        assert self.peer is not None
        self.peer.reply(self.peer.outstanding if count is None else count, error)

    def exit(self, code: int | None = 0, signal_number: int | None = None) -> None:
        """Have the process end, and the kernel its connection, which is noticed later."""
        self.exited = True
        self.watching.exited(code, signal_number)

    def close(self) -> None:
        """Have the last pipe be closed."""
        self.closed = True
        self.watching.closed()

    def print_results(self, count: int) -> None:
        """Have the load test print results."""
        self.watching.stdout(RESULT * count)

    def pass_all_time(self) -> float:
        """Let time pass until nothing waits for it; return how much that was."""
        before = self.clock.seconds()
        while calls := self.clock.getDelayedCalls():
            self.clock.advance(max(0.0, calls[0].getTime() - self.clock.seconds()))
        return self.clock.seconds() - before

    @property
    def watching(self) -> Watcher:
        """The watcher of the process."""
        assert self.watcher is not None
        return self.watcher

    # The dependencies: store, delivery, prepared run and process.

    def touch(self, tool: str) -> None:
        """Break, when this tool is to."""
        if tool in self.failing:
            raise self.failing[tool]

    def assign(self, job: Job) -> None:
        assert not job.has_log
        job.outputs = {"metrics": Checkpoint(unit=SECOND)}

    def begin(self, job: Job) -> None:
        self.touch("begin")
        assert job.has_log
        self.story.append("begin")

    def on_appended(self, job: Job) -> None:
        self.touch("on_appended")
        assert "begin" in self.story
        assert "end" not in self.story

    def end(self, job: Job) -> None:
        self.touch("end")
        assert job.state.over
        self.story.append("end")

    def cleanup(self) -> None:
        self.touch("cleanup")
        self.story.append("cleanup")

    def discard_log(self) -> None:
        self.story.append("discard log")

    def terminate(self) -> None:
        self.touch("terminate")
        self.story.append("SIGTERM")

    def kill(self) -> None:
        self.touch("kill")
        self.story.append("SIGKILL")

    @property
    def stdout_blocked_seconds(self) -> float:
        return 0.0

    def cpu_meter(self) -> OneRun:
        self.touch("cpu")
        return self

    def take(self, seconds: float) -> CpuUse:
        return self.cpu

    def pause_stdout(self) -> None:
        self.story.append("pause")

    def resume_stdout(self) -> None:
        self.story.append("resume")

    def read_rest(self) -> None:
        self.touch("rest")

    def abandon_output(self) -> None:
        self.touch("abandon")
        self.story.append("abandon")

    def _too_much(self, log_bytes: int) -> Excess | None:
        self.touch("space")
        return self.excess

    def _look(self, *_: object) -> Deferred[bool]:
        self.touch("look")
        return self.looking

    def _in_thread(self, function: Callable[[], None]) -> Deferred[None]:
        self.touch("thread")
        return maybeDeferred(function)

    def _save(self, job: Job) -> None:
        self.touch("save")
        if self.store_error is not None:
            raise self.store_error
        self.saved.append(job.state)

    def _keep_statistics(self, job: Job, statistics: RunStatistics) -> Deferred[Any]:
        self.touch("statistics")
        assert job is self.job
        if self.statistics_error is not None:
            return fail(self.statistics_error)
        self.summaries.append(statistics.summary())
        return succeed(None)

    def _spawn(self, program: Path, invocation: Invocation, watcher: Watcher) -> OneRun:
        assert program is self.program
        assert self.saved == [State.STARTING], "not saved as started"
        assert self.job.has_log
        if self.spawn_error is not None:
            raise self.spawn_error
        self.touch("spawn")
        self.story.append("spawn")
        self.watcher = watcher
        return self

    def _connect(self, users: RpcClient) -> Deferred[None]:
        self.touch("connect")
        self._users, self.connecting = users, Deferred()
        return self.connecting

    def _is_over(self, _: None) -> None:
        assert not self.over
        self.over = True
        self.ended_seconds = self.clock.seconds()
        self.story.append("over")

    # Checks after the end.

    def check(self, state: State, reason: str | None = None) -> FailureReason | None:
        """Check that the run is over in `state` for `reason` and has left nothing; return why."""
        assert self.over
        assert self.story[-1] == "over"
        cause = self.job.cause
        assert (self.job.state, cause and cause.reason) == (state, reason), cause
        assert self.clock.getDelayedCalls() == []
        assert self.job.ended_at == (NOW if state.over else None)
        if self.saved or state is not State.QUEUED:
            assert self.saved[-1] is state
        assert [s for s in self.saved if s.over] == ([state] if state.over else [])
        if self.watcher is not None:
            last = self.story.index("abandon")
            assert "SIGKILL" in self.story[:last]
        assert self.story.count("begin") == self.story.count("end") <= 1
        if self.run._recorder is not None:
            assert self.log.closed
            tail = "" if self.log.tail_error or not state.over else self.log.err.decode()
            assert self.job.stderr_tail == tail
            assert self.story.count("cleanup") == 1
        if self.connecting is not None:
            assert self.connecting.called
        if self.peer is not None:
            assert self.peer.wire.is_closed
        counter = LineCounter()
        counter.feed(self.log.out)
        counter.close()
        assert (self.job.results.read, self.job.results.invalid) == (counter.read, counter.invalid)
        return cause

    def check_requeued(self, status: str | None) -> None:
        """Check that the run has left nothing, and the job waits as if it had never begun."""
        self.check(State.QUEUED)
        assert (self.run.fault and self.run.fault.status) == status
        assert (self.job.started_at, self.job.exit, self.job.calls.started) == (None, None, 0)
        assert not self.job.has_log
        # Nothing would end them if the job is cancelled now.
        assert self.job.outputs == {}
        assert ("discard log" in self.story) is (self.run._recorder is not None)

    @property
    def calls(self) -> CallCounts:
        """The job's calls."""
        return self.job.calls
