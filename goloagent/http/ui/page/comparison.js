// The dialog that compares two jobs.

import { errorMessage, getJob, getStatistics, orNull } from "./api.js";
import { element, setText } from "./dom.js";
import { errorFigures } from "./figures.js";
import { count, dateTime, latency, rate } from "./format.js";
import { callRate } from "./history.js";
import { planText } from "./plan.js";

const UNKNOWN = "–";

const figure = (label, value, format) => ({ label, value, format });
const percentile = (key) => figure(key, ({ statistics }) => statistics?.latency?.[key], latency);

const FIGURES = [
  figure("Calls/s", ({ job }) => callRate(job), rate),
  percentile("p50"),
  percentile("p95"),
  percentile("p99"),
  percentile("max"),
  figure("Results", ({ job }) => job.results.valid, count),
  figure("Error results", ({ statistics }) => statistics?.errors, count),
  figure("Failed calls", ({ job }) => job.calls.failed, count),
];

const verdictText = ({ job }) => (job.verdict ? (job.verdict.passed ? "passed" : `failed: ${job.verdict.reason ?? ""}`) : job.state);
const TEXTS = [
  ["Started", ({ job }) => (job.started_at ? dateTime(job.started_at) : UNKNOWN)],
  ["Load", ({ job }) => planText(job)],
  ["Verdict", verdictText],
  ["Errors", ({ job, statistics }) => errorFigures(job, statistics).share],
];

/** Write the change from one value to another in percent. */
export function change(before, after) {
  if (before == null || after == null || before === 0) return UNKNOWN;
  const percent = (100 * (after - before)) / before;
  return `${percent > 0 ? "+" : percent < 0 ? "−" : ""}${Math.abs(percent).toFixed(1)} %`;
}

async function fetchRun(id) {
  const [job, statistics] = await Promise.all([getJob(id), orNull(getStatistics(id, "rows=0"))]);
  return { job, statistics };
}

export class ComparisonDialog {
  constructor(dialog) {
    this.dialog = dialog;
    this.table = dialog.querySelector("table");
    this.error = dialog.querySelector('[role="alert"]');
    dialog.querySelector("button").addEventListener("click", () => dialog.close());
  }

  /** Compare the jobs of two ids; the one that ran first is the base. */
  async open(ids) {
    setText(this.error, "");
    this.table.replaceChildren();
    this.dialog.showModal();
    try {
      const runs = await Promise.all(ids.map(fetchRun));
      this.show(...runs.toSorted((one, other) => Date.parse(one.job.queued_at) - Date.parse(other.job.queued_at)));
    } catch (error) {
      setText(this.error, errorMessage(error));
    }
  }

  show(first, second) {
    const head = ["Figure", first.job.name, second.job.name, "Change"].map((text) => element("th", { scope: "col" }, text));
    const line = (label, ...texts) =>
      element("tr", {}, element("th", { scope: "row" }, label), ...texts.map((text) => element("td", {}, text)));
    const texts = TEXTS.map(([label, write]) => line(label, write(first), write(second), ""));
    const figures = FIGURES.map(({ label, value, format }) =>
      line(label, format(value(first)), format(value(second)), change(value(first), value(second))),
    );
    this.table.replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...texts, ...figures));
  }
}
