"""Descriptions of server endpoints (``--listen``), in the syntax of Twisted.

They are checked before anything is opened; Twisted parses the text again.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path

import attrs

# By kind: the arguments in their positional order.
_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "tcp": ("port", "interface", "backlog"),
    "tcp6": ("port", "backlog", "interface"),
    "ssl": (
        "port",
        "privateKey",
        "certKey",
        "sslmethod",
        "interface",
        "backlog",
        "extraCertChain",
        "dhParameters",
    ),
    "unix": ("address", "mode", "backlog", "lockfile"),
    "systemd": ("domain", "index", "name"),
}
_NUMBERS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "port": (re.compile(r"\d{1,5}", re.A), "a port from 0 to 65535"),
    "backlog": (re.compile(r"\d{1,9}", re.A), "a number of connections"),
    "mode": (re.compile(r"0?[0-7]{1,4}", re.A), "an octal mode such as 660"),
    "lockfile": (re.compile(r"[01]"), "0 or 1"),
    "index": (re.compile(r"\d{1,4}", re.A), "a number"),
    "domain": (re.compile(r"INET6?|UNIX"), "INET, INET6 or UNIX"),
}

MAX_SOCKET_PATH_BYTES = 107  # unix(7)


class EndpointError(ValueError):
    """The text does not describe an endpoint to listen on; the message says why."""


@attrs.frozen
class Endpoint:
    """A server endpoint of a `kind` (``tcp``, ``ssl``, …) with its named arguments."""

    kind: str
    arguments: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Parse a description such as ``tcp:8081:interface=127.0.0.1``.

        Raises:
            EndpointError: it is something else.
        """
        (_, kind), *parts = _split(text)
        names = _ARGUMENTS.get(kind)
        if names is None:
            raise EndpointError(f"not one of {', '.join(f'{name}:' for name in _ARGUMENTS)}")
        arguments: dict[str, str] = {}
        for place, (given, value) in enumerate(parts):
            name = given if given is not None else names[place] if place < len(names) else ""
            if name not in names:
                raise EndpointError(
                    f"{kind}: takes {', '.join(names)}; write a colon in a value as \\:"
                )
            if name in arguments:
                raise EndpointError(f"{name} is given twice")
            arguments[name] = value
        endpoint = cls(kind, arguments)
        endpoint._check()
        return endpoint

    @property
    def is_private(self) -> bool:
        """Whether only this host can reach it.

        A ``systemd`` socket counts as public, because its address is unknown.
        """
        if self.kind == "unix":
            return True
        interface = self.arguments.get("interface", "")
        try:
            return ipaddress.ip_address(interface).is_loopback
        except ValueError:
            return interface == "localhost"

    @property
    def private_key(self) -> Path | None:
        """The file of its private key, if it has one."""
        if self.kind != "ssl":
            return None
        return Path(self.arguments.get("privateKey", "server.pem"))

    def _check(self) -> None:
        required = {"unix": "address", "systemd": "domain"}.get(self.kind, "port")
        if not self.arguments.get(required):
            raise EndpointError(f"{self.kind}: needs {required}")
        if len(os.fsencode(self.arguments.get("address", ""))) > MAX_SOCKET_PATH_BYTES:
            raise EndpointError(f"the path is longer than {MAX_SOCKET_PATH_BYTES} bytes")
        if self.kind == "systemd" and ("index" in self.arguments) == ("name" in self.arguments):
            raise EndpointError("systemd: needs either name or index")
        for name, value in self.arguments.items():
            pattern, meaning = _NUMBERS.get(name, (None, ""))
            if pattern is not None and not pattern.fullmatch(value):
                raise EndpointError(f"{name}={value} is not {meaning}")
        if int(self.arguments.get("port", "0")) > 65535:
            raise EndpointError(f"port={self.arguments['port']} is not a port from 0 to 65535")
        self._check_interface()

    def _check_interface(self) -> None:
        interface = self.arguments.get("interface", "")
        if not interface or self.kind in ("unix", "systemd"):
            return
        plain, _, zone = interface.partition("%")
        try:
            address = ipaddress.ip_address(plain)
        except ValueError:
            if self.kind != "tcp6" and not zone and interface == "localhost":
                return
            raise EndpointError(
                f"interface={interface} is not an IP address; write :: as \\:\\:"
            ) from None
        if self.kind == "tcp6" and address.version == 4:
            raise EndpointError(f"interface={interface} is not an IPv6 address; use tcp:")


def _split(text: str) -> list[tuple[str | None, str]]:
    """Split at colons into (name, value), unescaped; the name is None without an equals sign."""
    parts: list[tuple[str | None, str]] = []
    name: str | None = None
    value = ""
    characters = iter(text)
    for character in characters:
        if character == "\\":
            escaped = next(characters, "")
            if not escaped:
                raise EndpointError("a backslash at the end escapes nothing")
            value += escaped
        elif character == ":":
            parts.append((name, value))
            name, value = None, ""
        elif character == "=" and name is None:
            name, value = value, ""
        else:
            value += character
    return [*parts, (name, value)]
