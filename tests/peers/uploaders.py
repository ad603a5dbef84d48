"""Upload clients in several languages that print the responses."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
from golang import build
from twisted.internet.utils import getProcessOutputAndValue

CLIENTS = Path(__file__).parents[1] / "clients"


@attrs.frozen
class Uploader:
    """A client; `command` makes its command line from URL, file, mode, tries and headers."""

    name: str
    command: Callable[..., list[str]]

    async def send(
        self, url: str, file: Path, mode: str, tries: int, headers: tuple[str, ...] = ()
    ) -> list[str]:
        """Return a line for each try: the status and sentence, or the client's error."""
        command = self.command(url, str(file), mode, str(tries), *headers)
        out, err, code = await getProcessOutputAndValue(command[0], command[1:])
        assert code == 0, (self.name, code, out, err)
        return out.decode().splitlines()


def available(directory: Path) -> tuple[list[Uploader], list[str]]:
    """Build the clients in `directory`; return those that run here, and the missing programs."""
    python = [sys.executable, str(CLIENTS / "uploader.py")]
    go = build(CLIENTS / "gouploader", directory / "gouploader")
    uploaders = [
        Uploader("go", lambda *arguments: [str(go), *arguments]),
        Uploader("python http.client", lambda *arguments: [*python, "httpclient", *arguments]),
        Uploader("python urllib", lambda *arguments: [*python, "urllib", *arguments]),
    ]
    missing = []
    node, curl = shutil.which("node"), shutil.which("curl")
    java, javac = shutil.which("java"), shutil.which("javac")
    if node is not None:
        script = str(CLIENTS / "uploader.js")
        uploaders.append(Uploader("node", lambda *arguments: [node, script, *arguments]))
    else:
        missing.append("node")
    if java is not None and javac is not None:
        source = str(CLIENTS / "Uploader.java")
        subprocess.run([javac, "-d", str(directory), source], check=True)
        run = [java, "-cp", str(directory), "Uploader"]
        for library in ("urlconnection", "httpclient"):
            uploaders.append(
                Uploader(f"java {library}", lambda *rest, used=library: [*run, used, *rest])
            )
    else:
        missing.append("java and javac")
    if curl is not None:
        for name, expect in (("curl", ()), ("curl without Expect", ("-H", "Expect:"))):
            uploaders.append(
                Uploader(name, lambda *rest, more=expect: _curl(curl, *rest, more=more))
            )
    else:
        missing.append("curl")
    return uploaders, missing


def _curl(
    curl: str,
    url: str,
    file: str,
    mode: str,
    tries: str,
    *headers: str,
    more: tuple[str, ...],
) -> list[str]:
    options = [curl, "--silent", "--show-error", "--insecure", "--request", "POST", *more]
    for header in (*headers, *(["Transfer-Encoding: chunked"] if mode == "chunked" else [])):
        options += ["--header", header]
    options += ["--data-binary", f"@{file}", url]
    # Each try is a process with its own connection; the body precedes the status.
    again = 'n=$1; shift; while [ "$n" -gt 0 ]; do n=$((n - 1)); answer=$("$@" 2>&1) && '
    again += 'echo "$(echo "$answer" | tail -n 1) $(echo "$answer" | head -n 1)" || '
    again += 'echo "error: $answer"; done'
    return ["/bin/sh", "-c", again, "sh", tries, *options, "--write-out", "%{http_code}\n"]
