"""The first lines of the agent's log: version, page, outputs, directories and isolation."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import Logger

from goloagent import VERSION
from goloagent.host.readiness import Protections
from goloagent.sandbox import landlock
from goloagent.settings import Settings

_log = Logger()


def announce(settings: Settings, urls: Iterable[str], protections: Protections) -> None:
    """Log one line about each; `urls` are those of the page."""
    collector = "none" if settings.outputs else "none; results stay in the logs"
    if settings.collector is not None:
        collector = str(settings.collector.url)
    files = protections.files
    if files == "landlock":
        files += f", ABI {landlock.abi()}"
    for line in (
        f"golo-agent {VERSION}",
        f"page: {', '.join(urls)}",
        f"collector: {collector}",
        *(f"output {output.name}: {output.shown}" for output in settings.outputs),
        f"directories: logs in {settings.logs}, jobs and binaries in {settings.state}",
        f"isolation: {protections.processes}; file access: {files}",
    ):
        _log.info("{line}", line=line)
