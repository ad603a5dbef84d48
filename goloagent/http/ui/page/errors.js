// The errors of a job by reason, the most frequent first, with their count and share.

import { element, setText, updateList } from "./dom.js";
import { count, percentage } from "./format.js";

const errorKey = ({ method, url, status, message }) => JSON.stringify([method, url, status, message]);
const isCall = ({ method, url }) => !method && !url;

/** Write where an error occurred. */
function place({ method, url, status, ...error }) {
  if (isCall({ method, url })) return "call to the load test";
  return [method, url, status ? `· ${status}` : "· no status"].filter(Boolean).join(" ");
}

export class ErrorTable {
  constructor(root) {
    this.root = root;
    this.note = root.querySelector('[data-field="errors-total"]');
    this.body = root.querySelector("tbody");
  }

  /** Show the groups of `statistics` or, before those are there, the ones of `job`; hide the table without errors. */
  show(job, statistics) {
    const groups = statistics?.errors_by_reason ?? job?.errors ?? [];
    this.root.hidden = groups.length === 0;
    if (this.root.hidden) return;
    // Counts of one moment: results are those of the statistics, calls and their errors of the job.
    const ofCalls = new Map((job.errors ?? []).filter(isCall).map((group) => [errorKey(group), group.count]));
    const wholes = {
      results: statistics?.results ?? job.results.valid,
      calls: job.calls.ok + job.calls.failed,
    };
    updateList(this.body, groups, errorKey, createRow, (row, group) => {
      const number = ofCalls.get(errorKey(group)) ?? group.count;
      updateRow(row, { ...group, count: number }, wholes);
    });
    const other = statistics?.other_errors ?? 0;
    setText(this.note, other ? `${count(other)} errors have other reasons` : "");
  }
}

function createRow() {
  const cells = ["number", "number", "place wide"].map((name) => element("td", { class: name }));
  const text = [element("span"), element("span", { class: "small narrow" })];
  return element("tr", {}, ...cells, element("td", { class: "text" }, ...text));
}

function updateRow(row, group, { results, calls }) {
  const [number, share, where, message] = row.children;
  setText(number, count(group.count));
  setText(share, isCall(group) ? `${percentage(group.count, calls)} of calls` : `${percentage(group.count, results)} of results`);
  setText(where, place(group));
  setText(message.firstChild, group.message || "no error text");
  setText(message.lastChild, place(group)); // where the column is hidden
}
