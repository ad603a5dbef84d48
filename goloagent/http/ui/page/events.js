// Subscribes to the server-sent events of the running job and keeps their samples. Disconnects while
// the page is hidden, because a browser opens at most six connections to an agent for all its tabs.

import { openEvents } from "./api.js";
import { MAX_WINDOW_MS } from "./chart.js";
import { hasEnded } from "./state.js";

const RETRY_MS = 2000;

/** Return the sample of a progress event: rates and latencies side by side, the time in milliseconds. */
function toSample(progress) {
  return { ...progress, ...progress.latency, time: Date.parse(progress.time) };
}

export class JobEvents {
  /** `onState(job)` is called for each state, `onSample()` for each second, `onConnection(isOpen)` for both ends. */
  constructor({ onState, onSample, onConnection }) {
    this.onState = onState;
    this.onSample = onSample;
    this.onConnection = onConnection;
    this.id = null;
    this.samples = [];
    this.source = null;
    this.ended = false;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.disconnect() : this.connect()));
  }

  /** Subscribe to a job and drop the samples of the previous one. */
  subscribe(id) {
    if (id === this.id) return;
    this.disconnect();
    this.id = id;
    this.samples = [];
    this.ended = false;
    this.connect();
  }

  /** Unsubscribe because the job has ended. */
  end() {
    this.ended = true;
    this.disconnect();
    this.onConnection(true);
  }

  connect() {
    if (this.id === null || this.ended || this.source !== null || document.hidden) return;
    const source = openEvents(this.id);
    this.source = source;
    source.addEventListener("open", () => this.onConnection(true));
    source.addEventListener("state", (event) => this.receiveState(JSON.parse(event.data)));
    source.addEventListener("progress", (event) => this.append(toSample(JSON.parse(event.data))));
    source.addEventListener("error", () => {
      this.onConnection(false);
      // EventSource reconnects by itself, except after an error response.
      if (source.readyState !== EventSource.CLOSED || this.source !== source) return;
      this.source = null;
      setTimeout(() => this.connect(), RETRY_MS);
    });
  }

  disconnect() {
    this.source?.close();
    this.source = null;
  }

  receiveState(job) {
    if (hasEnded(job)) this.end();
    this.onState(job);
  }

  append(sample) {
    if (sample.time <= (this.samples.at(-1)?.time ?? 0)) return;
    this.samples = [...this.samples.filter(({ time }) => time > sample.time - MAX_WINDOW_MS), sample];
    this.onSample();
  }
}
