// Whether a job passed: a sentence, and each threshold with its measured value.

import { element, setText, updateList } from "./dom.js";
import { bytes, count, latency, percentage, rate } from "./format.js";
import { hasEnded } from "./state.js";

const TIMES = ["duration", "iteration", "service", "schedule_lag"];
const ALIASES = {
  http_req_duration: "duration",
  iteration_duration: "iteration",
  http_req_failed: "errors",
};

/** Write the value of a check in the unit of its metric. */
export function checkValue({ metric, threshold, value }) {
  if (value === null || value === undefined) return "no data";
  const given = metric.replace(/\{.*$/s, "").trim();
  const name = ALIASES[given] ?? given;
  const aggregation = /^\s*([a-z]+)/.exec(threshold)?.[1] ?? "";
  if (aggregation === "count") return count(Math.round(value));
  if (name === "errors" && aggregation === "rate") return value ? percentage(value, 1) : "0 %";
  if (aggregation === "rate") return name === "bytes" ? `${bytes(value)}/s` : `${rate(value)}/s`;
  if (TIMES.includes(name)) return latency(value);
  return name === "limited" ? `${rate(value)} s` : rate(value);
}

function sentence(verdict, isFinal) {
  const checks = verdict.checks ?? [];
  if (!verdict.passed) return verdict.reason ?? "A threshold does not hold.";
  const number = checks.length === 1 ? "The threshold holds" : `All ${checks.length} thresholds hold`;
  if (!checks.length) return isFinal ? "Calls succeeded and results are valid. No thresholds were given." : "No thresholds were given.";
  return isFinal ? `${number}.` : `${number} so far.`;
}

const checkKey = ({ metric, threshold }) => `${metric}: ${threshold}`;

export class VerdictPanel {
  constructor(root) {
    this.root = root;
    this.title = root.querySelector("strong");
    this.reason = root.querySelector('[data-field="verdict-reason"]');
    this.table = root.querySelector("table");
    this.missing = root.querySelector(".missing");
  }

  /** Show the verdict of `job`, which is provisional while it runs. */
  show(job) {
    const { verdict } = job;
    const checks = verdict?.checks ?? [];
    const isFinal = hasEnded(job);
    // Without thresholds a running job has nothing to show that its figures do not.
    this.root.hidden = !verdict || (!isFinal && !checks.length);
    if (this.root.hidden) return;
    this.root.dataset.passed = String(verdict.passed);
    setText(this.title, isFinal ? (verdict.passed ? "Passed" : "Failed") : verdict.passed ? "Passing" : "Failing");
    setText(this.reason, sentence(verdict, isFinal));
    setText(this.missing, (verdict.missing ?? []).map((text) => text.replace(/\.?$/, ".")).join(" "));
    this.table.hidden = checks.length === 0;
    updateList(this.table.tBodies[0], checks, checkKey, createCheck, updateCheck);
  }
}

function createCheck(check) {
  return element("tr", {}, element("td", { class: "mark" }), element("td", {}, element("code", {}, checkKey(check))), element("td", { class: "number" }));
}

function updateCheck(row, check) {
  const [mark, , value] = row.children;
  row.classList.toggle("bad", !check.passed);
  setText(mark, check.passed ? "✓ holds" : "✗ fails");
  setText(value, checkValue(check));
}
