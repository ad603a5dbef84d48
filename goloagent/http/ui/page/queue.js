// The queued jobs in the order in which they will run.

import { addressWith } from "./address.js";
import { byId, element, setText, updateList } from "./dom.js";
import { dateTime } from "./format.js";
import { planText } from "./plan.js";

export class Queue {
  /** `onCancel(job)` is called when a job's cancel button is pressed. */
  constructor(onCancel) {
    this.onCancel = onCancel;
  }

  /** Show `jobs`, newest first. */
  show(jobs) {
    setText(byId("queue-count"), jobs.length ? String(jobs.length) : "");
    byId("queue-empty").hidden = jobs.length > 0;
    setText(byId("queue-empty"), "The queue is empty.");
    updateList(byId("queue"), [...jobs].reverse(), (job) => job.id, (job) => this.createItem(job));
  }

  createItem(job) {
    const cancel = element("button", { type: "button", class: "quiet", "aria-label": `Cancel ${job.name}` }, "Cancel…");
    cancel.addEventListener("click", () => this.onCancel(job));
    const texts = [planText(job), `queued ${dateTime(job.queued_at)}`];
    const details = texts.map((text) => element("span", { class: "muted small" }, text));
    return element("li", {}, element("div", {}, element("a", { href: addressWith({ id: job.id }) }, job.name), ...details), cancel);
  }
}
