"""The meaning of librdkafka's errors. Pure."""

from __future__ import annotations

from confluent_kafka import KafkaError

from goloagent.outputs.sink import Response

_MAX_CHARS = 300
_REFUSED = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.POLICY_VIOLATION,
    }
)
_ACCESS = "correct the output's password-file, or permit it to write to the topic"
_TLS = "correct ca, cert and key of the output, or its security-protocol"
_TOPIC = "create the topic, or correct it in the output's URL"
_REMEDIES = {
    KafkaError._AUTHENTICATION: _ACCESS,
    KafkaError.SASL_AUTHENTICATION_FAILED: _ACCESS,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _ACCESS,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: _ACCESS,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: "correct the output's sasl-mechanism",
    KafkaError._SSL: _TLS,
    KafkaError._UNKNOWN_TOPIC: _TOPIC,
    KafkaError._UNKNOWN_PARTITION: _TOPIC,
    KafkaError.UNKNOWN_TOPIC_OR_PART: _TOPIC,
    KafkaError.TOPIC_EXCEPTION: _TOPIC,
    KafkaError.UNSUPPORTED_COMPRESSION_TYPE: "correct the output's compression",
}


def is_wrong(error: KafkaError) -> bool:
    """Return whether only an operator can repair the cause of an error."""
    return error.code() in _REMEDIES


def response_to(error: KafkaError) -> Response:
    """Return the response that an error is; one that is not known is retried."""
    text = " ".join(error.str().split())[:_MAX_CHARS]
    if error.code() in _REFUSED:
        return Response.refused(text)
    if error.code() in _REMEDIES:
        return Response.wrong(f"{text}; {_REMEDIES[error.code()]}")
    return Response(error=text)
