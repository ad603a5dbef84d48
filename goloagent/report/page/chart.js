// An SVG chart of series over the seconds of a run with axes, gaps, marked spans, and a cursor moved
// by pointer or arrow keys. Samples are `{begin, end, <key>: number or null}`.

import { element, setText, svgElement } from "./dom.js";
import { elapsed } from "./format.js";
import { linePath, roundStep, thin, timeStep } from "./scale.js";

const HEIGHT = 168;
const MARGIN = { top: 8, right: 10, bottom: 22, left: 56 };
const LABEL_WIDTH = 64;

export class Chart {
  /** Each of `series` is `{key, label, color, from}`; `from` names the samples, by default "samples". */
  constructor(figure, { title, series, format, formatTick }) {
    this.title = title;
    this.format = format;
    this.formatTick = formatTick;
    this.view = { samples: [], range: 1 };
    this.cursor = null;
    this.width = 0;
    this.time = element("span", { class: "muted chart-time" });
    this.heading = element("h3", {}, title);
    this.legend = element("p", { class: "legend" });
    this.announcement = element("span", { class: "hidden", "aria-live": "polite" });
    this.svg = svgElement("svg", { height: HEIGHT, tabindex: 0, role: "img" });
    figure.append(element("figcaption", {}, this.heading, this.time, this.legend), this.svg, this.announcement);
    this.setSeries(series, title);
    this.svg.addEventListener("pointermove", (event) => this.moveTo(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.clearCursor());
    this.svg.addEventListener("blur", () => this.clearCursor());
    this.svg.addEventListener("keydown", (event) => this.pressKey(event));
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      this.draw();
    }).observe(this.svg);
  }

  /** Replace the title and the series. */
  setSeries(series, title) {
    this.series = series;
    this.title = title;
    setText(this.heading, title);
    this.values = new Map(series.map(({ key }) => [key, element("span", { class: "value" })]));
    const keys = series.map(({ key, label, color }) =>
      element("span", { class: "key" }, element("i", { class: `swatch ${color}` }), label, " ", this.values.get(key)),
    );
    this.legend.replaceChildren(...keys);
  }

  /**
   * Show `samples`, oldest first, in `range` seconds; `spans` `{from, to}` are shaded, `marks` are
   * moments with a line, `plan` are the samples of the series that are not measured. The legend has
   * the values of the last sample if `isLive`.
   */
  show(view) {
    this.view = view;
    if (this.cursor !== null && !view.samples.some(({ end }) => end === this.cursor)) this.cursor = null;
    this.draw();
  }

  moveTo(offset) {
    const { samples } = this.view;
    if (!samples.length || !this.x) return;
    const distance = (sample) => Math.abs(this.x(sample.end) - offset);
    this.cursor = samples.reduce((best, sample) => (distance(sample) < distance(best) ? sample : best)).end;
    this.draw();
  }

  clearCursor() {
    this.cursor = null;
    setText(this.announcement, "");
    this.draw();
  }

  pressKey(event) {
    const { samples } = this.view;
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !samples.length) return;
    event.preventDefault();
    const last = samples.length - 1;
    const current = samples.findIndex(({ end }) => end === this.cursor);
    const index = Math.min(last, Math.max(0, (current < 0 ? last : current) + step));
    this.cursor = samples[index].end;
    this.draw();
    setText(this.announcement, this.describe(samples[index]));
  }

  describe(sample) {
    const values = this.series.map(({ key, label }) => `${label} ${this.format(sample[key])}`);
    return `${elapsed(sample.end)}: ${values.join(", ")}`;
  }

  draw() {
    const { samples, range, spans = [], marks = [], plan } = this.view;
    const shown = samples.find(({ end }) => end === this.cursor) ?? samples.at(-1);
    const hasValues = this.view.isLive || this.cursor !== null;
    for (const [key, node] of this.values) setText(node, hasValues ? this.format(shown?.[key]) : "");
    setText(this.time, this.cursor === null ? "" : elapsed(shown.end));
    this.svg.setAttribute("aria-label", `${this.title}. ${shown ? this.describe(shown) : "No samples yet"}`);
    if (!this.width) return;

    const right = this.width - MARGIN.right;
    const bottom = HEIGHT - MARGIN.bottom;
    const drawn = thin(samples, Math.max(60, right - MARGIN.left));
    const lines = this.series.map(({ key, color, from }) => ({ key, color, samples: (from && this.view[from]) || drawn }));
    const maximum = lines.reduce(
      (highest, { key, samples }) => samples.reduce((most, sample) => Math.max(most, sample[key] ?? 0), highest),
      0,
    );
    const step = roundStep((maximum || 1) / 4);
    const top = step * Math.max(1, Math.ceil(maximum / step - 1e-9));
    const x = (seconds) => MARGIN.left + (Math.min(seconds, range) / range) * (right - MARGIN.left);
    const y = (value) => bottom - (value / top) * (bottom - MARGIN.top);
    this.x = x;

    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.svg.replaceChildren(
      ...spans.map((span) => shade(span, x, bottom)),
      ...this.yAxis(step, top, y, right),
      ...this.xAxis(range, x, bottom),
      ...marks.map((at) => svgElement("line", { class: "mark", x1: x(at), x2: x(at), y1: MARGIN.top, y2: bottom })),
      ...lines.map(({ key, color, samples }) => svgElement("path", { class: `line ${color}`, d: linePath(samples, key, x, y) })),
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

  xAxis(range, x, bottom) {
    const step = timeStep(range, Math.max(1, Math.floor((this.width - MARGIN.left - MARGIN.right) / LABEL_WIDTH)));
    const times = Array.from({ length: Math.floor(range / step) + 1 }, (_, index) => index * step);
    return times.flatMap((seconds) => [
      svgElement("line", { class: "axis", x1: x(seconds), x2: x(seconds), y1: bottom, y2: bottom + 4 }),
      svgElement("text", { class: "tick", x: Math.min(x(seconds), this.width - 24), y: bottom + 17, "text-anchor": "middle" }, elapsed(seconds)),
    ]);
  }

  crosshair(sample, x, y, bottom) {
    const center = x(sample.end);
    const dots = this.series.filter(({ key }) => sample[key] != null);
    return [
      svgElement("line", { class: "cursor", x1: center, x2: center, y1: MARGIN.top, y2: bottom }),
      ...dots.map(({ key, color }) => svgElement("circle", { class: `dot ${color}`, cx: center, cy: y(sample[key]), r: 3.5 })),
    ];
  }
}

function shade({ from, to }, x, bottom) {
  const width = Math.max(2, x(to) - x(from));
  return svgElement("rect", { class: "span", x: x(from), y: MARGIN.top, width, height: bottom - MARGIN.top });
}
