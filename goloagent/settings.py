"""The values of the options with their units, parsed from text. Pure, except for a settings file.

The module is long because it has a parser for each kind of option.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path

import attrs

from goloagent.core.address import (
    AddressError,
    HttpUrl,
    bracketed,
    is_idna,
    parse_host,
    parse_port,
    split,
)
from goloagent.core.endpoint import Endpoint, EndpointError
from goloagent.core.http_setting import HttpSetting
from goloagent.core.output_parser import check_names, parse_option, parse_tables
from goloagent.core.output_schemes import COLLECTOR
from goloagent.core.output_setting import OutputSetting, SettingError

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
NONE = "none"
AUTO = "auto"
ISOLATION_BACKENDS = (AUTO, "pid-namespace", "cgroup", "process-group")
TEXT = "text"
JSON = "json"
LOG_FORMATS = (TEXT, JSON)
_SIZE = re.compile(r"(\d{1,19})\s*([A-Za-z]*)", re.ASCII)
# The maximum of a file's length, of a process limit and of a database column.
MAX_BYTES = 2**63 - 1
MAX_DAYS = 36_500
MAX_SETTINGS_FILE_BYTES = 256 * 1024
_SECONDS = re.compile(r"\d{1,4}(\.\d{1,3})?", re.ASCII)
MIN_SECONDS = 0.1
MAX_SECONDS = 3600


class WrongOption(Exception):
    """An option's value is invalid; the message names the option and the reason."""


@attrs.frozen
class CollectorSettings:
    """The collector, and how it is accessed."""

    url: HttpUrl
    http: HttpSetting = attrs.field(factory=HttpSetting)


@attrs.frozen
class Settings:
    """The values of all options, checked without opening anything.

    Without a `collector` and other `outputs` results are counted and stay in the logs.
    """

    collector: CollectorSettings | None
    outputs: tuple[OutputSetting, ...]
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
    log_format: str
    start_timeout_seconds: float
    drain_timeout_seconds: float
    quiet_period_seconds: float
    output_timeout_seconds: float
    grace_seconds: float
    max_upload_bytes: int
    max_binaries_bytes: int
    max_log_bytes: int
    min_free_bytes: int
    keep_days: int
    keep_bytes: int
    keep_jobs: int
    max_connections: int
    max_connections_per_peer: int

    @property
    def rpc_address(self) -> str:
        """The RPC address as HOST:PORT, an IPv6 host in brackets."""
        return f"{bracketed(self.rpc_host)}:{self.rpc_port}"

    @property
    def own_paths(self) -> tuple[Path, ...]:
        """The paths denied to load tests: directories, token files and TLS keys."""
        keys = (Endpoint.parse(text).private_key for text in self.listen)
        secrets = () if self.collector is None else self.collector.http.secrets
        of_outputs = (path for output in self.outputs for path in output.own_paths)
        files = (self.token_file, *keys, *secrets, *of_outputs)
        return (self.state, self.logs, *(path for path in files if path is not None))

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of all outputs."""
        of_collector = () if self.collector is None else (COLLECTOR,)
        return (*of_collector, *(output.name for output in self.outputs))

    @property
    def certificates(self) -> tuple[Path, ...]:
        """The files that load tests may read and not change."""
        of_collector = () if self.collector is None else self.collector.http.certificates
        of_outputs = (path for output in self.outputs for path in output.http.certificates)
        return (*of_collector, *of_outputs)


def collector(
    url: str,
    *,
    insecure: bool = False,
    ca: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
    token_file: str | None = None,
) -> CollectorSettings | None:
    """Parse the options of the collector; None for no collector.

    Raises:
        WrongOption: one of them is invalid, or conflicts with another.
    """
    of_tls = {"--collector-ca": ca, "--collector-cert": certificate, "--collector-key": key}
    given = [name for name, value in of_tls.items() if value is not None]
    if url == NONE:
        if given or token_file is not None:
            name = (given or ["--collector-token-file"])[0]
            raise WrongOption(f"{name}: there is no collector; leave it out, or name a --collector")
        return None
    parsed = collector_url(url)
    if given and parsed.scheme == "http":
        raise WrongOption(
            f"{given[0]}: --collector {parsed} has no TLS; use https:// or leave it out"
        )
    if ca is not None and insecure:
        raise WrongOption(
            "--collector-ca: with --insecure no certificate is checked; use one of them"
        )
    if key is not None and certificate is None:
        raise WrongOption("--collector-key: name the certificate too, by --collector-cert")
    if parsed.scheme == "https" and not insecure and not is_idna(parsed.host):
        raise WrongOption(
            f"--collector {parsed}: no certificate can be for {parsed.host}; "
            "use another name, http:// or --insecure"
        )
    http = HttpSetting(
        ca=_path(ca),
        certificate=_path(certificate),
        key=_path(key),
        token_file=_path(token_file),
        insecure=insecure,
    )
    return CollectorSettings(parsed, http)


def outputs(texts: Iterable[str], file: str | None) -> tuple[OutputSetting, ...]:
    """Parse each ``--output``, and the settings file of ``--outputs``.

    Raises:
        WrongOption: one of them is invalid, two have one name, or the file cannot be read.
    """
    try:
        of_file = [] if file is None else parse_tables(_settings_file(file), f"--outputs {file}")
        return check_names([*of_file, *map(parse_option, texts)])
    except SettingError as error:
        raise WrongOption(str(error)) from None


def _settings_file(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            data = file.read(MAX_SETTINGS_FILE_BYTES + 1)
        if len(data) > MAX_SETTINGS_FILE_BYTES:
            raise WrongOption(f"--outputs {name}: larger than {MAX_SETTINGS_FILE_BYTES} bytes")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise WrongOption(f"--outputs {name}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise WrongOption(f"--outputs {name}: it is not UTF-8 at byte {error.start}") from None


def _path(text: str | None) -> Path | None:
    # A daemon changes its directory.
    return None if text is None else Path(text).absolute()


def collector_url(text: str) -> HttpUrl:
    """Parse the collector's URL: http or https, with a host, without user, query and fragment.

    Raises:
        WrongOption: it is invalid, or cannot be connected to.
    """
    shown = re.sub(r"//[^/]*@", "//...@", text)
    try:
        url = HttpUrl.parse(text)
    except AddressError as error:
        raise WrongOption(f"--collector {shown}: {error}") from None
    if url.userinfo is not None:
        raise WrongOption(f"--collector {shown}: credentials in the URL are not supported")
    return url


def rpc_address(text: str) -> tuple[str, int]:
    """Parse HOST:PORT, an IPv6 host in brackets.

    Raises:
        WrongOption: it is invalid.
    """
    try:
        host, port = split(text)
        if port is None or not host:
            raise AddressError("not HOST:PORT, such as 127.0.0.1:9999 or [::1]:9999")
        host = parse_host(host)
        if "%" in host or not is_idna(host):
            raise AddressError("write an address of this host, such as 127.0.0.1 or [::1]")
        return host, parse_port(port)
    except AddressError as error:
        raise WrongOption(f"--rpc {text}: {error}") from None


def size_bytes(option: str, text: str) -> int:
    """Parse a size such as ``512MiB``, ``2GB`` or a plain number of bytes.

    Raises:
        WrongOption: it is invalid, 0, or more than 2^63 - 1 bytes.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None or int(match[1]) == 0:
        raise WrongOption(f"{option} {text}: not a size such as 512MiB, 2GB or 1000000")
    if int(match[1]) * unit > MAX_BYTES:
        raise WrongOption(f"{option} {text}: more than {MAX_BYTES} bytes")
    return int(match[1]) * unit


