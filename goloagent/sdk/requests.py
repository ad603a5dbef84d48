"""A session of the package requests that reports every request by itself.

Use `Session` in place of `requests.Session`. Each redirect is a request of its own. A request is
complete when its body is read or closed, or with an exception, which is raised as before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from goloagent.sdk.exchange import Exchange

try:
    import requests
except ModuleNotFoundError as missing:
    if missing.name != "requests":
        raise
    raise ModuleNotFoundError(
        "goloagent.sdk.requests needs the package requests: add it with "
        "`golo pack SCRIPT --with requests`, or install it for the Python of the load test",
        name=missing.name,
    ) from None

from requests.adapters import BaseAdapter


class Session(requests.Session):
    """A `requests.Session` that reports every request. Use it in one thread at a time."""

    def get_adapter(self, url: str) -> BaseAdapter:
        """Return the adapter that is mounted for a URL, with reports."""
        return _Adapter(super().get_adapter(url))


class _Adapter(BaseAdapter):
    def __init__(self, adapter: BaseAdapter) -> None:
        super().__init__()
        self._adapter = adapter

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> Response:
        exchange = Exchange(request.method or "", str(request.url or ""))
        try:
            response = self._adapter.send(request, *args, **more)
        except BaseException as error:
            exchange.end(error)
            raise
        exchange.responded(response.status_code)
        response.__class__ = Response
        assert isinstance(response, Response)
        response.exchange = exchange
        return response

    def close(self) -> None:
        self._adapter.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)


class Response(requests.Response):
    """A response whose request is reported at the end of its body."""

    exchange: Exchange | None = None  # none in a copy made by pickle

    def iter_content(self, *args: Any, **more: Any) -> Iterator[Any]:
        """Iterate over the body; see `requests.Response.iter_content`."""
        return self._counted(super().iter_content(*args, **more))

    def _counted(self, chunks: Iterator[Any]) -> Iterator[Any]:
        try:
            for chunk in chunks:
                if self.exchange is not None:
                    self.exchange.received(len(chunk))
                yield chunk
        except GeneratorExit:
            raise  # the rest of the body may be read later
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)

    def close(self) -> None:
        """Close the connection; see `requests.Response.close`."""
        super().close()
        self._end(sys.exc_info()[1])

    def _end(self, error: BaseException | None) -> None:
        if self.exchange is not None:
            # Bytes on the network if urllib3 counts them, else decompressed ones.
            self.exchange.size = getattr(self.raw, "tell", int)() or self.exchange.size
            self.exchange.end(error)
