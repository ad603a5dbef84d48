// The figures of a job: the last second while it runs, else its totals.

import { setFields } from "./dom.js";
import * as format from "./format.js";
import { outputsOf, troubled } from "./outputs.js";
import { isOpen } from "./plan.js";
import { hasEnded } from "./state.js";

const { count, latency, rate } = format;

function deliveryNote(job) {
  const outputs = Object.values(outputsOf(job));
  const rejected = Math.max(0, ...outputs.map((output) => output.rejected));
  if (rejected) return `${count(rejected)} rejected`;
  const stuck = troubled(job);
  if (outputs.length > 1) return stuck.length ? `stuck at ${stuck.join(", ")}` : `of ${outputs.length} outputs, the most`;
  return outputs.length ? `delivery ${outputs[0].state}` : "no collector";
}

/** Return the most results that an output of a job has not got. */
function mostPending(job, progress) {
  const outputs = Object.entries(outputsOf(job));
  // The progress has the collector's.
  const pending = outputs.map(([name, output]) => (name === "collector" ? (progress?.pending ?? output.pending) : output.pending));
  return Math.max(0, ...pending);
}

// Counts of one moment: a share of counts of different moments is wrong.
function errorCounts({ calls, results }, statistics, progress) {
  if (progress) return progress;
  const { errors = 0, results: counted = results.valid } = statistics ?? {};
  return { returned: calls.ok + calls.failed, failed: calls.failed, results: counted, errors };
}

/** Return the share of failed calls or of error results, whichever is higher, with the counts. */
export function errorFigures(job, statistics, progress) {
  const { returned, failed, results, errors } = errorCounts(job, statistics, progress);
  const pairs = [[failed, returned], [errors, results]];
  const shares = pairs.filter(([, whole]) => whole).map(([part, whole]) => part / whole);
  const highest = Math.max(...shares);
  return { failed, errors, share: highest === 0 ? "0 %" : format.percentage(highest, shares.length && 1) };
}

/** Return the average rate of calls of a run: from its timeline, or from its times without one. */
export function averageRate(job, timeline) {
  const seconds = timeline.samples.at(-1)?.end;
  if (seconds) return job.calls.started / seconds;
  const elapsed = (Date.parse(job.ended_at) - Date.parse(job.started_at)) / 1000;
  return elapsed > 0 ? job.calls.started / elapsed : null;
}

function flightNote(job, progress) {
  if (hasEnded(job)) return "never returned";
  if (!isOpen(job)) return progress?.planned === undefined ? `of ${count(job.users)}` : `of ${count(Math.round(progress.planned))}`;
  return `at most ${count(job.load.max_in_flight)}`;
}

export class Figures {
  constructor(root, byId) {
    this.root = root;
    this.errors = byId("tile-errors");
    this.pending = byId("tile-pending");
    this.dropped = byId("tile-dropped");
  }

  /** Show `progress`, the last second of an active job, or the totals of any other. */
  show(job, { progress, statistics, timeline }) {
    const { calls, results } = job;
    const latencies = progress ? progress.latency : statistics?.latency;
    const total = progress?.latency_total ?? statistics?.latency;
    const { failed, errors, share } = errorFigures(job, statistics, progress);
    const percentiles = ["p50", "p95", "p99", "max"].map((key) => `${key} ${latency(total?.[key])}`);
    const dropped = progress?.dropped ?? calls.dropped;
    setFields(this.root, {
      "rate-label": progress || !hasEnded(job) ? "Calls/s" : "Average calls/s",
      rate: rate(progress ? progress.calls_per_second : hasEnded(job) && job.started_at ? averageRate(job, timeline) : null),
      "rate-note": progress ? `${rate(progress.results_per_second)} results/s` : `${count(calls.started)} calls`,
      "p95-label": progress ? "p95, last second" : "p95",
      p95: latency(latencies?.p95),
      "p95-note": `p50 ${latency(latencies?.p50)} · p99 ${latency(latencies?.p99)}`,
      errors: share,
      "errors-note": `${count(failed)} failed ${failed === 1 ? "call" : "calls"} · ${count(errors)} error ${errors === 1 ? "result" : "results"}`,
      "flight-label": hasEnded(job) ? "Unanswered calls" : "In flight",
      flight: count(progress?.in_flight ?? calls.in_flight),
      "flight-note": flightNote(job, progress),
      results: count(results.read),
      "results-note": results.invalid ? `${count(results.invalid)} invalid` : `${count(results.delivered)} delivered`,
      pending: count(mostPending(job, progress)),
      "pending-note": deliveryNote(job),
      dropped: count(dropped),
      "dropped-note": `of ${count(calls.scheduled ?? calls.started)} scheduled`,
      "whole-run": total?.max == null ? "" : `Latency of the whole run: ${percentiles.join(" · ")}`,
    });
    this.errors.classList.toggle("bad", failed + errors > 0);
    this.pending.classList.toggle("warn", troubled(job).length > 0);
    this.dropped.hidden = !isOpen(job);
    this.dropped.classList.toggle("warn", dropped > 0);
  }
}
