"""The output to the collector and its delivery."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from goloagent.concurrency.clock import now
from goloagent.host.startup_error import StartupError
from goloagent.outputs.availability import Availability
from goloagent.outputs.dead_letter import open_for_delivery
from goloagent.outputs.http.dialer import refuse_load_tests
from goloagent.outputs.http.proxy import ProxySettingError, find
from goloagent.outputs.http.tls import FileError, Tls
from goloagent.outputs.http.token import TokenFile
from goloagent.outputs.no_output import NoOutput
from goloagent.outputs.output import Output
from goloagent.outputs.sinks.collector import make_collector_sink
from goloagent.outputs.worker import OutputWorker

if TYPE_CHECKING:
    from goloagent.wiring.components import Components


def make_output(parts: Components) -> Output | None:
    """Return the connection to the collector; None without a collector.

    Raises:
        StartupError: a certificate, token file or proxy setting is unusable.
    """
    settings = parts.settings.collector
    if settings is None:
        return None
    try:
        proxy = find(settings.url, os.environ)
        tls = Tls.load(settings.insecure, settings.ca, settings.certificate, settings.key)
        token = None if settings.token_file is None else TokenFile(settings.token_file)
    except (ProxySettingError, FileError) as error:
        raise StartupError(str(error)) from None
    made = make_collector_sink(
        parts.reactor,
        settings.url,
        tls,
        proxy,
        token,
        refuse_load_tests(parts.processes.may_be_load_test),
    )
    url, seconds = str(settings.url), parts.reactor.seconds
    return Output(made, Availability(url, seconds, now, lambda: parts.exporter.counters.pending))


def make_delivery(parts: Components) -> OutputWorker | NoOutput:
    """Return the worker that delivers results, or counts them without a collector."""
    if parts.output is None:
        return NoOutput(parts.reactor, parts.jobs.save_soon)
    return OutputWorker(
        parts.reactor,
        now,
        parts.output.availability.observed(parts.exporter.instrument(parts.output.collector.send)),
        partial(open_for_delivery, parts.run_files),
        parts.jobs.save_soon,
        lambda fault: parts.state.tasks.report("delivery", fault),
        parts.state.add_notice,
    )
