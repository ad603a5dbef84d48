"""The options' values with their units: text in, values out, or one clear sentence. Pure."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import attrs
from hyperlink import URL, URLParseError

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
}
AUTO = "auto"
CONTAINMENTS = (AUTO, "pid-namespace", "cgroup", "process-group")
_SIZE = re.compile(r"(\d+)\s*([A-Za-z]*)")


class WrongOption(Exception):
    """An option's value cannot be used; the message names the option and says why."""


@attrs.frozen
class Settings:
    """What the agent was started with, checked as far as that goes without touching anything."""

    collector: URL
    insecure: bool
    logs: Path
    state: Path
    listen: tuple[str, ...]
    rpc_host: str
    rpc_port: int
    token_file: Path | None
    no_auth: bool
    allow_from: tuple[IpNetwork, ...]
    run_as: str | None
    containment: str
    max_upload_bytes: int
    max_binaries_bytes: int
    max_log_bytes: int
    min_free_bytes: int
    keep_days: int
    keep_bytes: int
    max_connections: int
    max_connections_per_peer: int

    @property
    def rpc_address(self) -> str:
        """The RPC address as HOST:PORT, an IPv6 host in brackets."""
        host = f"[{self.rpc_host}]" if ":" in self.rpc_host else self.rpc_host
        return f"{host}:{self.rpc_port}"

    @property
    def own_paths(self) -> tuple[Path, ...]:
        """What is the agent's alone: its directories, and the files of its token and TLS keys."""
        files = (self.token_file, *map(private_key, self.listen))
        return (self.state, self.logs, *(path for path in files if path is not None))


def collector_url(text: str) -> URL:
    """Read the collector's URL: http or https, with a host, without query and fragment.

    Raises:
        WrongOption: it is something else.
    """
    try:
        url = URL.from_text(text)
    except (URLParseError, ValueError) as error:
        raise WrongOption(f"--collector {text}: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise WrongOption(f"--collector {text}: not an http:// or https:// URL with a host")
    if url.userinfo:
        raise WrongOption("--collector: a user and password have no place in it")
    if url.query or url.fragment:
        raise WrongOption(f"--collector {text}: a query or fragment has no place in it")
    # One form for .../ and ...: results go to <path>/push/<name>.
    return url.replace(path=[segment for segment in url.path if segment])


def rpc_address(text: str) -> tuple[str, int]:
    """Read HOST:PORT; an IPv6 host stands in brackets.

    Raises:
        WrongOption: it is something else.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if (
        not colon
        or not host
        or not port.isascii()
        or not port.isdigit()
        or not 0 < int(port) < 65536
    ):
        raise WrongOption(f"--rpc {text}: not HOST:PORT with a port from 1 to 65535")
    return host, int(port)


def size_bytes(option: str, text: str) -> int:
    """Read a size such as ``512MiB``, ``2GB`` or a plain number of bytes.

    Raises:
        WrongOption: it is something else, or 0.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None or int(match[1]) == 0:
        raise WrongOption(f"{option} {text}: not a size such as 512MiB, 2GB or 1000000")
    return int(match[1]) * unit


def containment(text: str) -> str:
    """Read the name of a containment, or ``auto``.

    Raises:
        WrongOption: there is none of that name.
    """
    if text not in CONTAINMENTS:
        raise WrongOption(f"--containment {text}: not one of {', '.join(CONTAINMENTS)}")
    return text


def _is_whole(text: str) -> bool:
    """Tell whether a text is a whole number of at most six digits."""
    return text.isascii() and text.isdigit() and len(text) <= 6


def days(option: str, text: str) -> int:
    """Read a whole number of days.

    Raises:
        WrongOption: it is something else.
    """
    if not _is_whole(text):
        raise WrongOption(f"{option} {text}: not a number of days")
    return int(text)


def connections(option: str, text: str) -> int:
    """Read how many connections may be open.

    Raises:
        WrongOption: it is no whole number, or 0.
    """
    if not _is_whole(text) or int(text) == 0:
        raise WrongOption(f"{option} {text}: not a number of connections from 1 to 999999")
    return int(text)


def network(text: str) -> IpNetwork:
    """Read a CIDR network or a single address.

    Raises:
        WrongOption: it is neither.
    """
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise WrongOption(f"--allow-from {text}: {error}") from None


def listener_is_private(description: str) -> bool:
    """Tell whether a Twisted endpoint description is reached from this host alone.

    A ``systemd:`` socket is somebody else's choice of address, so it is not.
    """
    kind, _, rest = description.partition(":")
    if kind == "unix":
        return True
    interfaces: list[str] = re.findall(r"(?:^|:)interface=((?:\\.|[^:])*)", rest)
    return bool(interfaces) and all(map(_is_loopback, interfaces))


def private_key(description: str) -> Path | None:
    """Return the file of the private key that a Twisted endpoint description names, if any."""
    kind, _, rest = description.partition(":")
    if kind != "ssl":
        return None
    arguments: list[str] = re.findall(r"(?:\\.|[^:])+", rest)
    # As Twisted has it: by name, or in the second place, or else this one.
    named = [text.partition("=")[2] for text in arguments if text.startswith("privateKey=")]
    placed = [text for text in arguments if "=" not in text]
    key = (named or placed[1:] or ["server.pem"])[0]
    return Path(re.sub(r"\\(.)", r"\1", key))


def _is_loopback(interface: str) -> bool:
    try:
        return ipaddress.ip_address(interface.replace("\\", "")).is_loopback
    except ValueError:
        return interface == "localhost"
