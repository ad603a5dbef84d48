// The dialog that confirms that pending results of an output are given up.

import { errorMessage, giveUpResults } from "./api.js";
import { byId, setFields } from "./dom.js";
import { count } from "./format.js";
import { outputsOf } from "./outputs.js";

export class GiveUpDialog {
  /** `onClose()` is called after either button has closed the dialog. */
  constructor(dialog, onClose) {
    this.dialog = dialog;
    this.onClose = onClose;
    for (const button of dialog.querySelectorAll("button")) {
      button.addEventListener("click", () => this.close(button.value));
    }
  }

  open(job, output) {
    this.id = job.id;
    this.output = output;
    const { pending } = outputsOf(job)[output];
    const results = pending === 1 ? "result" : "results";
    const text = `${count(pending)} ${results} of ${job.name} will not be sent to ${output}, and count as abandoned. They stay in out.log until retention removes it.`;
    setFields(this.dialog, { output, text, error: "" });
    this.dialog.showModal();
  }

  async close(choice) {
    try {
      if (choice === "give-up") await giveUpResults(this.id, this.output);
    } catch (error) {
      setFields(this.dialog, { error: errorMessage(error) });
      return;
    }
    this.dialog.close();
    // The button that opened the dialog disappears with the pending results.
    if (choice === "give-up") byId("job").focus({ preventScroll: true });
    this.onClose();
  }
}
