"""``golo compare`` with report files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import msgspec
import pytest
from msgspec import structs
from peers.simulated_runs import durations, report_of, simulated

from goloagent.client.agents.access import Access
from goloagent.client.errors import ClientError
from goloagent.client.exit_codes import ExitCode
from goloagent.client.main import main
from goloagent.client.reports import comparison_text
from goloagent.client.reports.files import read_reports
from goloagent.client.reports.sources import load, sources_in
from goloagent.report import codec
from goloagent.report.comparison.model import Comparison
from goloagent.report.model import Calls, Latencies, Report, Results


def runs(seed: int, number: int, factor: float = 1.0) -> list[Report]:
    """Return short runs."""
    random = Random(seed)
    return [report_of(random, durations(random, factor, 20)) for _ in range(number)]


def write(path: Path, reports: Sequence[Report]) -> str:
    """Write reports as ``golo run --repeat`` does, or one; return the path."""
    content = codec.encode(reports[0]) if len(reports) == 1 else msgspec.json.encode(reports)
    path.write_bytes(content)
    return str(path)


def read(text: str) -> list[Report]:
    """Return the reports of a list of files."""
    [reports] = load([text], Access())
    return reports


def golo(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return the exit code and the output of ``golo compare``."""
    with pytest.raises(SystemExit) as ended:
        main(["compare", *arguments])
    assert isinstance(ended.value.code, int)
    return (ended.value.code, *capsys.readouterr())


