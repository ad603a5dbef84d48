// The data files of the form: those that were chosen, uploaded with the job, and those of a copied job.

import { element, updateList } from "./dom.js";

// How the agents of a fleet share the lines of a file.
const PARTS = {
  whole: { text: "whole for each agent", members: {} },
  lines: { text: "lines divided among a fleet's agents", members: { split: "lines" } },
  header: { text: "divided, the first line for each agent", members: { split: "lines", header: true } },
};

function partOf({ split, header }) {
  if (!split) return "whole";
  return header ? "header" : "lines";
}

export class DataFiles {
  constructor(input, list) {
    this.input = input;
    this.list = list;
    this.files = []; // {name, part} with the file, or with the id of its upload
    input.addEventListener("change", () => {
      for (const file of input.files) this.add(file);
      input.value = "";
      this.show();
    });
  }

  /** Add a file; one of the same name is replaced. */
  add(file) {
    const part = this.files.find(({ name }) => name === file.name)?.part ?? "whole";
    this.files = [...this.files.filter(({ name }) => name !== file.name), { name: file.name, file, part }];
  }

  /** Replace all by the `files` of a job. */
  copy(files) {
    this.files = files.map((file) => ({ name: file.name, binary: file.binary, part: partOf(file) }));
    this.show();
  }

  /** Upload what is not yet; `upload(file)` returns the id. Files stay for further jobs. */
  async upload(upload) {
    for (const one of this.files) one.binary ??= await upload(one.file);
  }

  /** Return the member `files` of the request. */
  get value() {
    return this.files.map(({ name, binary, part }) => ({ name, binary, ...PARTS[part].members }));
  }

  show() {
    updateList(this.list, this.files, ({ name }) => name, ({ name }) => this.createRow(name), (row, { part }) => {
      row.querySelector("select").value = part;
    });
  }

  createRow(name) {
    const options = Object.entries(PARTS).map(([part, { text }]) => element("option", { value: part }, text));
    const select = element("select", { "aria-label": `Lines of ${name}` }, ...options);
    select.addEventListener("change", () => {
      this.files.find((one) => one.name === name).part = select.value;
    });
    const button = element("button", { type: "button", class: "link", "aria-label": `Remove ${name}` }, "Remove");
    button.addEventListener("click", () => {
      this.files = this.files.filter((one) => one.name !== name);
      this.show();
      this.input.focus();
    });
    return element("li", {}, element("div", {}, element("span", {}, name), button), select);
  }
}
