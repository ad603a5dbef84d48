// The times in which the load generator, not the target, was the limit.

import { elapsed } from "./format.js";

const CAUSES = {
  "agent-cpu": "the agent used a whole core",
  "loadtest-cpu": "the load test used a whole core, or all of them",
  "loop-lag": "the agent was late because its host was busy",
  "schedule-lag": "calls were sent later than planned",
  "cpu-steal": "the host of this virtual machine took CPU time away",
  descriptors: "the load test ran out of file descriptors",
  ports: "the load test ran out of ports",
  "stdout-blocked": "the load test waited for its results to be read",
  "memory-pressure": "the host ran out of memory",
};

/** Return the sentence of a cause. */
export const causeText = (cause) => CAUSES[cause] ?? cause;

/** Return notices that name the limited spans of a job, one for each cause. */
export function limitNotices(limited) {
  const byCause = new Map();
  for (const span of limited) byCause.set(span.cause, [...(byCause.get(span.cause) ?? []), span]);
  return [...byCause].map(([cause, spans]) => {
    const times = spans.slice(0, 4).map(({ from, to }) => `${elapsed(from)}–${elapsed(to)}`);
    const more = spans.length > 4 ? ` and ${spans.length - 4} more times` : "";
    const text = `The load generator was the limit at ${times.join(", ")}${more} (${cause}): ${causeText(cause)}.`;
    return { level: "warn", text: `${text} Figures of the shaded times may be those of the generator.` };
  });
}
