// The table of all jobs, newest first, one page at a time. The page and the filters are in the address.

import { addressWith, parseAddress } from "./address.js";
import { listJobs } from "./api.js";
import { byId, element, setChip, setText, updateList } from "./dom.js";
import { errorFigures } from "./figures.js";
import { count, dateTime, latency, rate } from "./format.js";
import { planText } from "./plan.js";
import { hasEnded, outcome } from "./state.js";

const PAGE_SIZE = 20;
const FILTER_DELAY_MS = 200;

function createRow(job, onTick) {
  const tick = element("input", { type: "checkbox", "aria-label": `Compare ${job.name}` });
  tick.addEventListener("change", () => onTick(job.id, tick.checked));
  return element(
    "tr",
    {},
    element("td", { class: "tick wide" }, tick),
    element("td", {}, element("span", { class: "chip" })),
    element("td", { class: "name" }, element("a", {}), element("span", { class: "muted small narrow" })),
    element("td", { class: "wide" }),
    element("td", { class: "time wide" }),
    element("td", { class: "number wide" }),
    element("td", { class: "number wide" }),
    element("td", { class: "number" }),
    element("td", { class: "message wide" }),
  );
}

function updateRow(row, job, figures, isTicked) {
  const [tick, state, name, ...cells] = row.children;
  const key = outcome(job);
  setChip(state.firstChild, key, key === "did-not-pass" ? "failed checks" : key);
  tick.firstChild.checked = isTicked;
  tick.firstChild.disabled = !job.started_at;
  setText(name.firstChild, job.name);
  name.firstChild.href = addressWith({ id: job.id });
  name.firstChild.title = job.name;
  const message = job.verdict?.reason ?? job.message ?? "";
  setText(name.lastChild, [planText(job), dateTime(job.queued_at), message].filter(Boolean).join(" · "));
  const { failed, errors, share } = errorFigures(job, figures);
  const times = [dateTime(job.queued_at), hasEnded(job) ? rate(callRate(job)) : "–"];
  const texts = [planText(job), ...times, latency(figures?.latency?.p95), job.started_at ? share : "–", message];
  cells.forEach((cell, index) => setText(cell, texts[index]));
  cells.at(-2).classList.toggle("bad", failed + errors > 0);
  cells.at(-1).title = message;
}

/** Return the average calls per second of a job between its start and its end. */
export function callRate(job) {
  const seconds = (Date.parse(job.ended_at) - Date.parse(job.started_at)) / 1000;
  return seconds > 0 ? job.calls.started / Math.max(1, Math.min(seconds, job.duration || seconds)) : null;
}

export class JobHistory {
  /** `figuresOf` are the `JobFigures`; `onTick(ids)` gets the ids of the jobs to compare. */
  constructor(root, figuresOf, onTick) {
    this.root = root;
    this.figuresOf = figuresOf;
    this.onTick = onTick;
    this.body = root.querySelector("tbody");
    this.filter = byId("filter");
    this.jobs = [];
    this.ticked = [];
    this.total = 0;
    this.showAddress();
    this.filter.addEventListener("submit", (event) => event.preventDefault());
    this.filter.addEventListener("input", () => {
      clearTimeout(this.delay);
      this.delay = setTimeout(() => this.go({ page: 1, ...Object.fromEntries(new FormData(this.filter)) }), FILTER_DELAY_MS);
    });
    const pages = { first: () => 1, newer: (page) => page - 1, older: (page) => page + 1, last: () => this.pages };
    for (const [id, target] of Object.entries(pages)) {
      byId(id).addEventListener("click", () => this.go({ page: target(this.page) }));
    }
  }

  get page() {
    return parseAddress(location.hash).page;
  }

  get pages() {
    return Math.max(1, Math.ceil(this.total / PAGE_SIZE));
  }

  /** Change the address; the previous one stays in the browser's history only if the page differs. */
  go(changes) {
    window.history.replaceState(null, "", addressWith(changes) || "#");
    return this.update();
  }

  /** Show the filters of the address in the form. */
  showAddress() {
    const { state, name } = parseAddress(location.hash);
    this.filter.elements.state.value = state;
    if (document.activeElement !== this.filter.elements.name) this.filter.elements.name.value = name;
  }

  /** Fetch the page of the address. */
  async update() {
    const { page, state, name } = parseAddress(location.hash);
    const found = await listJobs({ state, name_prefix: name, limit: PAGE_SIZE, offset: (page - 1) * PAGE_SIZE });
    const now = parseAddress(location.hash);
    if (now.page !== page || now.state !== state || now.name !== name) return;
    this.total = found.total;
    if (page > this.pages) {
      await this.go({ page: this.pages });
      return;
    }
    this.jobs = found.jobs;
    this.figuresOf.request(this.jobs);
    this.draw();
    byId("history-empty").hidden = found.jobs.length > 0;
    setText(byId("history-empty"), state || name ? "No job matches." : "No jobs yet.");
    byId("pages").hidden = this.pages === 1;
    for (const id of ["first", "newer"]) byId(id).disabled = page === 1;
    for (const id of ["last", "older"]) byId(id).disabled = page === this.pages;
    setText(byId("history-page"), `Page ${count(page)} of ${count(this.pages)} · ${count(this.total)} jobs`);
  }

  draw() {
    updateList(
      this.body,
      this.jobs,
      (job) => job.id,
      (job) => createRow(job, (id, isTicked) => this.tick(id, isTicked)),
      (row, job) => updateRow(row, job, this.figuresOf.get(job.id), this.ticked.includes(job.id)),
    );
    this.mark(this.shownId);
  }

  /** Select a job for the comparison; the two ticked last count. */
  tick(id, isTicked) {
    this.ticked = this.ticked.filter((ticked) => ticked !== id);
    if (isTicked) this.ticked = [...this.ticked, id].slice(-2);
    this.draw();
    this.onTick(this.ticked);
  }

  /** Mark the job that the page shows. */
  mark(id) {
    this.shownId = id;
    for (const row of this.body.children) {
      if (row.dataset.key === id) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }
}
