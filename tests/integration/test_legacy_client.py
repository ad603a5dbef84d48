"""golo-cli of 2018, replaced: its recorded bytes and lines, and a job on a real agent."""

from __future__ import annotations

import gzip
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.golo import start_golo
from peers.programs import CHECKOUT, Builder
from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

from goloagent.client import legacy
from goloagent.client.legacy import connection

VECTOR = (Path(__file__).parents[1] / "vectors" / "golo_cli.md").read_text()
BINARY = "6f1d1c52-0000-4000-8000-000000000000"
TIME = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"


def ok(body: bytes) -> bytes:
    """Return a response."""
    return OK % (len(body), body)


UPLOADED = ok(b'{"binary": "%s"}' % BINARY.encode())
QUEUED = b'HTTP/1.1 201 Created\r\nContent-Length: 16\r\n\r\n{"queued": true}'


class RecordingServer:
    """A server that stores each request and answers by its path; it closes without an answer."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.answers: dict[str, bytes | None] = {"/upload": UPLOADED, "/queue": QUEUED}
        self.looked_up: list[tuple[Any, ...]] = []
        self.is_hasty = False  # answers before the body
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            with accepted:
                self._answer(accepted)

    def _answer(self, accepted: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            if not (data := accepted.recv(65536)):
                return
            request += data
        head, _, body = request.partition(b"\r\n\r\n")
        match = re.search(rb"Content-Length: (\d+)", head)
        assert match is not None
        while len(body) < int(match[1]) and not self.is_hasty:
            data = accepted.recv(65536)
            body += data
            request += data
        self.requests.append(request)
        answer = self.answers["/" + head.split()[1].decode().rpartition("/")[2]]
        if answer is not None:
            accepted.sendall(answer)

    def getaddrinfo(self, *args: Any, **more: Any) -> list[tuple[Any, ...]]:
        """Resolve every name to this server."""
        self.looked_up.append(args[:2])
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", self.address)]

    def close(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingServer]:
    """Run a recorder in place of every host."""
    recorder = RecordingServer()
    monkeypatch.setattr(connection.socket, "getaddrinfo", recorder.getaddrinfo)
    yield recorder
    recorder.close()


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a directory with the recorded job and a program."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.toml").write_text(block("job.toml:"))
    (tmp_path / "sched").write_bytes(b"#!/bin/sh\nexit 0\n")
    return tmp_path


Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], directory: Path) -> Run:
    """Run golo-cli as recorded; return its exit code, and its lines without the time."""

    def run(*flags: str, **environ: str) -> tuple[int, list[str]]:
        arguments = ["-f", "job.toml", "-schedule", "./sched", *flags]
        code = legacy.main("golo-cli", arguments, environ)
        out, err = capsys.readouterr()
        assert out == ""
        assert all(re.match(f"{TIME} ", line) for line in err.splitlines()), err
        return code, [re.sub(f"^{TIME} ", "", line) for line in err.splitlines()]

    return run


def block(after: str) -> str:
    """Return the indented block of the vector after a line that begins with `after`."""
    text = VECTOR[VECTOR.index(f"\n{after}") :]
    match = re.search(r"\n\n((?:    .*\n|\n)+)", text)
    assert match is not None
    return re.sub(r"^    ", "", match[1], flags=re.M).strip("\n") + "\n"


def recorded(boundary: str, program: bytes) -> list[bytes]:
    """Return the two requests of the vector, with a boundary and a program."""
    text = block("Requests,")
    upload, queue = text.split("POST /queue")
    upload = upload.strip("\n").replace("<60 hex digits>", boundary).replace("<boundary>", boundary)
    head, _, body = upload.partition("\n\n")
    content = body.replace("\n", "\r\n").encode().replace(b"<the program>", program) + b"\r\n"
    head = re.sub(r"(Content-Length): \d+", rf"\1: {len(content)}", head)
    return [
        head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + content,
        b"POST /queue" + queue.strip("\n").replace("\n", "\r\n").encode(),
    ]


def test_the_recorded_bytes_and_lines(recorder: RecordingServer, run: Run) -> None:
    """Both requests are those of the recording, byte for byte; so are the lines."""
    code, lines = run()
    assert code == 0
    assert lines == [line[20:] for line in block("stdout is empty").splitlines()]
    match = re.search(rb"boundary=([0-9a-f]{60})\r\n", recorder.requests[0])
    assert match is not None
    assert recorder.requests == recorded(match[1].decode(), b"#!/bin/sh\nexit 0\n")
    assert b"Content-Length: 92\r\n" in recorder.requests[1]
    assert recorder.looked_up == [("localhost", 8081)] * 2


def test_the_recorded_length(recorder: RecordingServer, run: Run, directory: Path) -> None:
    """A program of the recording's length gives its Content-Length."""
    without = len(recorded("0" * 60, b"")[0].partition(b"\r\n\r\n")[2])
    (directory / "sched").write_bytes(b"x" * (257 - without))
    assert run()[0] == 0
    assert b"Content-Length: 257\r\n" in recorder.requests[0]


