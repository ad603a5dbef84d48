// The end of a log, polled: the cost does not depend on the log's size, and no connection stays open.

import { ApiError, getLogTail, logPath } from "./api.js";
import { byId, setText } from "./dom.js";
import { hasEnded } from "./state.js";

const TAIL_BYTES = 16 * 1024;
const LINE_FEED = 10;

/** Decode the end of a log without a partial first line. */
function decodeTail(tail) {
  const lines = tail.length < TAIL_BYTES ? tail : tail.subarray(tail.indexOf(LINE_FEED) + 1);
  return new TextDecoder().decode(lines);
}

export class LogTail {
  constructor(root) {
    this.root = root;
    this.tail = byId("log-tail");
    this.follow = byId("log-follow");
    this.files = [...root.querySelectorAll('input[name="log"]')];
    this.id = null;
    this.hasEnded = false;
    for (const input of this.files) {
      input.addEventListener("change", () => {
        setText(this.tail, "");
        this.update();
      });
    }
    this.follow.addEventListener("change", () => this.update());
  }

  get file() {
    return this.files.find((input) => input.checked).value;
  }

  /** Show the end of a job's log; a job that never started has none. */
  async show(job) {
    const { id, started_at: started } = job;
    this.root.hidden = !started;
    this.hasEnded = hasEnded(job);
    this.follow.parentElement.hidden = this.hasEnded;
    if (id !== this.id) {
      setText(this.tail, "");
      this.follow.checked = true;
    }
    this.id = id;
    if (started) await this.update();
  }

  async update() {
    const { id, file } = this;
    if (id === null || !(this.hasEnded || this.follow.checked)) return;
    byId("log-full").href = logPath(id, file);
    const text = await getLogTail(id, file, TAIL_BYTES).then(decodeTail, (error) => {
      if (error instanceof ApiError) return error.message;
      throw error;
    });
    if (id !== this.id || file !== this.file) return;
    setText(this.tail, text || "The log is empty.");
    this.tail.classList.toggle("none", !text);
    this.tail.scrollTop = this.tail.scrollHeight;
  }
}
