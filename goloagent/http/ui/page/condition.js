// How the agent fares: its health and protections, and what an operator must look at.

import { element, fill, list, setChip } from "./dom.js";
import { bytes, count } from "./format.js";

function words(key, value) {
  const name = key.replaceAll("_", " ").replace(/ bytes$/, "");
  if (typeof value === "boolean") return `${name} ${value ? "required" : "not required"}`;
  return `${name} ${key.endsWith("_bytes") ? bytes(value) : value}`;
}

function complaints(health, jobs, silence) {
  const found = [];
  if (health === null) found.push({ level: "bad", text: silence });
  else if (health.reason) found.push({ level: "bad", text: `${health.status}: ${health.reason}` });
  for (const text of health?.notices ?? []) found.push({ level: "warn", text });
  const collector = health?.collector;
  if (collector?.pending && ["retrying", "holding"].includes(collector.state)) {
    const waiting = `${count(collector.pending)} results wait for the collector ${collector.url}`;
    found.push({ level: "warn", text: `${waiting}: ${collector.last_error}. They are kept and sent later.` });
    return found;
  }
  for (const { name, results, delivery } of jobs) {
    if (delivery.state === "holding") {
      const text = `Delivery of ${name} is on hold, ${count(results.pending)} pending: ${delivery.last_error ?? ""}`;
      found.push({ level: "warn", text });
    }
  }
  return found;
}

export class Condition {
  constructor(root, notices) {
    this.root = root;
    this.chip = root.querySelector(".chip");
    this.notices = notices;
  }

  /** Show `health`, null when the agent does not tell it, and which of `jobs` wait for somebody. */
  show(health, jobs, silence = "The agent does not answer. Trying again…") {
    setChip(this.chip, health?.status ?? "unreachable");
    const known = Object.entries(health?.protections ?? {}).filter(([, value]) => value !== "");
    if (health !== null) {
      const results = health.collector.url ? `results to ${health.collector.url}` : "no collector";
      fill(this.root, { protections: [results, ...known.map(([key, value]) => words(key, value))].join(" · ") });
    }
    list(
      this.notices,
      complaints(health, jobs, silence),
      ({ level, text }) => `${level} ${text}`,
      ({ level, text }) => element("p", { class: "notice", "data-level": level }, text),
      () => {},
    );
  }
}
