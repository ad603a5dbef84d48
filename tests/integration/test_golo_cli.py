"""The HTTP API with the requests of golo-cli of 2018, and the responses to invalid ones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from peers.agent import Agent
from peers.collector import Collector
from peers.programs import Builder
from twisted.internet.utils import getProcessOutputAndValue

HAS_IPV6 = Path("/proc/net/if_inet6").exists() and bool(Path("/proc/net/if_inet6").read_text())
UNKNOWN = "3b241101-e2bb-4255-8caf-4136c566a962"


async def golo_cli(
    program: Path, agent: Agent, name: str, binary: Path, host: str = "", address: str = ""
) -> tuple[int, str]:
    """Upload and queue as golo-cli does; return its exit code and output.

    Args:
        host: the agent's HOST:PORT as a provider gives it.
        address: the address to connect to, if it is another one.
    """
    arguments = [host or f"127.0.0.1:{agent.port}", name, "25", "1", str(binary)]
    arguments += [address] if address else []
    out, err, code = await getProcessOutputAndValue(str(program), arguments)
    return code, (out + err).decode()


async def test_golo_cli_uploads_and_queues(
    agent: Agent, collector: Collector, go_loadtest: Builder
) -> None:
    """A job of golo-cli runs, and its results are delivered."""
    loadtest = go_loadtest("counter", count=10)
    code, output = await golo_cli(go_loadtest("goloclient"), agent, "from-golo-cli", loadtest)
    assert code == 0, output
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n", output
    )
    await collector.received("from-golo-cli", 10)
    job_id = (agent.logs / "from-golo-cli" / "out.log").resolve().parent.name
    job = await agent.settled(job_id)
    assert job["state"] == "finished", job
    assert job["binary"] == output.strip()
    assert (job["users"], job["duration"]) == (25, 1)
    assert len(collector.results("from-golo-cli")) == 10


# The agent's host as each provider of golo-cli gives it, the address that is connected to, and
# whether the host needs --no-auth.
PROVIDERS = {
    "localhost": ("localhost:{port}", "127.0.0.1", False),
    "env: a name": ("agent-1.example:{port}", "127.0.0.1", True),
    "env: IPv4": ("203.0.113.7:{port}", "127.0.0.1", True),
    "env: IPv6 in brackets": ("[2001:db8::1]:{port}", "[::1]", True),
    "digitalocean: IPv4": ("203.0.113.7:{port}", "127.0.0.1", True),
    "digitalocean: IPv6": ("2001:db8::1:{port}", "[::1]", True),
    "digitalocean: IPv6 loopback": ("::1:{port}", "[::1]", False),
}


@pytest.mark.parametrize(
    "provider",
    [
        pytest.param(name, marks=[] if name.startswith("digitalocean") else pytest.mark.full)
        for name in PROVIDERS
    ],
)
async def test_golo_cli_with_every_provider(
    idle_agent: Agent, collector: Collector, go_loadtest: Builder, provider: str
) -> None:
    """The Host of each provider is accepted on IPv4 and IPv6, and the job runs."""
    host, address, no_auth = PROVIDERS[provider]
    agent = idle_agent
    if address == "[::1]":
        if not HAS_IPV6:
            print("no IPv6 here")
            pytest.skip("no IPv6 here")
        agent.more += ("--listen", rf"tcp:{agent.port}:interface=\:\:1")
    if no_auth:
        agent.options["--no-auth"] = ""
    await agent.start()
    code, output = await golo_cli(
        go_loadtest("goloclient"),
        agent,
        "provider",
        go_loadtest("counter", count=10),
        host.format(port=agent.port),
        f"{address}:{agent.port}",
    )
    assert code == 0, output
    await collector.received("provider", 10)
    assert len(collector.results("provider")) == 10


async def test_golo_cli_shows_the_reason(
    agent: Agent, tmp_path: Path, go_loadtest: Builder
) -> None:
    """golo-cli shows the reason if the uploaded file is not a load test."""
    text = tmp_path / "notes.txt"
    text.write_text("not a program\n")
    code, output = await golo_cli(go_loadtest("goloclient"), agent, "notes", text)
    assert code == 1
    assert "400" in output
    assert "not an executable" in output


async def test_responses_are_those_of_the_go_lo_agent(agent: Agent, go_loadtest: Builder) -> None:
    """The bodies, the status codes and the Location are those of the go-lo agent."""
    with go_loadtest("counter", count=0).open("rb") as file:
        uploaded = await agent.request(
            "POST", "/upload", files={"file": ("./x", "application/octet-stream", file)}
        )
    binary = uploaded.json["binary"]
    assert (uploaded.status, uploaded.text) == (200, json.dumps({"binary": binary}))
    queued = await agent.request("POST", "/queue", data=json.dumps({"binary": binary}).encode())
    assert (queued.status, queued.json) == (201, {"queued": True, "id": queued.json["id"]})
    assert queued.headers["location"] == f"/jobs/{queued.json['id']}"
    job = await agent.job(queued.json["id"])
    assert (job["name"], job["users"], job["duration"]) == ("dead_letter", 25, 0)
    agent.jobs.append(job["id"])
    assert (await agent.ended(job["id"]))["state"] == "finished"


WRONG = {
    "no such path": ("GET", "/nowhere", b"", 404, '"/nowhere" does not exist'),
    "no such job": ("GET", f"/jobs/{UNKNOWN}", b"", 404, f'"/jobs/{UNKNOWN}" does not exist'),
    "other method on upload": ("PUT", "/upload", b"", 405, 'Method "PUT" is not supported'),
    "other method on queue": ("GET", "/queue", b"", 405, 'Method "GET" is not supported'),
    "not JSON": ("POST", "/queue", b"{", 400, "invalid JSON: .+"),
    "wrong member": ("POST", "/queue", b'{"users": "5"}', 400, r"invalid JSON: .*users.*"),
    "empty": ("POST", "/queue", b"", 400, "invalid JSON: .+"),
    "unknown binary": (
        "POST",
        "/queue",
        json.dumps({"binary": UNKNOWN}).encode(),
        400,
        f"{UNKNOWN} is an invalid binary",
    ),
    "path as binary": ("POST", "/queue", b'{"binary": "../x"}', 400, "../x is an invalid binary"),
    "wrong name": ("POST", "/queue", b'{"name": "../x"}', 400, "invalid name .*"),
    "upload without multipart": ("POST", "/upload", b"\x7fELF", 415, ".+"),
}


async def test_wrong_requests(agent: Agent) -> None:
    """Every invalid request gets its status and text, and the agent stays ready."""
    answers = {
        name: await agent.request(method, path, data=body)
        for name, (method, path, body, _, _) in WRONG.items()
    }
    wrong = {
        name: answer
        for name, answer in answers.items()
        if answer.status != WRONG[name][3] or not re.fullmatch(WRONG[name][4], answer.text.strip())
    }
    assert wrong == {}
    assert answers["other method on upload"].headers["allow"] == "POST"
    assert (await agent.request("GET", "/health")).status == 200


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 400),
        ("application/json", 400),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
    ],
)
async def test_queue_takes_json_with_or_without_its_type(
    agent: Agent, content_type: str | None, status: int
) -> None:
    """A request without Content-Type is JSON; content types of web forms are rejected."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = await agent.request("POST", "/queue", data=b"{}", headers=headers)
    assert answer.status == status, answer


