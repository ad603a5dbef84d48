// The table of a job's results by method, URL and status, sorted by any column: the agent sorts, and
// sends only what is shown.

import { element, list, setText } from "./dom.js";
import { bytes, count, latency } from "./format.js";

const SHOWN = 100;

const percentile = (key) => ({ label: key, sort: key, of: (row) => row.latency?.[key], text: latency });

const COLUMNS = [
  { label: "Method", sort: "method", of: (row) => row.method, text: (method) => method || "–", words: true },
  { label: "URL", sort: "url", of: (row) => row.url, text: (url) => url || "–", words: true, name: "url" },
  { label: "Status", sort: "status", of: (row) => row.status, text: (status) => String(status) },
  { label: "Results", sort: "results", of: (row) => row.results, text: count },
  { label: "Errors", sort: "errors", of: (row) => row.errors, text: count, alarming: true },
  percentile("p50"),
  percentile("p95"),
  percentile("p99"),
  percentile("max"),
  { label: "Bytes", sort: "bytes", of: (row) => row.bytes, text: bytes },
];

export class StatisticsTable {
  /** `sorted()` is called when the rows are to be asked for in another order: see `query`. */
  constructor(root, sorted) {
    this.root = root;
    this.changed = sorted;
    this.note = root.querySelector('[data-field="stats-note"]');
    this.body = root.querySelector("tbody");
    this.sorted = COLUMNS.find(({ label }) => label === "Results");
    this.descending = true;
    this.heads = COLUMNS.map((column) => this.head(column));
    root.querySelector("thead tr").append(...this.heads);
  }

  head(column) {
    const button = element("button", { type: "button" }, column.label);
    button.addEventListener("click", () => this.sort(column));
    return element("th", { scope: "col", class: column.words ? null : "number" }, button);
  }

  sort(column) {
    this.descending = this.sorted === column ? !this.descending : true;
    this.sorted = column;
    this.changed();
  }

  /** Which rows to ask for. */
  get query() {
    return `rows=${SHOWN}&sort=${this.sorted.sort}&order=${this.descending ? "desc" : "asc"}`;
  }

  /** Show statistics, or nothing when there are none. */
  show(statistics) {
    const rows = statistics?.rows ?? [];
    this.root.hidden = rows.length === 0;
    this.heads.forEach((head, index) => {
      const order = this.descending ? "descending" : "ascending";
      head.setAttribute("aria-sort", COLUMNS[index] === this.sorted ? order : "none");
    });
    const other = statistics?.other ? [{ ...statistics.other, method: "", url: "all others", status: "" }] : [];
    const key = (row) => JSON.stringify([row.method, row.url, row.status]);
    list(this.body, [...rows, ...other], key, () => this.row(), (node, row) => this.update(node, row));
    const total = statistics?.rows_total ?? 0;
    setText(this.note, total > rows.length ? `${count(rows.length)} of ${count(total)} rows` : "");
  }

  row() {
    return element("tr", {}, ...COLUMNS.map(({ words, name }) => element("td", { class: name ?? (words ? null : "number") })));
  }

  update(node, row) {
    COLUMNS.forEach(({ of, text, name, alarming }, index) => {
      const cell = node.children[index];
      setText(cell, text(of(row)));
      if (name === "url") cell.title = of(row);
      if (alarming) cell.classList.toggle("bad", Boolean(of(row)));
    });
  }
}
