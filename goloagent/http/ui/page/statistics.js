// The table of a job's results by URL, or by URL and status. The agent sorts; only the first rows are
// sent unless the user asks for all or filters. While a job runs, known rows keep their places.

import { element, setText, updateList } from "./dom.js";
import { bytes, count, latency, percentage } from "./format.js";
import { commonPrefix, shortUrl } from "./url.js";

const DEFAULT_ROWS = 100;
const MAX_ROWS = 1000;
const URL_CHARACTERS = { wide: 52, narrow: 24 };

const number = (key, label, column) => ({ key, label, format: count, class: "number", ...column });
const percentile = (key) => number(key, key, { format: latency, value: (row) => row.latency?.[key] });
const share = ({ errors, results }) => (errors ? percentage(errors, results) : "0 %");

const METHOD = { key: "method", label: "Method", format: (text) => text || "–" };
const URL_COLUMN = { key: "url", label: "URL", class: "url" };
const STATUS = number("status", "Status", { format: String });
const FIGURES = [
  number("results", "Results"),
  number("errors", "Errors"),
  number("share", "Error share", { format: String, value: share, isUnsorted: true }),
  percentile("p50"),
  percentile("p95"),
  percentile("p99"),
  percentile("max"),
  number("bytes", "Bytes", { format: bytes }),
];
const COLUMNS = { urls: [METHOD, URL_COLUMN, ...FIGURES], rows: [METHOD, URL_COLUMN, STATUS, ...FIGURES] };

const rowKey = ({ method, url, status = "" }) => JSON.stringify([method, url, status]);

export class StatisticsTable {
  /** `onQuery()` is called when `query` has changed. */
  constructor(root, onQuery) {
    this.root = root;
    this.onQuery = onQuery;
    this.note = root.querySelector('[data-field="stats-note"]');
    this.body = root.querySelector("tbody");
    this.head = root.querySelector("thead tr");
    this.filter = root.querySelector('input[type="search"]');
    this.all = root.querySelector("button.all");
    this.prefix = root.querySelector('[data-field="prefix"]');
    this.narrow = matchMedia("(max-width: 760px)");
    this.sort = "results";
    this.order = "desc";
    this.showsAll = false;
    this.statistics = null;
    this.places = new Map();
    this.view = "";
    for (const input of root.querySelectorAll('input[name="view"]')) {
      input.addEventListener("change", () => this.setView(input.value));
    }
    this.filter.addEventListener("input", () => this.requestRows(true));
    this.all.addEventListener("click", () => this.requestRows(!this.showsAll));
    this.narrow.addEventListener("change", () => this.draw());
    this.setView("urls");
  }

  get columns() {
    return COLUMNS[this.view];
  }

  setView(view) {
    if (view === this.view) return;
    this.view = view;
    if (view === "urls" && this.sort === "status") this.sort = "results";
    this.places.clear();
    this.body.replaceChildren();
    this.headings = this.columns.map((column) => this.createHeading(column));
    this.head.replaceChildren(...this.headings);
    this.draw();
  }

  createHeading({ key, label, class: name, isUnsorted }) {
    const button = element(isUnsorted ? "span" : "button", isUnsorted ? {} : { type: "button" }, label);
    if (!isUnsorted) button.addEventListener("click", () => this.sortBy(key));
    return element("th", { scope: "col", class: name === "number" ? name : null }, button);
  }

  sortBy(key) {
    this.order = this.sort === key && this.order === "desc" ? "asc" : "desc";
    this.sort = key;
    this.places.clear();
    this.onQuery();
  }

  /** Ask for all rows; a filter applies to all of them. */
  requestRows(showsAll) {
    const hasChanged = showsAll !== this.showsAll;
    this.showsAll = showsAll;
    if (hasChanged) {
      this.places.clear();
      this.onQuery();
    }
    this.draw();
  }

