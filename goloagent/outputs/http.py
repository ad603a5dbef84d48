"""Posts to a backend over HTTP.

Every request ends in bounded time. A response counts from its headers on; redirects are not
followed, and cookies are not stored.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NoReturn

import attrs
from hyperlink import URL
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.web.client import RequestTransmissionFailed, ResponseFailed
from twisted.web.http_headers import Headers

from goloagent.core.address import HttpUrl, is_loopback
from goloagent.core.http_setting import DEFAULT_TIMEOUT_SECONDS, HttpSetting, SettingError
from goloagent.core.output_setting import OutputSetting
from goloagent.outputs.http_body import BodyPrefix, RequestBody, compress
from goloagent.outputs.registry import SinkContext
from goloagent.outputs.sink import Disposition, Response
from goloagent.transport.client import Client, make_client
from goloagent.transport.credentials import CredentialFile, PasswordFile, TokenFile
from goloagent.transport.dialer import CONNECT_SECONDS, Dialer, PeerCheck
from goloagent.transport.errors import describe, is_certificate, is_unexpected
from goloagent.transport.proxy import Proxy, ProxySettingError, find
from goloagent.transport.stream import quiet_factory
from goloagent.transport.tls import FileError, Tls

PUSH_SECONDS = DEFAULT_TIMEOUT_SECONDS
ANSWER_SECONDS = 2.0


@attrs.frozen
class HttpPoster:
    """The backend at `url`, reached through `client`.

    Args:
        credentials: sent with each request.
        gzip: compress bodies, except those that are encoded already.
        timeout_seconds: until the headers of a response.
    """

    url: HttpUrl
    clock: IReactorTime
    dialer: Dialer
    client: Client
    proxy: Proxy | None = None
    credentials: CredentialFile | None = None
    gzip: bool = False
    timeout_seconds: float = PUSH_SECONDS
    _http: HTTPClient = attrs.field(init=False)
    _logged: set[type[BaseException]] = attrs.field(init=False, factory=set)

    _log = Logger()

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_http", self.client.treq())

    @property
    def is_unencrypted(self) -> bool:
        """Whether requests cross a network without TLS."""
        return self.url.scheme == "http" and not is_loopback(self.url.host)

    @property
    def is_beyond_proxy(self) -> bool:
        """Whether `check` reaches a proxy only."""
        return self.proxy is not None and self.url.scheme == "http"

    async def post(
        self, path: str, body: bytes, content_type: str, headers: Mapping[str, str]
    ) -> Response:
        """Post a body; return the response, or that of a failure.

        Args:
            path: with the query, percent-encoded.
        """
        sent = {"Host": self.url.authority, "Content-Type": content_type, **headers}
        if self.gzip and "Content-Encoding" not in headers:
            body = await compress(self.clock, body)
            sent["Content-Encoding"] = "gzip"
        if self.credentials is not None:
            sent["Authorization"] = self.credentials.authorization
        if self.proxy is not None and self.url.scheme == "http" and self.proxy.authorization:
            sent["Proxy-Authorization"] = self.proxy.authorization
        request = self._http.post(
            _address(self.url, path),
            data=RequestBody(body),
            headers=Headers({name: [value] for name, value in sent.items()}),
            allow_redirects=False,
            unbuffered=True,
        )
        try:
            response = await request.addTimeout(self.timeout_seconds, self.clock, _raise_timeout)
        except CancelledError:
            raise
        except Exception as error:
            return self._failed(error)
        prefix = BodyPrefix()
        response.deliverBody(prefix)
        # The status decides, whatever happens to the body.
        limit = self.clock.callLater(ANSWER_SECONDS, prefix.close)
        try:
            await prefix.over
        except CancelledError:
            prefix.close()
            raise
        finally:
            if limit.active():
                limit.cancel()
        text = prefix.received.decode("utf-8", "replace")
        received = Response(
            response.code, text=text, body=prefix.received, is_whole=prefix.is_whole
        )
        if received.disposition is not Disposition.RETRY:
            return received
        return attrs.evolve(received, retry_after=_retry_after(response.headers))

    async def check(self) -> str | None:
        """Connect and close, without a request; return None, or the reason for a failure."""
        connecting = self.dialer.connect(quiet_factory(Protocol))
        try:
            protocol = await connecting.addTimeout(CONNECT_SECONDS, self.clock, _raise_timeout)
        except CancelledError:
            raise
        except Exception as error:
            return describe(error)
        protocol.transport.abortConnection()  # type: ignore[attr-defined]
        return None

    async def close(self) -> None:
        """Close the idle connections."""
        await self.client.close()

    def _failed(self, error: Exception) -> Response:
        """Return the response for a request without one; log a defect once."""
        if is_unexpected(error) and type(error) not in self._logged:
            self._logged.add(type(error))
            self._log.failure("{url}: a push failed by a defect", url=self.url)
        return Response(
            error=describe(error),
            certificate=is_certificate(error),
            timed_out=isinstance(error, TimeoutError),
            cut=isinstance(error, RequestTransmissionFailed | ResponseFailed),
        )


def make_poster(
    setting: OutputSetting,
    context: SinkContext,
    gzip: bool = True,
    token_scheme: str = "Bearer",
) -> HttpPoster:
    """Return the poster of an output.

    Args:
        gzip: the default of its sink.
        token_scheme: what precedes a token in ``Authorization``.

    Raises:
        SettingError: a certificate, a file of credentials or a proxy setting is unusable.
    """
    url = HttpUrl.parse(setting.url)
    made = open_poster(
        context.reactor, url, setting.http, context.check_peer, token_scheme=token_scheme
    )
    gzip = gzip if setting.http.gzip is None else setting.http.gzip
    return attrs.evolve(made, gzip=gzip, timeout_seconds=setting.http.timeout_seconds)


def open_poster(
    reactor: IReactorTime,
    url: HttpUrl,
    http: HttpSetting,
    check_peer: PeerCheck,
    prefix: str = "",
    token_scheme: str = "Bearer",
) -> HttpPoster:
    """Return the poster of a server, which compresses nothing.

    Args:
        prefix: of the names of files in errors.

    Raises:
        SettingError: as with `make_poster`.
    """
    credentials: CredentialFile | None = None
    try:
        proxy = find(url, os.environ)
        tls = Tls.load(http.insecure, http.ca, http.certificate, http.key, prefix)
        if http.token_file is not None:
            credentials = TokenFile(http.token_file, f"{prefix}token-file", token_scheme)
        elif http.password_file is not None:
            credentials = PasswordFile(http.password_file, f"{prefix}password-file")
    except (ProxySettingError, FileError) as error:
        raise SettingError(str(error)) from None
    dialer, client = make_client(reactor, url, tls, proxy)
    dialer.check_peer = check_peer
    return HttpPoster(url, reactor, dialer, client, proxy, credentials)


class _Uri(URL):
    """A URL that is a valid URI, which treq must not convert again."""

    def to_uri(self) -> _Uri:
        return self


@lru_cache(maxsize=64)
def _address(url: HttpUrl, path: str) -> URL:
    """Return the URL of a path on the server of `url`."""
    return _Uri.from_text(f"{attrs.evolve(url, path='').to_uri()}{path}")


def _raise_timeout(_: object, seconds: float) -> NoReturn:
    raise TimeoutError(f"no answer within {seconds:g} s")


def _retry_after(headers: Headers) -> float | None:
    """Return the seconds that a response asks to wait; a date is relative to its own ``Date``."""
    # Bytes, because a peer may send any.
    text = headers.getRawHeaders(b"Retry-After", [b""])[0]
    if text.isdigit():
        return float(text)
    date = headers.getRawHeaders(b"Date", [b""])[0]
    try:
        sent, then = (parsedate_to_datetime(one.decode("ascii")) for one in (date, text))
        return max(0.0, (then - sent).total_seconds())
    except (ArithmeticError, IndexError, TypeError, ValueError):
        return None
