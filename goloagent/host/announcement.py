"""What the agent's log says first: its version, and where results, logs and state go."""

from __future__ import annotations

from twisted.logger import Logger

from goloagent import VERSION
from goloagent.settings import Settings

_log = Logger()


def announce(settings: Settings) -> None:
    """Log what an operator looks for first; the URLs at which the agent listens follow it."""
    _log.info("golo-agent {version}", version=VERSION)
    if settings.collector is None:
        _log.info("results stay in the logs: --collector is none")
    else:
        _log.info("results go to the collector {url}", url=str(settings.collector.url))
    _log.info(
        "logs are kept in {logs}, jobs and binaries in {state}",
        logs=str(settings.logs),
        state=str(settings.state),
    )
