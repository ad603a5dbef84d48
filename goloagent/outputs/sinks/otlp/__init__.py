"""OpenTelemetry metrics over HTTP: the requests, and the sink that posts them."""

from goloagent.core.address import HttpUrl
from goloagent.core.output_setting import OutputSetting
from goloagent.outputs.http import make_poster
from goloagent.outputs.registry import SinkContext
from goloagent.outputs.sinks.otlp.sink import DEFAULT_PATH, OtlpSink


def make(setting: OutputSetting, context: SinkContext) -> OtlpSink:
    """Return the sink of an output.

    Raises:
        SettingError: a file is unusable.
    """
    return OtlpSink(
        setting.shown,
        make_poster(setting, context),
        context.reactor,
        HttpUrl.parse(setting.url).path or DEFAULT_PATH,
    )
