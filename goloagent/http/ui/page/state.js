// A job's state.

const ACTIVE = ["starting", "running", "stopping"];

export function isActive(job) {
  return ACTIVE.includes(job.state);
}

export function hasEnded(job) {
  return !isActive(job) && job.state !== "queued";
}
