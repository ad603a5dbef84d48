"""How the backend of an output is accessed: credentials, TLS, compression and time-out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from goloagent.core.address import HttpUrl, is_idna
from goloagent.core.duration import parse_duration

DEFAULT_TIMEOUT_SECONDS = 30.0
MIN_TIMEOUT_SECONDS = 0.1
MAX_TIMEOUT_SECONDS = 3_600.0

_BOOLEANS = {"yes": True, "true": True, "no": False, "false": False}


class SettingError(ValueError):
    """The setting of an output is invalid; the message says what to change."""


@attrs.frozen
class HttpSetting:
    """How a backend is accessed.

    Args:
        password_file: has ``user:password``.
        ca: certificates of the authorities, or None for the system's.
        certificate: the client certificate; its key is in `key` or else in the same file.
        insecure: accept any certificate of the backend.
        gzip: None for the default of the sink.
    """

    token_file: Path | None = None
    password_file: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False
    gzip: bool | None = None
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS

    @property
    def members(self) -> dict[str, str]:
        """The members that are not the default, as they are given."""
        files = {
            "token-file": self.token_file,
            "password-file": self.password_file,
            "ca": self.ca,
            "cert": self.certificate,
            "key": self.key,
        }
        found = {name: str(path) for name, path in files.items() if path is not None}
        if self.insecure:
            found["insecure"] = "yes"
        if self.gzip is not None:
            found["gzip"] = "yes" if self.gzip else "no"
        if self.timeout_seconds != DEFAULT_TIMEOUT_SECONDS:
            found["timeout"] = f"{self.timeout_seconds:f}"
        return found

    @property
    def secrets(self) -> tuple[Path, ...]:
        """The files that load tests may not read."""
        files = (self.key or self.certificate, self.token_file, self.password_file)
        return tuple(path for path in files if path is not None)

    @property
    def certificates(self) -> tuple[Path, ...]:
        """The files that load tests may read and not change."""
        files = (self.ca, self.certificate if self.key is not None else None)
        return tuple(path for path in files if path is not None)


def parse_flag(name: str, text: str) -> bool:
    """Parse the value of a member that is yes or no.

    Raises:
        SettingError: it is neither.
    """
    if text not in _BOOLEANS:
        raise SettingError(f"{name}={text[:40]} is not yes or no")
    return _BOOLEANS[text]


def parse_http(access: Mapping[str, str], url: HttpUrl | None) -> HttpSetting:
    """Parse the members of access; `url` is that of an HTTP backend.

    Raises:
        SettingError: they are invalid, or conflict with each other.
    """
    setting = HttpSetting(
        token_file=_file(access, "token-file"),
        password_file=_file(access, "password-file"),
        ca=_file(access, "ca"),
        certificate=_file(access, "cert"),
        key=_file(access, "key"),
        insecure=parse_flag("insecure", access.get("insecure", "no")),
        gzip=parse_flag("gzip", access["gzip"]) if "gzip" in access else None,
        timeout_seconds=_timeout(access.get("timeout", str(DEFAULT_TIMEOUT_SECONDS))),
    )
    if setting.token_file is not None and setting.password_file is not None:
        raise SettingError("token-file and password-file are both given; use one of them")
    if setting.key is not None and setting.certificate is None:
        raise SettingError("key: name the certificate too, by cert")
    if setting.ca is not None and setting.insecure:
        raise SettingError("ca: with insecure=yes no certificate is checked; use one of them")
    if url is None:
        return setting
    given = next((name for name in ("ca", "cert", "key") if name in access), None)
    if given is not None and url.scheme == "http":
        raise SettingError(f"{given}: its URL has no TLS; use https:// or leave it out")
    if url.scheme == "https" and not setting.insecure and not is_idna(url.host):
        raise SettingError(
            f"no certificate can be for {url.host}; use another name, http:// or insecure=yes"
        )
    return setting


def _file(access: Mapping[str, str], name: str) -> Path | None:
    return Path(access[name]).absolute() if name in access else None


def _timeout(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise SettingError(f"timeout: {error}") from None
    if not MIN_TIMEOUT_SECONDS <= seconds <= MAX_TIMEOUT_SECONDS:
        raise SettingError(
            f"timeout={text[:40]} is not from {MIN_TIMEOUT_SECONDS:g} s to "
            f"{MAX_TIMEOUT_SECONDS:g} s"
        )
    return seconds
