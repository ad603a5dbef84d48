"""InfluxDB 1, 2 and 3 by line protocol: the points, and the sinks that write them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from goloagent.core.address import HttpUrl
from goloagent.core.output_schemes import SECOND
from goloagent.core.output_setting import OutputSetting, SettingError
from goloagent.outputs.http import make_poster
from goloagent.outputs.registry import SinkContext
from goloagent.outputs.sinks.influx.sink import InfluxResultSink, InfluxSecondsSink, InfluxSink

_MEMBERS = {
    "1": ("database", "retention-policy"),
    "2": ("bucket", "org"),
    "3": ("database",),
}
_OPTIONAL = "retention-policy"


def make(setting: OutputSetting, context: SinkContext) -> InfluxSink[Any]:
    """Return the sink of an output.

    Raises:
        SettingError: a member is invalid, or a file is unusable.
    """
    version = setting.choice("version", _MEMBERS, "2" if "bucket" in setting.members else "1")
    poster = make_poster(setting, context, token_scheme="Token" if version == "2" else "Bearer")
    path = HttpUrl.parse(setting.url).path + write_path(version, setting)
    sink = InfluxSecondsSink if setting.unit == SECOND else InfluxResultSink
    return sink(setting.shown, poster, context.reactor, path)


def write_path(version: str, setting: OutputSetting) -> str:
    """Return the path to write to, with its query.

    Raises:
        SettingError: a member is missing, or belongs to another version.
    """
    known = _MEMBERS[version]
    for name in known:
        if name not in setting.members and name != _OPTIONAL:
            raise SettingError(
                f"{name} is missing; write database=NAME for InfluxDB 1, bucket=NAME and org=NAME"
                " for InfluxDB 2, or database=NAME and version=3 for InfluxDB 3"
            )
    for name in setting.members:
        if name not in known and name != "version":
            raise SettingError(f"{name} is not of InfluxDB {version}; leave it out, or set version")
    values = {name: quote(setting.members.get(name, ""), safe="") for name in known}
    if version == "3":
        return f"/api/v3/write_lp?db={values['database']}&precision=nanosecond"
    if version == "2":
        return f"/api/v2/write?org={values['org']}&bucket={values['bucket']}&precision=ns"
    policy = f"&rp={values[_OPTIONAL]}" if values[_OPTIONAL] else ""
    return f"/write?db={values['database']}{policy}&precision=ns"
