// Logarithmic axes of latencies, and the buckets of a report's histograms.

const NS = 1e9;
const DECADES = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100, 1000];

/** Return the least value of a bucket, in seconds. */
export function bucketStart(index) {
  return (index < 32 ? 32 * index : (32 + (index % 32)) * 2 ** (Math.floor(index / 32) + 4)) / NS;
}

/** Yield each bucket of a window's times that has values: `{from, to, count}`. */
export function* buckets({ first, counts }) {
  let index = first;
  for (const count of counts) {
    if (count > 0) yield { from: bucketStart(index), to: bucketStart(index + 1), count };
    index += count > 0 ? 1 : -count;
  }
}

/** Return a function that places a value of at least `low` and at most `high` from 0 to 1. */
export function logScale(low, high) {
  const [bottom, top] = [Math.log(low), Math.log(high)];
  return (value) => (Math.log(Math.min(high, Math.max(low, value))) - bottom) / (top - bottom);
}

/** Return round values from `low` to `high`, a decade or a part of one apart. */
export function logTicks(low, high) {
  const factors = high / low > 300 ? [1] : high / low > 20 ? [1, 3] : [1, 2, 3, 5, 7];
  const values = DECADES.flatMap((decade) => factors.map((factor) => factor * decade));
  return values.filter((value) => value >= low * 0.999 && value <= high * 1.001);
}
