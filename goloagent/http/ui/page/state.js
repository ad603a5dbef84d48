// A job's state.

const ACTIVE = ["starting", "running", "stopping"];

export function isActive(job) {
  return ACTIVE.includes(job.state);
}

export function hasEnded(job) {
  return !isActive(job) && job.state !== "queued";
}

/** Return the state, or "passed" or "did-not-pass" for a job that ran to its end. */
export function outcome(job) {
  if (job.state !== "finished" || !job.verdict) return job.state;
  return job.verdict.passed ? "passed" : "did-not-pass";
}
