"""The sink that stores results in PostgreSQL, in a thread of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import starmap
from typing import Any, ParamSpec, TypeVar

import attrs
import psycopg
from psycopg.conninfo import conninfo_to_dict
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError

from goloagent.core.output_setting import OutputSetting, SettingError
from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.registry import SinkContext
from goloagent.outputs.sink import BatchLimits, Response
from goloagent.outputs.sinks.postgresql.errors import response_to
from goloagent.outputs.sinks.postgresql.session import Session
from goloagent.outputs.sinks.postgresql.tables import DEFAULT_TABLE, MAX_NAME_BYTES, Tables
from goloagent.transport.credentials import PasswordFile
from goloagent.transport.dialer import UntrustedPeer
from goloagent.transport.tls import FileError

MAX_CONNECT_SECONDS = 10
_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_HAS_REQUIRE_AUTH = psycopg.pq.version() >= 160_000

P = ParamSpec("P")
T = TypeVar("T")


@attrs.define(eq=False)
class PostgresqlSink:
    """The database at `url`. A cancel breaks the connection, so that the server rolls back."""

    url: str
    session: Session
    context: SinkContext
    limits: BatchLimits = attrs.field(factory=BatchLimits)

    async def send(self, run: RunLabels, batch: Batch, ordinal: int) -> Response:
        """Store the results of a batch that are not stored yet, and the end of the batch."""
        try:
            await self._connect()
            await self._in_thread(self.session.store, run, batch, ordinal)
        except TimeoutError as error:
            return Response(error=str(error), timed_out=True)
        except psycopg.Error as error:
            return response_to(error)
        except (OSError, UntrustedPeer) as error:
            return Response(error=str(error))
        return Response.delivered()

    async def check(self) -> str | None:
        """Connect again, and create missing tables; return the reason for a failure."""
        try:
            await self.close()
            await self._connect()
        except psycopg.Error as error:
            return str(response_to(error))
        except (OSError, UntrustedPeer) as error:
            return str(error)
        return None

    async def close(self) -> None:
        """Close the connection."""
        await self.context.thread.run(self.session.close)

    async def _connect(self) -> None:
        """Connect if there is no connection, but not to a load test in the place of the server."""
        if not await self._in_thread(self.session.open):
            return
        if self.session.ends is not None:
            await self.context.check_peer(*starmap(_address, self.session.ends))
        await self._in_thread(self.session.prepare)

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function of the session, which is interrupted by a cancel and a time-out."""
        seconds = self.session.timeout_seconds
        timer = self.context.reactor.callLater(seconds, self.session.interrupt)
        try:
            return await self.context.thread.run(function, *args, **kwargs)
        except CancelledError:
            self.session.interrupt()
            raise
        except psycopg.Error:
            if not timer.active():
                raise TimeoutError(f"no answer within {seconds:g} s") from None
            raise
        finally:
            if timer.active():
                timer.cancel()


def make(setting: OutputSetting, context: SinkContext) -> PostgresqlSink:
    """Return the sink of an output.

    Raises:
        SettingError: its URL, a member or its password-file is invalid.
    """
    try:
        parsed = conninfo_to_dict(setting.url)
    except psycopg.Error as error:
        raise SettingError(f"its URL: {' '.join(str(error).split())}") from None
    if not parsed.get("dbname"):
        raise SettingError("name the database in its URL: postgresql://USER@HOST/DATABASE")
    http = setting.http
    try:
        password = PasswordFile(http.password_file, "password-file") if http.password_file else None
    except FileError as error:
        raise SettingError(str(error)) from None
    tables = Tables(_name(setting, "table", DEFAULT_TABLE), _name(setting, "schema", "") or None)
    parameters = partial(_parameters, setting, parsed, password)
    return PostgresqlSink(setting.shown, Session(tables, parameters, http.timeout_seconds), context)


def _parameters(
    setting: OutputSetting, parsed: Mapping[str, Any], password: PasswordFile | None
) -> Mapping[str, Any]:
    """Return the parameters of a connection, for libpq."""
    http = setting.http
    parameters: dict[str, Any] = {
        **parsed,
        **_KEEPALIVE,
        "application_name": f"golo-agent {setting.name}",
        "client_encoding": "UTF8",
        "connect_timeout": max(2, math.ceil(min(http.timeout_seconds, MAX_CONNECT_SECONDS))),
        "tcp_user_timeout": math.ceil(http.timeout_seconds * 1000),
    }
    if "," in str(parsed.get("host", "")):
        parameters["target_session_attrs"] = "read-write"
    if http.ca is not None:
        parameters |= {"sslmode": "verify-full", "sslrootcert": str(http.ca)}
    elif http.insecure:
        parameters["sslmode"] = "require"
    elif _HAS_REQUIRE_AUTH:
        parameters["require_auth"] = "!password"  # not readable on the way
    if http.certificate is not None:
        parameters |= {
            "sslcert": str(http.certificate),
            "sslkey": str(http.key or http.certificate),
        }
    if password is not None:
        user, _, secret = password.content.decode(errors="surrogateescape").partition(":")
        parameters |= {"user": user, "password": secret}
    return parameters


def _name(setting: OutputSetting, member: str, default: str) -> str:
    name = setting.members.get(member, default)
    if len(name.encode(errors="replace")) > MAX_NAME_BYTES or "\0" in name:
        raise SettingError(f"{member} has more than {MAX_NAME_BYTES} bytes")
    return name


def _address(host: str, port: int) -> IPv4Address | IPv6Address:
    return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)
