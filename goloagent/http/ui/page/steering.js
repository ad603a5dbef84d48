// The controls that change the load of a running job: users or rate, pause, more time.

import { changeJob, errorMessage } from "./api.js";
import { byId, setText } from "./dom.js";
import { duration } from "./format.js";
import { isOpen } from "./plan.js";

const MORE_SECONDS = 60;

export class SteeringControls {
  /** `onChange(job)` is called with the job after each change. */
  constructor(form, onChange) {
    this.form = form;
    this.onChange = onChange;
    this.job = null;
    this.isBusy = false;
    this.timeline = null;
    this.level = form.elements.level;
    this.pause = byId("pause");
    this.status = byId("steer-status");
    this.error = byId("steer-error");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.change({ [this.member]: this.level.valueAsNumber });
    });
    this.pause.addEventListener("click", () => this.change({ paused: !this.timeline.isPaused }));
    byId("more-time").addEventListener("click", () =>
      this.change({ duration: this.timeline.duration(this.job) + MORE_SECONDS }),
    );
  }

  get member() {
    return isOpen(this.job) ? "rate" : "users";
  }

  /** Show the controls while `job` runs; `planned` is its present load. */
  show(job, timeline, planned) {
    this.form.hidden = job.state !== "running" || job.drive === "self";
    if (this.form.hidden) return;
    if (job.id !== this.job?.id) {
      this.level.value = "";
      setText(this.status, "");
      setText(this.error, "");
    }
    this.job = job;
    this.timeline = timeline;
    const level = planned ?? job.users;
    setText(byId("level-label"), isOpen(job) ? "Rate (calls/s)" : "Users");
    this.level.step = isOpen(job) ? "any" : "1";
    this.level.placeholder = String(Math.round(level * 10) / 10);
    setText(this.pause, timeline.isPaused ? "Resume" : "Pause");
  }

  async change(change) {
    if (this.isBusy) return;
    const { id } = this.job;
    setText(this.status, "Changing…");
    setText(this.error, "");
    this.isBusy = true;
    try {
      const job = await changeJob(id, change);
      this.level.value = "";
      setText(this.status, this.describe(change));
      this.onChange(job);
    } catch (error) {
      setText(this.status, "");
      setText(this.error, errorMessage(error));
    } finally {
      this.isBusy = false;
    }
  }

  describe({ users, rate, paused, duration: seconds }) {
    if (paused !== undefined) return paused ? "Paused. Calls in flight return; no new call starts." : "Resumed.";
    if (seconds !== undefined) return `The job now runs for ${duration(seconds)}.`;
    return users === undefined ? `The rate is now ${rate} calls/s.` : `The job now has ${users} users.`;
  }
}
