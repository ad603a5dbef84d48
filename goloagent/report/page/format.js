// Formats numbers, durations and times. A dash stands for an unknown value.

const UNKNOWN = "–";

/** Write a whole number with separators. */
export function count(number) {
  return number == null ? UNKNOWN : number.toLocaleString("en");
}

/** Write a rate per second. */
export function rate(number) {
  if (number == null) return UNKNOWN;
  return number.toLocaleString("en", { maximumFractionDigits: number < 10 ? 1 : 0 });
}

/** Write at least three digits and no exponent. */
function digits(number) {
  return number.toFixed(number < 9.995 ? 2 : number < 99.95 ? 1 : 0);
}

/** Write a latency with its unit. */
export function latency(seconds) {
  if (seconds == null) return UNKNOWN;
  if (seconds === 0) return "0";
  if (seconds < 0.9995e-3) return `${digits(seconds * 1e6)} µs`;
  if (seconds < 0.9995) return `${digits(seconds * 1e3)} ms`;
  return `${digits(seconds)} s`;
}

/** Write a latency at an axis: the same units, without trailing zeros. */
export function latencyTick(seconds) {
  if (seconds === 0) return "0";
  const [factor, unit] = seconds < 1e-3 ? [1e6, "µs"] : seconds < 1 ? [1e3, "ms"] : [1, "s"];
  return `${Number((seconds * factor).toPrecision(6))} ${unit}`;
}

/** Write a rate at an axis. */
export function rateTick(number) {
  if (number >= 1e6) return `${Number((number / 1e6).toPrecision(6))} M`;
  if (number >= 1e4) return `${Number((number / 1e3).toPrecision(6))} k`;
  return Number(number.toPrecision(6)).toLocaleString("en");
}

/** Write a duration. */
export function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 120) return `${whole} s`;
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const parts = [[hours, "h"], [minutes, "min"], [hours ? 0 : rest, "s"]];
  return parts.filter(([number]) => number).map(([number, unit]) => `${number} ${unit}`).join(" ");
}

/** Write a time since the start of a run, as minutes and seconds. */
export function elapsed(seconds) {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const pad = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${pad(minutes)}:${pad(rest)}` : `${minutes}:${pad(rest)}`;
}

/** Write a number of bytes. */
export function bytes(number) {
  if (number == null) return UNKNOWN;
  if (number < 1024) return `${number} B`;
  const power = Math.min(4, Math.floor(Math.log2(number) / 10));
  return `${digits(number / 1024 ** power)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

/** Write a part as a percentage; a part above zero is never written as zero. */
export function percentage(part, whole) {
  if (!whole) return UNKNOWN;
  const percent = (100 * part) / whole;
  if (part && percent < 0.01) return "< 0.01 %";
  return `${percent.toFixed(percent < 10 ? 2 : 1)} %`;
}

/** Write a time of day. */
export function timeOfDay(time) {
  return new Date(time).toLocaleTimeString("en-GB");
}

/** Write a time of today, or a date and time. */
export function dateTime(time) {
  const date = new Date(time);
  if (date.toDateString() === new Date().toDateString()) return timeOfDay(date);
  const day = date.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
  return `${day} ${timeOfDay(date).slice(0, 5)}`;
}

/** Shorten an id to its first eight digits. */
export function shortId(id) {
  return id.slice(0, 8);
}
