"""Render docs/lifecycle.md from the table in goloagent.runs.transitions, for ``make docs``."""

from __future__ import annotations

from pathlib import Path

from goloagent.runs.timeouts import Bounds
from goloagent.runs.transitions import TABLE, Effect, Event, Phase

PAGE = Path(__file__).with_suffix(".md")

_INTRODUCTION = """\
# The life of a job

A job waits in the queue (`queued`), runs through the phases below, and ends as `finished`,
`failed`, `cancelled` or `interrupted`. What happens in a phase, and what follows, is the table
`goloagent/runs/transitions.py`; this page is rendered from it by `make docs`.

A job is `finished` when it ran for its duration and at least one call succeeded. Otherwise its
first cause decides: somebody's wish makes it `cancelled`, the agent's end `interrupted`, everything
else `failed` (`goloagent/runs/outcome.py`).

## Why the end has so many phases

A load test prints a result *after* the call that caused it has returned. So the end is unhurried:
no further call is made and those in flight may return (`RETURNING`); stdout may fall quiet
(`SETTLING`); only then comes SIGTERM (`TERMINATING`), and SIGKILL for whatever did not heed it
(`KILLING`). Pipes are read to their end before the job is over (`DRAINING`).

A broken RPC connection waits a moment (`PARTING`): when the process has crashed, its exit is the
better reason.
"""


def render() -> str:
    """Return the page."""
    return "\n".join([_INTRODUCTION, *_diagram(), "", *_phases(), "", *_rows(), ""])


def _diagram() -> list[str]:
    arrows: dict[tuple[Phase, Phase], list[str]] = {}
    for (phase, event), step in TABLE.items():
        if step.phase is not phase:
            arrows.setdefault((phase, step.phase), []).append(event.name.lower())
    lines = [f"    {a.name} --> {b.name}: {', '.join(events)}" for (a, b), events in arrows.items()]
    return [
        "## The picture",
        "",
        "```mermaid",
        "stateDiagram-v2",
        "    [*] --> PREPARING: its turn",
        *lines,
        "    OVER --> [*]",
        "```",
    ]


def _phases() -> list[str]:
    bounds = Bounds()
    rows = [
        f"| {phase.name} | {phase.state.value} | {_seconds(bounds, phase)} |"
        for phase in Phase
        if phase.state is not None
    ]
    return [
        "## How long a phase may last",
        "",
        "In the second figure somebody waits for the end: a cancelled job, an agent that stops.",
        f"Stdout is quiet after {bounds.quiet_seconds:g} s without a byte.",
        "",
        "| phase | state in the API | seconds |",
        "|---|---|---|",
        *rows,
    ]


def _seconds(bounds: Bounds, phase: Phase) -> str:
    if phase is Phase.RUNNING:
        return "the job's duration"
    usual, cancelled = bounds.of(phase, 0, cancelled=False), bounds.of(phase, 0, cancelled=True)
    return f"{usual:g}" if usual == cancelled else f"{usual:g} / {cancelled:g}"


def _rows() -> list[str]:
    rows = [
        f"| {phase.name} | {event.name} | {step.phase.name} "
        f"| {', '.join(effect.name for effect in step.effects)} |"
        for (phase, event), step in TABLE.items()
    ]
    return [
        "## The table",
        "",
        "| in this phase | when this happens | go to | and do |",
        "|---|---|---|---|",
        *rows,
        "",
        "Events: " + "; ".join(f"`{event.name}` {event.value}" for event in Event) + ".",
        "",
        "Effects: " + "; ".join(f"`{effect.name}` {effect.value}" for effect in Effect) + ".",
    ]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
