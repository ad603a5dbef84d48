"""Translates what happens to a load test's process into events of the run's state machine."""

from __future__ import annotations

import signal

from goloagent.core.host_fault import HostFault
from goloagent.jobs.job import Exit, FailureReason, Job
from goloagent.runs import outcome
from goloagent.runs.recorder import OutputRecorder
from goloagent.runs.state_machine import RunStateMachine
from goloagent.runs.transitions import Event
from goloagent.sandbox.process import Watcher


class ProcessEvents(Watcher):
    """Watches the process of `job`; `recorder` records its output."""

    def __init__(self, job: Job, machine: RunStateMachine, recorder: OutputRecorder) -> None:
        self._job = job
        self._machine = machine
        self._recorder = recorder

    def launched(self) -> None:
        """Begin the delivery of results."""
        if not self._machine.is_over:
            self._recorder.delivery.begin()
            is_driven = self._job.spec.drive != "self"
            self._machine.handle(Event.LAUNCHED if is_driven else Event.SELF_LAUNCHED)

    def launch_failed(self, sentence: str, host_status: str | None = None) -> None:
        """Fail the job, or requeue it if the host is at fault."""
        sentence = f"The load test cannot be executed: {sentence}."
        if host_status is None:
            cause = FailureReason("exec-failed", sentence)
        else:
            cause = outcome.from_host(HostFault(host_status, sentence))
        self._machine.handle(Event.FAILED, cause)

    def stdout(self, data: bytes) -> None:
        """Record stdout."""
        self._recorder.stdout(data)

    def stderr(self, data: bytes) -> None:
        """Record stderr."""
        self._recorder.stderr(data)

    def exited(self, code: int | None, signal_number: int | None) -> None:
        """Note how the process ended."""
        if not self._machine.is_over:
            self._job.exit = Exit(code, _signal_name(signal_number))
        self._machine.handle(Event.EXITED)

    def closed(self) -> None:
        """Report that the output is complete."""
        self._machine.handle(Event.CLOSED)


def _signal_name(number: int | None) -> str | None:
    """Return a signal's name; most real-time signals have only a number."""
    if number is None:
        return None
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
