// Connects the parts of the page: polls the agent, subscribes to the running job, and shows both.

import { errorMessage, getHealth, getJob, getStatistics, listJobs, orNull } from "./api.js";
import { CancelDialog } from "./cancellation.js";
import { byId, setText } from "./dom.js";
import { JobEvents } from "./events.js";
import { rate } from "./format.js";
import { HealthPanel } from "./health.js";
import { JobHistory } from "./history.js";
import { JobPanel } from "./job.js";
import { LogTail } from "./log.js";
import { Queue } from "./queue.js";
import { hasEnded, isActive } from "./state.js";
import { StatisticsTable } from "./statistics.js";
import { SubmissionForm } from "./submission.js";

const POLL_MS = 2000;
const LOG_POLL_MS = 1000;

const panel = new JobPanel(byId("job"));
const statisticsTable = new StatisticsTable(byId("stats"), () => {
  completeId = null;
  poll();
});
const log = new LogTail(byId("log"));
const history = new JobHistory(document.querySelector(".history"));
const healthPanel = new HealthPanel(byId("health"), byId("notices"));
const cancelDialog = new CancelDialog(byId("cancel-dialog"), poll);
const queue = new Queue((job) => cancelDialog.open(job));
const form = new SubmissionForm(byId("form"), (id) => {
  form.updateBinaries();
  // Show the new job if no other runs.
  if (!jobs.some(isActive)) location.hash = id;
  poll();
});
const events = new JobEvents({
  onState(job) {
    stateEvents += 1;
    if (shown?.id === job.id) shown = job;
    show();
    poll();
  },
  onSample: show,
  onConnection: (isOpen) => setText(byId("stream"), isOpen ? "" : "Connection lost. Reconnecting…"),
});

let jobs = [];
let shown = null;
let statistics = null;
let completeId = null; // the job whose final statistics are shown
let stateEvents = 0; // events received: a response requested before the last one may be outdated
let polling = null;
let nextPoll = null;

/** Return the id of the job that the user chose, or "". */
const pinnedId = () => location.hash.slice(1).replace(/^job$/, "");

/** Return the id of the job to show: the chosen, running, latest or queued one. */
function selectedId() {
  const latest = jobs.find(isActive) ?? jobs.find((job) => hasEnded(job) && job.started_at) ?? jobs[0];
  return pinnedId() || latest?.id || null;
}

function show() {
  const running = jobs.find(isActive);
  const samples = shown !== null && shown.id === events.id ? events.samples : [];
  panel.show(shown, { isPinned: pinnedId() !== "", running, samples, statistics });
  statisticsTable.show(statistics);
  history.mark(shown?.id);
  const sample = running?.id === events.id ? events.samples.at(-1) : undefined;
  const callRate = sample ? ` ${rate(sample.calls_per_second)}/s` : "";
  document.title = running ? `${running.name}${callRate} · golo-agent` : "golo-agent";
}

/** Fetch the selected job and its statistics, until they are final. */
async function updateJob() {
  const id = selectedId();
  if (id !== null && id === completeId) return;
  const { query } = statisticsTable;
  const eventsBefore = stateEvents;
  const job = id === null ? null : await orNull(getJob(id));
  const fetched = job?.started_at ? await orNull(getStatistics(id, query)) : null;
  if (id !== selectedId() || query !== statisticsTable.query || eventsBefore !== stateEvents) return;
  shown = job;
  statistics = fetched;
  completeId = job !== null && hasEnded(job) && job.results.pending === 0 ? id : null;
  if (job !== null && !isActive(job)) await log.show(job);
}

async function update() {
  const [list, health] = await Promise.all([listJobs({ limit: 50 }), getHealth(), history.update()]);
  jobs = list.jobs;
  if (!jobs.some(isActive)) {
    // Cancelled jobs may have pushed the running one out of the list.
    jobs = [...jobs, ...(await listJobs({ state: "running" })).jobs];
  }
  healthPanel.show(health, jobs);
  queue.show(jobs.filter((job) => job.state === "queued"));
  const running = jobs.find(isActive);
  if (running) events.subscribe(running.id);
  else if (jobs.some((job) => job.id === events.id && hasEnded(job))) events.end();
  await updateJob();
  show();
}

/** Update the page; calls during an update share one further update. */
function poll() {
  if (polling !== null) {
    nextPoll ??= polling.then(() => {
      nextPoll = null;
      return poll();
    });
    return nextPoll;
  }
  polling = update()
    .catch((error) => healthPanel.showError(errorMessage(error)))
    .finally(() => {
      polling = null;
    });
  return polling;
}

async function pollLog() {
  if (!document.hidden && shown !== null && isActive(shown)) {
    await log.show(shown).catch(() => {}); // the health panel shows that the agent does not respond
  }
  setTimeout(pollLog, LOG_POLL_MS);
}

async function pollForever() {
  if (!document.hidden) await poll();
  setTimeout(pollForever, POLL_MS);
}

document.addEventListener("visibilitychange", () => document.hidden || poll());
window.addEventListener("hashchange", () => updateJob().then(show, poll));
byId("cancel").addEventListener("click", () => shown && cancelDialog.open(shown));
byId("again").addEventListener("click", () => shown && form.copy(shown));
form.updateBinaries();
pollForever();
pollLog();
