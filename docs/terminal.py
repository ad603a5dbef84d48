"""Draw docs/terminal.svg and docs/terminal-summary.svg: a real run, as a terminal shows it.

``python docs/terminal.py`` needs port 8000 for examples/target.py, takes twenty seconds, and is run
by hand when the view changes.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte
from pyte import graphics
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

DOCS = Path(__file__).parent
TARGET = DOCS.parent / "examples" / "target.py"
PORT = 8000
COLUMNS, ROWS = 86, 26
COMMAND = f"golo run http://localhost:{PORT} --rate 200 --duration 10s -t 'duration: p(95)<250ms'"
# The live view is drawn when so much of the run is over.
MOMENT = b"0:07 of 0:10"
FONT = "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace"
# pyte lacks faint text; nothing blinks here.
graphics.TEXT[2] = "+blink"


def main() -> None:
    """Run the command and write both pictures."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    with target():
        drawn = b""
        stream.feed(f"$ {COMMAND}\r\n".encode())
        for block in output():
            stream.feed(block)
            drawn += block
            if MOMENT in drawn:
                drawn = b""
                draw(screen, DOCS / "terminal.svg")
    draw(screen, DOCS / "terminal-summary.svg")


@contextmanager
def target() -> Iterator[None]:
    """Run the example target until the block ends."""
    with subprocess.Popen([sys.executable, TARGET, str(PORT)], stdout=subprocess.PIPE) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline(), f"port {PORT} is not free"
            yield
        finally:
            program.terminate()


def output() -> Iterator[bytes]:
    """Run the command on a terminal and yield its output as it comes."""
    _, *arguments = shlex.split(COMMAND)
    process, terminal = pty.fork()
    if process == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
        os.execv(sys.executable, [sys.executable, "-m", "goloagent.client", *arguments])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    while True:
        try:
            block = os.read(terminal, 65536)
        except OSError:  # the program has ended
            break
        yield block
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "the run failed"


def draw(screen: pyte.Screen, path: Path) -> None:
    """Write the screen as a picture that loads nothing."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    last = max(row for row in range(ROWS) if screen.display[row].strip())
    for row in range(last + 1):
        console.print(line(screen, row), no_wrap=True, overflow="crop")
    without_fonts = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    form = without_fonts.replace("Fira Code, monospace", FONT).replace("arial", "sans-serif")
    assert "http" not in form.replace("http://www.w3.org/2000/svg", "").replace(
        "https://www.textualize.io", ""
    )
    console.save_svg(str(path), title="golo", theme=MONOKAI, code_format=form, unique_id="golo")


def line(screen: pyte.Screen, row: int) -> Text:
    """Return a line of the screen with its styles."""
    text = Text()
    for column in range(COLUMNS):
        char = screen.buffer[row][column]
        words = [("bold", char.bold), ("dim", char.blink)]
        colour = {"default": "", "brown": "yellow"}.get(char.fg, char.fg)
        text.append(char.data, " ".join([*(word for word, is_set in words if is_set), colour]))
    text.rstrip()
    return text


if __name__ == "__main__":
    main()
