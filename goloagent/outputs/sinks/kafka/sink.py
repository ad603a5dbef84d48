"""The sink that produces messages for Kafka, in a thread of its own.

A batch is delivered when all its messages are acknowledged. After any failure the producer is
purged and closed, so that it sends nothing later. Messages that it had sent may be in the topic:
a repeat of them has the same key, which is the job, and the same header ``ordinal``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import attrs
from confluent_kafka import KafkaError, KafkaException, Producer
from twisted.internet.defer import CancelledError

from goloagent.concurrency.threads import Pool
from goloagent.core.output_setting import OutputSetting, SettingError
from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.registry import SinkContext
from goloagent.outputs.sink import BatchLimits, Response
from goloagent.outputs.sinks.kafka.configuration import configuration, servers_and_topic
from goloagent.outputs.sinks.kafka.errors import is_wrong, response_to
from goloagent.outputs.sinks.rows import objects_of
from goloagent.transport.credentials import PasswordFile
from goloagent.transport.tls import FileError

MAX_CHECK_SECONDS = 5.0
MAX_DOWN_SECONDS = 5.0
"""How long an attempt goes on while no broker can be reached."""

_POLL_SECONDS = 0.05
_NO_DETAIL = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._MSG_TIMED_OUT})


@attrs.define(eq=False)
class _Attempt:
    """The state of one delivery: the errors so far, and whether it is cancelled."""

    started: float = attrs.field(factory=time.monotonic)
    cancelled: threading.Event = attrs.field(factory=threading.Event)
    failure: KafkaError | None = None  # of a message
    trouble: KafkaError | None = None  # of a connection
    is_down: bool = False

    def on_delivery(self, error: KafkaError | None, _: object) -> None:
        """Record that a message has failed."""
        self.failure = self.failure or error

    def on_error(self, error: KafkaError) -> None:
        """Record an error of the client, most of which it repairs by itself."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.is_down = True
        if self.trouble is None or self.trouble.code() in _NO_DETAIL or is_wrong(error):
            self.trouble = error
        if is_wrong(error) or error.fatal():
            self.failure = self.failure or error

    def has_ended(self, seconds: float) -> bool:
        """Return whether there is nothing to wait for, within a time-out in seconds."""
        passed = time.monotonic() - self.started
        down = self.is_down and passed > MAX_DOWN_SECONDS
        return down or passed > seconds or self.cancelled.is_set() or self.failure is not None

    def response(self, seconds: float) -> Response:
        """Return why not all messages were acknowledged."""
        if self.failure is not None and self.failure.code() not in _NO_DETAIL:
            return response_to(self.failure)
        if self.trouble is not None:
            return response_to(self.trouble)
        return Response(error=f"no answer within {seconds:g} s", timed_out=True)


@attrs.define(eq=False)
class KafkaSink:
    """The topic at `url`."""

    url: str
    topic: str
    thread: Pool
    configuration: Mapping[str, Any]
    password: PasswordFile | None
    timeout_seconds: float
    limits: BatchLimits = attrs.field(factory=BatchLimits)
    _producer: Producer | None = attrs.field(default=None, init=False)
    _attempt: _Attempt = attrs.field(factory=_Attempt, init=False)

    async def send(self, run: RunLabels, batch: Batch, ordinal: int) -> Response:
        """Produce a message for each result, and wait until all are acknowledged."""
        attempt = _Attempt()
        try:
            return await self.thread.run(self._deliver, attempt, run, batch, ordinal)
        except CancelledError:
            attempt.cancelled.set()
            raise

    async def check(self) -> str | None:
        """Ask for the topic; return the reason for a failure."""
        return await self.thread.run(self._check)

    async def close(self) -> None:
        """Close the producer."""
        await self.thread.run(self._close)

    def _deliver(self, attempt: _Attempt, run: RunLabels, batch: Batch, ordinal: int) -> Response:
        self._attempt, attempt.started = attempt, time.monotonic()
        key = run.job.encode()
        try:
            producer = self._open()
            values = enumerate(objects_of(run, batch, ordinal), ordinal)
            is_whole = all(self._produce(producer, key, number, value) for number, value in values)
            while producer.flush(_POLL_SECONDS) and not attempt.has_ended(self.timeout_seconds):
                pass
            is_acknowledged = not len(producer) and attempt.failure is None
            if is_whole and is_acknowledged and not attempt.cancelled.is_set():
                return Response.delivered()
        except KafkaException as error:
            attempt.failure = attempt.failure or error.args[0]
        response = attempt.response(self.timeout_seconds)
        self._close()
        return response

    def _produce(self, producer: Producer, key: bytes, ordinal: int, value: bytes) -> bool:
        """Produce one message; wait while the queue is full; return whether it is in the queue."""
        headers: dict[str, str | bytes | None] = {"ordinal": b"%d" % ordinal}
        while not self._attempt.has_ended(self.timeout_seconds):
            try:
                producer.produce(
                    self.topic, value, key, headers=headers, on_delivery=self._attempt.on_delivery
                )
            except BufferError:
                producer.poll(_POLL_SECONDS)
            else:
                return True
        return False

    def _check(self) -> str | None:
        self._attempt = _Attempt()
        try:
            seconds = min(MAX_CHECK_SECONDS, self.timeout_seconds)
            error = self._open().list_topics(self.topic, seconds).topics[self.topic].error
        except KafkaException as raised:
            self._open().poll(0)  # calls back
            error = self._attempt.trouble or raised.args[0]
        return None if error is None else str(response_to(error))

    def _open(self) -> Producer:
        if self._producer is None:
            access: dict[str, Any] = {}
            if self.password is not None:
                user, _, secret = self.password.content.decode(errors="replace").partition(":")
                access = {"sasl.username": user, "sasl.password": secret}
            self._producer = Producer(
                {
                    **self.configuration,
                    **access,
                    "error_cb": lambda error: self._attempt.on_error(error),
                }
            )
        return self._producer

    def _close(self) -> None:
        """Drop all messages, and close the connections."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(_POLL_SECONDS)


def make(setting: OutputSetting, context: SinkContext) -> KafkaSink:
    """Return the sink of an output.

    Raises:
        SettingError: its URL, a member or a file is invalid.
    """
    _, topic = servers_and_topic(setting)
    path, settings = setting.http.password_file, configuration(setting)
    try:
        password = None if path is None else PasswordFile(path, "password-file")
        sink = KafkaSink(
            setting.shown, topic, context.thread, settings, password, setting.http.timeout_seconds
        )
        access = {"sasl.username": "golo", "sasl.password": "-"} if password is not None else {}
        Producer({**settings, **access})  # checks them, and connects to no broker
    except FileError as error:
        raise SettingError(str(error)) from None
    except KafkaException as error:  # such as a certificate that is none
        raise SettingError(" ".join(error.args[0].str().split())) from None
    return sink
