"""Run ``twistd`` with an agent that fails at a point: ``crashing.py POINT -n golo-agent``.

POINT is a name in the tables below; ``:n`` selects its n-th call. Methods of the agent are wrapped
from outside. At a point of `POINTS` the process is killed by SIGKILL, at one of `FAULTS` a sync
fails, at one of `STEPS` the call raises, and at one of `HANGS` it does not return.
"""

from __future__ import annotations

import errno
import functools
import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred

from goloagent.filesystem.durable import SyncFailed

Predicate = Callable[..., bool]


def _always(*_: Any, **__: Any) -> bool:
    return True


def _in_state(*states: str) -> Predicate:
    return lambda store, job: job.state.value in states


def _abandoned(store: Any, job: Any) -> bool:
    return job.results.abandoned > 0


def _of_job(supervisor: Any, backend: Any, job_id: str, tag: str) -> bool:
    return job_id != ""


def _status(code: int) -> Predicate:
    return lambda request: request.code == code


@attrs.frozen
class Point:
    """A method, and when the process is killed: before it, after it, or after half of its data.

    Or the method fails once (``fault``), raises (``break``), blocks its thread (``block``), or
    returns a coroutine that ignores cancellation (``never``).
    """

    when: str
    where: str
    method: str
    condition: Predicate = _always


STORE = "goloagent.jobs.database:Store"
UPLOAD = "goloagent.artifacts.pending_upload:PendingUpload"
BINARIES = "goloagent.artifacts.store"
OVER = ("finished", "failed", "cancelled", "interrupted")

POINTS = {
    # An upload is stored.
    "upload-before-link": Point("before", UPLOAD, "commit"),
    "upload-after-link": Point("before", STORE, "add_binary"),
    "upload-after-row": Point("after", STORE, "add_binary"),
    # A job is queued.
    "queue-before-row": Point("before", STORE, "add"),
    "queue-after-row": Point("after", STORE, "add"),
    "queue-before-answer": Point(
        "before", "goloagent.http.server.request:Request", "finish", _status(201)
    ),
    "queue-after-answer": Point(
        "after", "goloagent.http.server.request:Request", "finish", _status(201)
    ),
    # Its run begins.
    "start-after-stage": Point("after", f"{BINARIES}:ArtifactStore", "copy_verified"),
    "start-before-log": Point("before", "goloagent.wal.run_log:RunLogWriter", "create"),
    "start-before-save": Point("before", STORE, "save", _in_state("starting")),
    "start-after-save": Point("after", STORE, "save", _in_state("starting")),
    "start-after-spawn": Point("after", "goloagent.sandbox.supervisor:ProcessSupervisor", "spawn"),
    "start-after-launch": Point("after", "goloagent.runs.process_events:ProcessEvents", "launched"),
    "running-after-save": Point("after", STORE, "save", _in_state("running")),
    # It prints, and its results are delivered.
    "append-before": Point("before", "goloagent.wal.run_log:RunLogWriter", "append_stdout"),
    "append-half": Point("half", "goloagent.wal.run_log:RunLogWriter", "append_stdout"),
    "append-after": Point("after", "goloagent.wal.run_log:RunLogWriter", "append_stdout"),
    "push-before": Point("before", "goloagent.outputs.sinks.collector:CollectorSink", "send"),
    "push-before-commit": Point("before", "goloagent.outputs.delivery:Delivery", "commit"),
    "push-after-commit": Point("after", "goloagent.outputs.delivery:Delivery", "commit"),
    "reject-before-commit": Point("after", "goloagent.outputs.dead_letter:DeadLetterRun", "reject"),
    # It ends.
    "stopping-after-save": Point("after", STORE, "save", _in_state("stopping")),
    "end-before-save": Point("before", STORE, "save", _in_state(*OVER)),
    "end-after-save": Point("after", STORE, "save", _in_state(*OVER)),
}

# After a damaged database was found.
RESTORING = {
    "restore-before-runs": Point("before", "goloagent.runs.recovery:Recovery", "import_runs"),
    "restore-amid-runs": Point("after", STORE, "add"),
}

# Results are given up.
GIVING_UP = {
    "abandon-before-save": Point("after", "goloagent.outputs.worker:OutputWorker", "abandon"),
    "abandon-after-save": Point("after", STORE, "save", _abandoned),
}

