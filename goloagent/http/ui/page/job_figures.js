// The statistics of ended jobs in the history, fetched once each and one at a time.

import { getStatistics, orNull } from "./api.js";
import { hasEnded } from "./state.js";

const MAX_CACHED = 500;

export class JobFigures {
  /** `onFetched()` is called after each. */
  constructor(onFetched) {
    this.onFetched = onFetched;
    this.known = new Map();
    this.waiting = [];
    this.isFetching = false;
  }

  get(id) {
    return this.known.get(id) ?? undefined;
  }

  /** Fetch the statistics of those of `jobs` that are final and not known yet. */
  request(jobs) {
    const isFinal = (job) => job.started_at && hasEnded(job) && !this.known.has(job.id);
    this.waiting = jobs.filter(isFinal).map(({ id }) => id);
    if (!this.isFetching) this.fetchAll();
  }

  async fetchAll() {
    this.isFetching = true;
    try {
      for (let id = this.waiting.shift(); id !== undefined; id = this.waiting.shift()) {
        this.known.set(id, await orNull(getStatistics(id, "rows=0")));
        if (this.known.size > MAX_CACHED) this.known.delete(this.known.keys().next().value);
        this.onFetched();
      }
    } catch {
      this.waiting = []; // the agent does not respond; the next page of jobs asks again
    } finally {
      this.isFetching = false;
    }
  }
}
