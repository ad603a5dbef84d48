// The panel of one job: its verdict, state, figures, charts, and the reason for its end.

import { logPath } from "./api.js";
import { JobCharts } from "./charts.js";
import { byId, element, setChip, setFields, showNotices, updateList } from "./dom.js";
import { ErrorTable } from "./errors.js";
import { Figures } from "./figures.js";
import * as format from "./format.js";
import { limitNotices } from "./limits.js";
import { OutputTable } from "./outputs.js";
import { planText } from "./plan.js";
import { hasEnded, isActive, outcome } from "./state.js";
import { hasTimeline } from "./timeline.js";
import { VerdictPanel } from "./verdict.js";

const { count, duration } = format;

const NO_JOBS = {
  title: "Nothing has run yet",
  hint: "Queue a load test. Its rate, latency and log appear here while it runs.",
};
const NOT_FOUND = { title: "Job not found", hint: "Choose another job below." };
const LOADING = { title: "Loading…", hint: "Waiting for the agent." };
const REPORT = "report.html";
const MEASURED = [
  ["timeline.csv", "Timeline (CSV)"],
  ["stats.hlog", "Latencies (HdrHistogram log)"],
  ["stats.hgrm", "Latency distribution (hgrm)"],
];
const LOGS = [
  ["results.csv", "Results (CSV)"],
  ["out.log", "Results (out.log)"],
  ["err.log", "Standard error (err.log)"],
];

function role(job, isPinned) {
  if (isActive(job)) return "Running now";
  if (job.state === "queued") return "Waiting";
  return isPinned ? "Ended" : "Latest run";
}

function metadata(job) {
  const times = ["queued", "started", "ended"]
    .filter((event) => job[`${event}_at`])
    .map((event) => `${event} ${format.dateTime(job[`${event}_at`])}`);
  const tags = Object.entries(job.tags ?? {}).map(([name, value]) => `${name}=${value}`);
  return [planText(job), ...times, ...tags, `job ${format.shortId(job.id)}`, `binary ${format.shortId(job.binary)}`].join(" · ");
}

function exitStatus({ exit }) {
  if (exit?.signal) return `· signal ${exit.signal}`;
  return exit?.code == null ? "" : `· exit code ${exit.code}`;
}

/** Return the trouble of the collector, if the job has no other output; the table has that of others. */
function deliveryProblem({ delivery, results, outputs }) {
  const names = Object.keys(outputs ?? { collector: delivery });
  if (names.join() !== "collector" || !["retrying", "holding"].includes(delivery.state)) return "";
  const state = delivery.state === "holding" ? "Delivery is paused" : "Delivery is being retried";
  const error = delivery.last_error ? `: ${delivery.last_error}` : "";
  const pending = `${count(results.pending)} ${results.pending === 1 ? "result" : "results"} pending`;
  const retry = delivery.retry_at ? `; next attempt ${format.dateTime(delivery.retry_at)}` : "";
  return `${state}${error} (${pending}${retry})`;
}

/** Return the warnings of a job; while it runs, the first invalid line. */
function warnings(job) {
  const line = job.invalid_line;
  if (hasEnded(job) || !line) return job.warnings ?? [];
  return [`Line ${count(line.number)} of stdout is not a result: ${line.reason}.`];
}

export class JobPanel {
  /** `giveUp(job, output)` is called to give results up. */
  constructor(root, giveUp) {
    this.root = root;
    this.charts = new JobCharts(byId("charts"));
    this.figures = new Figures(root, byId);
    this.verdict = new VerdictPanel(byId("verdict"));
    this.errors = new ErrorTable(byId("errors"));
    this.outputs = new OutputTable(byId("outputs"), giveUp);
  }

  /**
   * Show `job`, null if there is none, or undefined while it is loading. `isPinned`: the user chose
   * it; `running`: the job that runs; `progress`: its last second if that is `job`.
   */
  show(job, { isPinned, running, progress, statistics, timeline }) {
    byId("no-job").hidden = Boolean(job);
    byId("job-body").hidden = !job;
    setFields(byId("no-job"), job === undefined ? LOADING : isPinned ? NOT_FOUND : NO_JOBS);
    if (!job) return;
    const live = isActive(job) ? progress : undefined;
    byId("back").hidden = !isPinned || isActive(job) || !running;
    setFields(this.root, { role: role(job, isPinned), name: job.name, meta: metadata(job) });
    this.showState(job, live, timeline);
    this.verdict.show(job);
    this.showProblems(job, timeline);
    this.figures.show(job, { progress: live, statistics, timeline });
    this.charts.show(job, timeline, job.limited ?? []);
    this.errors.show(job, statistics);
    this.outputs.show(job);
    this.showDownloads(job);
  }

  showState(job, progress, timeline) {
    setChip(byId("job-state"), outcome(job), job.state);
    byId("cancel").hidden = hasEnded(job) || job.state === "stopping";
    byId("run").hidden = !isActive(job);
    const planned = timeline.duration(job);
    const elapsed = progress === undefined ? null : Math.min(planned, progress.at + 1);
    byId("elapsed").value = elapsed === null || !planned ? 0 : elapsed / planned;
    const text = elapsed === null ? "" : `${duration(elapsed)} of ${duration(planned)}`;
    const paused = timeline.isPaused ? " · paused" : "";
    setFields(this.root, { elapsed: job.state === "stopping" ? "stopping…" : text + paused });
  }

  showProblems(job, timeline) {
    const stderr = (job.stderr_tail ?? "").trimEnd();
    byId("reason").hidden = !job.reason;
    byId("reason").dataset.state = job.state;
    byId("stderr").hidden = !stderr;
    const delivery = deliveryProblem(job);
    byId("delivery").hidden = !delivery;
    const isInVerdict = Boolean(job.message) && job.verdict?.reason?.includes(job.message);
    setFields(this.root, {
      message: isInVerdict ? "" : (job.message ?? ""),
      reason: job.reason ?? "",
      exit: exitStatus(job),
      stderr,
      delivery,
    });
    const notices = [...warnings(job), ...timeline.missing].map((text) => ({ level: "warn", text }));
    showNotices(byId("warnings"), [...limitNotices(job.limited ?? []), ...notices]);
  }

  showDownloads(job) {
    byId("downloads").hidden = !job.started_at;
    const files = [[REPORT, "Report"], ...(hasTimeline(job) ? MEASURED : []), ...LOGS];
    const links = files.map(([file, label]) => ({
      href: logPath(job.id, file),
      label,
      // The report is shown; its agent names the file in which it is saved.
      name: file === REPORT ? null : `${job.name}-${file}`,
    }));
    updateList(
      byId("downloads").querySelector("ul"),
      links,
      ({ href }) => href,
      ({ href, label, name }) => element("li", {}, element("a", { href, download: name }, label)),
    );
  }
}