  /** The query that selects and sorts the rows. */
  get query() {
    return `rows=${this.showsAll ? MAX_ROWS : DEFAULT_ROWS}&sort=${this.sort}&order=${this.order}`;
  }

  /** Show statistics, or hide the table if they are null or empty; `id` is their job. */
  show(id, statistics, isLive) {
    if (id !== this.id || !isLive) this.places.clear();
    this.id = id;
    this.statistics = statistics;
    this.draw();
  }

  draw() {
    const { statistics } = this;
    const rows = statistics?.[this.view] ?? [];
    this.root.hidden = (statistics?.rows ?? []).length === 0;
    if (this.root.hidden) return;
    this.headings.forEach((heading, index) => {
      const order = this.order === "desc" ? "descending" : "ascending";
      heading.setAttribute("aria-sort", this.columns[index].key === this.sort ? order : "none");
    });
    const text = this.filter.value.trim().toLowerCase();
    const matching = rows.filter(({ method, url }) => `${method ?? ""} ${url}`.toLowerCase().includes(text));
    const prefix = commonPrefix(rows.map(({ url }) => url));
    const rest = statistics[this.view === "urls" ? "other_urls" : "other"];
    const other = rest && !text ? [{ ...rest, method: "", url: "all others", status: "" }] : [];
    const length = this.narrow.matches ? URL_CHARACTERS.narrow : URL_CHARACTERS.wide;
    updateList(
      this.body,
      [...this.inPlace(matching), ...other],
      rowKey,
      () => this.createRow(),
      (node, row) => this.updateRow(node, row, prefix, length),
    );
    setText(this.prefix, prefix ? `URLs begin with ${prefix}` : "");
    this.showNote(matching.length, rows.length, text);
  }

  /** Return rows in the places that they have on the screen, new ones last. */
  inPlace(rows) {
    for (const row of rows) {
      const key = rowKey(row);
      if (!this.places.has(key)) this.places.set(key, this.places.size);
    }
    return rows.toSorted((one, other) => this.places.get(rowKey(one)) - this.places.get(rowKey(other)));
  }

  showNote(matching, shown, text) {
    const total = this.statistics[`${this.view}_total`] ?? shown;
    const noun = this.view === "urls" ? "URLs" : "rows";
    const part = text ? `${count(matching)} of ${count(total)} ${noun} match` : `${count(shown)} of ${count(total)} ${noun}`;
    setText(this.note, text || total > shown ? part : `${count(total)} ${noun}`);
    this.all.hidden = Boolean(text) || total <= DEFAULT_ROWS;
    setText(this.all, this.showsAll ? `Show ${DEFAULT_ROWS}` : `Show all ${count(total)}`);
  }

  createRow() {
    const cells = this.columns.map(({ key, class: name }) => {
      const cell = element("td", { class: name });
      if (key === "url") cell.append(createUrl());
      return cell;
    });
    return element("tr", {}, ...cells);
  }

  updateRow(node, row, prefix, length) {
    this.columns.forEach(({ key, format, value = (row) => row[key] }, index) => {
      const cell = node.children[index];
      if (key === "url") updateUrl(cell.firstChild, row.url, shortUrl(row.url, prefix, length));
      else setText(cell, format(value(row)));
      if (key === "errors" || key === "share") cell.classList.toggle("bad", Boolean(row.errors));
    });
  }
}

/** Create a button that shows the whole URL, by pointer, touch or keyboard. */
function createUrl() {
  const button = element("button", { type: "button", class: "whole", "aria-expanded": "false" });
  button.addEventListener("click", () => {
    const isExpanded = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!isExpanded));
    setText(button, isExpanded ? button.dataset.short : button.dataset.url);
  });
  return button;
}

function updateUrl(button, url, short) {
  button.dataset.url = url;
  button.dataset.short = short;
  button.title = url;
  button.disabled = url === short;
  setText(button, button.getAttribute("aria-expanded") === "true" ? url : short);
}
