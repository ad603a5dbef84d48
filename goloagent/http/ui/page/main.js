// Connects the parts of the page: polls the agent, subscribes to the running job, and shows both.

import { addressWith, parseAddress } from "./address.js";
import { errorMessage, getHealth, getJob, getStatistics, listJobs, orNull } from "./api.js";
import { CancelDialog } from "./cancellation.js";
import { ComparisonDialog } from "./comparison.js";
import { byId, setText } from "./dom.js";
import { JobEvents } from "./events.js";
import { rate } from "./format.js";
import { Freshness } from "./freshness.js";
import { GiveUpDialog } from "./give_up.js";
import { HealthPanel } from "./health.js";
import { JobHistory } from "./history.js";
import { JobPanel } from "./job.js";
import { JobFigures } from "./job_figures.js";
import { LogTail } from "./log.js";
import { isDelivered } from "./outputs.js";
import { Queue } from "./queue.js";
import { hasEnded, isActive } from "./state.js";
import { StatisticsTable } from "./statistics.js";
import { SteeringControls } from "./steering.js";
import { SubmissionForm } from "./submission.js";
import { Timeline } from "./timeline.js";

const POLL_MS = 2000;
const LOG_POLL_MS = 1000;

let jobs = [];
let shown; // the job on the page: undefined while it is loading, null if there is none
let statistics = null;
let completeId = null; // the job whose final statistics and timeline are shown
let stateEvents = 0; // events received: a response requested before the last one may be outdated
let polling = null;
let nextPoll = null;

const timeline = new Timeline();
const freshness = new Freshness(byId("age"));
const giveUpDialog = new GiveUpDialog(byId("give-up-dialog"), refetch);
const panel = new JobPanel(byId("job"), (job, output) => giveUpDialog.open(job, output));
const statisticsTable = new StatisticsTable(byId("stats"), refetch);
const log = new LogTail(byId("log"));
const figures = new JobFigures(() => history.draw());
const comparison = new ComparisonDialog(byId("comparison"));
const history = new JobHistory(document.querySelector(".history"), figures, (ids) => {
  byId("compare").disabled = ids.length !== 2;
});
const healthPanel = new HealthPanel(byId("health"), byId("notices"));
const cancelDialog = new CancelDialog(byId("cancel-dialog"), poll);
const queue = new Queue((job) => cancelDialog.open(job));
const steering = new SteeringControls(byId("steer"), (job) => {
  timeline.isStale = true;
  replace(job);
});
const form = new SubmissionForm(byId("form"), (id) => {
  form.updateBinaries();
  // Show the new job if no other runs.
  if (!jobs.some(isActive)) location.hash = addressWith({ id });
  poll();
});
const events = new JobEvents({
  onState: replace,
  onProgress(id, progress) {
    timeline.append(id, progress);
    show();
  },
  onEvent: receiveEvent,
  onConnection: (isOpen) => setText(byId("stream"), isOpen ? "" : "Connection lost. Reconnecting…"),
});

/** Return the id of the job to show: the chosen, running, latest or queued one. */
function selectedId() {
  const latest = jobs.find(isActive) ?? jobs.find((job) => hasEnded(job) && job.started_at) ?? jobs[0];
  return parseAddress(location.hash).id || latest?.id || null;
}

/** Show the newer state of a job. */
function replace(job) {
  stateEvents += 1;
  if (shown?.id === job.id) shown = job;
  show();
  poll();
}

function receiveEvent(id, name, value) {
  if (shown?.id !== id) return;
  if (name === "change") timeline.addChange(id, value);
  else if (name === "verdict") shown = { ...shown, verdict: value };
  else shown = { ...shown, limited: [...(shown.limited ?? []), value] };
  show();
}

function refetch() {
  completeId = null;
  poll();
}

function show() {
  const running = jobs.find(isActive);
  const progress = shown?.id === events.id ? (events.last ?? undefined) : undefined;
  const isPinned = parseAddress(location.hash).id !== "";
  panel.show(shown, { isPinned, running, progress, statistics, timeline });
  if (shown) steering.show(shown, timeline, progress?.planned);
  statisticsTable.show(shown?.id, statistics, Boolean(shown) && isActive(shown));
  byId("back").href = addressWith({ id: "" });
  history.mark(shown?.id);
  const callRate = running?.id === events.id && events.last ? ` ${rate(events.last.calls_per_second)}/s` : "";
  document.title = running ? `${running.name}${callRate} · golo-agent` : "golo-agent";
}

/** Fetch the selected job, then its statistics and timeline, until they are final. */
async function updateJob() {
  const id = selectedId();
  if (id !== null && id === completeId && id === shown?.id) return;
  const { query } = statisticsTable;
  const eventsBefore = stateEvents;
  const isOutdated = () => id !== selectedId() || query !== statisticsTable.query || eventsBefore !== stateEvents;
  if (id !== (shown?.id ?? null)) {
    shown = undefined;
    statistics = null;
  }
  const job = id === null ? null : await orNull(getJob(id));
  if (isOutdated()) return;
  shown = job;
  show();
  const fetched = job?.started_at ? await orNull(getStatistics(id, query)) : null;
  await timeline.update(job);
  if (isOutdated()) return;
  statistics = fetched;
  completeId = job !== null && hasEnded(job) && isDelivered(job) ? id : null;
  show();
  if (job !== null && !isActive(job)) await log.show(job);
}

async function updateJobs() {
  jobs = (await listJobs({ limit: 50 })).jobs;
  if (!jobs.some(isActive)) {
    // Cancelled jobs may have pushed the running one out of the list.
    jobs = [...jobs, ...(await listJobs({ state: "running" })).jobs];
  }
  form.showJobs(jobs);
  queue.show(jobs.filter((job) => job.state === "queued"));
  const running = jobs.find(isActive);
  if (running) events.subscribe(running.id);
  else if (jobs.some((job) => job.id === events.id && hasEnded(job))) events.end();
  await updateJob();
}

async function update() {
  const [health] = await Promise.all([getHealth(), updateJobs(), history.update()]);
  healthPanel.show(health, jobs);
  byId("log-out").hidden = !health.protections.token;
  form.outputs.offer(health);
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
  freshness.begin();
  polling = update()
    .then(() => freshness.end())
    .catch((error) => healthPanel.showError(errorMessage(error)))
    .finally(() => {
      polling = null;
    });
  return polling;
}

async function pollLog() {
  if (!document.hidden && shown && isActive(shown)) {
    await log.show(shown).catch(() => {}); // the health panel shows that the agent does not respond
  }
  setTimeout(pollLog, LOG_POLL_MS);
}

async function pollForever() {
  if (!document.hidden) await poll();
  setTimeout(pollForever, POLL_MS);
}

document.addEventListener("visibilitychange", () => document.hidden || poll());
window.addEventListener("hashchange", () => {
  history.showAddress();
  updateJob().then(show, poll);
  history.update().catch(poll);
});
byId("cancel").addEventListener("click", () => shown && cancelDialog.open(shown));
byId("again").addEventListener("click", () => shown && form.copy(shown));
// The address names the job, so that links to parts of the page cannot.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("job").focus();
});
byId("to-form").addEventListener("click", () => {
  byId("form-title").scrollIntoView();
  byId("binary").focus({ preventScroll: true });
});
byId("compare").addEventListener("click", () => comparison.open(history.ticked));
form.updateBinaries();
pollForever();
pollLog();
