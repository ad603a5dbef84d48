// All jobs, the newest first, a page at a time.

import { listJobs } from "./api.js";
import { element, list, setChip, setText } from "./dom.js";
import { count, moment } from "./format.js";
import { load } from "./state.js";

const PAGE = 20;

function update(row, job) {
  const [state, name, load_, queued, results, failed, why] = row.children;
  setChip(state.firstChild, job.state);
  setText(name.firstChild, job.name);
  setText(load_, load(job));
  setText(queued, moment(job.queued_at));
  setText(results, count(job.results.read));
  setText(failed, count(job.calls.failed));
  setText(why, job.message ?? "");
  why.title = job.message ?? "";
}

function create(job) {
  return element(
    "tr",
    {},
    element("td", {}, element("span", { class: "chip" })),
    element("td", { class: "name" }, element("a", { href: `#${job.id}` })),
    element("td", { class: "wide" }),
    element("td", { class: "time" }),
    element("td", { class: "number" }),
    element("td", { class: "number wide" }),
    element("td", { class: "why wide" }),
  );
}

export class History {
  constructor(root) {
    const find = (id) => root.querySelector(`#${id}`);
    this.body = root.querySelector("tbody");
    this.empty = find("history-empty");
    this.page = find("history-page");
    this.pages = find("pages");
    this.newer = find("newer");
    this.older = find("older");
    this.filter = find("filter");
    this.begins = [""]; // what each page up to this one comes `before`
    this.next = "";
    this.filter.addEventListener("submit", (event) => event.preventDefault());
    this.filter.addEventListener("input", () => this.turn([""]));
    this.newer.addEventListener("click", () => this.turn(this.begins.slice(0, -1)));
    this.older.addEventListener("click", () => this.turn([...this.begins, this.next]));
  }

  turn(begins) {
    this.begins = begins;
    return this.update();
  }

  /** Ask for the page anew. */
  async update() {
    const { begins } = this;
    const { state, name } = Object.fromEntries(new FormData(this.filter));
    const { jobs, next } = await listJobs({ state, name, limit: PAGE, before: begins.at(-1) });
    const asked = Object.fromEntries(new FormData(this.filter));
    if (begins !== this.begins || asked.state !== state || asked.name !== name) return;
    list(this.body, jobs, (job) => job.id, create, update);
    this.next = next ? jobs.at(-1).id : "";
    this.empty.hidden = jobs.length > 0;
    setText(this.empty, state || name ? "No such job." : "No jobs yet.");
    this.pages.hidden = begins.length === 1 && !next;
    this.newer.disabled = begins.length === 1;
    this.older.disabled = !next;
    setText(this.page, `page ${begins.length}`);
  }

  /** Mark the job that is shown. */
  mark(id) {
    for (const row of this.body.children) {
      if (row.dataset.key === id) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }
}