async def test_an_upload_without_the_part_file(agent: Agent) -> None:
    """A form without a part `file` gets Go's message."""
    answer = await agent.request(
        "POST", "/upload", files={"binary": ("x", "text/plain", b"#!/bin/sh\n")}
    )
    assert (answer.status, answer.text.strip()) == (400, "http: no such file")


async def test_an_upload_that_cannot_be_stored(agent: Agent) -> None:
    """An upload that cannot be stored gets 503 with the system's reason and no path."""
    incoming = agent.state / "incoming"
    incoming.rmdir()
    incoming.write_text("in the way")
    answer = await agent.request(
        "POST", "/upload", files={"file": ("x", "text/plain", b"#!/bin/sh\n")}
    )
    assert answer.status == 503, answer
    assert "not a directory" in answer.text.lower()
    assert str(agent.state) not in answer.text


async def test_the_queue_is_limited(agent: Agent, go_loadtest: Builder) -> None:
    """32 jobs may wait; the next gets 503 with Retry-After."""
    binary = await agent.upload(go_loadtest("counter", count=0))
    first = await agent.queue("running", binary, duration=60)
    await agent.reached(first, "running")
    for _ in range(32):
        await agent.queue("waiting", binary, duration=60)
    answer = await agent.request("POST", "/queue", data=json.dumps({"binary": binary}).encode())
    assert answer.status == 503, answer
    assert int(answer.headers["retry-after"]) > 0
