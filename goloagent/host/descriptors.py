"""The limit on open files, compared with the maximum that the options allow."""

from __future__ import annotations

import resource

from goloagent.core.descriptor_budget import MIN_RESERVE, PER_CONNECTION, RESERVED
from goloagent.host.startup_error import StartupError


def limit_for(max_connections: int, soft: int, hard: int, more: int = 0) -> int:
    """Return the soft limit to set: `soft` if that is enough.

    Args:
        max_connections: the value of ``--max-connections``.
        soft: the present soft limit; `resource.RLIM_INFINITY` means no limit.
        hard: the hard limit.
        more: descriptors for other files, as far as the hard limit allows.

    Raises:
        StartupError: the hard limit is too low.
    """
    needed = needed_for(max_connections)
    if soft == resource.RLIM_INFINITY or soft >= needed + more:
        return soft
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return needed + more if hard == resource.RLIM_INFINITY else min(hard, needed + more)
    raise StartupError(
        f"--max-connections {max_connections} needs up to {needed} open files, and the limit is"
        f" {hard}: raise the limit (LimitNOFILE=, ulimit -Hn) or lower --max-connections"
    )


def needed_for(max_connections: int) -> int:
    """Return the number of descriptors that an agent with `max_connections` needs."""
    return RESERVED + PER_CONNECTION * max_connections + MIN_RESERVE


def raise_limit(max_connections: int, more: int = 0) -> int:
    """Raise the soft limit on open files to what `max_connections` and `more` need; return it.

    Raises:
        StartupError: the hard limit is too low.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limit_for(max_connections, soft, hard, more)
    if wanted != soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
