"""Outputs: results of a load test to each kind of output that takes records, with real servers."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median
from urllib.error import URLError
from urllib.parse import quote

from bench import agent, peer
from bench.row import Row
from bench.size import Size

_BLOCK = 1_000  # lines that a call of the load test prints
_USERS = 4
_SECONDS = 60
# Takes each result and says so, many at a time.
_TAKER = (
    "import os\nn = 0\nwhile b := os.read(0, 1 << 20):\n n += b.count(10)\n print(n, flush=True)"
)
# The same, with 0.1 s for each read.
_SLOW_TAKER = _TAKER.replace(" n +=", " time.sleep(0.1); n +=").replace(
    "import os", "import os, time"
)

_INFLUX = """
reporting-disabled = true
bind-address = "{backup}"
[meta]
dir = "{directory}/meta"
[data]
dir = "{directory}/data"
wal-dir = "{directory}/wal"
[monitor]
store-enabled = false
[http]
bind-address = "{address}"
log-enabled = false
"""

Server = Callable[[Path], AbstractContextManager[str | None]]


def measure(directory: Path, size: Size) -> Iterator[Row]:
    """Print results at full speed, and measure until the output has all of them."""
    printer = peer.load_test(directory, "print", _BLOCK, 10)
    for name, server in SERVERS.items():
        place = directory / name
        place.mkdir()
        with server(place) as url:
            if url is None:
                print(f"{name}: its server is not installed", file=sys.stderr)
                continue
            runs = [
                _deliver(place / str(number), printer, url, size.output_lines)
                for number in range(size.rounds)
            ]
        rates, costs = zip(*runs, strict=True)
        yield Row(f"{size.output_lines:,} results to {name}", median(rates), "results/s")
        yield Row("the same, CPU of a result", median(costs), "µs")
    yield from _beside(directory, size, printer)


def _beside(directory: Path, size: Size, printer: Path) -> Iterator[Row]:
    """Compare the rate of JSON lines alone and beside a dead output and a slow one, in turn."""
    slow = quote(shlex.join([sys.executable, "-c", f"exec({_SLOW_TAKER!r})"]))
    beside = {"dead": "influx+http://127.0.0.1:9?database=golo", "slow": f"exec:{slow}"}
    rates: dict[bool, list[float]] = {True: [], False: []}
    for number in range(size.rounds):
        for is_alone in rates:
            place = directory / f"beside-{number}-{is_alone}"
            place.mkdir()
            others = {} if is_alone else beside
            rate, _ = _deliver(place, printer, f"jsonl:{place}/file", size.output_lines, others)
            rates[is_alone].append(rate)
    alone, together = median(rates[True]), median(rates[False])
    yield Row("JSON lines beside a dead and a slow output", together, "results/s")
    yield Row("the same, of the rate alone", together / alone, "")


def _deliver(
    directory: Path, printer: Path, url: str, lines: int, others: Mapping[str, str] = {}
) -> tuple[float, float]:
    """Return results per second to the first output, and the agent's CPU time a result in µs."""
    directory.mkdir(exist_ok=True)
    settings = directory / "outputs.toml"
    tables = {"bench": url, **others}
    settings.write_text("".join(f"[{name}]\nurl = '{url}'\n" for name, url in tables.items()))
    with agent.start(directory, "none", outputs=str(settings)) as running:
        with running.job(printer, _USERS) as job_id:
            begin, cpu = time.perf_counter(), running.cpu_seconds
            running.wait(lambda: running.show(job_id)["results"]["read"] >= lines)
        running.wait(lambda: running.show(job_id)["outputs"]["bench"]["pending"] == 0)
        seconds, cpu = time.perf_counter() - begin, running.cpu_seconds - cpu
        delivered = running.show(job_id)["outputs"]["bench"]["delivered"]
    return delivered / seconds, cpu * 1e6 / delivered


@contextmanager
def _collector(directory: Path) -> Iterator[str]:
    address = peer.free_address()
    with peer.server("collect", address):
        yield f"collector+http://{address}"


@contextmanager
def _influx(directory: Path) -> Iterator[str | None]:
    program = shutil.which("influxd")
    if program is None:
        yield None
        return
    address = peer.free_address()
    settings = directory / "influxdb.conf"
    settings.write_text(
        _INFLUX.format(directory=directory, address=address, backup=peer.free_address())
    )
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([program, "-config", settings], stdout=log, stderr=log)
    try:
        create = f"http://{address}/query?q={quote('CREATE DATABASE golo')}"
        end = time.monotonic() + _SECONDS
        while True:
            try:
                urllib.request.urlopen(urllib.request.Request(create, method="POST"), timeout=5)
                break
            except (URLError, ConnectionError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        yield f"influx+http://{address}?database=golo"
    finally:
        process.kill()
        process.wait()


@contextmanager
def _postgresql(directory: Path) -> Iterator[str | None]:
    from peers.postgresql import installed, postgresql

    if not installed():
        yield None
        return
    with postgresql() as server:
        yield server.url


@contextmanager
def _kafka(directory: Path) -> Iterator[str | None]:
    from peers.kafka import program, tansu

    if program() is None:
        yield None
        return
    with tansu(directory) as broker:
        broker.create("golo")
        yield broker.url()


def _file(scheme: str) -> Server:
    @contextmanager
    def make(directory: Path) -> Iterator[str]:
        yield f"{scheme}:{directory / 'results'}"

    return make


@contextmanager
def _exec(directory: Path) -> Iterator[str]:
    command = shlex.join([sys.executable, "-c", f"exec({_TAKER!r})"])
    yield f"exec:{quote(command)}"


sys.path.append(str(Path(__file__).parents[1] / "tests"))  # real servers

SERVERS: dict[str, Server] = {
    "a collector": _collector,
    "InfluxDB": _influx,
    "PostgreSQL": _postgresql,
    "Kafka": _kafka,
    "JSONL": _file("jsonl"),
    "CSV": _file("csv"),
    "Parquet": _file("parquet"),
    "a program": _exec,
}
