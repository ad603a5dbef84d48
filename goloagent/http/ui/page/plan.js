// The planned load of a job as samples and as text.

import { count, duration, rate } from "./format.js";

/** Return whether a job has an open model: a rate instead of users. */
export const isOpen = (job) => job.load?.model === "open";

/** Return the stages of a job with the value that each begins with: `{begin, end, from, to}`. */
export function stagesOf(job) {
  const load = job.load ?? { start: job.users, stages: [{ users: job.users, duration: job.duration }] };
  let [value, time] = [load.start, 0];
  return load.stages.map((stage) => {
    const segment = { begin: time, end: time + stage.duration, from: value, to: stage.rate ?? stage.users ?? 0 };
    [value, time] = [segment.to, segment.end];
    return segment;
  });
}

/** Return the plan as corner points for a chart's series `planned`, cut at `range` seconds. */
export function planSamples(job, range) {
  return stagesOf(job)
    .filter(({ begin }) => begin <= range)
    .flatMap(({ begin, end, from, to }) => {
      const cut = Math.min(end, range);
      const last = end > begin ? from + ((to - from) * (cut - begin)) / (end - begin) : to;
      return [
        { begin, end: begin, planned: end > begin ? from : to },
        { begin, end: cut, planned: last },
      ];
    });
}

/** Write the planned load in a few words; lists of jobs have no stages, only the highest rate. */
export function planText(job) {
  if (!job.load && job.rate) return `up to ${rate(job.rate)}/s × ${duration(job.duration)}`;
  const unit = isOpen(job) ? "/s" : "";
  const write = isOpen(job) ? rate : count;
  const stages = stagesOf(job);
  const isConstant = stages.every(({ from, to }) => from === to && to === stages[0].to);
  const noun = isOpen(job) ? "" : ` ${job.users === 1 ? "user" : "users"}`;
  if (job.drive === "self") return `not driven × ${duration(job.duration)}`;
  if (isConstant) return `${write(stages[0]?.to ?? job.users)}${unit}${noun} × ${duration(job.duration)}`;
  const values = [stages[0].from, ...stages.map(({ to }) => to)].filter((value, index, all) => value !== all[index - 1]);
  const shown = values.length > 6 ? [...values.slice(0, 3), null, ...values.slice(-2)] : values;
  return `${shown.map((value) => (value === null ? "…" : write(value))).join(" → ")}${unit}${noun} × ${duration(job.duration)}`;
}
