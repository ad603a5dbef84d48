// The dialog that confirms the cancellation of a job.

import { cancelJob, errorMessage } from "./api.js";
import { byId, setFields } from "./dom.js";

export class CancelDialog {
  /** `onClose()` is called after either button has closed the dialog. */
  constructor(dialog, onClose) {
    this.dialog = dialog;
    this.onClose = onClose;
    this.id = null;
    for (const button of dialog.querySelectorAll("button")) {
      button.addEventListener("click", () => this.close(button.value));
    }
  }

  open(job) {
    this.id = job.id;
    const text =
      job.state === "queued"
        ? "It is waiting in the queue. Cancel it and it will not run."
        : "The job stops after calls in flight return (up to 3 s). Its results so far are kept and delivered.";
    setFields(this.dialog, { name: job.name, text, error: "" });
    this.dialog.showModal();
  }

  async close(choice) {
    try {
      if (choice === "cancel") await cancelJob(this.id);
    } catch (error) {
      setFields(this.dialog, { error: errorMessage(error) });
      return;
    }
    this.dialog.close();
    // The button that opened the dialog disappears with the job's state.
    if (choice === "cancel") byId("job").focus({ preventScroll: true });
    this.onClose();
  }
}
