"""Growth: the cost of a line over a long run, and of a call over the number of users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import agent, peer
from bench.row import Row
from bench.size import Size

_USERS = (1, 10, 100, 1000, 10_000, 100_000)
# With fewer users, few replies share an event of the reactor.
_FLAT_FROM_USERS = 100
# The maximum ratio of a cost that does not grow.
_MAX_RATIO = 1.25


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Read one long run, then drive a load test whose call does nothing, by number of users."""
    yield from _lines(directory, size.run_lines)
    noop = peer.load_test(directory, "noop")
    costs: dict[int, float] = {}
    with agent.start(directory) as running:
        for users in _USERS:
            with running.job(noop, users) as job_id:
                costs[users] = running.measure(job_id, size.seconds).cost("calls")
    flat = [users for users in _USERS if users >= _FLAT_FROM_USERS]
    yield from _rows("call", "users", costs, middle=1000, flat=flat)


def _lines(directory: Path, maximum: int) -> Iterator[Row]:
    """Measure the cost of a line by the number of lines before it."""
    agent.need_disk(directory, 1000 * maximum)
    counts = [10**power for power in range(4, len(str(maximum)))]
    printer = peer.load_test(directory, "print", 1000, 1000)
    with (
        agent.start(directory, max_log="100GiB", keep_size="100GiB") as running,
        running.job(printer, 1) as job_id,
    ):
        # Poll throughout, because polling has a cost, too.
        moments = [running.moment(job_id)]

        def reached() -> bool:
            moments.append(running.moment(job_id))
            return moments[-1].read >= 3 * maximum

        running.wait(reached, seconds=3600)
    costs = {}
    for count in counts:
        begin = next(moment for moment in moments if moment.read >= count)
        end = next(moment for moment in moments if moment.read >= begin.read + count)
        costs[count] = agent.Span(begin, end).cost("read")
    yield from _rows("line", "lines", costs, middle=counts[len(counts) // 2], flat=[counts[-1]])


def _rows(
    what: str, of: str, costs: dict[int, float], middle: int, flat: list[int]
) -> Iterator[Row]:
    """Compare each cost with the one in the middle; those of `flat` have a target."""
    for count, cost in costs.items():
        yield Row(
            f"cost of a {what}, {count:,} {of} relative to {middle:,}",
            cost,
            "µs",
            costs[middle],
            cost / costs[middle],
            target=_MAX_RATIO if count in flat and count != middle else None,
            at_least=False,
        )
