"""JSON lines: each result as it was printed, in an object with its labels."""

from __future__ import annotations

import msgspec

from goloagent.core.output_setting import OutputSetting
from goloagent.outputs.registry import SinkContext
from goloagent.outputs.sinks.append_file import Format
from goloagent.outputs.sinks.record_file import RecordFileSink, make_record_file
from goloagent.outputs.sinks.rows import objects_of


class _Labels(msgspec.Struct):
    job: str


_decoder = msgspec.json.Decoder(_Labels)


def key_of(record: bytes) -> tuple[str, int]:
    """Return the job and the ordinal of a record; raises ValueError.

    The result, which may have half of a surrogate pair, is not decoded.
    """
    labels, _, rest = record.partition(b',"ordinal":')
    return _decoder.decode(labels + b"}").job, int(rest.partition(b",")[0])


JSON_LINES = Format(b"\n", b"", key_of)


def make(setting: OutputSetting, context: SinkContext) -> RecordFileSink:
    """Return the sink of an output ``jsonl:``."""
    return make_record_file(setting, context.thread, ".jsonl", JSON_LINES, objects_of)
