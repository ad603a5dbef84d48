"""One output: its sink, its worker, and its log lines at start and stop."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import Logger, LogLevel

from goloagent.core.output_schemes import RESULT
from goloagent.jobs.job import Checkpoint
from goloagent.outputs.availability import Availability
from goloagent.outputs.sink import Sink
from goloagent.outputs.worker import OutputWorker


@attrs.define
class Output:
    """A backend to which results are sent.

    Args:
        unit: in which it goes forward, `RESULT` or `SECOND`.
        required: logs stay until it has all results.
        remarks: what an operator should know about its setting, logged at the start by level.
        is_checked: whether a connection at the start says something about the backend.
    """

    name: str
    sink: Sink[Any]
    availability: Availability
    worker: OutputWorker
    unit: str = RESULT
    required: bool = True
    remarks: tuple[tuple[LogLevel, str], ...] = ()
    is_checked: bool = True
    _checking: Deferred[None] | None = attrs.field(init=False, default=None)

    _log = Logger()

    @property
    def new_checkpoint(self) -> Checkpoint:
        """The checkpoint of a new job."""
        return Checkpoint(unit=self.unit, required=self.required)

    def start(self) -> None:
        """Start the worker; connect once, so that an operator sees early what is missing."""
        self.worker.start()
        for level, remark in self.remarks:
            self._log.emit(level, "{label}: {remark}", label=self.availability.label, remark=remark)
        self._checking = ensureDeferred(self._check())
        self._checking.addErrback(lambda failure: failure.trap(CancelledError))

    async def close(self) -> None:
        """Log how many results are pending, and close the connections."""
        if self._checking is not None:
            self._checking.cancel()
        self.availability.stopped()
        await self.sink.close()

    async def _check(self) -> None:
        try:
            error = await self.sink.check()
        except CancelledError:
            raise
        except Exception as defect:
            self._log.failure("{label}: the check failed", label=self.availability.label)
            error = f"the check failed by a defect: {defect}"
        if error is not None or self.is_checked:
            self.availability.checked(error)
