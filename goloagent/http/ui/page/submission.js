// The form that uploads a load test, or takes one that is there, and queues a job.

import { listBinaries, queueJob, Refused, upload } from "./api.js";
import { element, list, setText } from "./dom.js";
import { bytes, moment, short } from "./format.js";

export class Submission {
  /** `queued(id)` is told of each new job. */
  constructor(form, queued) {
    this.form = form;
    this.fields = form.elements;
    this.queued = queued;
    this.file = form.querySelector("#file-field");
    this.progress = form.querySelector("#upload");
    this.button = form.querySelector("button");
    this.status = form.querySelector("#form-status");
    this.error = form.querySelector("#form-error");
    this.binaries = [];
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.fields.binary.addEventListener("change", () => this.choose());
    this.fields.binary.addEventListener("focus", () => this.offer());
  }

  /** Offer the binaries that the agent has. */
  async offer() {
    try {
      this.binaries = (await listBinaries()).binaries;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
    this.showBinaries();
  }

  showBinaries(wanted = this.fields.binary.value) {
    const known = this.binaries.map(({ id, size, uploaded_at }) => ({
      id,
      text: `${short(id)} · ${bytes(size)} · ${moment(uploaded_at)}`,
    }));
    const missing = wanted && !known.some(({ id }) => id === wanted) ? [{ id: wanted, text: short(wanted) }] : [];
    list(
      this.fields.binary,
      [{ id: "", text: "Upload a file…" }, ...missing, ...known],
      ({ id }) => id,
      ({ id }) => element("option", { value: id }),
      (option, { text }) => setText(option, text),
    );
    this.fields.binary.value = wanted;
    this.choose();
  }

  choose() {
    const stored = this.fields.binary.value !== "";
    this.file.hidden = stored;
    this.fields.file.required = !stored;
    setText(this.button, stored ? "Queue" : "Upload and queue");
  }

  /** Fill in what `job` was asked for. */
  repeat(job) {
    this.showBinaries(job.binary);
    this.fields.name.value = job.name;
    this.fields.users.value = job.users;
    this.fields.duration.value = job.duration;
    setText(this.status, `As ${job.name} of ${moment(job.queued_at)}.`);
    setText(this.error, "");
    this.form.scrollIntoView({ block: "nearest" });
    this.button.focus();
  }

  async submit() {
    const { binary, file, name, users, duration } = this.fields;
    const request = { name: name.value, users: users.valueAsNumber, duration: duration.valueAsNumber };
    setText(this.error, "");
    this.button.disabled = true;
    try {
      request.binary = binary.value || (await this.upload(file.files[0]));
      const { id } = await queueJob(request);
      setText(this.status, "Queued.");
      this.queued(id);
    } catch (error) {
      setText(this.status, "");
      setText(this.error, error instanceof Refused ? error.message : "The agent does not answer.");
    } finally {
      this.progress.hidden = true;
      this.button.disabled = false;
    }
  }

  async upload(file) {
    this.progress.hidden = false;
    this.progress.value = 0;
    setText(this.status, `Uploading ${bytes(file.size)}…`);
    return upload(file, (part) => {
      this.progress.value = part;
    });
  }
}
