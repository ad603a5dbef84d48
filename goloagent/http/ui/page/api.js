// Client of the agent's HTTP API. Paths are relative to the page so that they work below a proxy's prefix.

/** An error response; `message` is its detail. */
export class ApiError extends Error {}

function apiError(body, statusText) {
  try {
    return new ApiError(JSON.parse(body).detail || statusText);
  } catch {
    return new ApiError(body.trim() || statusText);
  }
}

async function send(path, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  const response = await fetch(path, { ...options, headers, redirect: "error" });
  if (!response.ok) throw apiError(await response.text(), response.statusText);
  return response;
}

const sendForJson = async (path, options) => (await send(path, options)).json();
const jobPath = (id) => `jobs/${encodeURIComponent(id)}`;

/** Return what to show for a failed request. */
export function errorMessage(error) {
  return error instanceof ApiError ? error.message : "The agent does not respond.";
}

/** Return the response, or null if the agent answers with an error. */
export async function orNull(response) {
  try {
    return await response;
  } catch (error) {
    if (error instanceof ApiError) return null;
    throw error;
  }
}

/** List jobs as `{jobs, next}`; empty parameters are omitted. */
export function listJobs(parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value);
  return sendForJson(`jobs?${new URLSearchParams(set)}`);
}

export const getJob = (id) => sendForJson(jobPath(id));
export const cancelJob = (id) => sendForJson(jobPath(id), { method: "DELETE" });

/** Give up the results of a job that an output has not got. */
export function giveUpResults(id, output) {
  return sendForJson(`${jobPath(id)}/results?${new URLSearchParams({ output })}`, { method: "DELETE" });
}

/** Change the load of a running job. */
export function changeJob(id, change) {
  const headers = { "Content-Type": "application/merge-patch+json" };
  return sendForJson(jobPath(id), { method: "PATCH", headers, body: JSON.stringify(change) });
}

/** Return what a job planned, did and measured, second by second. */
export const getTimeline = (id) => sendForJson(`${jobPath(id)}/timeline`);

/** Return a job's statistics; `query` selects and sorts the rows. */
export const getStatistics = (id, query) => sendForJson(`${jobPath(id)}/stats?${query}`);

export const listBinaries = () => sendForJson("binaries?limit=50");
export const deleteBinary = (id) => send(`binaries/${encodeURIComponent(id)}`, { method: "DELETE" });

export function queueJob(request) {
  const headers = { "Content-Type": "application/json" };
  return sendForJson("queue", { method: "POST", headers, body: JSON.stringify(request) });
}

/** Return the agent's health; the status is 503 if it is not ready. */
export const getHealth = async () => (await fetch("health", { headers: { Accept: "application/json" } })).json();

export const logPath = (id, file) => `${jobPath(id)}/${file}`;

/** Return the last `maxBytes` of a log. */
export async function getLogTail(id, file, maxBytes) {
  const response = await send(`${logPath(id, file)}?offset=${-maxBytes}`);
  return new Uint8Array(await response.arrayBuffer());
}

export const openEvents = (id) => new EventSource(`${jobPath(id)}/events`);

/** Upload a "program" or a "file" and return its id; `onProgress` gets the part sent, 0 to 1. */
export function upload(file, kind, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not report the progress of an upload
    request.open("POST", `upload?kind=${kind}`);
    request.setRequestHeader("Accept", "application/json");
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onerror = () => reject(new ApiError("The connection was lost."));
    request.onload = () => {
      if (request.status === 200) resolve(JSON.parse(request.responseText).binary);
      else reject(apiError(request.responseText, request.statusText));
    };
    const form = new FormData();
    form.append("file", file);
    request.send(form);
  });
}
