"""The tables of an output, which are created at first use if the role may."""

from __future__ import annotations

from typing import Any

import attrs
import psycopg
from psycopg import sql

from goloagent.outputs.sinks.rows import COLUMNS

DEFAULT_TABLE = "golo_results"
CHECKPOINTS = "golo_checkpoints"
MAX_NAME_BYTES = 63

# Agents that start together create the tables one after the other.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('golo_checkpoints'))"
# A query sees what other agents have created meanwhile, which to_regclass() may not.
_FIND = (
    "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE n.nspname = ANY(COALESCE(%s::text[], current_schemas(false)::text[]))"
    " AND c.relkind IN ('r', 'p', 'v', 'f') AND c.relname = ANY(%s)"
)
_HAS_TIMESCALE = "SELECT EXISTS (SELECT FROM pg_proc WHERE proname = 'create_hypertable')"

_CREATE_RESULTS = """
CREATE TABLE {results} (
    job text NOT NULL, run text NOT NULL, name text NOT NULL, agent text NOT NULL,
    ordinal bigint NOT NULL, timestamp timestamptz NOT NULL,
    method text, url text, status bigint, duration bigint, size bigint, error text,
    sequence_id text, tags jsonb NOT NULL
)"""
_CREATE_INDEXES = (
    "CREATE INDEX ON {results} (job, ordinal)",
    "CREATE INDEX ON {results} USING brin (timestamp)",
)
_CREATE_CHECKPOINTS = """
CREATE TABLE {checkpoints} (
    results_table text NOT NULL, job text NOT NULL, log_offset bigint NOT NULL,
    PRIMARY KEY (results_table, job)
)"""


@attrs.frozen
class Tables:
    """The tables of results and of checkpoints, in a schema or in the first of the search path."""

    results: str = DEFAULT_TABLE
    schema: str | None = None

    def prepare(self, connection: psycopg.Connection[Any]) -> None:
        """Create the missing tables, in a transaction of its own.

        Raises:
            psycopg.Error: there is no permission, or the connection is lost.
        """
        if self._missing(connection):
            connection.execute(_LOCK)
            missing = self._missing(connection)
            if self.results in missing:
                connection.execute(self.statement(_CREATE_RESULTS))
                for index in _CREATE_INDEXES:
                    connection.execute(self.statement(index))
                if connection.execute(_HAS_TIMESCALE).fetchone() == (True,):
                    hypertable = "SELECT create_hypertable({name}::regclass, 'timestamp')"
                    connection.execute(self.statement(hypertable))
            if CHECKPOINTS in missing:
                connection.execute(self.statement(_CREATE_CHECKPOINTS))
        connection.commit()

    def statement(self, text: str) -> sql.Composed:
        """Return a statement with the names of the tables, and `name` as a literal."""
        results = self._identifier(self.results)
        return sql.SQL(text).format(
            results=results,
            checkpoints=self._identifier(CHECKPOINTS),
            columns=sql.SQL(", ").join(map(sql.Identifier, COLUMNS)),
            name=sql.Literal(results.as_string(None)),
        )

    def _identifier(self, table: str) -> sql.Identifier:
        return sql.Identifier(table) if self.schema is None else sql.Identifier(self.schema, table)

    def _missing(self, connection: psycopg.Connection[Any]) -> list[str]:
        """Return the tables that do not exist: to create one that exists needs a permission too."""
        schemas = None if self.schema is None else [self.schema]
        found = {
            name for (name,) in connection.execute(_FIND, [schemas, [self.results, CHECKPOINTS]])
        }
        return [table for table in (self.results, CHECKPOINTS) if table not in found]
