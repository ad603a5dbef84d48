// The agent's health in the header: status, outputs, protections, and notices for the operator.

import { element, setChip, setFields, showNotices, updateList } from "./dom.js";
import { bytes, count } from "./format.js";
import { outputsOf } from "./outputs.js";

const COLLECTOR = "collector";

const ISOLATION = {
  "pid-namespace": "Each load test runs in its own PID namespace; at the end the kernel kills every process in it.",
  cgroup: "Each load test runs in its own cgroup; at the end the agent kills every process in it.",
  "process-group":
    "Each load test runs in its own process group; at the end the agent kills the group and processes that left it.",
};

function describeProtections({ processes, files, run_as: user, token, min_free_bytes: minFreeBytes }) {
  return [
    ISOLATION[processes],
    files === "landlock"
      ? "Landlock denies load tests access to the agent's files."
      : "Only file permissions protect the agent's files from load tests.",
    user && `Load tests run as user ${user}.`,
    token ? "Every request needs the bearer token." : "Requests need no token.",
    minFreeBytes && `No job runs while free disk space is below ${bytes(minFreeBytes)} (or 10 % of the disk, if less).`,
  ].filter(Boolean);
}

function noticesOf(health, jobs) {
  const notices = health.reason ? [{ level: "bad", text: `${health.status}: ${health.reason}` }] : [];
  const warn = (text) => notices.push({ level: "warn", text });
  health.notices.forEach(warn);
  const outputs = outputsOfAgent(health);
  const down = outputs.filter(({ state }) => ["retrying", "holding"].includes(state));
  for (const output of down) warn(unavailable(output));
  for (const job of jobs) {
    for (const [name, { state, pending, last_error: error }] of Object.entries(outputsOf(job))) {
      if (state !== "holding" || down.some((output) => output.name === name)) continue;
      const to = name === COLLECTOR ? "" : ` to ${name}`;
      warn(`Delivery of ${job.name}${to} is paused, ${count(pending)} results pending: ${error ?? ""}`);
    }
  }
  return notices;
}

/** Return the outputs of the agent with their names; an agent of before has the collector only. */
function outputsOfAgent({ collector, outputs }) {
  const given = outputs ?? (collector.url ? { [COLLECTOR]: collector } : {});
  return Object.entries(given).map(([name, output]) => ({ name, ...output }));
}

function unavailable({ name, url, pending, last_error: error }) {
  const place = name === COLLECTOR ? `the collector ${url}` : `output ${name} (${url})`;
  if (!pending) return `${place[0].toUpperCase()}${place.slice(1)} accepts no results: ${error}. Results are kept and sent later.`;
  return `${count(pending)} results wait for ${place}: ${error}. They are kept and sent later.`;
}

/** Write where results go. */
function destinations(outputs) {
  if (!outputs.length) return "No collector: results stay in the logs";
  if (outputs.length === 1 && outputs[0].name === COLLECTOR) return `Results go to ${outputs[0].url}`;
  return `Results go to ${outputs.map(({ name, url }) => (name === COLLECTOR ? url : name)).join(", ")}`;
}

export class HealthPanel {
  constructor(root, notices) {
    this.root = root;
    this.chip = root.querySelector(".chip");
    this.protections = root.querySelector("ul");
    this.notices = notices;
  }

  /** Show `health` and the `jobs` whose delivery is paused. */
  show(health, jobs) {
    setChip(this.chip, health.status);
    setFields(this.root, { collector: destinations(outputsOfAgent(health)) });
    const sentences = describeProtections(health.protections);
    updateList(this.protections, sentences, (text) => text, (text) => element("li", {}, text));
    showNotices(this.notices, noticesOf(health, jobs));
  }

  /** Show that the agent cannot be reached, and why. */
  showError(message) {
    setChip(this.chip, "unreachable");
    showNotices(this.notices, [{ level: "bad", text: `${message} Retrying…` }]);
  }
}
