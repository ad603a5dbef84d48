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
  if (/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(given)) return given;
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

/** Return a whole number, or the text as it is, for which the agent says what is allowed. */
function wholeOrText(text) {
  const given = text.trim();
  return /^-?\d{1,15}$/.test(given) ? Number(given) : given;
}

const SETTING = /\s+(?:(abort)|(delay|over)\s+(\S+))$/;

/** Read a condition and the settings after it, such as "rate>150 over 10s abort delay 30s". */
function readCondition(text, common) {
  const own = {};
  let threshold = text;
  for (let found = threshold.match(SETTING); found; found = threshold.match(SETTING)) {
    const [, abort, name, value] = found;
    own[abort ?? name] = abort ? true : value;
    threshold = threshold.slice(0, found.index);
  }
  const settings = { ...common, ...own };
  return Object.keys(settings).length ? { threshold, ...settings } : threshold;
}

/** Read thresholds, one "metric: condition" a line; the settings of `values` are for all of them. */
export function readThresholds({ thresholds: text, abort, delay, over }) {
  const common = {};
  if (abort) common.abort = true;
  if (abort && delay.trim()) common.delay = delay.trim();
  if (over.trim()) common.over = over.trim();
  const thresholds = {};
  for (const line of lines(text)) {
    // A selector such as {url:/cart} has colons too.
    const parts = line.match(/^([^:{]+(?:\{[^}]*\})?)\s*:\s*(.+)$/);
    if (!parts) throw new FieldError("thresholds", `"${line}" is no threshold: write duration: p(95)<250ms.`);
    const metric = parts[1].trim();
    thresholds[metric] = [...(thresholds[metric] ?? []), readCondition(parts[2], common)];
  }
  return thresholds;
}

function readSeed(text) {
  // JavaScript would round it.
  if (/^\d{16,}$/.test(text.trim())) throw new FieldError("seed", "The form takes a seed of up to 15 digits; use the API for a longer one.");
  return wholeOrText(text);
}

/** Return the part of a fleet's load; what is missing stays so, and the agent says what is needed. */
function readShare({ share_index: index, share_of: of }) {
  const given = Object.entries({ index, of }).filter(([, text]) => text.trim());
  return Object.fromEntries(given.map(([name, text]) => [name, wholeOrText(text)]));
}

function readLoad(values) {
  const member = values.model === "open" ? "rate" : "users";
  const level = Number(values[member]);
  const stages = readStages(values.stages, member);
  const extra = {};
  if (values.graceful_stop.trim()) extra.graceful_stop = readDuration("graceful_stop", values.graceful_stop);
  if (member === "rate") {
    if (values.arrivals !== "even") extra.arrivals = values.arrivals;
    if (values.arrivals === "poisson" && values.seed.trim()) extra.seed = readSeed(values.seed);
    if (values.when_full !== "drop") extra.when_full = values.when_full;
    if (values.max_in_flight) extra.max_in_flight = Number(values.max_in_flight);
  }
  if (stages.length) return { load: { start: Number(values.start || 0), stages, ...extra } };
  const duration = readDuration("duration", values.duration);
  // The short form is what programs of all versions know.
  if (!Object.keys(extra).length) return { [member]: level, duration };
  return { load: { start: level, stages: [{ [member]: level, duration }], ...extra } };
}

function readUndriven(values) {
  return { users: Number(values.users), duration: readDuration("duration", values.duration) };
}

/** Return the members of the request besides the binary and the files. */
export function buildRequest(values) {
  const request = { name: values.name.trim() };
  Object.assign(request, values.drive === "self" ? readUndriven(values) : readLoad(values));
  if (values.drive !== "netrpc") request.drive = values.drive;
  const members = {
    args: lines(values.args),
    env: readPairs("env", values.env, "=", "TARGET=https://staging.example"),
    tags: readPairs("tags", values.tags, "=", "release=1.4.2"),
    thresholds: readThresholds(values),
    share: readShare(values),
    run: values.run.trim() ? { id: values.run.trim() } : {},
  };
  for (const [name, value] of Object.entries(members)) {
    if (Object.keys(value).length) request[name] = value;
  }
  return request;
}
