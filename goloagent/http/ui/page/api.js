// The agent's API over HTTP. Knows routes and errors, and nothing of the page. Every path is relative
// to the page, so that all of it works below the prefix of a proxy, too.

/** What the agent refused, in its own words. */
export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

function refusal(status, body, otherwise) {
  try {
    return new Refused(status, JSON.parse(body).detail || otherwise);
  } catch {
    return new Refused(status, body.trim() || otherwise);
  }
}

async function ask(path, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  const answer = await fetch(path, { ...options, headers, redirect: "error" });
  const body = await answer.text();
  if (!answer.ok) throw refusal(answer.status, body, answer.statusText);
  return JSON.parse(body);
}

function jobPath(id) {
  return `jobs/${encodeURIComponent(id)}`;
}

/** List jobs: `{jobs, next}`; parameters that are empty are not given. */
export function listJobs(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value);
  return ask(`jobs?${new URLSearchParams(given)}`);
}

export function showJob(id) {
  return ask(jobPath(id));
}

export function cancelJob(id) {
  return ask(jobPath(id), { method: "DELETE" });
}

/** Return the statistics of a job, with the rows of a query. */
export function showStatistics(id, query) {
  return ask(`${jobPath(id)}/stats?${query}`);
}

export function listBinaries() {
  return ask("binaries?limit=50");
}

export function queueJob(request) {
  const headers = { "Content-Type": "application/json" };
  return ask("queue", { method: "POST", headers, body: JSON.stringify(request) });
}

/** Return the health, which is told with a status of failure as well when it is bad. */
export async function showHealth() {
  return (await fetch("health", { headers: { Accept: "application/json" } })).json();
}

export function logPath(id, file) {
  return `${jobPath(id)}/${file}`;
}

/** Return the last bytes of a log. */
export async function logTail(id, file, most) {
  const answer = await fetch(`${logPath(id, file)}?offset=${-most}`);
  if (!answer.ok) throw refusal(answer.status, await answer.text(), answer.statusText);
  return new Uint8Array(await answer.arrayBuffer());
}

export function openEvents(id) {
  return new EventSource(`${jobPath(id)}/events`);
}

/** Upload a file and return the id of the binary; `progress` is told which part has been sent. */
export function upload(file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how far an upload is
    request.open("POST", "upload");
    request.setRequestHeader("Accept", "application/json");
    request.upload.onprogress = (event) => progress(event.loaded / event.total);
    request.onerror = () => reject(new Refused(0, "the connection was lost"));
    request.onload = () => {
      if (request.status === 200) resolve(JSON.parse(request.responseText).binary);
      else reject(refusal(request.status, request.responseText, request.statusText));
    };
    const form = new FormData();
    form.append("file", file);
    request.send(form);
  });
}
