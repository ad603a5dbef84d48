"""The files of the collector's options: valid and invalid certificates, keys and tokens."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from peers.certificate import Authority

from goloagent.transport.credentials import TokenFile
from goloagent.transport.tls import FileError, Tls

AUTHORITY = Authority()
CERTIFICATE, KEY = AUTHORITY.certify("agent")
_, OTHER_KEY = AUTHORITY.certify("other")
ENCRYPTED = load_pem_private_key(KEY, None).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
)
BROKEN = CERTIFICATE.replace(b"\nMII", b"\n!!!", 1)

Write = Callable[[str, bytes | None], Path | None]

OPTIONS = "--collector-"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a file, or none for None."""

    def make(name: str, content: bytes | None) -> Path | None:
        if content is None:
            return None
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return make


@pytest.mark.parametrize(
    ("ca", "certificate", "key"),
    [
        (None, None, None),
        (AUTHORITY.pem, None, None),
        (b"# a bundle\n" + AUTHORITY.pem + Authority().pem, None, None),
        (None, CERTIFICATE, KEY),
        (None, CERTIFICATE + KEY, None),
        (None, KEY + CERTIFICATE + AUTHORITY.pem, None),
    ],
)
def test_files_that_can_be_used(
    write: Write, ca: bytes | None, certificate: bytes | None, key: bytes | None
) -> None:
    """Certificates are alone or in bundles; a key is in its own file or in the certificate's."""
    tls = Tls.load(False, write("ca", ca), write("cert", certificate), write("key", key), OPTIONS)
    assert tls.creator("collector.example")
    assert (tls.authorities is None) is (ca is None)
    assert (tls.identity is None) is (certificate is None)
    if not ca:
        insecure = Tls.load(True, None, write("cert", certificate), write("key", key), OPTIONS)
        assert insecure.creator("127.0.0.1")


@pytest.mark.parametrize(
    ("ca", "certificate", "key", "says"),
    [
        (b"", None, None, "--collector-ca {}/ca: it has no certificate in PEM format"),
        (KEY, None, None, "--collector-ca {}/ca: it has no certificate in PEM format"),
        (b"\xff\xfe", None, None, "--collector-ca {}/ca: it has no certificate in PEM format"),
        (BROKEN, None, None, "--collector-ca {}/ca: a certificate in it is damaged"),
        (None, KEY, KEY, "--collector-cert {}/cert: it has no certificate in PEM format"),
        (
            None,
            CERTIFICATE,
            None,
            "--collector-cert {}/cert: it has no private key in PEM format; ",
        ),
        (None, CERTIFICATE, CERTIFICATE, "--collector-key {}/key: it has no private key"),
        (None, CERTIFICATE, OTHER_KEY, "--collector-key {}/key: the key is damaged, or not that"),
        (None, CERTIFICATE, KEY[:80] + KEY[90:], "--collector-key {}/key: the key is damaged, or"),
        (None, CERTIFICATE, ENCRYPTED, "--collector-key {}/key: the key must not be encrypted"),
    ],
)
def test_files_that_cannot_be_used(
    write: Write,
    tmp_path: Path,
    ca: bytes | None,
    certificate: bytes | None,
    key: bytes | None,
    says: str,
) -> None:
    """The error is one line with the option, the file and the reason."""
    with pytest.raises(FileError) as wrong:
        Tls.load(False, write("ca", ca), write("cert", certificate), write("key", key), OPTIONS)
    assert str(wrong.value).startswith(says.format(tmp_path))
    assert "\n" not in str(wrong.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """The error has the system's reason."""
    with pytest.raises(FileError, match=r"^--collector-ca .*/none: No such file or directory$"):
        Tls.load(False, tmp_path / "none", None, None, OPTIONS)
    with pytest.raises(FileError, match=r"^--collector-token-file .*: Is a directory$"):
        TokenFile(tmp_path)


@pytest.mark.parametrize("content", [b"s3cret", b"s3cret\n", b"  s3cret\r\n"], ids=range(3))
def test_a_token(write: Write, content: bytes) -> None:
    """White space around a token is removed, and its repr is hidden."""
    path = write("token", content)
    assert path is not None
    token = TokenFile(path)
    assert token.token == "s3cret"
    assert "s3cret" not in repr(token)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n",
        b"a\nb",
        b"a b",
        b"\xef\xbb\xbfabc",
        "abc".encode("utf-16"),
        b"a\0",
        "ü".encode(),
    ],
)
def test_invalid_tokens(write: Write, content: bytes) -> None:
    """Values that a header cannot have are refused."""
    path = write("token", content)
    assert path is not None
    with pytest.raises(FileError, match=r"^--collector-token-file ") as wrong:
        TokenFile(path)
    assert "\n" not in str(wrong.value)


def test_a_token_that_changes(write: Write, tmp_path: Path) -> None:
    """A changed or replaced file is read again; an invalid one is ignored."""
    path = write("token", b"first")
    assert path is not None
    token = TokenFile(path)
    path.write_bytes(b"second")
    assert token.token == "second"
    replacement = write("new", b"third")
    assert replacement is not None
    replacement.rename(path)
    assert token.token == "third"
    path.write_bytes(b"two lines\nof it")
    assert token.token == "third"
    path.unlink()
    assert token.token == "third"
    path.write_bytes(b"fourth")
    assert token.token == "fourth"
    status = path.stat()
    path.write_bytes(b"fifth!")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert token.token == "fifth!"
