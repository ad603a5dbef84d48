"""``golo export`` of a real run: each file has what the log of the agent has."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import duckdb
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from peers.agent import Agent
from peers.golo import start_golo
from peers.programs import Builder
from twisted.internet import reactor

from goloagent.client.exit_codes import ExitCode

PROGRAM = """
from goloagent.sdk import report, serve

def journey():
    time.sleep(0.005)
    report(method="GET", url="/a,\\"b\\"", status=200, size=12, duration_seconds=0.005)
    report(method="POST", url="/ä", status=500, duration_seconds=0.001, error="line 1\\nline 2")
    os.write(1, b"no result\\n")  # print writes the line's end apart, between other threads' lines

serve(journey)
"""
COLUMNS = ("timestamp", "sequenceID", "method", "url", "status", "size", "duration", "error")


async def golo(directory: Path, *arguments: str) -> tuple[int, str, str]:
    """Run golo to its end; return its exit code and output."""
    process = start_golo(reactor, directory, *arguments)
    return await process.exit_code(), process.out, process.err


async def test_files_have_the_log(agent: Agent, script: Builder, tmp_path: Path) -> None:
    """CSV, Parquet and JSON Lines equal out.log, without the lines that are no results."""
    provider = ("--provider", f"127.0.0.1:{agent.port}")
    program = str(script(PROGRAM))
    code, out, err = await golo(
        tmp_path, "run", program, "-u", "2", "-d", "1", *provider, "-t", "errors: rate<=1"
    )
    assert code == ExitCode.OK, out + err
    _, log, _ = await golo(tmp_path, "logs", *provider)
    lines = [line for line in log.splitlines() if line != "no result"]
    results = [json.loads(line) for line in lines]
    assert len(results) > 50
    assert len(lines) < len(log.splitlines())

    files = ("--csv", "r.csv", "--parquet", "r.parquet", "--jsonl", "r.jsonl")
    more = ("--timeline-csv", "seconds.csv", "--hlog", "r.hlog")
    code, out, err = await golo(tmp_path, "export", *files, *more, *provider)
    assert (code, out) == (ExitCode.OK, ""), err
    left_out = len(log.splitlines()) - len(lines)
    assert f"r.csv: {len(lines):,} results, {left_out:,} lines that are no results left out" in err

    assert (tmp_path / "r.jsonl").read_text().splitlines() == lines
    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    expected = [
        {name: "" if one.get(name) is None else str(one[name]) for name in COLUMNS}
        for one in results
    ]
    assert table == expected

    source = f"'{tmp_path / 'r.parquet'}'"
    query = f"SELECT epoch_us(timestamp), {', '.join(COLUMNS[1:])} FROM {source}"
    rows = duckdb.sql(query).fetchall()
    assert [row[1:] for row in rows] == [
        tuple(one.get(name) for name in COLUMNS[1:]) for one in results
    ]
    times = duckdb.sql(
        f"SELECT epoch_us(timestamp::TIMESTAMPTZ) FROM read_csv('{tmp_path / 'r.csv'}', "
        "all_varchar = true)"
    ).fetchall()
    assert [row[0] for row in rows] == [time for (time,) in times]

    with (tmp_path / "seconds.csv").open(newline="") as file:
        seconds = list(csv.DictReader(file))
    assert sum(int(second["results"]) for second in seconds) == len(lines)
    reader = HistogramLogReader(str(tmp_path / "r.hlog"), HdrHistogram(1, 2**62, 3))
    count = 0
    while (histogram := reader.get_next_interval_histogram()) is not None:
        count += histogram.total_count
    assert count == len(lines)


async def test_stdout_and_refusals(agent: Agent, script: Builder, tmp_path: Path) -> None:
    """A file may be stdout; wrong calls are one sentence, and leave no file."""
    provider = ("--provider", f"127.0.0.1:{agent.port}")
    for arguments, sentence in (
        (("export", *provider), "nothing to write"),
        (
            ("export", "--csv", "-", "--jsonl", "-", *provider),
            "only one of the files can be stdout",
        ),
        (("export", "--csv", "r.csv", *provider), 'there is no run "last"'),
        (("export", "beef", "--csv", "r.csv", *provider), 'there is no run "beef"'),
    ):
        code, out, err = await golo(tmp_path, *arguments)
        assert (code, out, err.count("\n")) == (ExitCode.INVALID, "", 1)
        assert sentence in err
    code, out, err = await golo(
        tmp_path, "run", str(script(PROGRAM)), "-u", "1", "-d", "1", *provider
    )
    code, out, err = await golo(tmp_path, "export", "--csv", "-", *provider)
    assert code == ExitCode.OK, err
    assert out.splitlines()[0] == ",".join(COLUMNS)
    code, out, err = await golo(tmp_path, "export", "--csv", "no/r.csv", *provider)
    assert (code, err) == (
        ExitCode.INVALID,
        "golo: no/r.csv: no such file or directory; give another file or free space\n",
    )
    code, out, err = await golo(tmp_path, "export", "--csv", "/dev/full", *provider)
    assert (code, err.count("\n")) == (ExitCode.INVALID, 1)
    assert err.startswith("golo: /dev/full: no space left on device")
    assert not list(tmp_path.glob("*.csv"))
    assert not list(tmp_path.glob(".*.csv*"))
