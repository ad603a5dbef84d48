"""A connection to PostgreSQL that stores batches; its methods block, except `interrupt`."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import attrs
import psycopg

from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.sinks.postgresql.copy_text import copy_text
from goloagent.outputs.sinks.postgresql.tables import Tables
from goloagent.outputs.sinks.rows import rows_of
from goloagent.results.table import NUL

Ends = tuple[tuple[str, int], tuple[str, int]]
"""The addresses of a TCP connection, ours first."""

# A server with a lost client must not keep locks.
_SETTINGS = (
    "SELECT set_config('statement_timeout', %(ms)s, false),"
    " set_config('idle_in_transaction_session_timeout', %(ms)s, false)"
)
_CHECK_CLIENT = "SELECT set_config('client_connection_check_interval', '5s', false)"
_CHECKS_CLIENT_FROM = 140_000

# Locks the checkpoint of the job, so that an earlier attempt has ended, in one way or the other.
# Lost results are worse than a slow commit: that is set in the transaction, because a pooler may
# have given it another session.
_LOCK = (
    "INSERT INTO {checkpoints} AS stored VALUES (%s, %s, 0)"
    " ON CONFLICT (results_table, job) DO UPDATE SET job = stored.job returning log_offset,"
    " CASE current_setting('synchronous_commit') WHEN 'off'"
    " THEN set_config('synchronous_commit', 'on', true) END"
)
_COPY = "COPY {results} ({columns}) FROM STDIN"
_COMMIT = "UPDATE {checkpoints} SET log_offset = %s WHERE results_table = %s AND job = %s"


@attrs.define(eq=False)
class Session:
    """Stores batches in `tables`; `parameters` returns those of a connection.

    Attributes:
        ends: of the connection, if it is one over TCP.
    """

    tables: Tables
    parameters: Callable[[], Mapping[str, Any]]
    timeout_seconds: float
    ends: Ends | None = attrs.field(default=None, init=False)
    _connection: psycopg.Connection[Any] | None = attrs.field(default=None, init=False)
    _is_prepared: bool = attrs.field(default=False, init=False)
    _warning: str | None = attrs.field(default=None, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def open(self) -> bool:
        """Connect if there is no connection; return whether it must be prepared.

        Raises:
            psycopg.Error: the server cannot be reached, or refuses the connection.
        """
        if self._connection is not None and self._is_prepared and not self._connection.broken:
            return False
        self.close()
        # No prepared statements: a pooler may use another session for each transaction.
        connection = psycopg.connect(**self.parameters(), prepare_threshold=None)
        connection.add_notice_handler(self._on_notice)
        with self._lock:
            self._connection = connection
        self.ends = _ends(connection)
        return True

    def prepare(self) -> None:
        """Set the connection up, and create missing tables.

        Raises:
            psycopg.Error: the connection is closed then.
        """
        connection = self._connection
        assert connection is not None
        try:
            connection.execute(_SETTINGS, {"ms": str(round(self.timeout_seconds * 1000))})
            if connection.info.server_version >= _CHECKS_CLIENT_FROM:
                connection.execute(_CHECK_CLIENT)
            connection.commit()
            self.tables.prepare(connection)
            self._is_prepared = True
        except BaseException:
            self.close()
            raise

    def store(self, run: RunLabels, batch: Batch, ordinal: int) -> None:
        """Store the results of a batch that are not stored yet, and commit.

        Raises:
            psycopg.Error: they may be stored or not, if the connection was lost.
        """
        connection = self._connection
        if connection is None:
            raise psycopg.OperationalError("the connection was closed")
        table, job = self.tables.results, run.job.replace("\0", NUL)
        try:
            found = connection.execute(self.tables.statement(_LOCK), [table, job]).fetchone()
            assert found is not None
            stored = found[0]
            if batch.first < stored < batch.end:
                before, batch = batch.cut(stored)
                ordinal += before.results
            if stored < batch.end:
                with connection.cursor().copy(self.tables.statement(_COPY)) as copy:
                    copy.write(copy_text(rows_of(run, batch, ordinal)))
                connection.execute(self.tables.statement(_COMMIT), [batch.end, table, job])
            self._warning = None
            connection.commit()
            # As when the wait for a standby was cancelled. The next attempt finds what is stored,
            # and its commit waits again.
            if self._warning is not None:
                raise psycopg.OperationalError(f"the server warned at COMMIT: {self._warning}")
        except BaseException:
            self.close()
            raise

    def _on_notice(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            self._warning = diagnostic.message_primary

    def interrupt(self) -> None:
        """Break the connection, from any thread: a statement that waits ends with an error."""
        with self._lock, suppress(OSError, psycopg.Error):
            if self._connection is not None:
                with _socket_of(self._connection) as stream:
                    stream.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; what was not committed is not stored."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection, self._is_prepared = None, False


def _socket_of(connection: psycopg.Connection[Any]) -> socket.socket:
    """Return the socket of a connection, with a file descriptor of its own."""
    return socket.socket(fileno=os.dup(connection.fileno()))


def _ends(connection: psycopg.Connection[Any]) -> Ends | None:
    with _socket_of(connection) as stream:
        if stream.family not in (socket.AF_INET, socket.AF_INET6):
            return None
        ours, theirs = stream.getsockname(), stream.getpeername()
    return (ours[0], ours[1]), (theirs[0], theirs[1])
