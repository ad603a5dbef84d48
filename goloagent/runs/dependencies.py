"""The dependencies of a run: its clock, disk, processes, connection and output, as functions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from goloagent.core.stats.run_stats import RunStatistics
from goloagent.filesystem.disk_space import Excess
from goloagent.jobs.job import Job
from goloagent.load.rpc_client import RpcClient
from goloagent.runs.delivery import DeliveryQueue
from goloagent.runs.preparation import PreparedRun
from goloagent.runs.sampler import Watchers
from goloagent.runs.second_sample import SecondSample
from goloagent.runs.timeouts import Timeouts
from goloagent.sandbox.peer_check import Endpoint
from goloagent.sandbox.process import LoadTestProcess, Watcher
from goloagent.sandbox.program import Invocation
from goloagent.wal.timeline_file import TimelineFile


@attrs.frozen
class RunDependencies:
    """The dependencies of a `Run`.

    Args:
        prepare: creates what the job needs. Raises `PreparationError`.
        spawn: starts a program and reports its events to a watcher. Raises OSError.
        connect: connects an RPC client, retrying until it is cancelled.
        is_foreign_listener: whether the remote socket belongs to a process of another program.
        save: saves the job. Raises OSError if that is postponed.
        commit: saves the job durably. Raises OSError.
        check_space: returns why a run whose log has so many bytes must end, or None.
        keep_statistics: stores the final statistics of a job.
        open_timeline: creates the timeline of a job whose load starts at a time.
        watchers: receives the progress and the events of a job.
        observe_second: called with each sample of a job under load.
        in_thread: runs a function in a worker thread.
    """

    clock: IReactorTime
    now: Callable[[], datetime]
    prepare: Callable[[Job], Awaitable[PreparedRun]]
    spawn: Callable[[Path, Invocation, Watcher], LoadTestProcess]
    connect: Callable[[RpcClient], Deferred[None]]
    is_foreign_listener: Callable[[str, int, tuple[Endpoint, Endpoint]], Awaitable[bool]]
    save: Callable[[Job], None]
    commit: Callable[[Job], Awaitable[None]]
    delivery: DeliveryQueue
    check_space: Callable[[int], Excess | None]
    keep_statistics: Callable[[Job, RunStatistics], Deferred[Any]]
    open_timeline: Callable[[Job, datetime], TimelineFile]
    watchers: Watchers
    observe_second: Callable[[Job, SecondSample], None]
    in_thread: Callable[[Callable[[], None]], Deferred[None]]
    timeouts: Timeouts = attrs.Factory(Timeouts)
