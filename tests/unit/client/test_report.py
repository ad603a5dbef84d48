"""``golo report`` with report files."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec import structs
from peers.reports import part

from goloagent.client.exit_codes import ExitCode
from goloagent.client.main import main
from goloagent.client.reports.writing import file_name
from goloagent.report import codec
from goloagent.report.builder import build
from goloagent.report.html import render

REPORT = build([part()])


def golo(*arguments: str) -> int:
    """Return the exit code of ``golo report``."""
    with pytest.raises(SystemExit) as ended:
        main(["report", *arguments])
    return int(ended.value.code or 0)


def test_html_of_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The file is named after the job and the run, and has the same data."""
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_bytes(codec.encode(REPORT))
    assert golo("a.json") == ExitCode.OK
    assert capsys.readouterr().out == "wrote shop-c2ab734d.html\n"
    assert codec.decode(Path("shop-c2ab734d.html").read_bytes()) == REPORT


def test_json_of_html(capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    """The data goes to stdout, or into a file."""
    html, file = tmp_path / "a.html", tmp_path / "b.json"
    html.write_bytes(render(REPORT))
    assert golo(str(html), "--json") == ExitCode.OK
    assert codec.decode(capsysbinary.readouterr().out) == REPORT
    assert golo(str(html), "--json", "-o", str(file)) == ExitCode.OK
    assert codec.decode(file.read_bytes()) == REPORT


def test_several_reports(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A file of repeated runs is refused with a sentence."""
    file = tmp_path / "runs.json"
    file.write_bytes(msgspec.json.encode([REPORT, structs.replace(REPORT, run="other")]))
    assert golo(str(file)) == ExitCode.INVALID
    assert "has 2 reports" in capsys.readouterr().err


def test_a_directory_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The sentence names the file."""
    file = tmp_path / "a.json"
    file.write_bytes(codec.encode(REPORT))
    target = tmp_path / "none" / "a.html"
    assert golo(str(file), "-o", str(target)) == ExitCode.INVALID
    assert capsys.readouterr().err == f"golo: {target}: no such file or directory\n"


@pytest.mark.parametrize(
    ("name", "expected"), [("../../etc", "_.._etc-c2ab734d.html"), ("a b/ü", "a_b_ü-c2ab734d.html")]
)
def test_file_names(name: str, expected: str) -> None:
    """A name of a job cannot leave the directory."""
    assert file_name(structs.replace(REPORT, name=name)) == expected


@pytest.mark.parametrize("load", [{}, {"model": "open", "stages": 5}])
def test_a_damaged_report(
    load: dict[str, object], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A report that was edited is refused with a sentence."""
    file = tmp_path / "a.json"
    file.write_bytes(codec.encode(structs.replace(REPORT, load=load)))
    assert golo(str(file)) == ExitCode.INVALID
    assert "its figures are not those of a run" in capsys.readouterr().err
