// Where a job stands, and what it is to do, in a few words.

import { count, duration } from "./format.js";

const LIVE = ["starting", "running", "stopping"];

/** Whether a job is running, or about to begin or end. */
export function isLive(job) {
  return LIVE.includes(job.state);
}

/** Whether a job has ended. */
export function isOver(job) {
  return !isLive(job) && job.state !== "queued";
}

/** Return a job's load as a few words. */
export function load(job) {
  return `${count(job.users)} ${job.users === 1 ? "user" : "users"} × ${duration(job.duration)}`;
}
