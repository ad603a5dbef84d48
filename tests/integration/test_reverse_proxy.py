"""The agent behind nginx: a prefix, other names, streamed events, large uploads."""

from __future__ import annotations

import base64
import http.client
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from peers.agent import TOKEN, Agent
from peers.ports import connect, free_port
from peers.programs import Builder
from twisted.internet.threads import deferToThread

DOCUMENTED = Path(__file__).parents[2] / "docs" / "operations.md"
NAME = "golo.example.com"
NGINX = """
daemon off;
pid {directory}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""


def documented_location() -> str:
    """Return nginx's block of the documentation."""
    [block] = re.findall(r"```nginx\n(.*?)```", DOCUMENTED.read_text(), re.S)
    return block


@attrs.frozen
class Proxy:
    """A client of the proxy with a connection for each request."""

    port: int

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str, Any]:
        """Return the status, body and headers of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, {"Host": NAME, **named})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()


@pytest.fixture
def nginx(tmp_path: Path) -> AsyncIterator[Callable[[str], Proxy]]:
    """Start nginx with a location."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("there is no nginx here")
    processes: list[subprocess.Popen[bytes]] = []

    def start(location: str) -> Proxy:
        port = free_port()
        directory = tmp_path / "nginx"
        directory.mkdir()
        configuration = directory / "nginx.conf"
        configuration.write_text(NGINX.format(directory=directory, port=port, location=location))
        processes.append(subprocess.Popen([program, "-p", directory, "-c", configuration]))
        connect(port, processes[-1], 60).close()
        return Proxy(port)

    yield start
    for process in processes:
        process.terminate()
        process.wait()


def page(**more: str) -> dict[str, str]:
    """Return the headers of a request of the agent's own page behind https."""
    password = base64.b64encode(f"me:{TOKEN}".encode()).decode()
    return {"Authorization": f"Basic {password}", "Origin": f"https://{NAME}", **more}


async def test_the_documented_block(
    idle_agent: Agent, nginx: Callable[[str], Proxy], go_loadtest: Builder
) -> None:
    """Below /golo/ uploads, jobs, events and logs work, and a page of another site gets 403."""
    agent = idle_agent
    agent.require_token()
    await agent.start()
    location = documented_location().replace("127.0.0.1:8081", f"127.0.0.1:{agent.port}")
    proxy = nginx(location)
    own = page(Sec_Fetch_Site="same-origin")
    # More than nginx's default limit of 1 MiB.
    content = go_loadtest("torrent", rate=100).read_bytes()
    assert len(content) > 2**20
    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n%s\r\n--b--\r\n'
    )
    status, text, _ = await deferToThread(
        proxy.ask,
        "POST",
        "/golo/upload",
        form % content,
        Content_Type="multipart/form-data; boundary=b",
        **own,
    )
    assert status == 200, text
    job = json.dumps({"binary": json.loads(text)["binary"], "duration": 2, "name": "proxied"})
    status, text, headers = await deferToThread(proxy.ask, "POST", "/golo/queue", job, **own)
    assert status == 201, text
    assert headers["Location"].endswith(f"/golo/jobs/{json.loads(text)['id']}")
    job_id = json.loads(text)["id"]
    agent.jobs.append(job_id)
    follow, events = f"/golo/jobs/{job_id}/out.log?follow=1", f"/golo/jobs/{job_id}/events"
    status, text, _ = await deferToThread(proxy.ask, "GET", events, **own)
    assert (status, text.count('"state":"finished"')) == (200, 1)
    status, text, _ = await deferToThread(proxy.ask, "GET", follow, **own)
    assert (status, text.encode()) == (200, agent.run_log(job_id, "proxied").read_bytes())
    for site in ("cross-site", "same-site"):
        foreign = page(Sec_Fetch_Site=site)
        assert (await deferToThread(proxy.ask, "POST", "/golo/queue", job, **foreign))[0] == 403
    assert (await deferToThread(proxy.ask, "GET", "/golo/health"))[0] == 401
    await agent.settled(job_id)


@pytest.mark.parametrize(
    "host", ["", "proxy_set_header Host $host;", "proxy_set_header Host $host:443;"]
)
async def test_any_host(idle_agent: Agent, nginx: Callable[[str], Proxy], host: str) -> None:
    """Requests of the page are accepted by Sec-Fetch-Site with any Host."""
    idle_agent.require_token()
    await idle_agent.start()
    proxy = nginx(f"location / {{ proxy_pass http://127.0.0.1:{idle_agent.port}; {host} }}")
    own = page(Sec_Fetch_Site="same-origin")
    status, text, _ = await deferToThread(proxy.ask, "POST", "/queue", "{}", **own)
    assert (status, text) == (400, " is an invalid binary\n")
    foreign = page(Sec_Fetch_Site="cross-site")
    assert (await deferToThread(proxy.ask, "POST", "/queue", "{}", **foreign))[0] == 403
    forged = page(X_Forwarded_Host="evil.example", Origin="https://evil.example")
    assert (await deferToThread(proxy.ask, "POST", "/queue", "{}", **forged))[0] == 403


async def test_an_early_refusal(idle_agent: Agent, nginx: Callable[[str], Proxy]) -> None:
    """An early refusal of an upload arrives through nginx."""
    idle_agent.options["--max-upload"] = "1MiB"
    await idle_agent.start()
    location = f"""location / {{
        proxy_pass http://127.0.0.1:{idle_agent.port}; proxy_set_header Host localhost;
        proxy_http_version 1.1; proxy_request_buffering off; client_max_body_size 0; }}"""
    proxy = nginx(location)
    form = {"Content_Type": "multipart/form-data; boundary=b"}
    for _ in range(5):
        status, text, _ = await deferToThread(
            proxy.ask, "POST", "/upload", bytes(20_000_000), **form
        )
        assert (status, text) == (413, "the request body is longer than 1048576 bytes\n")
