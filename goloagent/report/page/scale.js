// The arithmetic of charts: paths, rounded steps, and fewer samples than pixels.

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
const MIN_RANGE_SECONDS = 30;

/** Return the smallest of 1, 2, 2.5, 5 × 10ⁿ that is at least `minimum`. */
export function roundStep(minimum) {
  const power = 10 ** Math.floor(Math.log10(minimum));
  const factor = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= minimum * (1 - 1e-9));
  return factor * power;
}

/** Return a step in seconds that gives at most `count` marks in `range` seconds. */
export function timeStep(range, count) {
  return TIME_STEPS.find((step) => range / step <= count) ?? TIME_STEPS.at(-1);
}

/** Return the seconds that a chart shows: all of an ended run, a little more of a running one. */
export function chartRange(elapsed, duration, hasEnded) {
  if (hasEnded) return Math.max(elapsed, 1);
  const ahead = Math.max(MIN_RANGE_SECONDS, Math.ceil((elapsed * 1.15) / 10) * 10);
  return Math.max(elapsed, duration ? Math.min(duration, ahead) : ahead, 1);
}

/** Return the SVG path of one series, broken at missing values and at gaps between windows. */
export function linePath(samples, key, x, y) {
  let previous = null;
  let path = "";
  for (const { begin, end, [key]: value } of samples) {
    if (value != null) {
      const isJoined = previous !== null && begin - previous <= Math.max(1, (end - begin) / 2);
      const point = `${x(end).toFixed(1)} ${y(value).toFixed(1)}`;
      // Round line caps show a lone point, a line of length zero, as a dot.
      path += isJoined ? `L${point}` : `M${point}h0`;
    }
    previous = value == null ? null : end;
  }
  return path;
}

/** Join neighbours so that at most `maximum` samples remain; each member has its highest value. */
export function thin(samples, maximum) {
  const size = Math.ceil(samples.length / maximum);
  if (size <= 1) return samples;
  const joined = [];
  for (let first = 0; first < samples.length; first += size) joined.push(join(samples.slice(first, first + size)));
  return joined;
}

function join(group) {
  const last = group.at(-1);
  const highest = (key) => {
    const known = group.map((sample) => sample[key]).filter((value) => value != null);
    return known.length ? Math.max(...known) : null;
  };
  const entries = Object.keys(last).map((key) => [key, typeof last[key] === "number" || last[key] === null ? highest(key) : last[key]]);
  return { ...Object.fromEntries(entries), begin: group[0].begin, end: last.end };
}