# The steps of a start.
STEPS = {
    "directories": Point("break", "goloagent.host.directories", "make_writable"),
    "locks": Point("break", "goloagent.host.directories", "lock_logs"),
    "leftovers": Point("break", "goloagent.host.preflight", "set_aside"),
    "database": Point("break", "goloagent.host.preflight", "open_database"),
    "containment": Point("break", "goloagent.sandbox.supervisor:ProcessSupervisor", "__init__"),
    "binaries": Point("break", f"{BINARIES}:ArtifactStore", "open"),
    "threads": Point("break", "goloagent.concurrency.threads:Threads", "start"),
    "listen": Point("break", "goloagent.service", "listen"),
    "recover": Point("break", "goloagent.runs.recovery:Recovery", "recover"),
    "restore": Point("break", "goloagent.runs.restoration:Restoration", "restore"),
    "supervise": Point("break", "goloagent.runs.scheduler:JobScheduler", "start"),
}

FAULTS = {
    "sync-of-log": Point("fault", "goloagent.wal.run_log:RunLogSync", "sync"),
    "sync-of-offsets": Point("fault", STORE, "sync"),
}

# The calls that a stop waits for; it takes `SHORT_STOP_SECONDS`.
HANGS = {
    "start": Point("block", "goloagent.service", "acquire"),
    "recovery": Point("never", "goloagent.runs.recovery:Recovery", "recover"),
    "listeners": Point("never", "goloagent.service", "close"),
    "run": Point("never", "goloagent.runs.scheduler:JobScheduler", "stop"),
    "preparation": Point("block", f"{BINARIES}:ArtifactStore", "copy_verified"),
    "orphans": Point(
        "block", "goloagent.sandbox.supervisor:ProcessSupervisor", "_cleanup", _of_job
    ),
    "delivery": Point("never", "goloagent.outputs.worker:OutputWorker", "stop"),
    "connections": Point("never", "goloagent.transport.client:Client", "close"),
    "sync of logs": Point("block", "goloagent.wal.run_log:RunLogSync", "sync"),
    "sync of offsets": Point("block", STORE, "sync"),
    "removal": Point("block", "goloagent.runs.preparation:PreparedRun", "cleanup"),
    "database close": Point("block", STORE, "close"),
    "free space": Point("block", "goloagent.filesystem.disk_space:DiskSpaceGuard", "fault"),
}
SHORT_STOP_SECONDS = 4.0


async def _never() -> None:
    while True:
        with suppress(CancelledError):
            await Deferred()


def _end(countdown: list[int]) -> None:
    countdown[0] -= 1
    if countdown[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def arm(point: Point, nth: int) -> None:
    """Wrap the method of `point` so that its `nth` call fails."""
    module, _, name = point.where.partition(":")
    owner = getattr(import_module(module), name) if name else import_module(module)
    original = inspect.getattr_static(owner, point.method)
    is_class_method = isinstance(original, classmethod)
    function = original.__func__ if is_class_method else original
    countdown = [nth]

    @functools.wraps(function)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        reached = point.condition(*arguments, **named)
        if point.when == "break":
            raise RuntimeError("two\nlines")
        if point.when == "fault":
            countdown[0] -= 1
            if countdown[0] == 0:
                raise SyncFailed(errno.EIO, os.strerror(errno.EIO))
        if reached and point.when in ("block", "never"):
            countdown[0] -= 1
            if countdown[0] <= 0:
                os.write(2, b"hanging\n")
                if point.when == "block":
                    threading.Event().wait()
                return ensureDeferred(_never())
        if reached and point.when == "before":
            _end(countdown)
        if reached and point.when == "half":
            log, data = arguments
            function(log, data[: len(data) // 2])
            _end(countdown)
            return function(log, data[len(data) // 2 :])
        result = function(*arguments, **named)
        if reached and point.when == "after":
            _end(countdown)
        return result

    setattr(owner, point.method, classmethod(wrapped) if is_class_method else wrapped)


def main() -> None:
    """Arm the point and run twistd."""
    name, _, nth = sys.argv.pop(1).partition(":")
    arm({**POINTS, **RESTORING, **GIVING_UP, **FAULTS, **HANGS, **STEPS}[name], int(nth or 1))
    if name in HANGS:
        agent = import_module("goloagent.service")
        agent.STOP_SECONDS = SHORT_STOP_SECONDS
        agent.GUARD_SECONDS = SHORT_STOP_SECONDS + 1
    from twisted.scripts.twistd import run

    run()


if __name__ == "__main__":
    main()
