"""The judge of a run: compares its thresholds each second with what was measured. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import attrs

from goloagent.core.spans import seconds_of
from goloagent.core.stats.call_histograms import CallHistograms
from goloagent.core.stats.histogram import Histogram
from goloagent.core.stats.result_window import ResultWindow
from goloagent.core.stats.run_stats import RunStatistics
from goloagent.core.thresholds import Selector, Threshold, selectors
from goloagent.core.timeline import Window
from goloagent.core.verdict import Check, Sample, Verdict, check
from goloagent.jobs.job import Job
from goloagent.jobs.verdict import decide, undelivered
from goloagent.runs.second_sample import SecondSample
from goloagent.wal.timeline_totals import TimelineTotals

CALL_TIMES = ("iteration", "service", "schedule_lag")
RESULT_METRICS = ("duration", "errors", "results", "bytes")
WINDOW_METRICS = ("iterations", "dropped", "invalid", "in_flight")


class Judge:
    """Judges the run of `job` from its samples, added in order.

    Args:
        unknown: metrics of which samples have no figures; thresholds on them have no data.
    """

    def __init__(self, job: Job, unknown: Sequence[str] = ()) -> None:
        self._job = job
        self._thresholds = job.spec.thresholds
        self._unknown = unknown
        self._whole = {(one.metric, one.selector): Sample() for one in self._thresholds}
        self._recent: deque[SecondSample] = deque()
        # Of the last seconds; thresholds of one metric share them.
        self._over: dict[tuple[str, Selector, float], Sample] = {}
        self._recent_seconds = max((one.over or 0.0 for one in self._thresholds), default=0.0)
        self._errors = 0
        self._seconds = 0.0
        self.crossed: Threshold | None = None
        """The first threshold that aborts the run."""

    def add(self, second: SecondSample) -> Verdict | None:
        """Add a second; return the verdict until now, or None if there is none yet.

        Without thresholds there is one from too many errors on.
        """
        self._seconds += second.window.seconds
        self._errors += second.results.errors
        for (metric, selector), sample in self._whole.items():
            _add(sample, second, metric, selector)
        if self._recent_seconds:
            self._recent.append(self._needed_of(second))
            begin = second.window.at + second.window.seconds - self._recent_seconds
            while self._recent[0].window.at + self._recent[0].window.seconds <= begin:
                self._recent.popleft()
        checks = self._checks(is_final=False)
        if self.crossed is None:
            self.crossed = self._abort(checks)
        verdict = decide(self._job, checks, self._errors)
        return verdict if self._thresholds or not verdict.passed else None

    def final(self, missing: Sequence[str] = ()) -> Verdict:
        """Return the verdict of the job, which is over."""
        return decide(self._job, self._checks(is_final=True), self._errors, missing)

    def _needed_of(self, second: SecondSample) -> SecondSample:
        """Return a second with the results of those selectors that its last seconds are of."""
        used = {one.selector for one in self._thresholds if one.over and one.selector.patterns}
        by_selector = second.results.by_selector
        kept = {selector: by_selector[selector] for selector in used}
        return attrs.evolve(second, results=attrs.evolve(second.results, by_selector=kept))

    def _checks(self, is_final: bool) -> list[Check]:
        self._over.clear()
        return [check(one, self._sample(one), is_final=is_final) for one in self._thresholds]

    def _sample(self, threshold: Threshold) -> Sample | None:
        """Return what was observed for a threshold; None if it is not known."""
        if threshold.metric in self._unknown or (self._unknown and threshold.over):
            return None
        if threshold.metric == "undelivered":
            return undelivered(self._job)
        if threshold.metric == "limited" and threshold.over is None:
            seconds = seconds_of(self._job.limited)
            return Sample(count=round(seconds), level=seconds, most=seconds)
        if threshold.over is None:
            return self._whole[threshold.metric, threshold.selector]
        key = (threshold.metric, threshold.selector, threshold.over)
        if key in self._over:
            return self._over[key]
        sample = self._over[key] = Sample()
        for second in self._recent:
            end = second.window.at + second.window.seconds
            if end > self._seconds - threshold.over:
                _add(sample, second, threshold.metric, threshold.selector)
        return sample

    def _abort(self, checks: Sequence[Check]) -> Threshold | None:
        for threshold, found in zip(self._thresholds, checks, strict=True):
            if threshold.abort and not found.passed and self._seconds >= threshold.delay:
                return threshold
        return None


def _add(sample: Sample, second: SecondSample, metric: str, selector: Selector) -> None:
    """Add a second to what was observed of a metric."""
    sample.seconds += second.window.seconds
    if metric in CALL_TIMES:
        _add_calls(sample, second.calls, metric)
    elif metric in RESULT_METRICS:
        results = second.results.by_selector[selector] if selector.patterns else second.results
        _add_results(sample, results, metric)
    else:
        _add_window(sample, second.window, metric)


def _add_calls(sample: Sample, calls: CallHistograms, metric: str) -> None:
    sample.durations.merge(getattr(calls, metric))


def _add_results(sample: Sample, results: ResultWindow, metric: str) -> None:
    if metric == "duration":
        sample.durations.merge(results.durations)
    else:
        sample.count += getattr(results, metric)
    if metric == "errors":
        sample.of = (sample.of or 0) + results.results


def _add_window(sample: Sample, window: Window, metric: str) -> None:
    if metric == "iterations":
        sample.count += window.succeeded + window.failed
    elif metric in ("dropped", "invalid"):
        sample.count += getattr(window, metric)
    elif metric == "in_flight":
        first = sample.level is None
        sample.least = window.in_flight if first else min(sample.least, window.in_flight)
        sample.most = max(sample.most, window.max_in_flight)
        sample.level = window.in_flight
        sample.count = window.in_flight
    elif metric == "limited":
        # Seconds, which only grow.
        sample.most += window.seconds if window.limited else 0.0
        sample.level, sample.count = sample.most, round(sample.most)
    else:  # agents_lost: an agent that judges has not lost itself
        sample.level = 0.0


def judge_interrupted(
    job: Job, statistics: RunStatistics | None, totals: TimelineTotals | None
) -> Verdict:
    """Return the verdict of a job whose run ended with the agent's process.

    Args:
        statistics: of all results in its log; None if the log cannot be read.
        totals: of its timeline; None if there is none.
    """
    missing = ["The times of calls (service, schedule_lag), and the figures of single seconds."]
    unknown = ["service", "schedule_lag"]
    if statistics is None:
        missing.append("The results, because the log cannot be read.")
        unknown += RESULT_METRICS
    if totals is None:
        missing.append("The calls, because there is no timeline.")
        unknown += ["iteration", *WINDOW_METRICS]
    else:
        missing.append("The calls of up to a second before the end of the agent.")
    judge = Judge(job, unknown)
    window = Window(0.0, 0.0) if totals is None else totals.window
    if statistics is None:
        statistics = RunStatistics(selectors(job.spec.thresholds))
    results = statistics.rotate_window(window.seconds)
    iteration = Histogram() if totals is None else totals.iteration
    judge.add(SecondSample(window, results, CallHistograms(iteration)))
    return judge.final(missing)
