// What a running job tells each second. Reconnects by itself, and rests while nobody looks:
// a browser has six connections to an agent for all its tabs.

import { openEvents } from "./api.js";
import { KEPT_MS } from "./chart.js";
import { isOver } from "./state.js";

const AGAIN_MS = 2000;

/** Return what was told of a second, with the time as a number and its latency beside the rates. */
function sample(progress) {
  return { ...progress, ...progress.latency, time: Date.parse(progress.time) };
}

export class Live {
  /** `changed(job)` is told of states, `progressed()` of each second, `connected(bool)` of both. */
  constructor({ changed, progressed, connected }) {
    this.changed = changed;
    this.progressed = progressed;
    this.connected = connected;
    this.id = null;
    this.samples = [];
    this.events = null;
    this.over = false;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.rest() : this.open()));
  }

  /** Follow a job, forgetting the samples of the one before; again is nothing new. */
  follow(id) {
    if (id === this.id) return;
    this.rest();
    this.id = id;
    this.samples = [];
    this.over = false;
    this.open();
  }

  open() {
    if (this.id === null || this.over || this.events !== null || document.hidden) return;
    const events = openEvents(this.id);
    this.events = events;
    events.addEventListener("open", () => this.connected(true));
    events.addEventListener("state", (event) => this.hear(JSON.parse(event.data)));
    events.addEventListener("progress", (event) => this.keep(sample(JSON.parse(event.data))));
    events.addEventListener("error", () => {
      this.connected(false);
      // EventSource tries again by itself, unless it was refused for good.
      if (events.readyState !== EventSource.CLOSED || this.events !== events) return;
      this.events = null;
      setTimeout(() => this.open(), AGAIN_MS);
    });
  }

  hear(job) {
    if (isOver(job)) this.end();
    this.changed(job);
  }

  /** Hear no more: the job is over. */
  end() {
    this.over = true;
    this.rest();
    this.connected(true);
  }

  keep(sample) {
    const last = this.samples.at(-1);
    if (last !== undefined && sample.time <= last.time) return;
    this.samples = [...this.samples.filter(({ time }) => time > sample.time - KEPT_MS), sample];
    this.progressed();
  }

  rest() {
    this.events?.close();
    this.events = null;
  }
}
