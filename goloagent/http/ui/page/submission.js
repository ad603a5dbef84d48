// The form that uploads a load test, or selects an uploaded one, and queues a job.

import { deleteBinary, errorMessage, listBinaries, orNull, queueJob, upload } from "./api.js";
import { DataFiles } from "./data_files.js";
import { byId, element, setText, updateList } from "./dom.js";
import { formValues } from "./form_values.js";
import { bytes, dateTime, shortId } from "./format.js";
import { OutputChoice } from "./outputs.js";
import { buildRequest, FieldError } from "./request.js";

/** Return whether a field has another value than its default, which an input has as its placeholder. */
function isChanged(field) {
  if (field instanceof HTMLSelectElement) return field.selectedIndex > 0;
  return field.value !== "" && !(field instanceof HTMLInputElement && field.value === field.placeholder);
}

export class SubmissionForm {
  /** `onQueued(id)` is called for each new job. */
  constructor(form, onQueued) {
    this.form = form;
    this.fields = form.elements;
    this.onQueued = onQueued;
    this.button = form.querySelector(".primary");
    this.binaries = [];
    this.jobs = [];
    this.outputs = new OutputChoice(byId("outputs-field"));
    this.dataFiles = new DataFiles(this.fields.files, byId("files-list"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    form.addEventListener("input", () => this.updateFields());
    // A browser does not submit the form, nor say why, if the wrong field is in a closed disclosure.
    form.addEventListener("invalid", ({ target }) => this.reveal(target), true);
    this.fields.binary.addEventListener("focus", () => this.updateBinaries());
    byId("delete-binary").addEventListener("click", () => this.deleteBinary());
    this.updateFields();
  }

  /** Return how to name a binary: its file, the job that ran it last, or its id. */
  labelOf({ id, name }) {
    return name || this.jobs.find(({ binary }) => binary === id)?.name || shortId(id);
  }

  /** Label binaries without a name by the newest of `jobs` that ran them. */
  showJobs(jobs) {
    this.jobs = jobs;
  }

  /** Fetch and offer the uploaded binaries. */
  async updateBinaries() {
    this.binaries = (await orNull(listBinaries()))?.binaries ?? this.binaries;
    this.showBinaries();
  }

  async deleteBinary() {
    const binary = this.binaries.find(({ id }) => id === this.fields.binary.value);
    if (!binary) return;
    this.showResult("");
    try {
      await deleteBinary(binary.id);
      this.fields.binary.value = "";
      await this.updateBinaries();
      this.showResult(`Deleted ${this.labelOf(binary)}.`);
      this.fields.binary.focus();
    } catch (error) {
      this.showResult("", errorMessage(error));
    }
  }

  showBinaries(selected = this.fields.binary.value) {
    const known = this.binaries.map((binary) => ({
      id: binary.id,
      text: `${this.labelOf(binary)} · ${bytes(binary.size)} · ${dateTime(binary.uploaded_at)}`,
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
    this.updateFields();
  }

  /** Show the fields that the choices so far need. */
  updateFields() {
    const { binary, file, model, drive, stages, users, rate, duration, arrivals, abort } = this.fields;
    const isUploaded = binary.value !== "";
    const isOpen = model.value === "open";
    const hasStages = stages.value.trim() !== "";
    const isDriven = drive.value !== "self";
    byId("file-field").hidden = isUploaded;
    byId("delete-binary").hidden = !isUploaded;
    file.required = !isUploaded;
    byId("users-field").hidden = isOpen && isDriven;
    byId("users-hint").hidden = isDriven;
    byId("rate-field").hidden = !isOpen || !isDriven;
    for (const node of byId("form").querySelectorAll(".open-model")) node.hidden = !isOpen;
    byId("seed-field").hidden = !isOpen || arrivals.value !== "poisson";
    byId("delay-field").hidden = !abort.checked;
    users.disabled = (isOpen || hasStages) && isDriven;
    rate.disabled = !isOpen || hasStages || !isDriven;
    duration.disabled = hasStages && isDriven;
    byId("model-field").hidden = !isDriven;
    setText(byId("model-hint"), isOpen ? "Calls start on schedule, however slow the target is." : "Each user calls again as soon as its call has returned.");
    byId("stages-hint").hidden = !hasStages;
    setText(this.button, isUploaded ? "Queue" : "Upload and queue");
  }

  /** Copy the settings of `job` into the form. */
  copy(job) {
    const { files, ...values } = { files: job.files ?? [], ...formValues(job) };
    for (const [name, value] of Object.entries(values)) this.fields[name].value = value;
    this.fields.abort.checked = false; // the lines of the thresholds have it
    this.dataFiles.copy(files);
    this.outputs.choose(Object.keys(job.outputs ?? {}));
    this.showBinaries(job.binary);
    for (const details of this.form.querySelectorAll("details")) {
      const isFilled = [...details.querySelectorAll("textarea, select, input:not([type=checkbox])")].some(isChanged);
      details.open = isFilled || details.querySelector("li") !== null || (details.contains(this.outputs.fieldset) && this.outputs.isPartial);
    }
    const secret = (job.env ?? []).length ? " Enter the values of its environment variables." : "";
    this.showResult(`Settings copied from ${job.name} (${dateTime(job.queued_at)}).${secret}`);
    this.form.scrollIntoView({ block: "nearest" });
    this.button.focus();
  }

  showResult(status, error = "") {
    setText(byId("form-status"), status);
    setText(byId("form-error"), error);
  }

  get values() {
    return { ...Object.fromEntries(this.fieldNames.map((name) => [name, this.fields[name].value])), abort: this.fields.abort.checked };
  }

  get fieldNames() {
    return [
      ...["name", "model", "users", "rate", "duration", "stages", "start", "arrivals", "seed", "when_full"],
      ...["max_in_flight", "graceful_stop", "thresholds", "delay", "over", "args", "env", "tags", "drive"],
      ...["share_index", "share_of", "run"],
    ];
  }

  async submit() {
    const { binary, file } = this.fields;
    this.showResult("");
    this.button.disabled = true;
    try {
      const request = buildRequest(this.values);
      if (this.outputs.value) request.outputs = this.outputs.value;
      request.binary = binary.value || (await this.upload(file.files[0], "program"));
      // Another press of the button queues the same binary again, without another upload.
      this.showBinaries(request.binary);
      file.value = "";
      await this.dataFiles.upload((one) => this.upload(one, "file"));
      if (this.dataFiles.value.length) request.files = this.dataFiles.value;
      const { id, ignored = [] } = await queueJob(request);
      this.showResult(ignored.length ? `Queued. This agent ignores: ${ignored.join(", ")}.` : "Queued.");
      this.onQueued(id);
    } catch (error) {
      this.showResult("", error instanceof FieldError ? error.message : errorMessage(error));
      if (error instanceof FieldError) this.focusField(error.field);
    } finally {
      byId("upload").hidden = true;
      this.button.disabled = false;
    }
  }

  /** Focus a field, in an opened disclosure. */
  focusField(name) {
    const named = this.fields[name];
    const field = named instanceof RadioNodeList ? named[0] : named;
    this.reveal(field);
    field.focus();
  }

  reveal(field) {
    const details = field.closest("details");
    if (details) details.open = true;
  }

  async upload(file, kind) {
    byId("upload").hidden = false;
    byId("upload").value = 0;
    setText(byId("form-status"), `Uploading ${file.name}, ${bytes(file.size)}…`);
    return upload(file, kind, (part) => {
      byId("upload").value = part;
    });
  }
}
