"""The configuration of librdkafka for an output. Pure, but for the file of the password."""

from __future__ import annotations

import re
from typing import Any

from goloagent.core.output_setting import OutputSetting, SettingError

MAX_QUEUE_KIB = 16 * 1024
MAX_QUEUE_MESSAGES = 10_000
MAX_MESSAGE_BYTES = 8 << 20
"""More than any result; whether a message is too large is decided by the broker."""

MAX_UNKNOWN_TOPIC_SECONDS = 5
COMPRESSIONS = ("lz4", "zstd", "snappy", "gzip", "none")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PROTOCOLS = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")

_TOPIC = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")


def servers_and_topic(setting: OutputSetting) -> tuple[str, str]:
    """Return the first brokers to connect to, as ``host:port,host:port``, and the topic.

    Raises:
        SettingError: the URL has a user, or the topic is invalid.
    """
    servers, _, topic = setting.target.partition("/")
    if "@" in servers:
        raise SettingError("remove the user from its URL; use password-file")
    if not servers or not _TOPIC.fullmatch(topic):
        raise SettingError(
            "write its URL as kafka://HOST:PORT/TOPIC; a topic has letters, digits, '.', '_', '-'"
        )
    return servers, topic


def configuration(setting: OutputSetting) -> dict[str, Any]:
    """Return the configuration of a producer, without user and password.

    Raises:
        SettingError: a member is invalid.
    """
    http, has_password = setting.http, setting.http.password_file is not None
    has_tls = http.ca is not None or http.certificate is not None or http.insecure
    default = ("sasl_" if has_password else "") + ("ssl" if has_tls else "plaintext")
    protocol = setting.choice("security-protocol", PROTOCOLS, default)
    if protocol.startswith("sasl") != has_password:
        raise SettingError(f"security-protocol={protocol}: use it with password-file, or neither")
    if has_tls and not protocol.endswith("ssl"):
        raise SettingError(f"security-protocol={protocol} has no TLS; use ssl or sasl_ssl")
    # Without TLS a password must not be readable on the way, unless it is asked for.
    mechanism = setting.choice(
        "sasl-mechanism", MECHANISMS, "PLAIN" if protocol.endswith("ssl") else "SCRAM-SHA-512"
    )
    milliseconds = max(1_000, round(http.timeout_seconds * 1_000))
    found: dict[str, Any] = {
        "bootstrap.servers": servers_and_topic(setting)[0],
        "client.id": f"golo-agent-{setting.name}",
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",  # as Java's producer
        "compression.type": setting.choice("compression", COMPRESSIONS, COMPRESSIONS[0]),
        "delivery.report.only.error": True,
        "linger.ms": 5,
        "message.timeout.ms": milliseconds,
        "socket.timeout.ms": milliseconds,
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "queue.buffering.max.kbytes": MAX_QUEUE_KIB,
        "queue.buffering.max.messages": MAX_QUEUE_MESSAGES,
        "topic.metadata.propagation.max.ms": MAX_UNKNOWN_TOPIC_SECONDS * 1_000,
        "reconnect.backoff.max.ms": 1_000,
        "log_level": 0,  # errors are reported by a callback
        "security.protocol": protocol,
    }
    if has_password:
        found["sasl.mechanism"] = mechanism
    if http.insecure:
        found["enable.ssl.certificate.verification"] = False
    if http.ca is not None:
        found["ssl.ca.location"] = str(http.ca)
    if http.certificate is not None:
        found["ssl.certificate.location"] = str(http.certificate)
        found["ssl.key.location"] = str(http.key or http.certificate)
    return found
