// An SVG chart of series over time with axes, gaps, and a cursor moved by pointer or arrow keys.
// Samples are `{time, <key>: number or null}` with times in milliseconds.

import { element, setText, svgElement } from "./dom.js";
import { timeOfDay } from "./format.js";

const HEIGHT = 168;
const MARGIN = { top: 8, right: 10, bottom: 22, left: 56 };
// Samples arrive each second; points further apart are not joined.
const GAP_MS = 2500;
const WINDOWS_MS = [60e3, 90e3, 120e3, 180e3, 300e3, 600e3, 900e3];
const TIME_STEPS_MS = [10e3, 15e3, 30e3, 60e3, 120e3, 300e3];
const LABEL_WIDTH = 76;

export const MAX_WINDOW_MS = WINDOWS_MS.at(-1);

/** Return the smallest of 1, 2, 2.5, 5 × 10ⁿ that is at least `minimum`. */
export function roundStep(minimum) {
  const power = 10 ** Math.floor(Math.log10(minimum));
  const factor = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= minimum * (1 - 1e-9));
  return factor * power;
}

/** Return the SVG path of one series, broken at missing values and samples. */
export function linePath(samples, key, x, y) {
  let previous = null;
  let path = "";
  for (const { time, [key]: value } of samples) {
    if (value != null) {
      const isJoined = previous !== null && time - previous <= GAP_MS;
      const point = `${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
      // Round line caps show a lone point, a line of length zero, as a dot.
      path += isJoined ? `L${point}` : `M${point}h0`;
    }
    previous = value == null ? null : time;
  }
  return path;
}

export class Chart {
  /** Each of `series` is `{key, label, color}`, the color a CSS class; `format` and `formatTick` write values. */
  constructor(figure, { title, series, format, formatTick }) {
    this.title = title;
    this.series = series;
    this.format = format;
    this.formatTick = formatTick;
    this.samples = [];
    this.cursor = null;
    this.width = 0;
    this.time = element("span", { class: "muted chart-time" });
    this.values = new Map(series.map(({ key }) => [key, element("span", { class: "value" })]));
    const legend = series.map(({ key, label, color }) =>
      element("span", { class: "key" }, element("i", { class: `swatch ${color}` }), label, " ", this.values.get(key)),
    );
    this.announcement = element("span", { class: "hidden", "aria-live": "polite" });
    this.svg = svgElement("svg", { height: HEIGHT, tabindex: 0, role: "img" });
    figure.append(
      element("figcaption", {}, element("h3", {}, title), this.time, element("p", { class: "legend" }, ...legend)),
      this.svg,
      this.announcement,
    );
    this.svg.addEventListener("pointermove", (event) => this.moveTo(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.clearCursor());
    this.svg.addEventListener("blur", () => this.clearCursor());
    this.svg.addEventListener("keydown", (event) => this.pressKey(event));
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

  moveTo(offset) {
    if (!this.samples.length || !this.x) return;
    const distance = (sample) => Math.abs(this.x(sample.time) - offset);
    const nearest = this.samples.reduce((best, sample) => (distance(sample) < distance(best) ? sample : best));
    this.cursor = nearest.time;
    this.draw();
  }

  clearCursor() {
    this.cursor = null;
    setText(this.announcement, "");
    this.draw();
  }

  pressKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !this.samples.length) return;
    event.preventDefault();
    const last = this.samples.length - 1;
    const current = this.samples.findIndex(({ time }) => time === this.cursor);
    const index = Math.min(last, Math.max(0, (current < 0 ? last : current) + step));
    this.cursor = this.samples[index].time;
    this.draw();
    setText(this.announcement, this.describe(this.samples[index]));
  }

  describe(sample) {
    const values = this.series.map(({ key, label }) => `${label} ${this.format(sample[key])}`);
    return `${timeOfDay(sample.time)}: ${values.join(", ")}`;
  }

  draw() {
    const shown = this.samples.find(({ time }) => time === this.cursor) ?? this.samples.at(-1);
    for (const [key, node] of this.values) setText(node, this.format(shown?.[key]));
    setText(this.time, this.cursor === null ? "" : timeOfDay(shown.time));
    this.svg.setAttribute("aria-label", `${this.title}. ${shown ? this.describe(shown) : "No samples yet"}`);
    if (!this.width) return;

    const end = this.samples.at(-1)?.time ?? Date.now();
    const span = end - (this.samples[0]?.time ?? end);
    const window = WINDOWS_MS.find((length) => length >= span) ?? MAX_WINDOW_MS;
    const begin = end - window;
    const right = this.width - MARGIN.right;
    const bottom = HEIGHT - MARGIN.bottom;
    const visible = this.samples.filter(({ time }) => time >= begin);
    const maximum = Math.max(0, ...visible.flatMap((sample) => this.series.map(({ key }) => sample[key] ?? 0)));
    const step = roundStep((maximum || 1) / 4);
    const top = step * Math.max(1, Math.ceil(maximum / step - 1e-9));
    const x = (time) => MARGIN.left + ((time - begin) / window) * (right - MARGIN.left);
    const y = (value) => bottom - (value / top) * (bottom - MARGIN.top);
    this.x = x;

    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.svg.replaceChildren(
      ...this.yAxis(step, top, y, right),
      ...this.xAxis(begin, end, x, bottom),
      ...this.series.map(({ key, color }) => svgElement("path", { class: `line ${color}`, d: linePath(visible, key, x, y) })),
      ...(this.cursor === null ? [] : this.crosshair(shown, x, y, bottom)),
    );
  }

  yAxis(step, top, y, right) {
    const count = Math.round(top / step);
    return Array.from({ length: count + 1 }, (_, index) => index * step).flatMap((value) => [
      svgElement("line", { class: value ? "grid" : "axis", x1: MARGIN.left, x2: right, y1: y(value), y2: y(value) }),
      svgElement("text", { class: "tick", x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, this.formatTick(value)),
    ]);
  }

  xAxis(begin, end, x, bottom) {
    const maxLabels = Math.max(1, Math.floor((this.width - MARGIN.left - MARGIN.right) / LABEL_WIDTH));
    const step = TIME_STEPS_MS.find((length) => (end - begin) / length <= maxLabels) ?? TIME_STEPS_MS.at(-1);
    const marks = [];
    for (let time = Math.ceil(begin / step) * step; time <= end; time += step) {
      marks.push(svgElement("line", { class: "axis", x1: x(time), x2: x(time), y1: bottom, y2: bottom + 4 }));
      const fits = x(time) > MARGIN.left + 24 && x(time) < this.width - MARGIN.right - 20;
      if (fits) marks.push(svgElement("text", { class: "tick", x: x(time), y: bottom + 17, "text-anchor": "middle" }, timeOfDay(time)));
    }
    return marks;
  }

  crosshair(sample, x, y, bottom) {
    const center = x(sample.time);
    const dots = this.series.filter(({ key }) => sample[key] != null);
    return [
      svgElement("line", { class: "cursor", x1: center, x2: center, y1: MARGIN.top, y2: bottom }),
      ...dots.map(({ key, color }) => svgElement("circle", { class: `dot ${color}`, cx: center, cy: y(sample[key]), r: 3.5 })),
    ];
  }
}
