// The table of a job's results by method, URL and status, to be sorted by any column.

import { element, list, setText } from "./dom.js";
import { bytes, count, latency } from "./format.js";

const SHOWN = 100;

const percentile = (key) => ({ label: key, of: (row) => row.latency?.[key], text: latency });

const COLUMNS = [
  { label: "Method", of: (row) => row.method, text: (method) => method || "–", words: true },
  { label: "URL", of: (row) => row.url, text: (url) => url || "–", words: true, name: "url" },
  { label: "Status", of: (row) => row.status, text: (status) => String(status) },
  { label: "Results", of: (row) => row.results, text: count },
  { label: "Errors", of: (row) => row.errors, text: count, alarming: true },
  percentile("p50"),
  percentile("p95"),
  percentile("p99"),
  percentile("max"),
  { label: "Bytes", of: (row) => row.bytes, text: bytes },
];

function compare(a, b) {
  if (typeof a === "string") return -a.localeCompare(b);
  return (a ?? -1) - (b ?? -1);
}

export class StatisticsTable {
  constructor(root) {
    this.root = root;
    this.note = root.querySelector('[data-field="stats-note"]');
    this.body = root.querySelector("tbody");
    this.statistics = null;
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
    this.show(this.statistics);
  }

  /** Show statistics, or nothing when there are none. */
  show(statistics) {
    this.statistics = statistics;
    const rows = statistics?.rows ?? [];
    this.root.hidden = rows.length === 0;
    const sign = this.descending ? -1 : 1;
    const { of } = this.sorted;
    const shown = [...rows].sort((a, b) => sign * compare(of(a), of(b))).slice(0, SHOWN);
    this.heads.forEach((head, index) => {
      const order = this.descending ? "descending" : "ascending";
      head.setAttribute("aria-sort", COLUMNS[index] === this.sorted ? order : "none");
    });
    const other = statistics?.other ? [{ ...statistics.other, method: "", url: "all others", status: "" }] : [];
    const key = (row) => JSON.stringify([row.method, row.url, row.status]);
    list(this.body, [...shown, ...other], key, () => this.row(), (node, row) => this.update(node, row));
    setText(this.note, rows.length > SHOWN ? `${SHOWN} of ${count(rows.length)} rows` : "");
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
