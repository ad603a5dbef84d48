"""Parses the settings of outputs, from ``NAME=URL`` and from a settings file in TOML. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote

from goloagent.core.address import AddressError, HttpUrl
from goloagent.core.http_setting import SettingError, parse_flag, parse_http
from goloagent.core.output_schemes import COLLECTOR, REQUIRED, SCHEMES, Form
from goloagent.core.output_setting import OutputSetting

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_OUTPUTS = 16
MAX_URL_CHARACTERS = 4_096

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_URL = re.compile(r"(?P<scheme>[a-z]+)(?:\+(?P<http>https?))?:(?P<rest>.*)", re.I | re.S)
_CREDENTIALS = re.compile(r"(?<=://)[^/?#]*@")


def parse_option(text: str) -> OutputSetting:
    """Parse the ``NAME=URL`` of ``--output``.

    Raises:
        SettingError: it is invalid.
    """
    name, equals, url = text.partition("=")
    if not equals:
        raise SettingError(
            f"--output {_CREDENTIALS.sub('...@', text)[:80]}: not NAME=URL, such as "
            "influx=influx+http://localhost:8086?database=golo"
        )
    return parse(name, url, {}, f"--output {name[:40]}")


def parse(name: str, url: str, table: Mapping[str, object], origin: str) -> OutputSetting:
    """Parse the URL of an output with the members of its query and those of its `table`.

    Raises:
        SettingError: one of them is invalid; the message begins with `origin`.
    """
    try:
        return _parse(name, url, table, origin)
    except SettingError as error:
        raise SettingError(f"{origin}: {error}") from None


def parse_tables(text: str, origin: str) -> list[OutputSetting]:
    """Parse a settings file in TOML: a table for each output, with its ``url`` and its members.

    Raises:
        SettingError: it is invalid; the message begins with `origin`.
    """
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingError(f"{origin}: {' '.join(str(error).split())}") from None
    settings = []
    for name, table in tables.items():
        url = table.get("url") if isinstance(table, dict) else None
        if not isinstance(url, str):
            raise SettingError(
                f"{origin}: {name[:40]} must be a table with a url, such as "
                '[influx] and url = "influx+http://localhost:8086"'
            )
        members = {key: value for key, value in table.items() if key != "url"}
        settings.append(parse(name, url, members, f"{origin} [{name[:40]}]"))
    return settings


def check_names(settings: Iterable[OutputSetting]) -> tuple[OutputSetting, ...]:
    """Return the settings of an agent.

    Raises:
        SettingError: two have one name, or there are too many.
    """
    found: dict[str, OutputSetting] = {}
    for setting in settings:
        if setting.name in found:
            first = found[setting.name].origin
            also = "" if first == setting.origin else f", also by {first}"
            raise SettingError(f"{setting.origin}: the name is given twice{also}; choose another")
        found[setting.name] = setting
    if len(found) > MAX_OUTPUTS:
        raise SettingError(f"--output: {len(found)} outputs; there may be {MAX_OUTPUTS}")
    return tuple(found.values())


def _parse(name: str, url: str, table: Mapping[str, object], origin: str) -> OutputSetting:
    if not _NAME.fullmatch(name):
        raise SettingError(
            "the name must be 1 to 32 lower-case letters, digits, hyphens or underscores, and "
            "begin with a letter or digit"
        )
    if name == COLLECTOR:
        raise SettingError("this is the name of --collector's output; choose another")
    if len(url) > MAX_URL_CHARACTERS:
        raise SettingError(f"the URL is longer than {MAX_URL_CHARACTERS} characters")
    base, _, query = url.partition("?")
    found = _URL.fullmatch(base)
    scheme = SCHEMES.get(found["scheme"].lower()) if found is not None else None
    if found is None or scheme is None:
        given = f"there is no scheme {found['scheme'][:40]}" if found else "it has no scheme"
        raise SettingError(f"{given}; the schemes are {', '.join(SCHEMES)}")
    key, rest = found["scheme"].lower(), found["rest"]
    form = scheme.form.value.format(scheme=key)
    if (found["http"] is not None) != (scheme.form is Form.HTTP):
        raise SettingError(f"write its URL as {form}")
    if scheme.form is Form.HTTP:
        base = f"{found['http'].lower()}:{rest}"
        target = _http_target(base)
    elif scheme.form is Form.HOSTS:
        target = _hosts_target(rest, form)
    elif scheme.form is Form.PATH:
        target = _path_target(rest, form)
        base = f"{key}:{target}"
    else:
        target = _command_target(rest, form)
        base = f"{key}:{target}"
    members = _members(query, table)
    for member in members:
        if member not in scheme.known:
            raise SettingError(
                f"there is no member {member[:40]}; the members are {', '.join(scheme.known)}"
            )
    required = parse_flag(REQUIRED, members.pop(REQUIRED, "yes"))
    unit = members.pop("unit", scheme.units[0])
    if unit not in scheme.units:
        raise SettingError(f"unit={unit[:40]} is not one of {', '.join(scheme.units)}")
    access = {member: members.pop(member) for member in scheme.common if member in members}
    http = parse_http(access, HttpUrl.parse(base) if scheme.form is Form.HTTP else None)
    return OutputSetting(name, key, base, target, members, required, unit, http, origin)


def _http_target(base: str) -> str:
    try:
        url = HttpUrl.parse(base)
    except AddressError as error:
        raise SettingError(f"its URL: {error}") from None
    if url.userinfo is not None:
        raise SettingError("remove the credentials from its URL; use token-file or password-file")
    return f"{url.authority}{url.path}"


def _hosts_target(rest: str, form: str) -> str:
    target = rest.removeprefix("//")
    if target == rest or re.search(r"[\s\x00-\x1f\x7f\\#]", rest) or not target.strip("/"):
        raise SettingError(f"write its URL as {form}")
    user, at, _ = target.partition("/")[0].rpartition("@")
    if at and ":" in user:
        raise SettingError("remove the password from its URL; use password-file")
    return target


def _path_target(rest: str, form: str) -> str:
    path = _decoded(rest)
    if path.startswith("//"):  # an empty authority, as in file:///tmp/x
        path = path.removeprefix("//")
        if not path.startswith("/"):
            raise SettingError(f"write its URL as {form}")
    if "\0" in path or not path.strip("/"):
        raise SettingError(f"write its URL as {form}")
    end = "/" if path.endswith("/") else ""  # which says that it is a directory
    return f"{Path(path).absolute()}{end}"  # a daemon changes its directory


def _command_target(rest: str, form: str) -> str:
    command = _decoded(rest).strip()
    if not command or "\0" in command:
        raise SettingError(f"write its URL as {form}")
    word = re.match(r"[^\s'\"$~]*/[^\s'\"]*", command)
    return command if word is None else f"{Path(word[0]).absolute()}{command[word.end() :]}"


def _decoded(text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise SettingError("write a percent sign in its URL as %25")
    return unquote(text, errors="surrogateescape")


def _members(query: str, table: Mapping[str, object]) -> dict[str, str]:
    members: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise SettingError(f"{key[:40]}: write the members of its URL as member=value")
        pairs = (_decoded(key), _decoded(value))
        if pairs[0] in members:
            raise SettingError(f"{key[:40]} is given twice")
        members[pairs[0]] = pairs[1]
    for key, given in table.items():
        if key in members:
            raise SettingError(f"{key} is given in its URL and in its table; use one of them")
        if isinstance(given, bool):
            given = "yes" if given else "no"
        elif isinstance(given, int | float):
            given = str(given)
        if not isinstance(given, str) or not given:
            raise SettingError(f"{key[:40]} must be a string, a number or a boolean")
        members[key] = given
    return members
