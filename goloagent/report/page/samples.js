// The windows of a timeline as samples of charts.

/** Return the percentiles of times as members of a sample. */
export const percentiles = (prefix, times) => ({
  [`${prefix}50`]: times?.p50 ?? null,
  [`${prefix}95`]: times?.p95 ?? null,
  [`${prefix}99`]: times?.p99 ?? null,
});

/** Return the sample of a window of the timeline. */
export function windowSample(window) {
  const rate = (count) => (window.seconds ? count / window.seconds : 0);
  return {
    begin: window.at,
    end: window.at + window.seconds,
    planned: window.planned,
    started: rate(window.started),
    dropped: rate(window.dropped),
    calls: rate(window.succeeded + window.failed),
    failed: rate(window.failed),
    results: rate(window.results),
    errors: rate(window.errors),
    flight: window.in_flight,
    ...percentiles("p", window.duration),
    ...percentiles("i", window.iteration),
  };
}
