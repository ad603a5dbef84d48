"""The limit on open files, compared with the maximum that the options allow."""

from __future__ import annotations

import resource

from goloagent.core.descriptor_budget import MIN_RESERVE, PER_CONNECTION, RESERVED
from goloagent.host.startup_error import StartupError


def limit_for(max_connections: int, soft: int, hard: int) -> int:
    """Return the soft limit to set: `soft` if that is enough.

    Args:
        max_connections: the value of ``--max-connections``.
        soft: the present soft limit; `resource.RLIM_INFINITY` means no limit.
        hard: the hard limit.

    Raises:
        StartupError: the hard limit is too low.
    """
    needed = RESERVED + PER_CONNECTION * max_connections + MIN_RESERVE
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return soft
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return needed
    raise StartupError(
        f"--max-connections {max_connections} needs up to {needed} open files, and the limit is"
        f" {hard}: raise the limit (LimitNOFILE=, ulimit -Hn) or lower --max-connections"
    )


def raise_limit(max_connections: int) -> None:
    """Raise the soft limit on open files to what `max_connections` need.

    Raises:
        StartupError: the hard limit is too low.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limit_for(max_connections, soft, hard)
    if wanted != soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
