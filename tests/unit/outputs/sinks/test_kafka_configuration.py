"""The configuration of librdkafka, by the URL of an output."""

from __future__ import annotations

import pytest

from goloagent.core.http_setting import SettingError
from goloagent.core.output_parser import parse_option
from goloagent.outputs.sinks.kafka.configuration import configuration, servers_and_topic


@pytest.mark.parametrize(
    ("members", "protocol", "mechanism"),
    [
        ("", "plaintext", None),
        ("ca=/ca", "ssl", None),
        ("security-protocol=ssl", "ssl", None),
        ("password-file=/p", "sasl_plaintext", "SCRAM-SHA-512"),
        ("password-file=/p&insecure=yes", "sasl_ssl", "PLAIN"),
        ("password-file=/p&sasl-mechanism=PLAIN", "sasl_plaintext", "PLAIN"),
    ],
)
def test_access(members: str, protocol: str, mechanism: str | None) -> None:
    """A password is not readable on the way, unless it is asked for."""
    found = configuration(parse_option(f"k=kafka://a:1,b:2/golo?{members}"))
    assert found["bootstrap.servers"] == "a:1,b:2"
    assert (found["security.protocol"], found.get("sasl.mechanism")) == (protocol, mechanism)
    assert (found["enable.idempotence"], found["acks"]) == (True, "all")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("a:1", "KAFKA_URL"),
        ("a:1/a b", "KAFKA_URL"),
        ("a:1/x/y", "KAFKA_URL"),
        ("golo@a:1/golo", "remove the user"),
        ("a:1/golo?compression=zip", "compression=zip is not one of lz4"),
        ("a:1/golo?security-protocol=sasl_ssl", "password-file"),
        ("a:1/golo?ca=/ca&security-protocol=plaintext", "has no TLS"),
    ],
)
def test_wrong_urls(url: str, sentence: str) -> None:
    """Each is refused with one sentence."""
    with pytest.raises(SettingError) as refused:
        _configure(url)
    assert sentence.replace("KAFKA_URL", "write its URL as kafka://HOST") in str(refused.value)


def _configure(url: str) -> None:
    setting = parse_option(f"k=kafka://{url}")
    servers_and_topic(setting)
    configuration(setting)
