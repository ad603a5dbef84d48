// The four charts of a job: load as planned and done, rates, and the latency of results and of calls.

import { Chart } from "./chart.js";
import { byId } from "./dom.js";
import { count, latency, latencyTick, rate, rateTick } from "./format.js";
import { isOpen, planSamples } from "./plan.js";
import { chartRange } from "./scale.js";
import { hasEnded, isActive } from "./state.js";

const OPEN_LOAD = [
  { key: "planned", label: "planned", color: "plan", from: "plan" },
  { key: "started", label: "started", color: "a" },
  { key: "dropped", label: "dropped", color: "bad" },
];
const CLOSED_LOAD = [
  { key: "planned", label: "planned users", color: "plan", from: "plan" },
  { key: "flight", label: "calls in flight", color: "a" },
];
const RATES = [
  { key: "calls", label: "calls", color: "a" },
  { key: "results", label: "results", color: "b" },
  { key: "errors", label: "errors", color: "bad" },
  { key: "failed", label: "failed calls", color: "bad dashed" },
];
const percentiles = (prefix) => [
  { key: `${prefix}99`, label: "p99", color: "c" },
  { key: `${prefix}95`, label: "p95", color: "a" },
  { key: `${prefix}50`, label: "p50", color: "b" },
];
const RATE_FORMAT = { format: rate, formatTick: rateTick };
const LATENCY_FORMAT = { format: latency, formatTick: latencyTick };

export class JobCharts {
  constructor(root) {
    this.root = root;
    this.model = null;
    this.load = new Chart(byId("load-chart"), { title: "", series: [], format: (value) => rate(value), formatTick: rateTick });
    this.rates = new Chart(byId("rate-chart"), { title: "Rate per second", series: RATES, ...RATE_FORMAT });
    this.results = new Chart(byId("latency-chart"), { title: "Latency of results", series: percentiles("p"), ...LATENCY_FORMAT });
    this.calls = new Chart(byId("calls-chart"), { title: "Latency of calls, from their planned start", series: percentiles("i"), ...LATENCY_FORMAT });
  }

  /** Show the timeline of `job`; `limited` are the spans in which the generator was the limit. */
  show(job, timeline, limited) {
    const { samples, changes } = timeline;
    this.root.hidden = !isActive(job) && samples.length === 0;
    if (this.root.hidden) return;
    this.setModel(job);
    const range = chartRange(samples.at(-1)?.end ?? 0, timeline.duration(job), hasEnded(job));
    // Once the load was changed or paused, only the measured windows have the plan.
    const plan = changes.length || job.drive === "self" ? undefined : planSamples(job, range);
    const view = { samples, range, spans: limited, marks: changes.map(({ at }) => at), plan, isLive: isActive(job) };
    for (const chart of [this.load, this.rates, this.results, this.calls]) chart.show(view);
  }

  setModel(job) {
    const model = isOpen(job) ? "open" : "closed";
    if (model === this.model) return;
    this.model = model;
    this.load.format = model === "open" ? rate : (value) => count(value === null || value === undefined ? value : Math.round(value));
    if (model === "open") this.load.setSeries(OPEN_LOAD, "Load per second");
    else this.load.setSeries(CLOSED_LOAD, "Load in users");
  }
}
