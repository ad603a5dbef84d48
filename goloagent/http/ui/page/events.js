// Subscribes to the server-sent events of the running job. Disconnects while the page is hidden,
// because a browser opens at most six connections to an agent for all its tabs.

import { openEvents } from "./api.js";
import { hasEnded } from "./state.js";

const RETRY_MS = 2000;

export class JobEvents {
  /**
   * `onState(job)` is called for each state, `onProgress(id, progress)` for each second,
   * `onEvent(id, name, value)` for each change, limit and verdict, `onConnection(isOpen)` for both ends.
   */
  constructor({ onState, onProgress, onEvent, onConnection }) {
    this.onState = onState;
    this.onProgress = onProgress;
    this.onEvent = onEvent;
    this.onConnection = onConnection;
    this.id = null;
    this.last = null; // the progress of the last second
    this.source = null;
    this.ended = false;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.disconnect() : this.connect()));
  }

  /** Subscribe to a job instead of the previous one. */
  subscribe(id) {
    if (id === this.id) return;
    this.disconnect();
    this.id = id;
    this.last = null;
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
    const { id } = this;
    const source = openEvents(id);
    this.source = source;
    const listen = (name, receive) =>
      source.addEventListener(name, (event) => this.source === source && receive(JSON.parse(event.data)));
    source.addEventListener("open", () => this.onConnection(true));
    listen("state", (job) => this.receiveState(job));
    listen("progress", (progress) => this.receiveProgress(progress));
    for (const name of ["change", "limited", "verdict"]) listen(name, (value) => this.onEvent(id, name, value));
    source.addEventListener("error", () => {
      if (this.source !== source) return;
      this.onConnection(false);
      // EventSource reconnects by itself, except after an error response.
      if (source.readyState !== EventSource.CLOSED) return;
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

  receiveProgress(progress) {
    this.last = progress;
    this.onProgress(this.id, progress);
  }
}
