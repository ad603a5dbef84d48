"""Chooses the view for where the output goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

from rich.console import Console
from twisted.internet.interfaces import IReactorTime

from goloagent.client.run.observer import Observer
from goloagent.client.view.live import LiveView
from goloagent.client.view.plain import PlainLines
from goloagent.client.view.quiet import Quiet
from goloagent.client.view.stream import SafeStream

_NO_TERMINALS = ("", "dumb", "unknown")


def view_for(
    stdout: IO[str], environ: Mapping[str, str], clock: IReactorTime, *, quiet: bool = False
) -> Observer:
    """Return a live view for a terminal, else plain lines; the verdict alone if `quiet`.

    ``NO_COLOR`` leaves out the colours.
    """
    stream = SafeStream(stdout)
    if quiet:
        return Quiet(stream)
    if not stream.isatty() or environ.get("TERM", "") in _NO_TERMINALS:
        return PlainLines(stream)
    return LiveView(stream, terminal(stream, environ), clock)


def terminal(stream: SafeStream, environ: Mapping[str, str]) -> Console:
    """Return a console that adds nothing to what it prints."""
    return Console(
        file=stream,  # type: ignore[arg-type]
        force_terminal=True,
        no_color=bool(environ.get("NO_COLOR")),
        highlight=False,
        markup=False,
        emoji=False,
    )
