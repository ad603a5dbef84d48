"""The file descriptors that the agent needs, and those that are left for connections."""

from __future__ import annotations

# The database, listeners, delivery, and one run with its pipes and logs: some 50 are open.
RESERVED = 128
# A connection that uploads or follows a log has an open file too; one in the reserve has none.
PER_CONNECTION = 2
# More than twice as many connections as Twisted accepts in one iteration of the reactor, so that
# the first bytes of a connection are read before it can be evicted.
MIN_RESERVE = 256
_MAX_RESERVE = 2048


def reserve_of(limit: int, max_connections: int) -> int:
    """Return the number of connections that the HTTP server may hold beyond `max_connections`.

    Args:
        limit: the soft limit on descriptors.
        max_connections: the value of ``--max-connections``.
    """
    return max(MIN_RESERVE, min(_MAX_RESERVE, limit - RESERVED - PER_CONNECTION * max_connections))
