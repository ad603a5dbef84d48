"""The output of a real ``golo run``: on a terminal, in a pipe, and for CI systems."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import struct
import sys
import termios
from pathlib import Path
from typing import Any

import junitparser
import pyte
import pytest
from jsonschema import Draft202012Validator
from lxml import etree
from peers.golo import Golo, left_over, start_golo
from peers.programs import Builder
from twisted.internet import reactor, task

from goloagent.client.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]
COLUMNS, ROWS = 80, 24
LOAD_TEST = """
from goloagent.sdk import report, serve

def journey():
    time.sleep(0.01)
    report(method="GET", url="https://shop.example/", status=200, size=1, duration_seconds=0.01)

serve(journey)
"""


@pytest.fixture
def program(script: Builder) -> Path:
    """Build a load test whose calls take 10 ms."""
    return script(LOAD_TEST)


class Terminal:
    """A ``golo`` on a terminal of 80 columns and 24 lines."""

    def __init__(self, directory: Path, *arguments: str | Path, **environ: str) -> None:
        environ = {"TERM": "xterm-256color", **environ}
        self.golo: Golo = start_golo(
            reactor, directory, *arguments, environ=environ, on_terminal=True
        )
        self.fd: int = self.golo.transport.fd
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.modes = termios.tcgetattr(self.fd)
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._emulator = pyte.Stream(self._screen)
        self._fed = 0

    @property
    def screen(self) -> pyte.Screen:
        """The screen after all that was written by now."""
        out = self.golo.out
        # Only what is new: the emulator is slow, and golo waits while nothing is read.
        self._emulator.feed(out[self._fed :])
        self._fed = len(out)
        return self._screen

    @property
    def shown(self) -> str:
        """The text on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    async def shows(self, pattern: str) -> None:
        """Return once a pattern is on the screen."""
        while not re.search(pattern, self.shown):
            assert not self.golo.ended.called, self.shown
            await task.deferLater(reactor, 0.05)

    def check_in_order(self) -> None:
        """Check that the next program finds the terminal as this one did."""
        screen, fresh = self.screen, pyte.Screen(COLUMNS, ROWS)
        assert not screen.cursor.hidden
        assert screen.mode == fresh.mode
        assert screen.cursor.attrs == fresh.cursor.attrs
        assert screen.cursor.x == 0
        assert "\x1b[?1049h" not in self.golo.out


async def test_the_live_view_gives_way_to_the_summary(program: Path, tmp_path: Path) -> None:
    """While it runs there are the figures; afterwards only the verdict, and the same terminal."""
    terminal = Terminal(tmp_path, "run", program, "-u", "2", "-d", "4", "-t", "duration: max<5s")
    await terminal.shows(r"last second +1\d\.\d ms")
    # Between a reply and the next call a user has none in flight.
    await terminal.shows(r"users +2 of 2 in flight . [1-9]\d*/s")
    assert re.search(r"✓ duration: max<5s +\d", terminal.shown)
    assert termios.tcgetattr(terminal.fd) == terminal.modes
    assert not terminal.screen.cursor.hidden
    assert await terminal.golo.exit_code() == ExitCode.OK, terminal.shown
    assert "last second" not in terminal.shown
    assert re.search(r"✓ Passed: .* 1 threshold held\. \(exit code 0\)\n", terminal.shown)
    terminal.check_in_order()
    assert left_over(tmp_path) == []


async def test_ctrl_c_leaves_the_terminal_in_order(program: Path, tmp_path: Path) -> None:
    """Typed on the terminal; the summary is of the part that ran."""
    terminal = Terminal(tmp_path, "run", program, "-u", "2", "-d", "60")
    await terminal.shows("last second")
    terminal.golo.transport.write(b"\x03")
    assert await terminal.golo.exit_code() == ExitCode.INTERRUPTED, terminal.shown
    assert "last second" not in terminal.shown
    assert "(exit code 105: interrupted)" in " ".join(terminal.shown.split())
    terminal.check_in_order()
    assert left_over(tmp_path) == []


async def test_a_smaller_terminal(program: Path, tmp_path: Path) -> None:
    """The view is drawn for the new size; without colour it has the same words."""
    terminal = Terminal(tmp_path, "run", program, "-u", "2", "-d", "60", NO_COLOR="1")
    await terminal.shows("last second")
    fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 40, 0, 0))
    await terminal.shows("last 1s ")
    assert "last second" not in terminal.shown
    terminal.golo.transport.write(b"\x03")
    assert await terminal.golo.exit_code() == ExitCode.INTERRUPTED
    assert not re.search(r"\x1b\[(?:\d+;)*[349]\dm", terminal.golo.out)
    terminal.check_in_order()


async def test_a_reader_that_leaves_does_not_change_the_verdict(
    program: Path, tmp_path: Path
) -> None:
    """As in `golo run | head -1`: the exit code is that of the run."""
    words = [sys.executable, "-m", "goloagent.client", "run", str(program), "-u", "2", "-d", "1"]
    command = f"set -o pipefail; {shlex.join([*words, '-t', 'duration: max<1ms'])} | head -1"
    process = Golo(reactor)
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    reactor.spawnProcess(process, "bash", ["bash", "-c", command], env=environ)  # type: ignore[attr-defined]
    assert await process.exit_code() == ExitCode.THRESHOLD, process.err
    assert process.out.endswith(": 2 users for 0:01\n")
    assert process.err == ""


async def test_the_files_for_ci_systems(program: Path, tmp_path: Path) -> None:
    """JSON is valid by the published schema, JUnit by that of its readers; all say the same."""
    page = tmp_path / "step-summary.md"
    golo = start_golo(
        reactor, tmp_path, "run", program, "-u", "2", "-d", "2", "--json", "r.json",
        "--junit", "junit.xml", "-t", "duration: max<1ms", "-t", "errors: rate<1%",
        environ={"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(page)},
    )  # fmt: skip
    assert await golo.exit_code() == ExitCode.THRESHOLD, golo.out + golo.err
    report: dict[str, Any] = json.loads((tmp_path / "r.json").read_bytes())
    published = json.loads((ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(published).validate(report)
    document = etree.parse(tmp_path / "junit.xml")
    etree.XMLSchema(file=str(ROOT / "tests" / "vectors" / "junit.xsd")).assertValid(document)
    (suite,) = junitparser.JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    failed = [case.name for case in suite if case.result and not case.is_skipped]
    assert failed == ["duration: max<1ms", "the run passed"]
    assert f"::error title={report['name']}::Threshold duration: max<1ms does not hold" in golo.out
    assert page.read_text(encoding="utf-8").startswith(f"\n### ✗ {report['name']} failed\n")
    valid = f"{report['results']['valid']:,}"
    assert f"  results    {valid}, " in golo.out
    assert f"\n{valid} results (" in page.read_text(encoding="utf-8")
