"""The meaning of errors of PostgreSQL and Kafka that real servers seldom have."""

from __future__ import annotations

import psycopg
import pytest
from confluent_kafka import KafkaError

from goloagent.outputs.sink import Disposition
from goloagent.outputs.sinks.kafka import errors as kafka
from goloagent.outputs.sinks.postgresql import errors as postgresql

RETRY, SPLIT, PAUSE = Disposition.RETRY, Disposition.SPLIT, Disposition.PAUSE


@pytest.mark.parametrize(
    ("state", "disposition"),
    [
        *(("08006", RETRY), ("25006", RETRY), ("40001", RETRY), ("40P01", RETRY)),
        *(("53100", RETRY), ("53300", RETRY), ("55P03", RETRY), ("57014", RETRY)),
        *(("57P01", RETRY), ("57P03", RETRY), ("58030", RETRY), ("XX000", RETRY)),
        *(("22003", SPLIT), ("22P05", SPLIT), ("23505", SPLIT), ("23514", SPLIT)),
        *(("54000", SPLIT), ("P0001", SPLIT)),
        *(("28P01", PAUSE), ("3D000", PAUSE), ("3F000", PAUSE), ("42501", PAUSE)),
        *(("42P01", PAUSE), ("42703", PAUSE), ("42804", PAUSE), ("0A000", PAUSE)),
    ],
)
def test_sql_states(state: str, disposition: Disposition) -> None:
    """A state, or its class, decides what is done with a batch."""
    response = postgresql.response_to(psycopg.errors.lookup(state)("a\n sentence"))
    assert response.disposition is disposition
    assert str(response).startswith("a sentence")


def test_a_table_of_another_program() -> None:
    """To create the tables would change nothing."""
    error = psycopg.errors.UndefinedColumn('column "job" does not exist')
    assert "another table has its name: choose one by table=" in str(postgresql.response_to(error))


@pytest.mark.parametrize(
    ("text", "disposition"),
    [
        ('FATAL:  password authentication failed for user "golo"', PAUSE),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "golo"', PAUSE),
        ('FATAL:  database "golo" does not exist', PAUSE),
        ("fe_sendauth: no password supplied", PAUSE),
        ("server does not support SSL, but SSL was required", PAUSE),
        ("SSL error: certificate verify failed", PAUSE),
        ("FATAL:  sorry, too many clients already", RETRY),
        ("FATAL:  the database system is starting up", RETRY),
        ("Connection refused", RETRY),
        ("server closed the connection unexpectedly", RETRY),
        ('could not translate host name "db" to address', RETRY),
    ],
)
def test_connections(text: str, disposition: Disposition) -> None:
    """An error of the connection has no state, but a text."""
    response = postgresql.response_to(psycopg.OperationalError(f"connection failed: {text}"))
    assert response.disposition is disposition
    assert text in str(response) or text.replace("  ", " ") in str(response)
    assert ("; " in str(response)) == (disposition is PAUSE)  # and what to do


@pytest.mark.parametrize(
    ("code", "disposition"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, SPLIT),
        (KafkaError.INVALID_RECORD, SPLIT),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, PAUSE),
        (KafkaError._UNKNOWN_TOPIC, PAUSE),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, PAUSE),
        (KafkaError._AUTHENTICATION, PAUSE),
        (KafkaError._SSL, PAUSE),
        (KafkaError._TRANSPORT, RETRY),
        (KafkaError._MSG_TIMED_OUT, RETRY),
        (KafkaError.NOT_ENOUGH_REPLICAS, RETRY),
        (KafkaError._FATAL, RETRY),
    ],
)
def test_codes_of_kafka(code: int, disposition: Disposition) -> None:
    """A code decides what is done with a batch; one that is not known is retried."""
    error = KafkaError(code)
    response = kafka.response_to(error)
    assert response.disposition is disposition
    assert kafka.is_wrong(error) == (disposition is PAUSE)
    assert str(response).startswith(error.str())
