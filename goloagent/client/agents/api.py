"""One agent's HTTP API: requests as coroutines, and errors as one sentence each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode

import attrs
import treq
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime

from goloagent.client.agents.address import AgentAddress
from goloagent.client.agents.connection import Credentials, connect
from goloagent.client.agents.events import EventReader
from goloagent.client.agents.json_client import AgentError, JsonClient
from goloagent.core import trace_context

Job = dict[str, Any]


@attrs.frozen
class AgentApi:
    """The API of the agent at `address`."""

    _reactor: IReactorTime
    _client: JsonClient

    @classmethod
    def make(
        cls,
        reactor: IReactorTime,
        address: AgentAddress,
        credentials: Credentials,
        environ: Mapping[str, str],
    ) -> AgentApi:
        """Return the API of an agent; nothing is opened yet.

        Raises:
            ClientError: the credentials, or the proxy of the environment, are unusable.
        """
        connection = connect(reactor, address, credentials, environ)
        return cls(reactor, JsonClient(address, reactor, connection, connection.client.treq()))

    @property
    def address(self) -> AgentAddress:
        """The address of the agent."""
        return self._client.address

    def within(self, seconds: float) -> AgentApi:
        """Return it with another timeout of requests, on the same connections."""
        return attrs.evolve(self, client=attrs.evolve(self._client, seconds=seconds))

    async def close(self) -> None:
        """Close the idle connections."""
        await self._client.connection.client.close()

    async def health(self) -> Job:
        """Return ``/health``, also of an agent that is not ready; without a token, the status."""
        answer = await self._client.json("GET", "/health", accept=(200, 503))
        return {"reason": None, **self._object(answer, "status")}

    async def version(self) -> str:
        """Return the version of the agent."""
        return str((await self._client.json("GET", "/openapi.json"))["info"]["version"])

    async def binary_of(self, sha256: str) -> str | None:
        """Return the id of an upload with this content, or None."""
        try:
            found = await self._client.json("GET", f"/binaries/{sha256}")
        except AgentError as error:
            if error.status == 404:
                return None
            raise
        return str(found["id"])

    async def upload(self, path: Path, name: str, *, is_program: bool = True) -> str:
        """Upload a file under a name; return the id of the binary."""
        kind = "program" if is_program else "file"
        file = path.open("rb")  # the request closes it, after an early refusal too
        response = await self._client.send(
            "POST",
            f"/upload?kind={kind}",
            files={"file": (name, "application/octet-stream", file)},
            has_timeout=False,
        )
        answer = await self._client.read(response)
        return str(self._client.checked(response, answer, "POST /upload", (200,))["binary"])

    async def queue(
        self, members: Mapping[str, Any], requires: str = "", traceparent: str = ""
    ) -> str:
        """Queue a job; return its id.

        Args:
            requires: the features that the agent must have, separated by commas.
            traceparent: the trace context of the run, or "".
        """
        # A repeat on a connection that the agent has closed would queue the job twice.
        self._client.connection.client.renew()
        given = {"Golo-Requires": requires, trace_context.HEADER: traceparent}
        headers = {name: value for name, value in given.items() if value}
        answer = await self._client.json(
            "POST", "/queue", body=members, accept=(201,), headers=headers
        )
        return str(answer["id"])

    async def job(self, job_id: str) -> Job:
        """Return a job."""
        answer = await self._client.json("GET", f"/jobs/{quote(job_id)}")
        return self._object(answer, "id", "state", "reason", "message", "results", "delivery")

    async def jobs(self, **query: str | int) -> list[Job]:
        """Return a page of jobs, the newest first."""
        answer = await self._client.json("GET", f"/jobs?{urlencode(query)}")
        return cast("list[Job]", answer["jobs"])

    async def stats(self, job_id: str) -> Job:
        """Return the statistics of a job with their histograms."""
        return cast(
            Job, await self._client.json("GET", f"/jobs/{quote(job_id)}/stats?histograms=hdr")
        )

    async def timeline(self, job_id: str) -> Job:
        """Return the timeline of a job with its histograms."""
        path = f"/jobs/{quote(job_id)}/timeline?histograms=hdr"
        return cast(Job, await self._client.json("GET", path))

    async def change(self, job_id: str, members: Mapping[str, Any]) -> Job:
        """Change the load of a running job."""
        headers = {"Content-Type": "application/merge-patch+json"}
        path = f"/jobs/{quote(job_id)}"
        return cast(Job, await self._client.json("PATCH", path, body=members, headers=headers))

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job."""
        return cast(
            Job, await self._client.json("DELETE", f"/jobs/{quote(job_id)}", accept=(200, 202))
        )

    async def events(self, job_id: str) -> AsyncIterator[tuple[str, Job]]:
        """Yield the events of a job, as kind and data, until it is over or the stream ends.

        The stream ends too when nothing arrives for the timeout of requests.

        Raises:
            AgentError: the agent does not answer, or the stream breaks.
        """
        path = f"/jobs/{quote(job_id)}/events"
        response = await self._client.send("GET", path, headers={"Accept": "text/event-stream"})
        if response.code != 200:
            self._client.checked(
                response, await self._client.read(response), f"GET {path}", (200, 204)
            )
            return
        reader = EventReader(response, self._reactor, self._client.seconds)
        try:
            async for kind, data in reader:
                yield kind, self._object(_decoded(data))
        except (CancelledError, AgentError):
            raise
        except Exception as error:
            raise self._client.unreachable(error) from None
        finally:
            reader.close()

    async def download(self, path: str, write: Callable[[bytes], None]) -> None:
        """Write the body of a GET as it arrives."""
        response = await self._client.send("GET", path, unbuffered=True)
        if response.code != 200:
            self._client.checked(response, await self._client.read(response), f"GET {path}", (200,))
        try:
            await treq.collect(response, write)
        except CancelledError:
            raise
        except Exception as error:
            raise self._client.unreachable(error) from None

    def _object(self, answer: object, *names: str) -> Job:
        """Return an answer that must be a JSON object with some members."""
        if not isinstance(answer, dict) or not answer.keys() >= set(names):
            raise AgentError(f"agent {self.address}: it does not answer as one; is it an agent?")
        return answer


def _decoded(data: str) -> object:
    """Return the value of a JSON text, or None if it is none."""
    try:
        return json.loads(data)
    except ValueError:
        return None
