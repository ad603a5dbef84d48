"""The schemes of outputs: the form of their URLs, and the members that they take. Pure.

A member is a parameter of the URL's query, or a key of the output's table in a settings file.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import attrs

COLLECTOR = "collector"
"""The name of the collector among the outputs of a job."""

RESULT, SECOND = "result", "second"
"""The units in which an output goes forward: results in the log, or windows of the timeline."""

REQUIRED = "required"
_TLS = ("ca", "cert", "key", "insecure")
_HTTP = ("token-file", "password-file", *_TLS, "gzip", "timeout")


class Form(Enum):
    """The form of an output's URL."""

    HTTP = "{scheme}+http://HOST[:PORT] or {scheme}+https://HOST[:PORT]"
    HOSTS = "{scheme}://HOST[:PORT]/NAME"
    PATH = "{scheme}:/PATH"
    COMMAND = "{scheme}:COMMAND"


@attrs.frozen
class Scheme:
    """One kind of output.

    Args:
        units: of a batch, results or the seconds of the timeline; the first is the default.
        common: the members of access that it takes, by `HttpSetting`.
        members: its own members, each with its meaning.
        extra: the extra of the package with its libraries; "" if it needs none.
        module: in `goloagent.outputs.sinks`.
    """

    form: Form
    module: str
    units: tuple[str, ...] = (RESULT,)
    common: tuple[str, ...] = ()
    members: Mapping[str, str] = attrs.field(factory=dict)
    extra: str = ""

    @property
    def known(self) -> tuple[str, ...]:
        """All members that it takes."""
        unit = ("unit",) if len(self.units) > 1 else ()
        return (*self.members, *unit, *self.common, REQUIRED)


SCHEMES: Mapping[str, Scheme] = {
    "collector": Scheme(Form.HTTP, "collector", common=_HTTP),
    "influx": Scheme(
        Form.HTTP,
        "influx",
        units=(RESULT, SECOND),
        common=_HTTP,
        members={
            "database": "of InfluxDB 1 and 3",
            "version": "1, 2 or 3; by default 2 with bucket, else 1",
            "retention-policy": "of InfluxDB 1",
            "org": "of InfluxDB 2",
            "bucket": "of InfluxDB 2",
        },
    ),
    "prometheus": Scheme(
        Form.HTTP,
        "prometheus",
        units=(SECOND,),
        common=_HTTP,
        members={"histograms": "native, classic or both"},
        extra="prometheus",
    ),
    "otlp": Scheme(Form.HTTP, "otlp", units=(SECOND,), common=_HTTP, extra="otlp"),
    "jsonl": Scheme(Form.PATH, "jsonl"),
    "csv": Scheme(Form.PATH, "csv"),
    "parquet": Scheme(Form.PATH, "parquet", extra="parquet"),
    "kafka": Scheme(
        Form.HOSTS,
        "kafka.sink",
        common=("password-file", *_TLS, "timeout"),
        members={
            "compression": "lz4, zstd, snappy, gzip or none",
            "security-protocol": "plaintext, ssl, sasl_plaintext or sasl_ssl",
            "sasl-mechanism": "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        },
        extra="kafka",
    ),
    "postgresql": Scheme(
        Form.HOSTS,
        "postgresql.sink",
        common=("password-file", *_TLS, "timeout"),
        members={"table": "golo_results", "schema": "of the tables"},
        extra="postgresql",
    ),
    "exec": Scheme(Form.COMMAND, "exec", common=("timeout",)),
}
