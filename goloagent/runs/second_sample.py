"""The figures that a run measures in one second."""

from __future__ import annotations

import attrs

from goloagent.core.stats.call_histograms import CallHistograms
from goloagent.core.stats.result_window import ResultWindow
from goloagent.core.timeline import Window


@attrs.frozen
class SecondSample:
    """The figures of one window; `window` has them in the form that is stored."""

    window: Window
    results: ResultWindow
    calls: CallHistograms
