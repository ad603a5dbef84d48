"""TLS to a collector or proxy: the accepted certificates, and the client certificate.

Files are PEM, and are read once, at the start.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any

import attrs
from OpenSSL import crypto
from OpenSSL.SSL import Connection, Context
from OpenSSL.SSL import Error as TlsError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    KeyPair,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.S)


class FileError(Exception):
    """The file of an option is invalid; the message has the option, the file and the reason."""


@attrs.frozen
class Tls:
    """The settings of TLS connections.

    Args:
        insecure: accept every certificate.
        authorities: accept certificates signed by these; None for those of the system.
        identity: the client certificate, its key, and intermediate certificates.
    """

    insecure: bool = False
    authorities: tuple[crypto.X509, ...] | None = None
    identity: tuple[crypto.X509, crypto.PKey, tuple[crypto.X509, ...]] | None = attrs.field(
        default=None, repr=False
    )

    @classmethod
    def load(
        cls,
        insecure: bool = False,
        ca: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        prefix: str = "--",
    ) -> Tls:
        """Read the files of options: ``prefix`` and ``ca``, ``cert`` or ``key``.

        Raises:
            FileError: a file cannot be read or is invalid.
        """
        authorities = None if ca is None else _certificates(f"{prefix}ca", ca)
        identity = None
        if certificate is not None:
            leaf, *chain = _certificates(f"{prefix}cert", certificate)
            identity = (leaf, _key(leaf, certificate, key, prefix), tuple(chain))
        return cls(insecure, authorities, identity)

    def creator(self, host: str) -> IOpenSSLClientConnectionCreator:
        """Return a creator of connections to a parsed `host`."""
        host = host.partition("%")[0].removesuffix(".")
        if self.insecure:
            return _Unverified(host, CertificateOptions(verify=False, **self._own()).getContext())
        roots = None
        if self.authorities is not None:
            roots = trustRootFromCertificates([Certificate(one) for one in self.authorities])
        own = self._own()
        shown = None
        if own:
            pair = KeyPair(own.pop("privateKey"))
            shown = PrivateCertificate.fromCertificateAndKeyPair(
                Certificate(own.pop("certificate")), pair
            )
        creator: IOpenSSLClientConnectionCreator = optionsForClientTLS(
            host, trustRoot=roots, clientCertificate=shown, extraCertificateOptions=own
        )
        return creator

    def _own(self) -> dict[str, Any]:
        if self.identity is None:
            return {}
        certificate, key, chain = self.identity
        own = {"certificate": certificate, "privateKey": key}
        return own | ({"extraCertChain": list(chain)} if chain else {})


@implementer(IOpenSSLClientConnectionCreator)
@attrs.frozen
class _Unverified:
    """Creates connections without a check of the peer."""

    host: str
    context: Context

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> Connection:
        connection = Connection(self.context, None)
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            connection.set_tlsext_host_name(self.host.encode("ascii"))
        return connection


def read(option: str, path: Path) -> bytes:
    """Return the content of an option's file.

    Raises:
        FileError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{option} {path}: {error.strerror}") from None


def _certificates(option: str, path: Path) -> tuple[crypto.X509, ...]:
    blocks = _CERTIFICATE.findall(read(option, path))
    if not blocks:
        raise FileError(f"{option} {path}: it has no certificate in PEM format")
    try:
        return tuple(crypto.load_certificate(crypto.FILETYPE_PEM, block) for block in blocks)
    except (crypto.Error, ValueError):
        raise FileError(f"{option} {path}: a certificate in it is damaged") from None


def _key(
    certificate: crypto.X509, certificate_path: Path, path: Path | None, prefix: str
) -> crypto.PKey:
    """Return the key of a certificate, from its own file or from that of the certificate."""
    option, path = (f"{prefix}key", path) if path else (f"{prefix}cert", certificate_path)
    text = read(option, path)
    if b"PRIVATE KEY-----" not in text:
        hint = "" if option == f"{prefix}key" else f"; name its file with {prefix}key"
        raise FileError(f"{option} {path}: it has no private key in PEM format{hint}")
    if b"ENCRYPTED" in text:
        raise FileError(f"{option} {path}: the key must not be encrypted with a passphrase")
    context = Context(CertificateOptions().method)
    try:
        key = crypto.load_privatekey(crypto.FILETYPE_PEM, text, passphrase=b"")
        context.use_certificate(certificate)
        context.use_privatekey(key)
        context.check_privatekey()
    except (crypto.Error, ValueError, TlsError):
        raise FileError(
            f"{option} {path}: the key is damaged, or not that of the certificate in"
            f" {certificate_path}"
        ) from None
    return key
