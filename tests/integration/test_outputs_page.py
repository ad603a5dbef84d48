"""The examples of docs/outputs.md for files and for a program, with a real agent."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import duckdb
from peers.agent import Agent
from peers.programs import Builder
from peers.readme import ROOT
from twisted.internet import reactor, task

PAGE = (ROOT / "docs" / "outputs.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return a section of the page."""
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def options(title: str) -> list[str]:
    """Return the outputs of a section."""
    return re.findall(r"--output \w+='(.*?)'", section(title))


async def test_the_examples(idle_agent: Agent, go_loadtest: Builder, tmp_path: Path) -> None:
    """Files and program have each result once, and the query returns what the statistics have."""
    for directory in ("tables", "parquet"):
        (tmp_path / directory).mkdir()
    program = tmp_path / "store-results"
    (text,) = re.findall(r"```python\n(.*?)```", section("Your own program"), re.DOTALL)
    failures = tmp_path / "failures.txt"
    program.write_text(text.replace("failures.txt", str(failures)))
    program.chmod(0o755)
    urls = options("Files") + options("Your own program")
    assert len(urls) == 4
    for number, url in enumerate(urls):
        here = url.replace("/srv", str(tmp_path)).replace("/usr/local/bin", str(tmp_path))
        idle_agent.more += ("--output", f"output-{number}={here}")
    await idle_agent.start()
    job = await idle_agent.settled(await idle_agent.queue("shop", go_loadtest("shop"), duration=1))
    while not all(output["complete"] for output in job["outputs"].values()):
        await task.deferLater(reactor, 0.1)
        job = await idle_agent.job(job["id"])
    stats = (await idle_agent.request("GET", f"/jobs/{job['id']}/stats")).json
    log = idle_agent.run_log(job["id"], "shop").read_text().splitlines()
    results = [json.loads(line) for line in log if line.startswith("{")]
    assert len(results) == stats["results"] > 100

    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [line["result"] for line in lines] == results
    assert [line["ordinal"] for line in lines] == list(range(len(results)))
    assert {line["job"] for line in lines} == {job["id"]}
    with (tmp_path / "tables" / f"shop-{job['id']}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["duration"]) for row in rows] == [result["duration"] for result in results]
    assert f"`{'`, `'.join(list(rows[0])[:5])}`" in section("Files")
    failed = [result for result in results if result["status"] >= 400]
    assert [line.split()[0] for line in failures.read_text().splitlines()] == [
        result["url"] for result in failed
    ]

    (query,) = re.findall(r'duckdb -c "(.*?)"', section("Files"), re.DOTALL)
    found = duckdb.sql(query.replace("/srv", str(tmp_path))).fetchall()
    assert {(name, url, count) for name, url, count, _ in found} == {
        ("shop", row["url"], row["results"]) for row in stats["urls"]
    }
