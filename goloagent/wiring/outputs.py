"""The outputs: the collector's and the others', each with its worker."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.logger import LogLevel

from goloagent.concurrency.clock import now
from goloagent.core.output_schemes import COLLECTOR, RESULT, SECOND
from goloagent.core.output_setting import OutputSetting, SettingError
from goloagent.host.startup_error import StartupError
from goloagent.jobs.job import Job
from goloagent.outputs.availability import Availability
from goloagent.outputs.checkpoint import Account
from goloagent.outputs.dead_letter import open_for_delivery
from goloagent.outputs.feed import Feed
from goloagent.outputs.http import HttpPoster, open_poster
from goloagent.outputs.labels import labels_of
from goloagent.outputs.no_output import NoOutput
from goloagent.outputs.output import Output
from goloagent.outputs.outputs import Outputs
from goloagent.outputs.registry import SinkContext, make_sink
from goloagent.outputs.results_feed import ResultsFeed
from goloagent.outputs.seconds_feed import SecondsFeed
from goloagent.outputs.sink import Response, Sink
from goloagent.outputs.sinks.collector import CollectorSink
from goloagent.outputs.worker import OutputWorker
from goloagent.transport.dialer import refuse_load_tests

if TYPE_CHECKING:
    from goloagent.wiring.components import Components


def make_outputs(parts: Components) -> Outputs:
    """Return all outputs; those that a job has and the agent has not are made when they occur.

    Raises:
        StartupError: a setting is unusable, or a library is missing.
    """
    made = [_make_output(parts, setting) for setting in parts.settings.outputs]
    if parts.settings.collector is not None:
        made.insert(0, _make_collector(parts))
    return Outputs(
        {output.name: output for output in made},
        lambda name: NoOutput(parts.reactor, parts.jobs.save_soon, name),
    )


def _make_collector(parts: Components) -> Output:
    settings = parts.settings.collector
    assert settings is not None
    check_peer = refuse_load_tests(parts.processes.may_be_load_test)
    try:
        poster = open_poster(
            parts.reactor, settings.url, settings.http, check_peer, prefix="--collector-"
        )
    except SettingError as error:
        raise StartupError(str(error)) from None
    return _output(parts, COLLECTOR, CollectorSink(settings.url, poster))


def _make_output(parts: Components, setting: OutputSetting) -> Output:
    context = SinkContext(
        parts.reactor,
        parts.threads.add(f"output-{setting.name}"),
        refuse_load_tests(parts.processes.may_be_load_test),
    )
    try:
        sink = make_sink(setting, context)
    except SettingError as error:
        raise StartupError(str(error)) from None
    return _output(parts, setting.name, sink, setting.unit, setting.required)


def _output(
    parts: Components,
    name: str,
    sink: Sink[Any],
    unit: str = RESULT,
    required: bool = True,
) -> Output:
    agent = socket.gethostname()
    open_log = partial(open_for_delivery, parts.run_files, name)

    async def send(job: Job, batch: Any, ordinal: int) -> Response:
        return await sink.send(labels_of(job, agent), batch, ordinal)

    def make_feed(account: Account) -> Feed:
        if unit == SECOND:
            return SecondsFeed(account, parts.run_files.follow_timeline, open_log)
        return ResultsFeed(account, open_log, sink.limits)

    is_collector = name == COLLECTOR
    label = f"collector {sink.url}" if is_collector else f"output {name} {sink.url}"
    task = "delivery" if is_collector else f"delivery to {name}"
    availability = Availability(
        label,
        str(sink.url),
        parts.reactor.seconds,
        now,
        lambda: parts.exporter.counters.pending_of(name),
    )
    worker = OutputWorker(
        parts.reactor,
        now,
        availability.observed(parts.exporter.instrument(send, name)),
        make_feed,
        parts.jobs.save_soon,
        lambda fault: parts.state.tasks.report(task, fault),
        parts.state.add_notice,
        name,
    )
    poster = getattr(sink, "poster", None)
    made = Output(name, sink, availability, worker, unit, required)
    if isinstance(poster, HttpPoster):
        made.remarks, made.is_checked = _remarks(poster), not poster.is_beyond_proxy
    return made


def _remarks(poster: HttpPoster) -> tuple[tuple[LogLevel, str], ...]:
    remarks: list[tuple[LogLevel, str]] = []
    if (proxy := poster.proxy) is not None:
        remarks.append((LogLevel.info, f"through the proxy {proxy.url} ({proxy.variable})"))
    if poster.credentials is not None and poster.is_unencrypted:
        noun = poster.credentials.noun
        remarks.append((LogLevel.warn, f"the {noun} is sent unencrypted; use https://"))
    return tuple(remarks)
