"""The limit on open files, checked against what the options can make the agent open."""

from __future__ import annotations

import resource

from goloagent.host.error import CannotStart
from goloagent.web.limits import MIN_RESERVE

# The database, listeners, delivery, and one run with its pipes and logs: some 50 are open.
RESERVED = 128
# A connection that uploads or follows a log has a file open, too; none in the reserve does.
PER_CONNECTION = 2


def limit_for(max_connections: int, soft: int, hard: int) -> int:
    """Return the soft limit to set, which is `soft` where that is enough.

    Args:
        max_connections: the value of ``--max-connections``.
        soft: the soft limit on descriptors; `resource.RLIM_INFINITY` is none.
        hard: the hard limit.

    Raises:
        CannotStart: the hard limit is too low.
    """
    needed = RESERVED + PER_CONNECTION * max_connections + MIN_RESERVE
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return soft
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return needed
    raise CannotStart(
        f"--max-connections {max_connections} takes up to {needed} open files, and the limit is"
        f" {hard}: raise the limit (LimitNOFILE=, ulimit -Hn) or lower --max-connections"
    )


def raise_limit(max_connections: int) -> None:
    """Raise the soft limit on descriptors to what `max_connections` can take.

    Raises:
        CannotStart: the hard limit is too low.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limit_for(max_connections, soft, hard)
    if wanted != soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
