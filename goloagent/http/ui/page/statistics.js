// The table of a job's results by method, URL and status. The agent sorts; only the first rows are sent.

import { element, setText, updateList } from "./dom.js";
import { bytes, count, latency } from "./format.js";

const MAX_ROWS = 100;

const word = (key, label, column) => ({ key, label, format: (text) => text || "–", ...column });
const number = (key, label, column) => ({ key, label, format: count, class: "number", ...column });
const percentile = (key) => number(key, key, { format: latency, value: (row) => row.latency?.[key] });

const COLUMNS = [
  word("method", "Method"),
  word("url", "URL", { class: "url" }),
  number("status", "Status", { format: String }),
  number("results", "Results"),
  number("errors", "Errors"),
  percentile("p50"),
  percentile("p95"),
  percentile("p99"),
  percentile("max"),
  number("bytes", "Bytes", { format: bytes }),
];

const rowKey = ({ method, url, status }) => JSON.stringify([method, url, status]);

function createRow() {
  return element("tr", {}, ...COLUMNS.map((column) => element("td", { class: column.class })));
}

function updateRow(node, row) {
  COLUMNS.forEach(({ key, format, value = (row) => row[key] }, index) => {
    const cell = node.children[index];
    setText(cell, format(value(row)));
    if (key === "url") cell.title = row.url;
    if (key === "errors") cell.classList.toggle("bad", Boolean(row.errors));
  });
}

export class StatisticsTable {
  /** `onSort()` is called when `query` has changed. */
  constructor(root, onSort) {
    this.root = root;
    this.onSort = onSort;
    this.note = root.querySelector('[data-field="stats-note"]');
    this.body = root.querySelector("tbody");
    this.sort = "results";
    this.order = "desc";
    this.headings = COLUMNS.map((column) => this.createHeading(column));
    root.querySelector("thead tr").append(...this.headings);
  }

  createHeading({ key, label, class: name }) {
    const button = element("button", { type: "button" }, label);
    button.addEventListener("click", () => this.sortBy(key));
    return element("th", { scope: "col", class: name === "number" ? name : null }, button);
  }

  sortBy(key) {
    this.order = this.sort === key && this.order === "desc" ? "asc" : "desc";
    this.sort = key;
    this.onSort();
  }

  /** The query that selects and sorts the rows. */
  get query() {
    return `rows=${MAX_ROWS}&sort=${this.sort}&order=${this.order}`;
  }

  /** Show statistics, or hide the table if they are null or empty. */
  show(statistics) {
    const rows = statistics?.rows ?? [];
    this.root.hidden = rows.length === 0;
    this.headings.forEach((heading, index) => {
      const order = this.order === "desc" ? "descending" : "ascending";
      heading.setAttribute("aria-sort", COLUMNS[index].key === this.sort ? order : "none");
    });
    const other = statistics?.other ? [{ ...statistics.other, method: "", url: "all others", status: "" }] : [];
    updateList(this.body, [...rows, ...other], rowKey, createRow, updateRow);
    const total = statistics?.rows_total ?? 0;
    setText(this.note, total > rows.length ? `${count(rows.length)} of ${count(total)} rows` : "");
  }
}
