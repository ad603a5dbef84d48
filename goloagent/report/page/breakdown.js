// The table by URL, or by URL and status: sorted by a click on a column's head, filtered by a text.

import { element, setText } from "./dom.js";
import { bytes, count, latency, percentage } from "./format.js";

export class Breakdown {
  constructor(root, report) {
    this.root = root;
    this.report = report;
    this.table = root.querySelector("table");
    if (!this.table) return;
    this.body = this.table.tBodies[0];
    this.head = this.table.tHead.rows[0];
    this.views = { urls: [...this.body.rows] };
    this.names = { urls: [...this.head.cells].map((cell) => cell.textContent) };
    this.filter = root.querySelector('input[type="search"]');
    this.note = root.querySelector('[data-field="shown"]');
    for (const control of root.querySelectorAll("fieldset, input")) control.hidden = false;
    for (const input of root.querySelectorAll('input[name="rows"]')) input.addEventListener("change", () => this.setView(input.value));
    this.filter.addEventListener("input", () => this.draw());
    this.setView("urls");
  }

  setView(view) {
    this.view = view;
    if (!this.views[view]) this.createRows();
    this.sort = { name: "results", isAscending: false };
    const heads = this.names[view].map((name, index) => {
      const button = element("button", { type: "button" }, name);
      button.addEventListener("click", () => this.sortBy(name));
      const isNumber = this.views[view][0].cells[index].classList.contains("number");
      return element("th", { scope: "col", class: isNumber ? "number" : null }, button);
    });
    this.head.replaceChildren(...heads);
    this.draw();
  }

  /** Create the rows by URL and status, which are not in the document. */
  createRows() {
    const others = this.report.other ? [{ ...this.report.other, method: "", url: "all others", status: "", isOther: true }] : [];
    this.views.rows = [...this.report.rows, ...others].map(createRow);
    const [method, url, ...figures] = this.names.urls;
    this.names.rows = [method, url, "status", ...figures];
  }

  sortBy(name) {
    this.sort = { name, isAscending: this.sort.name === name ? !this.sort.isAscending : ["method", "URL", "status"].includes(name) };
    this.draw();
  }

  draw() {
    const { name, isAscending } = this.sort;
    const column = this.names[this.view].indexOf(name);
    [...this.head.cells].forEach((cell, index) => {
      cell.setAttribute("aria-sort", index === column ? (isAscending ? "ascending" : "descending") : "none");
    });
    const rows = this.views[this.view];
    const own = rows.filter((row) => !row.classList.contains("others"));
    const direction = isAscending ? 1 : -1;
    const sorted = own.toSorted((one, other) => compare(one.cells[column], other.cells[column], direction));
    const text = this.filter.value.trim().toLowerCase();
    const matching = sorted.filter(({ cells: [method, url] }) => `${method.textContent} ${url.textContent}`.toLowerCase().includes(text));
    const rest = text ? [] : rows.filter((row) => row.classList.contains("others"));
    this.body.replaceChildren(...matching, ...rest);
    const noun = this.view === "urls" ? "URLs" : "rows";
    setText(this.note, text ? `${count(matching.length)} of ${count(own.length)} ${noun} match` : `${count(own.length)} ${noun}`);
  }
}

/** Compare two cells; a number that is not known comes last. */
function compare(one, other, direction) {
  const [a, b] = [one.dataset.value, other.dataset.value];
  if (a === undefined) return direction * one.textContent.localeCompare(other.textContent);
  if (a === "" || b === "") return (a === "") - (b === "");
  return direction * (Number(a) - Number(b));
}

function createRow(row) {
  const bad = row.errors ? " bad" : "";
  const number = (value, text, more = "") => element("td", { class: `number${more}`, "data-value": value ?? "" }, text);
  const time = (seconds) => number(seconds, latency(seconds));
  return element(
    "tr",
    { class: row.isOther ? "others" : null },
    element("td", {}, row.method),
    element("td", { class: "url" }, row.url),
    number(row.status, String(row.status)),
    number(row.results, count(row.results)),
    number(row.errors, count(row.errors), bad),
    number(row.results ? row.errors / row.results : 0, row.errors ? percentage(row.errors, row.results) : "0 %", bad),
    ...["p50", "p95", "p99", "max"].map((name) => time(row.latency?.[name])),
    number(row.bytes, bytes(row.bytes)),
  );
}
