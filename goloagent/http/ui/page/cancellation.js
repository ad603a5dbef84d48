// Asks before a job is cancelled, and cancels it.

import { cancelJob, Refused } from "./api.js";
import { fill } from "./dom.js";

export class Cancellation {
  /** `done()` is called after a job was cancelled. */
  constructor(dialog, done) {
    this.dialog = dialog;
    this.done = done;
    this.id = null;
    for (const button of dialog.querySelectorAll("button")) {
      button.addEventListener("click", () => this.close(button.value));
    }
  }

  /** Ask about `job`. */
  ask(job) {
    this.id = job.id;
    const waits = job.state === "queued";
    const text = waits
      ? "It waits in the queue and will not run."
      : "Calls in flight may return, then it ends. Its results so far are kept and delivered.";
    fill(this.dialog, { name: job.name, text, error: "" });
    this.dialog.showModal();
  }

  async close(answer) {
    try {
      if (answer === "cancel") await cancelJob(this.id);
    } catch (error) {
      fill(this.dialog, { error: error instanceof Refused ? error.message : "The agent does not answer." });
      return;
    }
    this.dialog.close();
    this.done();
  }
}
