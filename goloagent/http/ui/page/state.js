// A job's state and load.

import { count, duration } from "./format.js";

const ACTIVE = ["starting", "running", "stopping"];

export function isActive(job) {
  return ACTIVE.includes(job.state);
}

export function hasEnded(job) {
  return !isActive(job) && job.state !== "queued";
}

/** Write a job's load: users and duration. */
export function load(job) {
  return `${count(job.users)} ${job.users === 1 ? "user" : "users"} × ${duration(job.duration)}`;
}