def isolation_backend(text: str) -> str:
    """Parse the name of an isolation backend, or ``auto``.

    Raises:
        WrongOption: it is unknown.
    """
    if text not in ISOLATION_BACKENDS:
        raise WrongOption(f"--containment {text}: not one of {', '.join(ISOLATION_BACKENDS)}")
    return text


def log_format(text: str) -> str:
    """Parse the name of a format of the log.

    Raises:
        WrongOption: it is unknown.
    """
    if text not in LOG_FORMATS:
        raise WrongOption(f"--log-format {text}: not one of {', '.join(LOG_FORMATS)}")
    return text


def count(option: str, text: str, unit: str, minimum: int = 1, maximum: int = 999_999) -> int:
    """Parse a whole number of a unit, such as ``jobs``.

    Raises:
        WrongOption: it is not a whole number within the limits.
    """
    is_whole = text.isascii() and text.isdigit() and len(text) <= len(str(maximum))
    if not is_whole or not minimum <= int(text) <= maximum:
        raise WrongOption(f"{option} {text}: not a number of {unit} from {minimum} to {maximum}")
    return int(text)


def days(option: str, text: str) -> int:
    """Parse a number of days; see `count`."""
    return count(option, text, "days", minimum=0, maximum=MAX_DAYS)


def seconds(option: str, text: str) -> float:
    """Parse a number of seconds such as ``10`` or ``0.5``.

    Raises:
        WrongOption: it is not a decimal number within the limits.
    """
    if not _SECONDS.fullmatch(text) or not MIN_SECONDS <= float(text) <= MAX_SECONDS:
        raise WrongOption(
            f"{option} {text}: not a number of seconds from {MIN_SECONDS} to {MAX_SECONDS}"
        )
    return float(text)


def network(text: str) -> IpNetwork:
    """Parse a CIDR network or a single address.

    Raises:
        WrongOption: it is neither.
    """
    try:
        found = ipaddress.ip_network(text)
    except ValueError as error:
        raise WrongOption(f"--allow-from {text}: {error}") from None
    if isinstance(found, ipaddress.IPv4Network):
        return found
    if found.network_address.scope_id is not None:
        raise WrongOption(f"--allow-from {text}: write it without the interface behind the %")
    if found.prefixlen >= 96 and found.network_address.ipv4_mapped is not None:
        # Peers are compared by their IPv4 address.
        return ipaddress.ip_network((found.network_address.ipv4_mapped, found.prefixlen - 96))
    return found


def listener(text: str) -> Endpoint:
    """Parse an endpoint to listen on.

    Raises:
        WrongOption: it is invalid.
    """
    try:
        return Endpoint.parse(text)
    except EndpointError as error:
        raise WrongOption(f"--listen {text}: {error}") from None
