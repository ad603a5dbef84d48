// The timeline of one job: fetched from the agent, continued by the events of each second. Every tab
// has the same, also after a reload or while it was hidden, because gaps are fetched.

import { getTimeline, orNull } from "./api.js";
import { percentiles, windowSample } from "./samples.js";
import { hasEnded } from "./state.js";

const TOLERANCE_SECONDS = 0.5;

/** Return the sample of a progress event. */
export function progressSample(progress) {
  return {
    begin: progress.at,
    end: progress.at + 1,
    planned: progress.planned,
    started: progress.started_per_second,
    dropped: progress.dropped_per_second,
    calls: progress.calls_per_second,
    failed: progress.failed_per_second,
    results: progress.results_per_second,
    errors: progress.errors_per_second,
    flight: progress.in_flight,
    ...percentiles("p", progress.latency),
    ...percentiles("i", progress.iteration),
  };
}

/** Return whether the load of a job has begun. */
export function hasTimeline({ state, calls, results }) {
  return state === "running" || calls.started > 0 || results.read > 0;
}

export class Timeline {
  constructor() {
    this.reset(null);
  }

  reset(id) {
    this.id = id;
    this.samples = [];
    this.changes = [];
    this.missing = [];
    this.isStale = true;
    this.isComplete = false;
  }

  /** Fetch the timeline of `job` if it is another job, has a gap, or has ended since. */
  async update(job) {
    if (job?.id !== this.id) this.reset(job?.id ?? null);
    const isFinal = job !== null && hasEnded(job);
    if (job === null || !hasTimeline(job) || !(this.isStale || (isFinal && !this.isComplete))) return;
    const { id } = this;
    const fetched = await orNull(getTimeline(id));
    if (id !== this.id) return;
    this.isComplete = isFinal;
    this.isStale = fetched === null && !isFinal;
    if (fetched === null) return;
    const last = fetched.windows.at(-1);
    const newer = last && !isFinal ? this.samples.filter(({ begin }) => begin > last.at + TOLERANCE_SECONDS) : [];
    this.samples = [...fetched.windows.map(windowSample), ...newer];
    this.changes = fetched.changes;
    this.missing = fetched.missing;
  }

  /** Append the second of a progress event. */
  append(id, progress) {
    if (id !== this.id) return;
    const sample = progressSample(progress);
    const end = this.samples.at(-1)?.end ?? 0;
    if (sample.begin < end - TOLERANCE_SECONDS) return;
    if (sample.begin > end + TOLERANCE_SECONDS) this.isStale = true;
    this.samples = [...this.samples, sample];
  }

  /** Add a change of the load that was made now. */
  addChange(id, change) {
    if (id === this.id && !this.changes.some(({ at }) => at === change.at)) this.changes = [...this.changes, change];
  }

  /** The planned seconds after all changes. */
  duration(job) {
    return this.changes.findLast((change) => change.duration != null)?.duration ?? job.duration;
  }

  /** Whether the last change of that kind paused the load. */
  get isPaused() {
    return this.changes.findLast((change) => change.paused != null)?.paused ?? false;
  }
}
