"""TLS towards a collector or a proxy: which certificates are accepted, and which one is shown.

Files are PEM and read once, at the start.
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
    """A file of an option cannot be used; the message names both and says why."""


@attrs.frozen
class Tls:
    """How TLS connections of the agent are made.

    Args:
        insecure: accept whatever certificate is shown.
        authorities: accept what these certificates have signed, or None: what the system accepts.
        identity: the certificate to show, its key and intermediate certificates.
    """

    insecure: bool = False
    authorities: tuple[crypto.X509, ...] | None = None
    identity: tuple[crypto.X509, crypto.PKey, tuple[crypto.X509, ...]] | None = attrs.field(
        default=None, repr=False
    )

    @classmethod
    def load(
        cls, insecure: bool, ca: Path | None, certificate: Path | None, key: Path | None
    ) -> Tls:
        """Read what the options ``--collector-ca``, ``-cert`` and ``-key`` name.

        Raises:
            FileError: a file cannot be read or is not what it should be.
        """
        authorities = None if ca is None else _certificates("--collector-ca", ca)
        identity = None
        if certificate is not None:
            leaf, *chain = _certificates("--collector-cert", certificate)
            identity = (leaf, _key(leaf, certificate, key), tuple(chain))
        return cls(insecure, authorities, identity)

    def creator(self, host: str) -> IOpenSSLClientConnectionCreator:
        """Return what makes connections to `host`, a parsed one."""
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
    """Makes connections without a check of who answers."""

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


def _key(certificate: crypto.X509, beside: Path, path: Path | None) -> crypto.PKey:
    """Return the key of `certificate`, from a file of its own or from the certificate's."""
    option, path = ("--collector-key", path) if path else ("--collector-cert", beside)
    text = read(option, path)
    if b"PRIVATE KEY-----" not in text:
        hint = "" if option == "--collector-key" else "; name its file with --collector-key"
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
            f"{option} {path}: the key is damaged, or not that of the certificate in {beside}"
        ) from None
    return key