def test_a_regression(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The table has effect, interval and p of each metric, and the exit code is 99."""
    a, b = write(tmp_path / "a.json", runs(1, 8)), write(tmp_path / "b.json", runs(2, 8, 1.5))
    code, out, err = golo(capsys, a, b)
    assert (code, err) == (ExitCode.THRESHOLD, "")
    lines = out.splitlines()
    assert lines[0].split() == ["metric", "A", "B", "effect", "95", "%", "interval", "p", "verdict"]
    [p95] = [line for line in lines if line.startswith("duration p95")]
    assert p95.split()[-1] == "slower"
    assert "+5" in p95
    assert lines[-1].startswith("B differs from A: ")
    assert "\x1b" not in out
    assert max(map(len, lines)) <= 120


def test_a_small_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table has all figures in 80 columns."""
    monkeypatch.setattr(comparison_text, "WIDTH", 80)
    a, b = write(tmp_path / "a.json", runs(1, 8)), write(tmp_path / "b.json", runs(2, 8, 1.01))
    _, out, _ = golo(capsys, a, b)
    lines = [line for line in out.splitlines() if line.startswith(("errors", "duration"))]
    assert len(lines) == 4
    assert all(line.rstrip().endswith("no difference") for line in lines)
    assert "…" not in out


def test_no_regression(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Equal systems, and one that became faster, exit with 0."""
    a, b = write(tmp_path / "a.json", runs(1, 8)), write(tmp_path / "b.json", runs(2, 8, 1.5))
    other = write(tmp_path / "c.json", runs(3, 8))
    assert golo(capsys, a, other)[0] == ExitCode.OK
    assert golo(capsys, b, a)[0] == ExitCode.OK
    assert golo(capsys, a, b, "--min-effect", "90%")[0] == ExitCode.OK


def test_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The JSON is the comparison, by the options."""
    a, b = write(tmp_path / "a.json", runs(1, 4)), write(tmp_path / "b.json", runs(2, 4, 1.5))
    options = ("--metric", "duration p95", "--confidence", "0.9", "--min-effect", "10%", "--json")
    code, out, _ = golo(capsys, a, b, *options)
    found = msgspec.json.decode(out, type=Comparison)
    assert (code, found.regression) == (ExitCode.THRESHOLD, True)
    assert (found.confidence, found.min_effect) == (0.9, 0.1)
    assert [row["metric"] for row in json.loads(out)["rows"]] == ["duration p95"]


def test_two_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Two runs differ, which is no regression."""
    random = Random(1)
    a, b = (
        write(tmp_path / name, [simulated(random, factor, has_timeline=True)])
        for name, factor in (("a.json", 1), ("b.json", 2))
    )
    code, out, _ = golo(capsys, a, b)
    assert code == ExitCode.OK
    assert "These two runs differ" in out.splitlines()[-1]


def test_lists_and_directories(tmp_path: Path) -> None:
    """Reports are found in lists, arrays and directories; a run that is twice there is one."""
    random = Random(1)
    one, two, three = (simulated(random, seconds=20, has_timeline=True) for _ in range(3))
    write(tmp_path / "1.json", [codec.without_details(one)])
    html = f"<!doctype html>{codec.OPENING}{codec.encode_for_html(one)}{codec.CLOSING}"
    (tmp_path / "1.html").write_text(html)
    write(tmp_path / "2.json", [two, three])
    (tmp_path / "notes.txt").write_text("no report")
    assert read_reports(tmp_path) == [one, two, three]
    assert read(f"{tmp_path / '2.json'},{tmp_path / '1.html'}") == [two, three, one]
    assert read(f"{tmp_path},{tmp_path / '1.json'}") == [one, two, three]
    (tmp_path / "a,b.json").write_bytes(codec.encode(two))
    assert read(str(tmp_path / "a,b.json")) == [two]
    assert sources_in("4f1c, 9a02,last") == ["4f1c", "9a02", "last"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "no such file"),
        (b"", "is no report"),
        (b"{", "is no report"),
        (b"[{}]", "is no report"),
        (b"[1", "is no array of reports"),
        (b"<html>", "HTML without the data of a report"),
        (b'{"version": 99}', "version 99"),
    ],
)
def test_wrong_files(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    """A file that is no report is named in one sentence."""
    good, bad = write(tmp_path / "a.json", runs(1, 1)), tmp_path / "b.json"
    if content is not None:
        bad.write_bytes(content)
    code, out, err = golo(capsys, good, str(bad))
    assert (code, out, err.count("\n")) == (ExitCode.INVALID, "", 1)
    assert err.startswith(f"golo: {bad}: ")
    assert sentence in err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--min-effect", "5"], "write a share such as 5% or 0.05"),
        (["--min-effect", "-1%"], "write a share such as 5% or 0.05"),
        (["--min-effect", "nan"], "write a share such as 5% or 0.05"),
        (["--confidence", "100%"], "less than 100%"),
        (["--confidence", "0"], "use more than 0%"),
        (["--metric", "p95"], "use rate, errors, failed calls, duration p50"),
    ],
)
def test_wrong_options(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], sentence: str
) -> None:
    """An option that is out of its bounds is named in one sentence."""
    good = write(tmp_path / "a.json", runs(1, 1))
    code, _, err = golo(capsys, good, good, *options)
    assert (code, err.count("\n")) == (ExitCode.INVALID, 1)
    assert sentence in err
    assert " ".join(options[:1]) in err


def test_wrong_names(tmp_path: Path) -> None:
    """Lists with holes, and directories without reports, are refused."""
    for text in ("a,,b", "", "a,"):
        with pytest.raises(ClientError, match="empty name"):
            read(text)
    with pytest.raises(ClientError, match="has no report"):
        read(str(tmp_path))


def test_nothing_to_compare(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Runs without results do not pass as runs without a regression."""
    empty = [
        structs.replace(run, results=Results(), calls=Calls(), latency=Latencies(), rate=None)
        for run in runs(1, 4)
    ]
    a, b = write(tmp_path / "a.json", runs(2, 4)), write(tmp_path / "b.json", empty)
    code, out, _ = golo(capsys, a, b)
    assert "no figure in common" in out
    assert code == ExitCode.INVALID


def test_damaged_reports(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A report that was edited is refused with a sentence."""
    damaged = [structs.replace(run, load={"stages": 5}) for run in runs(1, 3)]
    a, b = write(tmp_path / "a.json", runs(2, 3)), write(tmp_path / "b.json", damaged)
    code, _, err = golo(capsys, a, b)
    assert code == ExitCode.INVALID
    assert "its figures are not those of a run" in err
