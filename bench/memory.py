"""Memory over a long run with 1,000 URLs and an outage of the collector, and cost per line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import agent, peer
from bench.row import Row
from bench.size import Size

_OUTAGE_SECONDS = 5
# A line of the printer has less than 200; the rest is a reserve for what it prints at the end.
_LINE_BYTES = 250


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Read lines, with an outage of the collector after the first million or half of them."""
    printer = peer.load_test(directory, "print", 1000, 1000)
    address = peer.free_address()
    begin = min(1_000_000, size.lines // 2)
    agent.need_disk(directory, _LINE_BYTES * size.lines)
    with (
        agent.start(directory, address, max_log="100GiB", keep_size="100GiB") as running,
        running.job(printer, 4) as job_id,
    ):

        def reach(lines: int) -> agent.Moment:
            running.wait(lambda: running.moment(job_id).read >= lines, seconds=3600)
            return running.moment(job_id)

        zero = running.moment(job_id)
        with peer.server("collect", address):
            first = reach(begin)
            early = running.memory("VmRSS")
        outage = running.moment(job_id)
        running.wait(
            lambda: running.moment(job_id).time > outage.time + min(_OUTAGE_SECONDS, size.seconds)
        )
        with peer.server("collect", address):
            last = reach(size.lines)
            late = running.memory("VmRSS")
            peak = running.memory("VmHWM")
        cost_early, cost_late = agent.Span(zero, first), agent.Span(outage, last)
    millions = size.lines / 1e6
    yield Row(f"memory after {millions:g} M lines", late, "MiB RSS", target=96, at_least=False)
    yield Row("memory, maximum", peak, "MiB RSS")
    yield Row(
        f"memory, growth from {begin / 1e6:g} M lines",
        late - early,
        "MiB",
        target=8,
        at_least=False,
    )
    yield Row(
        "cost of a line, later lines relative to the first",
        cost_late.cost("read"),
        "µs/line",
        cost_early.cost("read"),
        cost_late.cost("read") / cost_early.cost("read"),
    )
