// The values of the form from a job, to run it again. Values of environment variables are secret.

import { isOpen, stagesOf } from "./plan.js";

const pairs = (object) => Object.entries(object ?? {}).map(([name, value]) => `${name}=${value}`).join("\n");

/** Write a threshold with its settings, of which k6 has other names. */
function conditionText(one) {
  const { threshold = one, abort = one.abortOnFail, delay = one.delayAbortEval, over } = one;
  const settings = [over != null && `over ${over}`, abort && "abort", delay != null && `delay ${delay}`];
  return [threshold, ...settings.filter(Boolean)].join(" ").replaceAll(/\s+/g, " ");
}

function thresholdLines(thresholds) {
  return Object.entries(thresholds ?? {})
    .flatMap(([metric, given]) => [given].flat().map((one) => `${metric}: ${conditionText(one)}`))
    .join("\n");
}

/** Return the texts of the form's fields for the settings of `job`. */
export function formValues(job) {
  const stages = stagesOf(job);
  const isConstant = stages.length === 1 && stages[0].from === stages[0].to;
  const member = isOpen(job) ? "rate" : "users";
  const { load } = job;
  return {
    name: job.name,
    model: load?.model ?? "closed",
    users: String(isOpen(job) ? 25 : job.users || 25),
    rate: String(isOpen(job) ? stages[0].to : 100),
    duration: String(job.duration),
    stages: isConstant ? "" : load.stages.map((stage) => `${stage.duration}s: ${stage[member] ?? 0}`).join("\n"),
    start: isConstant ? "" : String(load.start),
    arrivals: load?.arrivals ?? "even",
    seed: load?.seed ? String(load.seed) : "",
    when_full: load?.when_full ?? "drop",
    max_in_flight: load?.max_in_flight ? String(load.max_in_flight) : "",
    graceful_stop: load?.graceful_stop == null ? "" : String(load.graceful_stop),
    thresholds: thresholdLines(job.thresholds),
    delay: "",
    over: "",
    args: (job.args ?? []).join("\n"),
    env: (job.env ?? []).map((name) => `${name}=`).join("\n"),
    tags: pairs(job.tags),
    drive: job.drive ?? "netrpc",
    share_index: String(job.share?.index ?? ""),
    share_of: String(job.share?.of ?? ""),
    run: "", // the repetition is another run
  };
}
