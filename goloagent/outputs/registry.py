"""Makes the sink of an output from its setting; imports libraries of configured outputs only."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import attrs

from goloagent.concurrency.threads import Pool
from goloagent.core.http_setting import SettingError
from goloagent.core.output_schemes import SCHEMES
from goloagent.core.output_setting import OutputSetting
from goloagent.outputs.sink import Sink
from goloagent.transport.dialer import PeerCheck

_SINKS = "goloagent.outputs.sinks"


@attrs.frozen
class SinkContext:
    """The parts of the agent that a sink may use.

    Args:
        thread: one thread of the output's own, for calls that block; started with the agent.
        check_peer: refuses a process of a load test in the place of a backend.
    """

    reactor: Any
    thread: Pool
    check_peer: PeerCheck


def make_sink(
    setting: OutputSetting,
    context: SinkContext,
    load: Callable[[str], Any] = import_module,
) -> Sink[Any]:
    """Return the sink of an output.

    Raises:
        SettingError: a member is invalid, a file is unusable, or a library is missing; the message
            begins with the setting's origin.
    """
    scheme = SCHEMES[setting.scheme]
    try:
        sink: Sink[Any] = load(f"{_SINKS}.{scheme.module}").make(setting, context)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "goloagent" or not scheme.extra:
            raise
        raise SettingError(
            f"{setting.origin}: the Python package {package} is missing; "
            f"install golo-agent[{scheme.extra}]"
        ) from None
    except SettingError as error:
        raise SettingError(f"{setting.origin}: {error}") from None
    return sink
