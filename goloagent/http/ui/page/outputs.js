// The outputs of a job: what each has got, its trouble, and a button that gives its pending results up.

import { element, setChip, setText, updateList } from "./dom.js";
import { count, dateTime, duration } from "./format.js";
import { FieldError } from "./request.js";
import { hasEnded } from "./state.js";

const COLLECTOR = "collector";
const LABELS = { ok: "ok", retrying: "retrying", holding: "paused" };

/** Return the outputs of a job by name; an agent of before has the collector only. */
export function outputsOf(job) {
  if (job.outputs) return job.outputs;
  const { state, last_error, retry_at } = job.delivery;
  return state === "none" ? {} : { [COLLECTOR]: { ...job.results, state, last_error, retry_at, required: true, lag_seconds: 0 } };
}

/** Return whether nothing of a job is going to change at its outputs. */
export const isDelivered = (job) => Object.values(outputsOf(job)).every(({ complete, pending }) => complete ?? pending === 0);

/** Return the names of outputs whose delivery of a job fails or is paused. */
export const troubled = (job) => Object.entries(outputsOf(job)).filter(([, { state }]) => ["retrying", "holding"].includes(state)).map(([name]) => name);

function problem({ last_error: error, retry_at: retryAt }) {
  return [error, retryAt && `next attempt ${dateTime(retryAt)}`].filter(Boolean).join("; ");
}

export class OutputTable {
  /** `giveUp(job, name)` is called by the button of an output. */
  constructor(root, giveUp) {
    this.root = root;
    this.body = root.querySelector("tbody");
    this.giveUp = giveUp;
  }

  /** Show the outputs of `job`, unless all that there is to show is a collector without trouble. */
  show(job) {
    const outputs = Object.entries(outputsOf(job)).map(([name, output]) => ({ name, ...output }));
    const isPlain = outputs.every(({ name, state, pending }) => name === COLLECTOR && state === "ok" && !(pending && hasEnded(job)));
    this.root.hidden = isPlain;
    if (isPlain) return;
    this.job = job;
    updateList(this.body, outputs, ({ name }) => name, (output) => this.createRow(output), (row, output) => this.updateRow(row, output));
  }

  createRow({ name }) {
    const button = element("button", { type: "button", class: "quiet", "aria-label": `Give up the results pending for ${name}` }, "Give up…");
    button.addEventListener("click", () => this.giveUp(this.job, name));
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, name),
      element("td", {}, element("span", { class: "chip" })),
      ...["number wide", "number", "number wide", "number wide", "number wide"].map((kind) => element("td", { class: kind })),
      element("td", { class: "text" }, element("span"), button),
    );
  }

  updateRow(row, output) {
    const [name, state, delivered, pending, rejected, abandoned, lag, trouble] = row.children;
    setText(name, output.required ? output.name : `${output.name} (not required)`);
    setChip(state.firstChild, output.state, LABELS[output.state] ?? output.state);
    const numbers = [[delivered, "delivered"], [pending, "pending"], [rejected, "rejected"], [abandoned, "abandoned"]];
    for (const [cell, member] of numbers) setText(cell, count(output[member]));
    setText(lag, output.lag_seconds ? duration(output.lag_seconds) : "–");
    const [error, button] = trouble.children;
    setText(error, output.state === "ok" ? "" : problem(output));
    const canGiveUp = hasEnded(this.job) && (output.pending > 0 || output.complete === false);
    button.hidden = !canGiveUp;
  }
}

/** The checkboxes of the form, by which a job chooses its outputs. */
export class OutputChoice {
  constructor(fieldset) {
    this.fieldset = fieldset;
    this.list = fieldset.querySelector("div");
    this.names = [];
    this.chosen = null; // all
  }

  /** Offer the outputs of the agent's `health`, if there are several. */
  offer(health) {
    this.names = Object.keys(health.outputs ?? {});
    this.fieldset.hidden = this.names.length < 2;
    updateList(this.list, this.names, (name) => name, (name) => this.createBox(name));
  }

  createBox(name) {
    const box = element("input", { type: "checkbox", name: "output", value: name });
    box.checked = this.chosen === null || this.chosen.includes(name);
    return element("label", { class: "check" }, box, ` ${name}`);
  }

  /** Choose `names`, or all if they are not known here. */
  choose(names) {
    this.chosen = names.length ? names : null;
    for (const box of this.boxes) box.checked = this.chosen === null || this.chosen.includes(box.value);
  }

  get boxes() {
    return [...this.list.querySelectorAll("input")];
  }

  /** Whether some are not chosen. */
  get isPartial() {
    return !this.fieldset.hidden && !this.boxes.every(({ checked }) => checked);
  }

  /** The names to send: undefined for all outputs of the agent. */
  get value() {
    if (!this.isPartial) return undefined;
    const names = this.boxes.filter(({ checked }) => checked).map(({ value }) => value);
    if (!names.length) throw new FieldError("output", "Choose at least one output.");
    return names;
  }
}
