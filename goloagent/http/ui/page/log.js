// The end of a log, asked for again each second: that costs the same however fast the log grows,
// and takes no connection for good.

import { logPath, logTail, Refused } from "./api.js";
import { setText } from "./dom.js";

const TAIL_BYTES = 16 * 1024;
const LINE_FEED = 10;

/** Decode the end of a log, without the part of a line with which it may begin. */
export function lines(tail, most) {
  const whole = tail.length < most ? tail : tail.subarray(tail.indexOf(LINE_FEED) + 1);
  return new TextDecoder().decode(whole);
}

export class LogTail {
  constructor(root) {
    this.root = root;
    this.tail = root.querySelector("#log-tail");
    this.whole = root.querySelector("#log-whole");
    this.follow = root.querySelector("#log-follow");
    this.files = [...root.querySelectorAll('input[name="log"]')];
    this.id = null;
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

  /** Show the end of a job's log; a job that was never started has none. */
  async show({ id, started_at: started }) {
    this.root.hidden = !started;
    if (id !== this.id) {
      setText(this.tail, "");
      this.follow.checked = true;
    }
    this.id = id;
    if (started) await this.update();
  }

  async update() {
    const { id, file } = this;
    if (id === null || !this.follow.checked) return;
    this.whole.href = logPath(id, file);
    const text = await logTail(id, file, TAIL_BYTES).then(
      (tail) => lines(tail, TAIL_BYTES),
      (error) => {
        if (error instanceof Refused) return error.message;
        throw error;
      },
    );
    if (id !== this.id || file !== this.file) return;
    setText(this.tail, text || "Nothing yet.");
    this.tail.classList.toggle("none", !text);
    this.tail.scrollTop = this.tail.scrollHeight;
  }
}
