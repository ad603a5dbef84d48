// The agent's health in the header: status, collector, protections, and notices for the operator.

import { element, setChip, setFields, showNotices, updateList } from "./dom.js";
import { bytes, count } from "./format.js";

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
  const { collector } = health;
  if (collector.pending && ["retrying", "holding"].includes(collector.state)) {
    const pending = `${count(collector.pending)} results wait for the collector ${collector.url}`;
    warn(`${pending}: ${collector.last_error}. They are kept and sent later.`);
    return notices;
  }
  for (const { name, results, delivery } of jobs) {
    if (delivery.state !== "holding") continue;
    warn(`Delivery of ${name} is paused, ${count(results.pending)} results pending: ${delivery.last_error ?? ""}`);
  }
  return notices;
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
    const { url } = health.collector;
    setFields(this.root, { collector: url ? `Results go to ${url}` : "No collector: results stay in the logs" });
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
