// The panel of one job: where it stands, its figures and charts, and why it ended.

import { Chart } from "./chart.js";
import { element, fill, list, setChip } from "./dom.js";
import { count, duration, latency, latencyTick, moment, rate, rateTick, share, short } from "./format.js";
import { isLive, isOver, load } from "./state.js";

const NOTHING_YET = {
  title: "Nothing has run yet",
  hint: "Choose a load test and queue it: rate, latency and log show here while it runs.",
};
const NO_SUCH_JOB = { title: "There is no such job", hint: "Choose another below." };

function role(job, followed) {
  if (isLive(job)) return "Runs now";
  if (job.state === "queued") return "Waits";
  return followed ? "Ran last" : "Ran";
}

function times(job) {
  const told = [[job.queued_at, "queued"], [job.started_at, "started"], [job.ended_at, "ended"]];
  return told.filter(([time]) => time).map(([time, what]) => `${what} ${moment(time)}`);
}

function exit(job) {
  if (job.exit?.signal) return `· ended by ${job.exit.signal}`;
  return job.exit?.code == null ? "" : `· exit code ${job.exit.code}`;
}

function delivery({ delivery, results }) {
  const waiting = `${count(results.pending)} ${results.pending === 1 ? "result waits" : "results wait"}`;
  const retry = delivery.retry_at ? `; next attempt ${moment(delivery.retry_at)}` : "";
  const why = delivery.last_error ? `: ${delivery.last_error}` : "";
  const what = delivery.state === "holding" ? "Delivery is on hold" : "Delivery is being retried";
  return `${what}${why} (${waiting}${retry})`;
}

/** Return what is probably wrong with the load test, a sentence each; its end tells the most. */
function warnings(job) {
  const line = job.invalid_line;
  if (isOver(job) || !line) return job.warnings ?? [];
  return [`Line ${count(line.number)} of stdout is no result: ${line.reason}.`];
}

const isStuck = ({ delivery }) => ["retrying", "holding"].includes(delivery.state);

function waits({ delivery, results }) {
  if (results.rejected) return `${count(results.rejected)} rejected`;
  return delivery.state === "none" ? "no collector" : `delivery ${delivery.state}`;
}

export class JobPanel {
  constructor(root) {
    this.root = root;
    const find = (id) => root.querySelector(`#${id}`);
    this.none = find("no-job");
    this.body = find("job-body");
    this.chip = root.querySelector('[data-field="state"]');
    this.elapsed = find("elapsed");
    this.run = root.querySelector(".run");
    this.reason = find("reason");
    this.stderr = find("stderr");
    this.delivery = find("delivery");
    this.warnings = find("warnings");
    this.follow = find("follow");
    this.cancel = find("cancel");
    this.charts = find("charts");
    this.errors = find("tile-errors");
    this.pending = find("tile-pending");
    this.rate = new Chart(find("rate-chart"), {
      title: "Rate, per second",
      series: [
        { key: "calls_per_second", label: "calls", name: "a" },
        { key: "results_per_second", label: "results", name: "b" },
        { key: "errors_per_second", label: "errors", name: "bad" },
      ],
      format: rate,
      tick: rateTick,
    });
    this.latency = new Chart(find("latency-chart"), {
      title: "Latency of each second",
      series: [
        { key: "p99", label: "p99", name: "c" },
        { key: "p95", label: "p95", name: "a" },
        { key: "p50", label: "p50", name: "b" },
      ],
      format: latency,
      tick: latencyTick,
    });
  }

  /** Show `job`, or that there is none; `samples` are its last minutes, if it runs or just ran. */
  show(job, { followed, samples, statistics }) {
    this.none.hidden = job !== null;
    this.body.hidden = job === null;
    fill(this.none, followed ? NOTHING_YET : NO_SUCH_JOB);
    if (job === null) return;
    this.showHead(job, followed, samples.at(-1));
    this.showEnd(job);
    this.showFigures(job, samples.at(-1), statistics);
    this.charts.hidden = !isLive(job) && samples.length === 0;
    this.rate.show(samples);
    this.latency.show(samples);
  }

  showHead(job, followed, sample) {
    fill(this.root, {
      role: role(job, followed),
      name: job.name,
      meta: [load(job), ...times(job), `job ${short(job.id)}`, `binary ${short(job.binary)}`].join(" · "),
    });
    setChip(this.chip, job.state);
    this.follow.hidden = followed || isLive(job);
    this.cancel.hidden = isOver(job) || job.state === "stopping";
    this.run.hidden = !isLive(job);
    const seconds = sample && job.started_at ? (sample.time - Date.parse(job.started_at)) / 1000 : null;
    const passed = seconds === null ? null : Math.min(job.duration, Math.max(0, seconds));
    this.elapsed.value = passed === null || !job.duration ? 0 : passed / job.duration;
    const text = passed === null ? "" : `${duration(passed)} of ${duration(job.duration)}`;
    fill(this.root, { elapsed: job.state === "stopping" ? "stopping…" : text });
  }

  showEnd(job) {
    this.reason.hidden = !job.reason;
    this.reason.dataset.state = job.state;
    const stderr = (job.stderr_tail ?? "").trimEnd();
    this.stderr.hidden = !stderr;
    fill(this.root, { message: job.message ?? "", reason: job.reason ?? "", exit: exit(job), stderr });
    this.delivery.hidden = !isStuck(job);
    fill(this.root, { delivery: this.delivery.hidden ? "" : delivery(job) });
    list(
      this.warnings,
      warnings(job),
      (text) => text,
      (text) => element("p", { class: "notice", "data-level": "warn" }, text),
      () => {},
    );
  }

  showFigures(job, sample, statistics) {
    const now = isLive(job) ? sample : undefined;
    const latencies = now ? now.latency : statistics?.latency;
    const { calls, results } = job;
    const errors = now?.errors ?? statistics?.errors;
    const seen = Math.max(results.valid, statistics?.results ?? 0);
    fill(this.root, {
      "rate-label": now ? "Calls/s" : "Calls",
      rate: now ? rate(now.calls_per_second) : count(calls.started),
      "rate-note": now ? `${rate(now.results_per_second)} results/s` : `${count(calls.failed)} failed`,
      p95: latency(latencies?.p95),
      "p95-note": `p50 ${latency(latencies?.p50)} · p99 ${latency(latencies?.p99)}`,
      errors: count(errors),
      "errors-note": [...(now ? [`${rate(now.errors_per_second)}/s`] : []), share(errors ?? 0, seen)].join(" · "),
      flight: count(now?.in_flight ?? calls.in_flight),
      "flight-note": isOver(job) ? "never returned" : `of ${count(job.users)}`,
      results: count(results.read),
      "results-note": results.invalid ? `${count(results.invalid)} invalid` : `${count(results.delivered)} delivered`,
      pending: count(now?.pending ?? results.pending),
      "pending-note": waits(job),
    });
    const whole = now?.latency_total ?? statistics?.latency;
    const figures = ["p50", "p95", "p99", "max"].map((key) => `${key} ${latency(whole?.[key])}`);
    fill(this.root, { "whole-run": whole?.max == null ? "" : `Latency of the whole run: ${figures.join(" · ")}` });
    this.errors.classList.toggle("bad", Boolean(errors));
    this.pending.classList.toggle("warn", isStuck(job));
  }
}
