"""The reason why a request got no response, as part of a sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator

from OpenSSL.SSL import Error as TlsError
from OpenSSL.SSL import SysCallError
from service_identity import VerificationError
from twisted.internet import error as errors
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived

from goloagent.transport.dialer import CONNECT_SECONDS
from goloagent.transport.tunnel import ProxyError

_NETWORK = (
    errors.ConnectError,
    errors.ConnectionClosed,
    OSError,
    TlsError,
    VerificationError,
    ProxyError,
)

# OpenSSL's words about an answer that is no TLS.
_WITHOUT_TLS = ("wrong version number", "http request", "packet length too long")


def describe(error: Exception) -> str:
    """Return the reason of a failed request or connection."""
    for cause in causes(error):
        if isinstance(cause, TlsError) and not isinstance(cause, SysCallError):
            return f"TLS: {_tls_reason(cause)}"
        if isinstance(cause, VerificationError):
            return "TLS: the certificate is not valid for the name in the URL"
    if is_unexpected(error):
        return f"unexpected {type(next(causes(error))).__name__}, see the agent's log"
    cause = next(causes(error))
    if isinstance(cause, errors.ConnectionRefusedError):
        return "connection refused"
    if isinstance(cause, errors.TimeoutError):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(cause, errors.ConnectError):
        return os.strerror(cause.osError).lower() if cause.osError else str(cause.args[0])
    if isinstance(error, ResponseFailed) and not isinstance(error, ResponseNeverReceived):
        if not isinstance(cause, errors.ConnectionClosed):
            return "the answer is not HTTP"
        return "the connection was closed in the middle of the answer"
    if isinstance(cause, errors.ConnectionClosed):
        return "the connection was closed without an answer"
    return str(cause) or type(cause).__name__


def is_certificate(error: Exception) -> bool:
    """Return whether TLS failed, which only an operator can repair."""
    return any(
        isinstance(cause, TlsError | VerificationError) and not isinstance(cause, SysCallError)
        for cause in causes(error)
    )


def is_unexpected(error: Exception) -> bool:
    """Return whether the cause is neither the peer nor the network, but a defect."""
    # In a failed response it is the peer, whose garbage may raise any error in the parser.
    return not isinstance(error, ResponseFailed) and not all(
        isinstance(cause, _NETWORK) for cause in causes(error)
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors inside an error of Twisted's client, or the error itself."""
    if isinstance(error, RequestTransmissionFailed | ResponseFailed):
        reasons: list[Failure] = error.reasons
        for reason in reasons:
            if reason.value is not None:
                yield from causes(reason.value)
    else:
        yield error


def _tls_reason(error: TlsError) -> str:
    """Return OpenSSL's words, which are tuples of library, function and reason."""
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    text = "; ".join(entry[-1] for entry in reasons) or "the handshake failed"
    is_plain = any(words in text for words in _WITHOUT_TLS)
    return f"{text}; the server may speak no TLS: write http://" if is_plain else text
