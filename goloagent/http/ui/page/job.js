// The panel of one job: its state, figures, charts, and the reason for its end.

import { Chart } from "./chart.js";
import { byId, setChip, setFields, showNotices } from "./dom.js";
import * as format from "./format.js";
import { hasEnded, isActive, load } from "./state.js";

const { count, duration, latency, rate } = format;

const NO_JOBS = {
  title: "Nothing has run yet",
  hint: "Queue a load test. Its rate, latency and log appear here while it runs.",
};
const NOT_FOUND = { title: "Job not found", hint: "Choose another job below." };

const RATE_CHART = {
  title: "Rate per second",
  series: [
    { key: "calls_per_second", label: "calls", color: "a" },
    { key: "results_per_second", label: "results", color: "b" },
    { key: "errors_per_second", label: "errors", color: "bad" },
  ],
  format: rate,
  formatTick: format.rateTick,
};
const LATENCY_CHART = {
  title: "Latency of each second",
  series: [
    { key: "p99", label: "p99", color: "c" },
    { key: "p95", label: "p95", color: "a" },
    { key: "p50", label: "p50", color: "b" },
  ],
  format: latency,
  formatTick: format.latencyTick,
};

function role(job, isPinned) {
  if (isActive(job)) return "Running now";
  if (job.state === "queued") return "Waiting";
  return isPinned ? "Ended" : "Latest run";
}

function metadata(job) {
  const times = ["queued", "started", "ended"]
    .filter((event) => job[`${event}_at`])
    .map((event) => `${event} ${format.dateTime(job[`${event}_at`])}`);
  return [load(job), ...times, `job ${format.shortId(job.id)}`, `binary ${format.shortId(job.binary)}`].join(" · ");
}

function exitStatus({ exit }) {
  if (exit?.signal) return `· signal ${exit.signal}`;
  return exit?.code == null ? "" : `· exit code ${exit.code}`;
}

const isStuck = ({ delivery }) => ["retrying", "holding"].includes(delivery.state);

function deliveryProblem({ delivery, results }) {
  const state = delivery.state === "holding" ? "Delivery is paused" : "Delivery is being retried";
  const error = delivery.last_error ? `: ${delivery.last_error}` : "";
  const pending = `${count(results.pending)} ${results.pending === 1 ? "result" : "results"} pending`;
  const retry = delivery.retry_at ? `; next attempt ${format.dateTime(delivery.retry_at)}` : "";
  return `${state}${error} (${pending}${retry})`;
}

function deliveryNote({ delivery, results }) {
  if (results.rejected) return `${count(results.rejected)} rejected`;
  return delivery.state === "none" ? "no collector" : `delivery ${delivery.state}`;
}

/** Return the warnings of a job; while it runs, the first invalid line. */
function warnings(job) {
  const line = job.invalid_line;
  if (hasEnded(job) || !line) return job.warnings ?? [];
  return [`Line ${count(line.number)} of stdout is not a result: ${line.reason}.`];
}

export class JobPanel {
  constructor(root) {
    this.root = root;
    this.rate = new Chart(byId("rate-chart"), RATE_CHART);
    this.latency = new Chart(byId("latency-chart"), LATENCY_CHART);
  }

  /**
   * Show `job`, or that there is none. `isPinned`: the user chose it; `running`: the job that runs;
   * `samples`: the last minutes of an active or just ended job.
   */
  show(job, { isPinned, running, samples, statistics }) {
    byId("no-job").hidden = job !== null;
    byId("job-body").hidden = job === null;
    setFields(byId("no-job"), isPinned ? NOT_FOUND : NO_JOBS);
    if (job === null) return;
    byId("back").hidden = !isPinned || isActive(job) || !running;
    setFields(this.root, { role: role(job, isPinned), name: job.name, meta: metadata(job) });
    this.showState(job, samples.at(-1));
    this.showProblems(job);
    this.showFigures(job, isActive(job) ? samples.at(-1) : undefined, statistics);
    byId("charts").hidden = !isActive(job) && samples.length === 0;
    this.rate.show(samples);
    this.latency.show(samples);
  }

  showState(job, sample) {
    setChip(byId("job-state"), job.state);
    byId("cancel").hidden = hasEnded(job) || job.state === "stopping";
    byId("run").hidden = !isActive(job);
    const seconds = sample && job.started_at ? (sample.time - Date.parse(job.started_at)) / 1000 : null;
    const elapsed = seconds === null ? null : Math.min(job.duration, Math.max(0, seconds));
    byId("elapsed").value = elapsed === null || !job.duration ? 0 : elapsed / job.duration;
    const text = elapsed === null ? "" : `${duration(elapsed)} of ${duration(job.duration)}`;
    setFields(this.root, { elapsed: job.state === "stopping" ? "stopping…" : text });
  }

  showProblems(job) {
    const stderr = (job.stderr_tail ?? "").trimEnd();
    byId("reason").hidden = !job.reason;
    byId("reason").dataset.state = job.state;
    byId("stderr").hidden = !stderr;
    byId("delivery").hidden = !isStuck(job);
    setFields(this.root, {
      message: job.message ?? "",
      reason: job.reason ?? "",
      exit: exitStatus(job),
      stderr,
      delivery: isStuck(job) ? deliveryProblem(job) : "",
    });
    showNotices(byId("warnings"), warnings(job).map((text) => ({ level: "warn", text })));
  }

  /** Show the last second of an active job, `sample`, or the totals of any other. */
  showFigures(job, sample, statistics) {
    const { calls, results } = job;
    const latencies = sample ? sample.latency : statistics?.latency;
    const total = sample?.latency_total ?? statistics?.latency;
    const errors = sample?.errors ?? statistics?.errors;
    const errorShare = format.percentage(errors ?? 0, Math.max(results.valid, statistics?.results ?? 0));
    const percentiles = ["p50", "p95", "p99", "max"].map((key) => `${key} ${latency(total?.[key])}`);
    setFields(this.root, {
      "rate-label": sample ? "Calls/s" : "Calls",
      rate: sample ? rate(sample.calls_per_second) : count(calls.started),
      "rate-note": sample ? `${rate(sample.results_per_second)} results/s` : `${count(calls.failed)} failed`,
      p95: latency(latencies?.p95),
      "p95-note": `p50 ${latency(latencies?.p50)} · p99 ${latency(latencies?.p99)}`,
      errors: count(errors),
      "errors-note": sample ? `${rate(sample.errors_per_second)}/s · ${errorShare}` : errorShare,
      "flight-label": hasEnded(job) ? "Unanswered calls" : "In flight",
      flight: count(sample?.in_flight ?? calls.in_flight),
      "flight-note": hasEnded(job) ? "" : `of ${count(job.users)}`,
      results: count(results.read),
      "results-note": results.invalid ? `${count(results.invalid)} invalid` : `${count(results.delivered)} delivered`,
      pending: count(sample?.pending ?? results.pending),
      "pending-note": deliveryNote(job),
      "whole-run": total?.max == null ? "" : `Latency of the whole run: ${percentiles.join(" · ")}`,
    });
    byId("tile-errors").classList.toggle("bad", Boolean(errors));
    byId("tile-pending").classList.toggle("warn", isStuck(job));
  }
}
