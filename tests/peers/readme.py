"""Run the README's load test in Python against an agent."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[2]
# Without virtual environments.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_TARGET = "http://127.0.0.1:8000/"
PYTHON_TEMPLATE = ROOT / "goloagent" / "client" / "templates" / "python" / "loadtest.py"
USERS, SECONDS = 5, 2


def python_example() -> str:
    """Return the load test of the README."""
    [example] = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S
    )
    assert isinstance(example, str)
    return example


def aimed_at(url: str, text: str) -> str:
    """Return a load test of the README or of a template with another default of $TARGET."""
    assert text.count(DEFAULT_TARGET) == 1
    return text.replace(DEFAULT_TARGET, url)


class Target(ThreadingHTTPServer):
    """Responds with a few bytes and counts requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.served = 0
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: Target
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.served += 1
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serving_target() -> Iterator[Target]:
    """Run a target in a thread."""
    with Target() as target:
        thread = threading.Thread(target=target.serve_forever)
        thread.start()
        yield target
        target.shutdown()
        thread.join()


def run_python_example(agent: str, token: str = "", packed: str = "") -> None:
    """Upload the example, run a job, and check that each served request is a valid result.

    Args:
        packed: the path of a packed example, which is run too.
    """
    with serving_target() as target:
        check(agent, aimed_at(target.url, python_example()).encode(), token, target)
    if packed:
        with serving_target() as target:
            check(agent, Path(packed).read_bytes(), token, target)


def check(agent: str, program: bytes, token: str, target: Target) -> None:
    """Run a load test; each request that the target served must be a valid result."""
    job = run(agent, upload(agent, program, token), token, target.url)
    assert (job["state"], job["message"]) == ("finished", None), job
    assert job["calls"]["failed"] == job["results"]["invalid"] == 0, job
    assert job["results"]["valid"] == target.served > 0, job


def upload(agent: str, program: bytes, token: str = "") -> str:
    """Upload a program and return the ID of the binary."""
    head = '--edge\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    body = head.encode() + program + b"\r\n--edge--\r\n"
    answer = fetch(f"{agent}/upload", body, "multipart/form-data; boundary=edge", token)
    binary = json.loads(answer)["binary"]
    assert isinstance(binary, str)
    return binary


def run(agent: str, binary: str, token: str, url: str) -> Any:
    """Run a job against a target and return it after its end."""
    wanted: dict[str, Any] = {"name": "readme", "users": USERS, "duration": SECONDS}
    wanted |= {"binary": binary, "env": {"TARGET": url}}
    queued = json.loads(fetch(f"{agent}/queue", json.dumps(wanted).encode(), token=token))
    job = f"{agent}/jobs/{queued['id']}"
    fetch(f"{job}/events", token=token)  # ends with the job
    return json.loads(fetch(job, token=token))


def fetch(
    url: str, body: bytes | None = None, media_type: str = "application/json", token: str = ""
) -> bytes:
    """GET, or POST a body; return the response."""
    headers = {"Content-Type": media_type}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    with urlopen(Request(url, body, headers), timeout=120) as answer:
        content = answer.read()
    assert isinstance(content, bytes)
    return content


if __name__ == "__main__":
    run_python_example(*sys.argv[1:])
