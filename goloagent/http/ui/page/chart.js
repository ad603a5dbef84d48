// A chart of series over time, in SVG: axes, gaps, and a read-out under the pointer or arrow keys.
//
// Knows samples, `{time, <key>: number or null}` with times in milliseconds, and nothing of where
// they come from.

import { drawing, element, setText } from "./dom.js";
import { clock } from "./format.js";

const HEIGHT = 168;
const MARGIN = { top: 8, right: 10, bottom: 22, left: 56 };
// Samples come each second: what is further apart is not joined.
const GAP_MS = 2500;
const WINDOWS_MS = [60e3, 90e3, 120e3, 180e3, 300e3, 600e3, 900e3];
const TIME_STEPS_MS = [10e3, 15e3, 30e3, 60e3, 120e3, 300e3];
const LABEL_WIDTH = 76;

export const KEPT_MS = WINDOWS_MS.at(-1);

/** Return the least of 1, 2, 2.5, 5 × 10ⁿ that is at least `least`. */
export function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  const factor = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= least * (1 - 1e-9));
  return factor * power;
}

/** Return the path of one series, broken where there is no value or no sample. */
export function path(samples, key, x, y) {
  let before = null;
  let found = "";
  for (const sample of samples) {
    const value = sample[key];
    if (value == null) {
      before = null;
      continue;
    }
    const joined = before !== null && sample.time - before <= GAP_MS;
    const point = `${x(sample.time).toFixed(1)} ${y(value).toFixed(1)}`;
    // A point of its own is a line of no length, which round ends make a dot.
    found += joined ? `L${point}` : `M${point}h0`;
    before = sample.time;
  }
  return found;
}

export class Chart {
  /** `series`: `{key, label, name}`, whose `name` is its class; `format` and `tick` write values. */
  constructor(figure, { title, series, format, tick }) {
    this.title = title;
    this.series = series;
    this.format = format;
    this.tick = tick;
    this.samples = [];
    this.cursor = null;
    this.width = 0;
    this.time = element("span", { class: "muted chart-time" });
    this.values = new Map(series.map(({ key }) => [key, element("span", { class: "value" })]));
    const legend = series.map(({ key, label, name }) =>
      element("span", { class: "key" }, element("i", { class: `swatch ${name}` }), label, " ", this.values.get(key)),
    );
    this.spoken = element("span", { class: "hidden", "aria-live": "polite" });
    this.svg = drawing("svg", { height: HEIGHT, tabindex: 0, role: "img" });
    figure.append(
      element("figcaption", {}, element("h3", {}, title), this.time, element("p", { class: "legend" }, ...legend)),
      this.svg,
      this.spoken,
    );
    this.svg.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.leave());
    this.svg.addEventListener("blur", () => this.leave());
    this.svg.addEventListener("keydown", (event) => this.press(event));
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      this.draw();
    }).observe(this.svg);
  }

  /** Show these samples, oldest first. */
  show(samples) {
    this.samples = samples;
    if (this.cursor !== null && !samples.some(({ time }) => time === this.cursor)) this.cursor = null;
    this.draw();
  }

  point(offset) {
    if (!this.samples.length || !this.x) return;
    const distance = (sample) => Math.abs(this.x(sample.time) - offset);
    const nearest = this.samples.reduce((best, sample) => (distance(sample) < distance(best) ? sample : best));
    this.cursor = nearest.time;
    this.draw();
  }

  leave() {
    this.cursor = null;
    setText(this.spoken, "");
    this.draw();
  }

  press(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !this.samples.length) return;
    event.preventDefault();
    const last = this.samples.length - 1;
    const now = this.samples.findIndex(({ time }) => time === this.cursor);
    const index = Math.min(last, Math.max(0, (now < 0 ? last : now) + step));
    this.cursor = this.samples[index].time;
    this.draw();
    setText(this.spoken, this.read(this.samples[index]));
  }

  read(sample) {
    const values = this.series.map(({ key, label }) => `${label} ${this.format(sample[key])}`);
    return `${clock(sample.time)}: ${values.join(", ")}`;
  }

  draw() {
    const shown = this.samples.find(({ time }) => time === this.cursor) ?? this.samples.at(-1);
    for (const [key, node] of this.values) setText(node, this.format(shown?.[key]));
    setText(this.time, this.cursor === null ? "" : clock(shown.time));
    this.svg.setAttribute("aria-label", `${this.title}. ${shown ? this.read(shown) : "No samples yet"}`);
    if (!this.width) return;

    const end = this.samples.at(-1)?.time ?? Date.now();
    const span = end - (this.samples[0]?.time ?? end);
    const window = WINDOWS_MS.find((length) => length >= span) ?? KEPT_MS;
    const begin = end - window;
    const right = this.width - MARGIN.right;
    const bottom = HEIGHT - MARGIN.bottom;
    const visible = this.samples.filter(({ time }) => time >= begin);
    const most = Math.max(0, ...visible.flatMap((sample) => this.series.map(({ key }) => sample[key] ?? 0)));
    const step = roundStep((most || 1) / 4);
    const top = step * Math.max(1, Math.ceil(most / step - 1e-9));
    const x = (time) => MARGIN.left + ((time - begin) / window) * (right - MARGIN.left);
    const y = (value) => bottom - (value / top) * (bottom - MARGIN.top);
    this.x = x;

    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.svg.replaceChildren(
      ...this.levels(step, top, y, right),
      ...this.times(begin, end, x, bottom),
      ...this.series.map(({ key, name }) => drawing("path", { class: `line ${name}`, d: path(visible, key, x, y) })),
      ...(this.cursor === null ? [] : this.crosshair(shown, x, y, bottom)),
    );
  }

  levels(step, top, y, right) {
    const count = Math.round(top / step);
    return Array.from({ length: count + 1 }, (_, index) => index * step).flatMap((value) => [
      drawing("line", { class: value ? "grid" : "axis", x1: MARGIN.left, x2: right, y1: y(value), y2: y(value) }),
      drawing("text", { class: "tick", x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, this.tick(value)),
    ]);
  }

  times(begin, end, x, bottom) {
    const room = Math.max(1, Math.floor((this.width - MARGIN.left - MARGIN.right) / LABEL_WIDTH));
    const step = TIME_STEPS_MS.find((length) => (end - begin) / length <= room) ?? TIME_STEPS_MS.at(-1);
    const found = [];
    for (let time = Math.ceil(begin / step) * step; time <= end; time += step) {
      found.push(drawing("line", { class: "axis", x1: x(time), x2: x(time), y1: bottom, y2: bottom + 4 }));
      const fits = x(time) > MARGIN.left + 24 && x(time) < this.width - MARGIN.right - 20;
      if (fits) found.push(drawing("text", { class: "tick", x: x(time), y: bottom + 17, "text-anchor": "middle" }, clock(time)));
    }
    return found;
  }

  crosshair(sample, x, y, bottom) {
    const at = x(sample.time);
    const dots = this.series.filter(({ key }) => sample[key] != null);
    return [
      drawing("line", { class: "cursor", x1: at, x2: at, y1: MARGIN.top, y2: bottom }),
      ...dots.map(({ key, name }) => drawing("circle", { class: `dot ${name}`, cx: at, cy: y(sample[key]), r: 3.5 })),
    ];
  }
}
