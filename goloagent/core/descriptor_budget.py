"""How many file descriptors the agent needs, and what is left for connections. Pure."""

from __future__ import annotations

# The database, listeners, delivery, and one run with its pipes and logs: some 50 are open.
RESERVED = 128
# A connection that uploads or follows a log has a file open, too; none in the reserve does.
PER_CONNECTION = 2
# More than twice as many connections as Twisted accepts in one iteration of the reactor, so that
# the first bytes of a connection are read before it can be evicted.
MIN_RESERVE = 256
_MAX_RESERVE = 2048


def reserve_of(limit: int, max_connections: int) -> int:
    """Return how many connections beyond `max_connections` the HTTP server may hold in its reserve.

    Args:
        limit: the soft limit on descriptors.
        max_connections: the value of ``--max-connections``.
    """
    return max(MIN_RESERVE, min(_MAX_RESERVE, limit - RESERVED - PER_CONNECTION * max_connections))
