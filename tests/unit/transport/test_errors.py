"""Each failed connection has its sentence."""

from __future__ import annotations

import pytest
from OpenSSL.SSL import Error

from goloagent.transport.errors import describe


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            Error([("SSL routines", "", "wrong version number")]),
            "TLS: wrong version number; the server may speak no TLS: write http://",
        ),
        (
            Error([("SSL routines", "", "certificate verify failed")]),
            "TLS: certificate verify failed",
        ),
        (Error(), "TLS: the handshake failed"),
    ],
)
def test_tls(error: Error, sentence: str) -> None:
    """OpenSSL's words, and what to do if the server has no TLS."""
    assert describe(error) == sentence
