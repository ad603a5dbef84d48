// The table of all jobs, newest first, one page at a time.

import { listJobs } from "./api.js";
import { element, setChip, setText, updateList } from "./dom.js";
import { count, dateTime } from "./format.js";
import { load } from "./state.js";

const PAGE_SIZE = 20;

function createRow(job) {
  return element(
    "tr",
    {},
    element("td", {}, element("span", { class: "chip" })),
    element("td", { class: "name" }, element("a", { href: `#${job.id}` })),
    element("td", { class: "wide" }),
    element("td", { class: "time" }),
    element("td", { class: "number" }),
    element("td", { class: "number wide" }),
    element("td", { class: "message wide" }),
  );
}

function updateRow(row, job) {
  const [state, name, ...cells] = row.children;
  setChip(state.firstChild, job.state);
  setText(name.firstChild, job.name);
  const message = job.message ?? "";
  const texts = [load(job), dateTime(job.queued_at), count(job.results.read), count(job.calls.failed), message];
  cells.forEach((cell, index) => setText(cell, texts[index]));
  cells.at(-1).title = message;
}

export class JobHistory {
  constructor(root) {
    const find = (id) => root.querySelector(`#${id}`);
    this.body = root.querySelector("tbody");
    this.empty = find("history-empty");
    this.page = find("history-page");
    this.pages = find("pages");
    this.newer = find("newer");
    this.older = find("older");
    this.filter = find("filter");
    this.cursors = [""]; // `before` of each page up to the current one
    this.next = "";
    this.filter.addEventListener("submit", (event) => event.preventDefault());
    this.filter.addEventListener("input", () => this.go([""]));
    this.newer.addEventListener("click", () => this.go(this.cursors.slice(0, -1)));
    this.older.addEventListener("click", () => this.go([...this.cursors, this.next]));
  }

  go(cursors) {
    this.cursors = cursors;
    return this.update();
  }

  /** Fetch the current page. */
  async update() {
    const { cursors } = this;
    const filter = () => Object.fromEntries(new FormData(this.filter));
    const { state, name } = filter();
    const { jobs, next } = await listJobs({ state, name, limit: PAGE_SIZE, before: cursors.at(-1) });
    if (cursors !== this.cursors || filter().state !== state || filter().name !== name) return;
    updateList(this.body, jobs, (job) => job.id, createRow, updateRow);
    this.next = next ? jobs.at(-1).id : "";
    this.empty.hidden = jobs.length > 0;
    setText(this.empty, state || name ? "No job matches." : "No jobs yet.");
    this.pages.hidden = cursors.length === 1 && !next;
    this.newer.disabled = cursors.length === 1;
    this.older.disabled = !next;
    setText(this.page, `page ${cursors.length}`);
  }

  /** Mark the job that the page shows. */
  mark(id) {
    for (const row of this.body.children) {
      if (row.dataset.key === id) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }
}