@pytest.mark.parametrize(
    ("host", "header", "dialed"),
    [
        ("203.0.113.7", "203.0.113.7:8081", "203.0.113.7"),
        ("agent-1.example", "agent-1.example:8081", "agent-1.example"),
        ("[2001:db8::1]", "[2001:db8::1]:8081", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1:8081", "2001:db8::1"),
        ("", ":8081", "localhost"),
    ],
)
def test_hosts(recorder: RecordingServer, run: Run, host: str, header: str, dialed: str) -> None:
    """The Host is the provider's text; an IPv6 address is connected to with or without brackets."""
    assert run("-provider", "env", GOLO_HOSTS=host)[0] == 0
    assert [f"Host: {header}\r\n".encode() in request for request in recorder.requests] == [
        True
    ] * 2
    assert recorder.looked_up == [(dialed, 8081)] * 2


def test_a_droplet(recorder: RecordingServer, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The IPv6 address of a droplet has no brackets, and its tag is in the first line."""
    found = []

    def find(tag: str, environ: Mapping[str, str]) -> list[str]:
        found.append((tag, environ["DO_TOKEN"]))
        return ["2001:db8::1"]

    monkeypatch.setattr(legacy.digitalocean, "find", find)
    code, lines = run("-provider", "digitalocean", "-agent-tag", "load", DO_TOKEN="secret")
    assert (code, lines[0]) == (0, 'Finding digitalocean agents with tag "load"')
    assert lines[3] == "2001:db8::1 - Starting Upload"
    assert found == [("load", "secret")]
    assert all(b"Host: 2001:db8::1:8081\r\n" in request for request in recorder.requests)


def test_all_hosts_get_all_users(recorder: RecordingServer, run: Run) -> None:
    """Every host gets the program and the whole job; all uploads come before the first job."""
    code, lines = run("-provider=env", GOLO_HOSTS="a,b,c")
    assert (code, lines[:3]) == (
        0,
        ['Finding env agents with tag "agent"', "Found 3 agents", "Updating agents"],
    )
    assert sorted(lines[3:-1]) == sorted(
        f"{host} - {what} Upload" for host in "abc" for what in ("Starting", "Completed")
    )
    assert lines[-1] == "Queueing job"
    paths = [request.split()[1] for request in recorder.requests]
    assert paths == [b"/upload"] * 3 + [b"/queue"] * 3
    assert all(b'"users":25,' in request for request in recorder.requests[3:])
    hosts = [re.findall(rb"Host: (.):8081", request)[0] for request in recorder.requests]
    assert sorted(hosts[:3]) == sorted(hosts[3:]) == [b"a", b"b", b"c"]


def test_a_name_is_quoted(recorder: RecordingServer, run: Run, directory: Path) -> None:
    """The path of the program is quoted as by Go's mime/multipart."""
    name = 'a"b\\c'
    (directory / name).write_bytes(b"x")
    assert run("-schedule", name)[0] == 0
    assert b'filename="a\\"b\\\\c"\r\n' in recorder.requests[0]


def test_a_proxy(recorder: RecordingServer, run: Run) -> None:
    """A host behind HTTP_PROXY gets the request in the form for proxies; localhost does not."""
    proxy = "http://user:word@proxy.example:3128"
    assert run("-provider", "env", GOLO_HOSTS="agent-1", HTTP_PROXY=proxy)[0] == 0
    assert recorder.looked_up == [("proxy.example", 3128)] * 2
    assert recorder.requests[1].startswith(
        b"POST http://agent-1:8081/queue HTTP/1.1\r\nHost: agent-1:8081\r\n"
        b"User-Agent: Go-http-client/1.1\r\nContent-Length: 92\r\nAccept-Encoding: gzip\r\n"
        b"Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n\r\n"
    )
    assert run(HTTP_PROXY=proxy)[0] == 0
    assert recorder.looked_up[2:] == [("localhost", 8081)] * 2


def test_answers_that_are_accepted(recorder: RecordingServer, run: Run) -> None:
    """A compressed answer, and 200 to the queue."""
    body = gzip.compress(b'{"binary": "%s"}' % BINARY.encode())
    length = b"Content-Encoding: gzip\r\nContent-Length"
    recorder.answers = {
        "/upload": ok(body).replace(b"Content-Length", length),
        "/queue": ok(b""),
    }
    assert run()[0] == 0
    assert BINARY.encode() in recorder.requests[1]


UPLOAD = [
    'Finding localhost agents with tag "agent"',
    "Found 1 agents",
    "Updating agents",
    "localhost - Starting Upload",
    "localhost - Completed Upload",
]


@pytest.mark.parametrize(
    ("path", "answer", "sentence"),
    [
        ("/upload", b"HTTP/1.1 400 Bad Request\r\n\r\n", "bad status: 400 Bad Request"),
        ("/upload", b"HTTP/1.1 201 Created\r\n\r\n", "bad status: 201 Created"),
        ("/upload", None, 'Post "http://localhost:8081/upload": EOF'),
        ("/upload", ok(b"<html>"), "invalid response to the upload: it is not JSON"),
        ("/upload", ok(b"[]"), 'invalid response to the upload: it has no text "binary"'),
        ("/queue", b"HTTP/1.1 202 Accepted\r\n\r\n", "bad status: 202 Accepted"),
        ("/queue", b"HTTP/1.1 503 Full\r\nRetry-After: 5\r\n\r\n", "bad status: 503 Full"),
        ("/queue", None, 'Post "http://localhost:8081/queue": EOF'),
        (
            "/queue",
            b"SSH-2.0-x\r\n",
            'Post "http://localhost:8081/queue": net/http: HTTP/1.x transport connection broken: '
            'malformed HTTP response "SSH-2.0-x"',
        ),
    ],
)
def test_wrong_answers(
    recorder: RecordingServer, run: Run, path: str, answer: bytes | None, sentence: str
) -> None:
    """An answer ends it with one more line and exit code 1."""
    recorder.answers[path] = answer
    queueing = ["Queueing job"] if path == "/queue" else []
    assert run() == (1, [*UPLOAD, *queueing, sentence])


def test_an_answer_before_the_body_is_sent(
    recorder: RecordingServer, run: Run, directory: Path
) -> None:
    """A program that the agent refuses at once has the agent's status, not a broken pipe."""
    (directory / "sched").write_bytes(bytes(32 << 20))
    recorder.is_hasty = True
    recorder.answers["/upload"] = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    assert run() == (1, [*UPLOAD, "bad status: 413 Too Large"])
    assert len(recorder.requests) == 1


@pytest.mark.parametrize(
    ("flags", "environ", "lines"),
    [
        (["-f", "nope.toml"], {}, ["open nope.toml: no such file or directory"]),
        (["-provider", "foo"], {}, ['No provider "foo" configured']),
        (
            ["-schedule", "./nope"],
            {},
            [*UPLOAD, "open ./nope: no such file or directory"],
        ),
        (
            ["-provider", "digitalocean", "-agent-tag", "web"],
            {},
            [
                'Finding digitalocean agents with tag "web"',
                "provider digitalocean: set DO_TOKEN to a token that may read droplets",
            ],
        ),
    ],
)
def test_errors(run: Run, flags: list[str], environ: dict[str, str], lines: list[str]) -> None:
    """An error is one line and exit code 1."""
    assert run(*flags, **environ) == (1, lines)


def test_no_connection(run: Run) -> None:
    """A refused connection and an unknown name have Go's sentences."""
    post = f'Post "http://{own_address()}:8081/upload": dial tcp '
    code, lines = run("-provider", "env", GOLO_HOSTS=own_address())
    assert code == 1
    assert lines[-1] == f"{post}{own_address()}:8081: connect: connection refused"
    code, lines = run("-provider", "env", GOLO_HOSTS="a:9000")
    assert lines[-1] == 'Post "http://a:9000:8081/upload": dial tcp: lookup a:9000: no such host'
    code, lines = run("-provider", "env", GOLO_HOSTS=" b")
    assert code == 1
    assert lines[-1] == 'parse "http:// b:8081/upload": invalid character in host name'


async def test_ctrl_c(directory: Path) -> None:
    """It ends at once by the signal, while an agent does not answer."""
    with socket.create_server((own_address(), 8081)):
        flags = ["-f", "job.toml", "-schedule", "./sched", "-provider", "env"]
        golo = start_golo(reactor, directory, *flags, environ={"GOLO_HOSTS": own_address()})
        await golo.printed("Starting Upload")
        golo.send(signal.SIGINT)
        assert await golo.exit_code() == -signal.SIGINT
    assert "Traceback" not in golo.err


def test_wrong_flags(capsys: pytest.CaptureFixture[str]) -> None:
    """The usage, and exit code 2."""
    assert legacy.main("golo-cli", ["-x"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[:2]) == (
        "",
        ["flag provided but not defined: -x", "Usage of golo-cli:"],
    )


def own_address() -> str:
    """Return a loopback address of this process, because the port is always 8081."""
    number = os.getpid()
    return f"127.{number >> 16 & 0x3F | 0x40}.{number >> 8 & 0xFF}.{number & 0xFF}"


GOLO = "import sys; sys.argv[0] = {name!r}; from goloagent.client.main import main; main()"


@pytest.mark.parametrize("name", ["golo-cli", "golo"])
async def test_a_job_on_agents(
    idle_agent: Agent,
    collector: Collector,
    go_loadtest: Builder,
    directory: Path,
    name: str,
) -> None:
    """Under both names, a job runs on a real agent and its results are delivered."""
    agent = idle_agent
    agent.more += ("--listen", f"tcp:8081:interface={own_address()}")
    await agent.start()
    (directory / "job.toml").write_text(
        'type = "job"\n[schema]\nname = "legacy"\nusers = 5\nduration = 1\n'
    )
    loadtest = go_loadtest("counter", count=10)
    flags = ["-f", "job.toml", "-schedule", str(loadtest), "-provider=env"]
    out, err, code = await getProcessOutputAndValue(
        sys.executable,
        ["-c", GOLO.format(name=name), *flags],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "GOLO_HOSTS": own_address()},
        path=str(directory),
    )
    assert (code, out) == (0, b""), err
    assert re.fullmatch(f"{TIME} Queueing job", err.decode().splitlines()[-1])
    await collector.received("legacy", 10)
    job_id = (agent.logs / "legacy" / "out.log").resolve().parent.name
    job = await agent.settled(job_id)
    assert (job["state"], job["users"], job["duration"]) == ("finished", 5, 1)
    assert job["results"]["delivered"] == len(collector.results("legacy")) == 10
