// The jobs that wait, in the order in which they will run.

import { element, list, setText } from "./dom.js";
import { moment } from "./format.js";
import { load } from "./state.js";

export class Queue {
  /** `cancel(job)` is called for a job that is not to run. */
  constructor(root, count, empty, cancel) {
    this.root = root;
    this.count = count;
    this.empty = empty;
    this.cancel = cancel;
  }

  /** Show `jobs`, given the newest first. */
  show(jobs) {
    setText(this.count, jobs.length ? String(jobs.length) : "");
    this.empty.hidden = jobs.length > 0;
    list(this.root, [...jobs].reverse(), (job) => job.id, (job) => this.entry(job), () => {});
  }

  entry(job) {
    const cancel = element("button", { type: "button", class: "quiet", "aria-label": `Cancel ${job.name}` }, "Cancel…");
    cancel.addEventListener("click", () => this.cancel(job));
    return element(
      "li",
      {},
      element(
        "div",
        {},
        element("a", { href: `#${job.id}` }, job.name),
        element("span", { class: "muted small" }, load(job)),
        element("span", { class: "muted small" }, `queued ${moment(job.queued_at)}`),
      ),
      cancel,
    );
  }
}
