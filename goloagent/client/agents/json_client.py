"""JSON requests to one agent, and their errors as one sentence each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import attrs
import msgspec
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

from goloagent.client.agents.address import AgentAddress
from goloagent.client.agents.connection import Connection
from goloagent.client.errors import ClientError
from goloagent.client.exit_codes import ExitCode
from goloagent.transport.errors import describe

REQUEST_SECONDS = 30.0
"""For a response to begin, and again for it to end; uploads have no limit."""

MAX_ANSWER_BYTES = 256 * 1024 * 1024


class AgentError(ClientError):
    """An agent did not answer, or not as it must.

    Args:
        status: of the response; 0 without one.
    """

    def __init__(self, sentence: str, status: int = 0, exit_code: int | None = None) -> None:
        if exit_code is None:
            # Of an agent that answers 5xx now, nothing in the request is wrong.
            exit_code = ExitCode.NOT_READY if status >= 500 else ExitCode.INVALID
        super().__init__(sentence, exit_code)
        self.status = status


class BodyReader(Protocol):
    """Reads the body of a response of at most `MAX_ANSWER_BYTES`; `ended` fires with it."""

    def __init__(self, response: IResponse) -> None:
        self._body = bytearray()
        self._is_whole = False
        self.ended: Deferred[bytes] = Deferred()
        response.deliverBody(self)

    def dataReceived(self, data: bytes) -> None:
        """Add a part of the body."""
        self._body += data
        if len(self._body) > MAX_ANSWER_BYTES and not self.ended.called:
            self.ended.errback(ValueError(f"its answer has more than {MAX_ANSWER_BYTES} bytes"))
            self.close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End with the body, or with why it is not complete."""
        self._is_whole = reason.check(ResponseDone, PotentialDataLoss) is not None
        if self.ended.called:
            return
        if self._is_whole:
            self.ended.callback(bytes(self._body))
        else:
            self.ended.errback(reason)

    def close(self) -> None:
        """Close the connection if the body has not ended."""
        transport: Any = self.transport
        if transport is not None and not self._is_whole:
            transport.loseConnection()


@attrs.frozen
class JsonClient:
    """Sends requests to the agent at `address`."""

    address: AgentAddress
    _reactor: IReactorTime
    connection: Connection
    _http: HTTPClient
    seconds: float = REQUEST_SECONDS

    async def json(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        accept: tuple[int, ...] = (200,),
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request; return the JSON of its response if its status is one of `accept`."""
        more: dict[str, Any] = {"headers": {**(headers or {})}}
        if body is not None:
            more["data"] = msgspec.json.encode(body)
            more["headers"].setdefault("Content-Type", "application/json")
        response = await self.send(method, path, **more)
        answer = await self.read(response)
        return self.checked(response, answer, f"{method} {path}", accept)

    async def send(
        self, method: str, path: str, *, has_timeout: bool = True, **more: Any
    ) -> IResponse:
        """Send a request, for which `more` is as for treq; return its response without the body."""
        headers = {**self.connection.headers, **more.pop("headers", {})}
        url = f"{self.connection.url}{path}"
        more.setdefault("unbuffered", True)
        request = self._http.request(method, url, headers=headers, allow_redirects=False, **more)
        if has_timeout:
            request.addTimeout(self.seconds, self._reactor)
        try:
            return cast(IResponse, await request)
        except CancelledError:
            raise
        except Exception as error:
            raise self.unreachable(error) from None

    async def read(self, response: IResponse) -> bytes:
        """Return the body of a response."""
        reader = BodyReader(response)
        reader.ended.addTimeout(self.seconds, self._reactor)
        try:
            return await reader.ended
        except CancelledError:
            raise
        except Exception as error:
            raise self.unreachable(error) from None
        finally:
            reader.close()

    def unreachable(self, error: Exception) -> AgentError:
        """Return the error of a request that got no response, or not all of it."""
        if isinstance(error, TimeoutError) or type(error).__name__ == "TimeoutError":
            reason = f"no answer within {self.seconds:g} s"
        else:
            reason = describe(error)
        return AgentError(f"agent {self.address}: {reason}; is it running, and is it its address?")

    def checked(self, response: IResponse, body: bytes, what: str, accept: tuple[int, ...]) -> Any:
        """Return the JSON of an expected response.

        Raises:
            AgentError: the status is another, or the body is no JSON.
        """
        if response.code in accept:
            try:
                return json.loads(body) if body else None
            except ValueError:
                raise AgentError(
                    f"agent {self.address}: the answer to {what} is not JSON; is it an agent?",
                    response.code,
                ) from None
        raise AgentError(self._refusal(response.code, body, what), response.code)

    def _refusal(self, status: int, body: bytes, what: str) -> str:
        text = " ".join(body[:600].decode(errors="replace").split())
        try:
            problem = json.loads(body)
        except ValueError:
            problem = None
        if isinstance(problem, dict):
            text = str(problem.get("detail") or problem.get("title") or text)
        if status == 401:
            text = "it requires a token; give its file by --token-file or GOLO_TOKEN_FILE"
        return f"agent {self.address}: {text or f'it answered {what} with {status}'}"
