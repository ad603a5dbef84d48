// The form that uploads a load test, or selects an uploaded one, and queues a job.

import { errorMessage, listBinaries, orNull, queueJob, upload } from "./api.js";
import { byId, element, setText, updateList } from "./dom.js";
import { bytes, dateTime, shortId } from "./format.js";

export class SubmissionForm {
  /** `onQueued(id)` is called for each new job. */
  constructor(form, onQueued) {
    this.form = form;
    this.fields = form.elements;
    this.onQueued = onQueued;
    this.button = form.querySelector("button");
    this.binaries = [];
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.fields.binary.addEventListener("change", () => this.updateFileField());
    this.fields.binary.addEventListener("focus", () => this.updateBinaries());
  }

  /** Fetch and offer the uploaded binaries. */
  async updateBinaries() {
    this.binaries = (await orNull(listBinaries()))?.binaries ?? this.binaries;
    this.showBinaries();
  }

  showBinaries(selected = this.fields.binary.value) {
    const known = this.binaries.map(({ id, size, uploaded_at: uploaded }) => ({
      id,
      text: `${shortId(id)} · ${bytes(size)} · ${dateTime(uploaded)}`,
    }));
    const isMissing = selected && !known.some(({ id }) => id === selected);
    const missing = isMissing ? [{ id: selected, text: shortId(selected) }] : [];
    updateList(
      this.fields.binary,
      [{ id: "", text: "Upload a file…" }, ...missing, ...known],
      ({ id }) => id,
      ({ id }) => element("option", { value: id }),
      (option, { text }) => setText(option, text),
    );
    this.fields.binary.value = selected;
    this.updateFileField();
  }

  updateFileField() {
    const isUploaded = this.fields.binary.value !== "";
    byId("file-field").hidden = isUploaded;
    this.fields.file.required = !isUploaded;
    setText(this.button, isUploaded ? "Queue" : "Upload and queue");
  }

  /** Copy the settings of `job` into the form. */
  copy(job) {
    this.showBinaries(job.binary);
    this.fields.name.value = job.name;
    this.fields.users.value = job.users;
    this.fields.duration.value = job.duration;
    setText(byId("form-status"), `Settings copied from ${job.name} (${dateTime(job.queued_at)}).`);
    setText(byId("form-error"), "");
    this.form.scrollIntoView({ block: "nearest" });
    this.button.focus();
  }

  async submit() {
    const { binary, file, name, users, duration } = this.fields;
    const request = { name: name.value, users: users.valueAsNumber, duration: duration.valueAsNumber };
    setText(byId("form-error"), "");
    this.button.disabled = true;
    try {
      request.binary = binary.value || (await this.upload(file.files[0]));
      const { id } = await queueJob(request);
      setText(byId("form-status"), "Queued.");
      this.onQueued(id);
    } catch (error) {
      setText(byId("form-status"), "");
      setText(byId("form-error"), errorMessage(error));
    } finally {
      byId("upload").hidden = true;
      this.button.disabled = false;
    }
  }

  async upload(file) {
    byId("upload").hidden = false;
    byId("upload").value = 0;
    setText(byId("form-status"), `Uploading ${bytes(file.size)}…`);
    return upload(file, (part) => {
      byId("upload").value = part;
    });
  }
}
