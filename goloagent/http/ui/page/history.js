// The table of all jobs, newest first, one page at a time.

import { listJobs } from "./api.js";
import { byId, element, setChip, setText, updateList } from "./dom.js";
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
    this.body = root.querySelector("tbody");
    this.filter = byId("filter");
    this.cursors = [""]; // `before` of each page up to the current one
    this.next = "";
    this.filter.addEventListener("submit", (event) => event.preventDefault());
    this.filter.addEventListener("input", () => this.go([""]));
    byId("newer").addEventListener("click", () => this.go(this.cursors.slice(0, -1)));
    byId("older").addEventListener("click", () => this.go([...this.cursors, this.next]));
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
    byId("history-empty").hidden = jobs.length > 0;
    setText(byId("history-empty"), state || name ? "No job matches." : "No jobs yet.");
    byId("pages").hidden = cursors.length === 1 && !next;
    byId("newer").disabled = cursors.length === 1;
    byId("older").disabled = !next;
    setText(byId("history-page"), `page ${cursors.length}`);
  }

  /** Mark the job that the page shows. */
  mark(id) {
    for (const row of this.body.children) {
      if (row.dataset.key === id) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }
}
