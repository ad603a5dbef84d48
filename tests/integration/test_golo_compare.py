"""``golo compare`` and ``golo run --baseline`` with real runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.golo import start_golo
from twisted.internet import reactor

from goloagent.client.exit_codes import ExitCode
from goloagent.report import codec

TARGET = Path(__file__).parents[2] / "examples" / "target.py"
RUNS = 8


@contextmanager
def demo_target(delay_ms: int) -> Iterator[str]:
    """Run the demo's target with a delay; yield its URL."""
    command = [sys.executable, TARGET, "0", str(delay_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def golo(directory: Path, *arguments: str) -> tuple[int, str]:
    """Run golo to its end; return its exit code and output."""
    process = start_golo(reactor, directory, *arguments)
    return await process.exit_code(), process.out + process.err


@pytest.mark.full
async def test_equal_and_slower_targets(agent: Agent, tmp_path: Path) -> None:
    """Two series against one target are called equal, and 15 % more delay is found."""
    provider = f"127.0.0.1:{agent.port}"
    sides: dict[str, list[str]] = {"a": [], "same": [], "slower": []}
    with demo_target(40) as target, demo_target(46) as slower:
        # Alternately, because the machine may become slower or faster meanwhile.
        for number in range(RUNS):
            for side, url in (("a", target), ("same", target), ("slower", slower)):
                file = f"{side}{number}.json"
                options = ("-u", "4", "-d", "2", "--provider", provider, "--json", file)
                code, output = await golo(tmp_path, "run", url, *options)
                assert code == ExitCode.OK, output
                sides[side].append(file)
    a, same, late = (",".join(files) for files in sides.values())
    one = ("--metric", "duration p50")
    code, equal = await golo(tmp_path, "compare", a, same, *one, "--confidence", "99.9%")
    assert (code, "No difference is shown (8 and 8 runs)." in equal) == (ExitCode.OK, True), equal
    code, different = await golo(tmp_path, "compare", a, late, *one, "--json")
    assert code == ExitCode.THRESHOLD, different
    [row] = json.loads(different)["rows"]
    assert row["verdict"] == "slower"
    assert row["low"] < 0.15 < row["high"] or 0.1 < row["effect"] < 0.2
    print(f"\nA/A:\n{equal}\n+15 %: {row}")


async def test_runs_of_an_agent(agent: Agent, tmp_path: Path) -> None:
    """Ids of runs name reports as files do, and two short runs are compared by their effects."""
    provider = f"127.0.0.1:{agent.port}"
    ids = []
    with demo_target(0) as target:
        for file in ("1.json", "2.json"):
            options = ("-u", "2", "-d", "1", "--provider", provider, "--json", file)
            code, output = await golo(tmp_path, "run", target, *options)
            assert code == ExitCode.OK, output
            ids.append(codec.decode((tmp_path / file).read_bytes()).run)
    code, output = await golo(tmp_path, "compare", *ids, "--provider", provider)
    assert code == ExitCode.OK, output
    assert output.splitlines()[-1].startswith("These two runs are too short")
    code, by_files = await golo(tmp_path, "compare", "1.json", "2.json")
    assert (code, by_files) == (ExitCode.OK, output)
    code, output = await golo(tmp_path, "compare", "1.json", "beef", "--provider", provider)
    assert (code, output.count("\n")) == (ExitCode.INVALID, 1)
    assert output.startswith('golo: there is no run "beef"')


async def test_repeats_and_a_baseline(agent: Agent, tmp_path: Path) -> None:
    """A slower target fails the run with --baseline, and the report has the comparison."""
    common = ("-u", "2", "-d", "1", "--repeat", "6", "--provider", f"127.0.0.1:{agent.port}")
    with demo_target(10) as target:
        code, output = await golo(tmp_path, "run", target, *common, "--json", "before.json")
        assert code == ExitCode.OK, output
    before = codec.decode_all((tmp_path / "before.json").read_bytes())
    assert len({report.run for report in before}) == 6
    with demo_target(60) as target:
        code, output = await golo(
            tmp_path, "run", target, *common, "--json", "after.json", "--baseline", "before.json"
        )
    assert code == ExitCode.THRESHOLD, output
    assert output.splitlines()[-1].startswith("B differs from A: rate -")
    *_, last = codec.decode_all((tmp_path / "after.json").read_bytes())
    assert last.baseline is not None
    assert last.outcome is not None
    assert (last.baseline.regression, last.outcome.exit_code) == (True, ExitCode.THRESHOLD)
    # A busy machine may limit the generator.
    limit = "The load generator was the limit"
    assert [one for one in last.baseline.warnings if not one.startswith(limit)] == []
    assert last.outcome.sentence.startswith("Compared with the baseline (A): B differs from A")


async def test_a_wrong_baseline(tmp_path: Path) -> None:
    """It ends the command before anything runs."""
    (tmp_path / "b.json").write_text("{}")
    code, output = await golo(tmp_path, "run", "http://127.0.0.1:9/", "--baseline", "b.json")
    assert (code, output.count("\n")) == (ExitCode.INVALID, 1)
    assert output.startswith("golo: b.json: it is no report")
