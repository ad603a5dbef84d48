"""Render docs/lifecycle.md from the transitions of a run, for ``make docs``."""

from __future__ import annotations

from pathlib import Path

from goloagent.runs.timeouts import Timeouts
from goloagent.runs.transitions import LOADED, TRANSITIONS, Action, Event, Phase

PAGE = Path(__file__).with_suffix(".md")

_INTRODUCTION = f"""\
# The states of a job

A job waits in the queue (`queued`), runs through the phases below, and ends as `finished`,
`failed`, `cancelled` or `interrupted`. `goloagent/runs/transitions.py` has the table of all
transitions; `make docs` renders this page from it.

A job is `finished` if it ran for its duration and at least one call succeeded. A program that
drives itself (`"drive": "self"`) is never connected to: it is `finished` if it exits with 0, or if
its time is over. Otherwise the first failure decides: a user's cancel yields `cancelled`, an agent
shutdown `interrupted`, any other failure `failed` (`goloagent/runs/outcome.py`).

## Why the end has several phases

A load test prints a result *after* the call that caused it has returned. So the end has several
phases: stop issuing calls and wait for those in flight (`{Phase.DRAINING_CALLS.name}`), wait until
stdout is idle (`{Phase.WAITING_FOR_OUTPUT.name}`), send SIGTERM (`{Phase.TERMINATING.name}`), and
send SIGKILL to the remaining processes (`{Phase.KILLING.name}`). The job is over when its pipes are
read to their end (`{Phase.CLOSING_PIPES.name}`).

After the loss of the RPC connection the agent waits a moment (`{Phase.CONNECTION_LOST.name}`): if
the process has crashed, its exit is the better reason.
"""

_OPTIONS = {
    Phase.LAUNCHING: "`--start-timeout`",
    Phase.CONNECTING: "`--start-timeout`",
    Phase.DRAINING_CALLS: "`--drain-timeout`",
    Phase.WAITING_FOR_OUTPUT: "`--output-timeout`",
    Phase.TERMINATING: "`--grace`",
}


def render() -> str:
    """Return the page."""
    return "\n".join([_INTRODUCTION, *_diagram(), "", *_phases(), "", *_rows(), ""])


def _diagram() -> list[str]:
    arrows: dict[tuple[Phase, Phase], list[str]] = {}
    for (phase, event), step in TRANSITIONS.items():
        if step.phase is not phase:
            arrows.setdefault((phase, step.phase), []).append(event.name.lower())
    lines = [f"    {a.name} --> {b.name}: {', '.join(events)}" for (a, b), events in arrows.items()]
    return [
        "## The diagram",
        "",
        "```mermaid",
        "stateDiagram-v2",
        "    [*] --> PREPARING: first in the queue",
        *lines,
        "    OVER --> [*]",
        "```",
    ]


def _phases() -> list[str]:
    bounds = Timeouts()
    rows = [
        f"| {phase.name} | {phase.state.value} | {_seconds(bounds, phase)} "
        f"| {_OPTIONS.get(phase, '')} |"
        for phase in Phase
        if phase.state is not None
    ]
    return [
        "## Timeouts",
        "",
        "The second number is the maximum for a cancelled job and for a shutdown of the agent.",
        f"Stdout is idle after {bounds.quiet_seconds:g} s without a byte (`--quiet-period`).",
        "",
        "| phase | state in the API | seconds | option |",
        "|---|---|---|---|",
        *rows,
    ]


def _seconds(bounds: Timeouts, phase: Phase) -> str:
    if phase in LOADED:
        return "the job's duration"
    usual, cancelled = (
        bounds.for_phase(phase, 0, cancelled=False),
        bounds.for_phase(phase, 0, cancelled=True),
    )
    return f"{usual:g}" if usual == cancelled else f"{usual:g} / {cancelled:g}"


def _rows() -> list[str]:
    rows = [
        f"| {phase.name} | {event.name} | {step.phase.name} "
        f"| {', '.join(action.name for action in step.actions)} |"
        for (phase, event), step in TRANSITIONS.items()
    ]
    return [
        "## The transitions",
        "",
        "| phase | event | next phase | actions |",
        "|---|---|---|---|",
        *rows,
        "",
        "Events: " + "; ".join(f"`{event.name}` {event.value}" for event in Event) + ".",
        "",
        "Actions: " + "; ".join(f"`{action.name}` {action.value}" for action in Action) + ".",
    ]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
