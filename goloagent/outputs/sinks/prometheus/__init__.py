"""Prometheus remote write 1.0: the requests, and the sink that posts them."""

from goloagent.core.address import HttpUrl
from goloagent.core.output_setting import OutputSetting
from goloagent.outputs.http import make_poster
from goloagent.outputs.registry import SinkContext
from goloagent.outputs.sinks.prometheus.sink import DEFAULT_PATH, PrometheusSink
from goloagent.outputs.sinks.prometheus.write_request import Histograms


def make(setting: OutputSetting, context: SinkContext) -> PrometheusSink:
    """Return the sink of an output.

    Raises:
        SettingError: a member is invalid, or a file is unusable.
    """
    kinds = [kind.value for kind in Histograms]
    return PrometheusSink(
        setting.shown,
        make_poster(setting, context, gzip=False),
        context.reactor,
        HttpUrl.parse(setting.url).path or DEFAULT_PATH,
        Histograms(setting.choice("histograms", kinds, Histograms.NATIVE.value)),
    )
