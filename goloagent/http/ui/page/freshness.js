// Says that the figures are old while the agent or the network is slow.

import { setText } from "./dom.js";

const OLD_MS = 5000;
const STEP_MS = 5000;

/** Return what to say about figures of an age, in steps so that it rarely changes. */
export function ageText(ageMs) {
  if (ageMs < OLD_MS) return "";
  return `The figures are more than ${(Math.floor(ageMs / STEP_MS) * STEP_MS) / 1000} s old. The agent answers slowly.`;
}

export class Freshness {
  constructor(node) {
    this.node = node;
    this.fetchedAt = null;
    this.begunAt = null;
    setInterval(() => this.show(), 1000);
  }

  /** An update begins. */
  begin() {
    this.begunAt = Date.now();
  }

  /** An update was received. */
  end() {
    this.fetchedAt = this.begunAt;
    this.begunAt = null;
    this.show();
  }

  show() {
    const now = Date.now();
    // A tab that was hidden has old figures too, but the update takes only a moment.
    const isSlow = this.fetchedAt !== null && this.begunAt !== null && now - this.begunAt > 2000;
    const text = isSlow ? ageText(now - this.fetchedAt) : "";
    setText(this.node, text);
    this.node.hidden = !text;
  }
}
