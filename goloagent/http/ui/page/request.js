// The request that queues a job, made from the texts of the form.

/** A field of the form is wrong; `message` says what is allowed. */
export class FieldError extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

/** Return a duration as a number of seconds or, with a unit, as the text that the agent parses. */
export function readDuration(field, text) {
  const given = text.trim();
  if (/^\d+(\.\d+)?$/.test(given)) return Number(given);
  if (/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(given)) return given;
  throw new FieldError(field, `"${given}" is no duration: write 60, 90s, 5m or 1h30m.`);
}

/** Read stages, one "duration: value" a line, such as "30s: 100". */
export function readStages(text, member) {
  return lines(text).map((line) => {
    const parts = line.match(/^([^:\s]+)\s*:\s*(\d+(?:\.\d+)?)$/);
    if (!parts) throw new FieldError("stages", `"${line}" is no stage: write a duration, a colon and a value, such as 30s: 100.`);
    return { [member]: Number(parts[2]), duration: readDuration("stages", parts[1]) };
  });
}

/** Read lines of "name<separator>value" as an object; values keep further separators. */
function readPairs(field, text, separator, example) {
  const pairs = lines(text).map((line) => {
    const at = line.indexOf(separator);
    if (at < 1) throw new FieldError(field, `"${line}" has no ${separator}: write one a line, such as ${example}.`);
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  });
  return Object.fromEntries(pairs);
}

/** Read thresholds, one "metric: condition" a line; `abort` ends the job when one fails. */
export function readThresholds(text, abort) {
  const thresholds = {};
  for (const line of lines(text)) {
    // A selector such as {url:/cart} has colons too.
    const parts = line.match(/^([^:{]+(?:\{[^}]*\})?)\s*:\s*(.+)$/);
    if (!parts) throw new FieldError("thresholds", `"${line}" is no threshold: write duration: p(95)<250ms.`);
    const metric = parts[1].trim();
    thresholds[metric] = [...(thresholds[metric] ?? []), abort ? { threshold: parts[2], abort: true } : parts[2]];
  }
  return thresholds;
}

function readLoad(values) {
  const member = values.model === "open" ? "rate" : "users";
  const level = Number(values[member]);
  const stages = readStages(values.stages, member);
  const extra = {};
  if (values.graceful_stop.trim()) extra.graceful_stop = readDuration("graceful_stop", values.graceful_stop);
  if (member === "rate") {
    if (values.arrivals !== "even") extra.arrivals = values.arrivals;
    if (values.when_full !== "drop") extra.when_full = values.when_full;
    if (values.max_in_flight) extra.max_in_flight = Number(values.max_in_flight);
  }
  if (stages.length) return { load: { start: Number(values.start || 0), stages, ...extra } };
  const duration = readDuration("duration", values.duration);
  // The short form is what programs of all versions know.
  if (!Object.keys(extra).length) return { [member]: level, duration };
  return { load: { start: level, stages: [{ [member]: level, duration }], ...extra } };
}

/** Return the members of the request besides the binary and the files. */
export function buildRequest(values) {
  const request = { name: values.name.trim() };
  Object.assign(request, values.drive === "self" ? { duration: readDuration("duration", values.duration) } : readLoad(values));
  if (values.drive !== "netrpc") request.drive = values.drive;
  const members = {
    args: lines(values.args),
    env: readPairs("env", values.env, "=", "TARGET=https://staging.example"),
    tags: readPairs("tags", values.tags, "=", "release=1.4.2"),
    thresholds: readThresholds(values.thresholds, values.abort),
  };
  for (const [name, value] of Object.entries(members)) {
    if (Object.keys(value).length) request[name] = value;
  }
  return request;
}
