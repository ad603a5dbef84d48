// Puts the page together: what is asked of the agent, when, and who shows it.

import { listJobs, Refused, showHealth, showJob, showStatistics } from "./api.js";
import { Cancellation } from "./cancellation.js";
import { Condition } from "./condition.js";
import { setText } from "./dom.js";
import { rate } from "./format.js";
import { History } from "./history.js";
import { JobPanel } from "./job.js";
import { Live } from "./live.js";
import { LogTail } from "./log.js";
import { Queue } from "./queue.js";
import { isLive, isOver } from "./state.js";
import { StatisticsTable } from "./statistics.js";
import { Submission } from "./submission.js";

const POLL_MS = 2000;
const LOG_MS = 1000;

const find = (id) => document.getElementById(id);
const panel = new JobPanel(find("job"));
const statisticsTable = new StatisticsTable(find("stats"), () => {
  complete = null;
  poll();
});
const log = new LogTail(find("log"));
const history = new History(document.querySelector(".history"));
const condition = new Condition(find("health"), find("notices"));
const cancellation = new Cancellation(find("cancel-dialog"), poll);
const queue = new Queue(find("queue"), find("queue-count"), find("queue-empty"), (job) => cancellation.ask(job));
const submission = new Submission(find("form"), (id) => {
  submission.offer();
  // What was queued is shown at once if nothing else runs, and in its place in the queue if so.
  if (!jobs.some(isLive)) location.hash = id;
  poll();
});
const live = new Live({
  changed(job) {
    changes += 1;
    if (shown?.id === job.id) shown = job;
    show();
    poll();
  },
  progressed: show,
  connected: (is) => setText(find("stream"), is ? "" : "The connection was lost. Trying again…"),
});

let jobs = [];
let shown = null;
let statistics = null;
let complete = null; // the id of the job whose shown figures are its last
let changes = 0; // events received: a response that was requested before one may be older than it
let polling = null;
let next = null;

const chosen = () => location.hash.slice(1).replace(/^job$/, "");

/** Return the id of the job to show: the chosen one, or what runs, or what ran last. */
function wanted() {
  const newest = jobs.find(isLive) ?? jobs.find((job) => isOver(job) && job.started_at) ?? jobs[0];
  return chosen() || newest?.id || null;
}

function show() {
  const samples = shown !== null && shown.id === live.id ? live.samples : [];
  panel.show(shown, { followed: chosen() === "", samples, statistics });
  statisticsTable.show(statistics);
  history.mark(shown?.id);
  const running = jobs.find(isLive);
  const second = live.samples.at(-1);
  const now = running && second && live.id === running.id ? ` ${rate(second.calls_per_second)}/s` : "";
  document.title = running ? `${running.name}${now} · golo-agent` : "golo-agent";
}

const settled = (job) => isOver(job) && job.results.pending === 0;

/** Fetch the job to show, and then its figures: when nothing changes any more, for a last time. */
async function look() {
  const id = wanted();
  if (id !== null && id === complete) return;
  const { query } = statisticsTable;
  const before = changes;
  const job = id === null ? null : await unlessRefused(showJob(id));
  const figures = job?.started_at ? await unlessRefused(showStatistics(id, query)) : null;
  if (id !== wanted() || query !== statisticsTable.query || before !== changes) return;
  shown = job;
  statistics = figures;
  complete = job !== null && settled(job) ? id : null;
  if (job !== null && !isLive(job)) await log.show(job);
}

async function unlessRefused(answer) {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

async function refresh() {
  const [listed, health] = await Promise.all([listJobs({ limit: 50 }), showHealth(), history.update()]);
  jobs = listed.jobs;
  if (!jobs.some(isLive)) {
    // A queue that was cancelled many times over may hide what runs.
    jobs = [...jobs, ...(await listJobs({ state: "running" })).jobs];
  }
  condition.show(health, jobs);
  queue.show(jobs.filter((job) => job.state === "queued"));
  const running = jobs.find(isLive);
  if (running) live.follow(running.id);
  else if (jobs.some((job) => job.id === live.id && isOver(job))) live.end();
  await look();
  show();
}

/** Ask the agent how things are; during one time another one is kept for after it. */
function poll() {
  if (polling !== null) {
    next ??= polling.then(() => {
      next = null;
      return poll();
    });
    return next;
  }
  polling = refresh()
    .catch((error) => condition.show(null, [], error instanceof Refused ? error.message : undefined))
    .finally(() => {
      polling = null;
    });
  return polling;
}

async function followLog() {
  if (!document.hidden && shown !== null && isLive(shown)) {
    await log.show(shown).catch(() => {}); // that the agent does not answer is said elsewhere
  }
  setTimeout(followLog, LOG_MS);
}

async function keepPolling() {
  if (!document.hidden) await poll();
  setTimeout(keepPolling, POLL_MS);
}

document.addEventListener("visibilitychange", () => document.hidden || poll());
window.addEventListener("hashchange", () => look().then(show, poll));
find("cancel").addEventListener("click", () => shown && cancellation.ask(shown));
find("again").addEventListener("click", () => shown && submission.repeat(shown));
submission.offer();
keepPolling();
followLog();
